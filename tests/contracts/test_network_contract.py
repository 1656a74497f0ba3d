"""What every network keeps, whatever its stem, encoder and pooling."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.conftest import SMALL, bundle_of
from tfclass.bundle.bundle import load_bundle
from tfclass.bundle.save import save_bundle
from tfclass.channels.calibration import Calibration
from tfclass.config import StemConfig
from tfclass.models.encoders import IdentityEncoder, length_mask
from tfclass.models.factory import EMBEDDINGS, ENCODERS, POOLINGS, build
from tfclass.models.forward import collate, evaluating, logits_of, scores_of
from tfclass.models.front import NoStem

STACKS = StemConfig.default(name="stacks", stacks=((2, 3), (4,)), channels=5, pool=2)
NO_LAYERS = {"identity": {"layers": 1}}
STEMS = {"residues": StemConfig.default(name="none"), "convolution": SMALL.stem, "stacks": STACKS}
# Every encoder with the default pooling, every pooling with the default encoder, and every option of recurrence.
CASES = {
    **{
        f"{name} on {stem}": {"encoder": name, "stem": STEMS[stem], **NO_LAYERS.get(name, {})}
        for name in sorted(ENCODERS)
        for stem in STEMS
    },
    **{f"{name} pooling": {"pooling": name} for name in sorted(POOLINGS)},
    "one direction, last pooling": {"encoder": "gru", "directions": 1, "pooling": "last"},
    **{f"{name} embedding": {"embedding": name} for name in sorted(EMBEDDINGS)},
    "3-mers": {"kmer": 3},
    "hidden layer": {"head_hidden": 7},
    "linear attention": {"attention_hidden": 0},
    "full peepholes": {"encoder": "peephole_lstm", "peephole": "full"},
    "forget bias": {"forget_bias": 1.0},
    "residual": {"residual": True, "layers": 3},
    "layer norm": {"layer_norm": True},
    "variational dropout": {"variational_dropout": True},
    "weight dropout": {"weight_dropout": 0.3},
    "weight dropout of peepholes": {"encoder": "peephole_lstm", "weight_dropout": 0.3},
}
BASE = {"layers": 2, "dropout": 0.5, "families": ("x", "y", "z", "w"), "domains": True}


@pytest.fixture(params=CASES.values(), ids=CASES)
def network(request, alphabet):
    torch.manual_seed(3)
    config = replace(SMALL, **{**BASE, **request.param})
    return build(config, alphabet, n_classes=3)


@pytest.fixture
def proteins():
    rng = np.random.default_rng(0)
    return [rng.integers(1, 27, size=length).astype(np.uint8) for length in (17, 1, 40, 8, 3, 2)]


def score(network, sequences, extra_padding=0):
    """All that the heads give for each sequence, in one row: classes, families, then domains, zero beyond its steps."""
    batch = collate(sequences)
    with evaluating(network), torch.inference_mode():
        logits = network.all_heads(F.pad(batch.tokens_BL, (0, extra_padding)), batch.lengths_B)
    domain_BS = logits.domain_BS * length_mask(logits.steps_B, logits.domain_BS.shape[1])
    assert torch.isfinite(logits.domain_BS).all()
    room = F.pad(domain_BS, (0, max(0, 80 - domain_BS.shape[1])))[:, :80]
    return torch.cat([logits.logits_BC, logits.family_BK, room], dim=1)


def in_rows(scores, network):
    """What `scores_of` gives, as `score` gives it."""
    rows_NS = np.zeros((len(scores.domains), 80))
    for row_S, domain_L in zip(rows_NS, scores.domains, strict=True):
        row_S[: -(-len(domain_L) // network.stem.pool)] = domain_L[:: network.stem.pool]
    return np.concatenate([scores.logits_NC, scores.family_NK, rows_NS], axis=1)


def test_padding_changes_nothing(network, proteins):
    torch.testing.assert_close(score(network, proteins, 29), score(network, proteins), atol=1e-5, rtol=1e-5)


def test_states_on_padding_are_finite(network, proteins):
    batch = collate(proteins)
    with evaluating(network), torch.inference_mode():
        x_BLE, lengths_B = network.stem(network.embedding(F.pad(batch.tokens_BL, (0, 29))), batch.lengths_B)
        assert torch.isfinite(network.encoder(x_BLE, lengths_B)).all()


def test_other_sequences_in_the_batch_change_nothing(network, proteins):
    alone = torch.cat([score(network, [protein]) for protein in proteins])
    torch.testing.assert_close(score(network, proteins), alone, atol=1e-5, rtol=1e-5)


def test_order_in_the_batch_changes_nothing(network, proteins):
    backwards = score(network, proteins[::-1]).flip(0)
    torch.testing.assert_close(score(network, proteins), backwards, atol=1e-5, rtol=1e-5)


def test_budget_of_a_batch_changes_nothing_and_input_order_is_kept(network, proteins):
    together, one_by_one = (in_rows(scores_of(network, proteins, budget), network) for budget in (10_000, 1))
    np.testing.assert_allclose(together, one_by_one, atol=1e-5, rtol=1e-5)


def test_scoring_by_tables_gives_what_the_network_gives(network, proteins):
    expected = score(network, proteins).numpy()
    found = scores_of(network, proteins, 10_000)
    np.testing.assert_allclose(in_rows(found, network), expected, atol=1e-5, rtol=1e-5)


def test_class_logits_are_the_same_with_and_without_the_other_heads(network, proteins):
    np.testing.assert_array_equal(scores_of(network, proteins, 64).logits_NC, logits_of(network, proteins, 64))
    batch = collate(proteins)
    network.eval()
    assert torch.equal(network(*batch), network.all_heads(*batch).logits_BC)


def test_residues_of_a_step_share_their_domain_logit_and_each_has_one(network, proteins):
    domains, pool = scores_of(network, proteins, 64).domains, network.stem.pool
    assert [domain_L.shape for domain_L in domains] == [(len(protein),) for protein in proteins]
    assert all(domain_L.dtype == np.float32 for domain_L in domains)
    steps_S = np.arange(len(proteins[2])) // pool
    np.testing.assert_array_equal(domains[2], domains[2][steps_S * pool])


def test_order_of_residues_matters(network, proteins):
    if isinstance(network.encoder, IdentityEncoder) and isinstance(network.stem, NoStem):
        pytest.skip("a network of an embedding and a pooling only is blind to order")
    forward, reversed_ = score(network, [proteins[2]]), score(network, [proteins[2][::-1]])
    assert not torch.allclose(forward, reversed_, atol=1e-6)


def test_gradients_reach_every_parameter(network, proteins):
    batch = collate(proteins)
    network.eval()
    logits = network.all_heads(*batch)
    sum(part.square().sum() for part in logits[:3]).backward()
    without = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


def test_scoring_restores_the_mode_of_every_module_and_repeats_exactly(network, proteins):
    network.train()
    network.pooling.eval()
    before = [module.training for module in network.modules()]
    first, second = (logits_of(network, proteins, 64) for _ in range(2))
    assert [module.training for module in network.modules()] == before
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("change", CASES.values(), ids=CASES)
def test_a_saved_network_comes_back_with_the_same_numbers(change, proteins, alphabet, tmp_path):
    config = replace(SMALL, **{**BASE, **change})
    network = build(config, alphabet, n_classes=3)
    classes, calibration = ("a", "b", "c"), Calibration(1.0, (0.0, 0.0, 0.0))
    save_bundle(bundle_of("n", network, config, calibration, classes, None), tmp_path / "n", card="")
    loaded = load_bundle(tmp_path / "n")
    assert loaded.config == config
    assert torch.equal(score(loaded.model, proteins), score(network, proteins))


def score_two_that_differ_in_the_last_residue(network, n_residues, max_residues):
    rng = np.random.default_rng(1)
    whole = rng.integers(1, 21, size=n_residues).astype(np.uint8)
    changed = whole.copy()
    changed[-1] = changed[-1] % 20 + 1
    return logits_of(network, [whole, changed], max_residues)


def test_a_protein_longer_than_a_batch_is_scored_whole(network):
    assert np.isfinite(score_two_that_differ_in_the_last_residue(network, 2_000, 1_024)).all()


@pytest.mark.parametrize("encoder", ["bilstm", "identity"])
def test_a_protein_of_35000_residues_is_scored_whole(encoder, alphabet):
    torch.manual_seed(3)
    network = build(replace(SMALL, encoder=encoder), alphabet, n_classes=3)
    logits_NC = score_two_that_differ_in_the_last_residue(network, 35_000, 16_384)
    assert np.isfinite(logits_NC).all()
    assert (logits_NC[0] != logits_NC[1]).any()
