"""Pruned networks against those whose pruned units nobody reads, and the importance of units against NumPy's."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import SMALL, bundle_of
from tests.recipes.test_average_weights import TRAINED
from tfclass.bundle.bundle import load_bundle
from tfclass.bundle.save import save_bundle
from tfclass.channels.calibration import Calibration
from tfclass.config import StemConfig
from tfclass.errors import BundleError
from tfclass.models.factory import build
from tfclass.models.forward import scores_of

RECIPE = Path(__file__).parents[2] / "recipes" / "tf-bilstm"
sys.path.insert(0, str(RECIPE))
from prune_units import prune, reading_norm, state_deviation  # noqa: E402

HEADS = {"families": ["a", "b", "c"], "domains": True, "attention_hidden": 0}
# Units that nobody reads, forward and backward, of six.
SILENT = ((0, 3), (2, 5))
H = SMALL.hidden


def bundle_with(alphabet, **options):
    torch.manual_seed(0)
    config = replace(SMALL, **options)
    return bundle_of("wide", build(config, alphabet, 2).eval(), config, Calibration(1.0, (0.0, 0.0)))


def silence(model):
    """Make every layer ignore the silent units."""
    of_both = [unit + H * direction for direction, units in enumerate(SILENT) for unit in units]
    for name, weight in model.named_parameters():
        if weight.ndim == 2 and weight.shape[1] == 2 * H:
            weight.data[:, of_both] = 0
        if name.endswith("weight_hh_l0"):
            weight.data[:, SILENT["backwards" in name]] = 0


@pytest.mark.parametrize(
    "options",
    [
        HEADS,
        {},
        {"families": ["a", "b"], "head_hidden": 5},
        {"pooling": "last", "stem": StemConfig.default(name="none")},
        {"pooling": "mean", "weight_dropout": 0.2, "domains": True},
    ],
)
def test_units_that_nobody_reads_go_and_every_logit_stays(alphabet, demo_table, demo_proteins, options):
    bundle = bundle_with(alphabet, **options)
    silence(bundle.model)
    pruned = prune(bundle, 4, demo_table)
    assert pruned.config.hidden == 4
    tokens = demo_proteins.tokens[:50]
    before, after = (scores_of(each.model, tokens, 10_000) for each in (bundle, pruned))
    np.testing.assert_allclose(after.logits_NC, before.logits_NC, rtol=0, atol=1e-6)
    if before.family_NK is not None:
        np.testing.assert_allclose(after.family_NK, before.family_NK, rtol=0, atol=1e-6)
    for one, other in zip(before.domains or [], after.domains or [], strict=True):
        np.testing.assert_allclose(other, one, rtol=0, atol=1e-6)


def test_importance_is_that_of_numpy_protein_by_protein(alphabet, demo_proteins):
    model = bundle_with(alphabet, **HEADS).model
    states = []
    with torch.inference_mode():
        for tokens in demo_proteins.tokens:
            batch = torch.from_numpy(tokens.astype(np.int64))[None], torch.tensor([len(tokens)])
            states.append(model.encoder(*model.stem(model.embedding(batch[0]), batch[1]))[0].numpy())
    expected = np.concatenate(states).astype(np.float64).std(axis=0)
    np.testing.assert_allclose(state_deviation(model, demo_proteins).flatten(), expected, rtol=1e-5)

    weights = {name: weight.detach().numpy().astype(np.float64) for name, weight in model.named_parameters()}
    heads = [weights[f"{name}.weight"] for name in ("head", "family_head", "domain_head", "pooling.score")]
    total = sum(np.linalg.norm(head, axis=0) / np.linalg.norm(head, axis=0).mean() for head in heads).reshape(2, H)
    for direction, name in enumerate(("forwards", "backwards")):
        own = np.linalg.norm(weights[f"encoder.{name}.0.weight_hh_l0"], axis=0)
        total[direction] += own / own.mean()
    np.testing.assert_allclose(reading_norm(model), total, rtol=1e-12)


@pytest.mark.parametrize("units", [H, H + 1])
def test_as_many_units_as_there_are_stay_as_they_are(alphabet, demo_table, units):
    bundle = bundle_with(alphabet, **HEADS)
    pruned = prune(bundle, units, demo_table)
    assert pruned.config == bundle.config
    for name, weight in pruned.model.state_dict().items():
        assert torch.equal(weight, bundle.model.state_dict()[name]), name


@pytest.mark.parametrize(
    "options", [{"encoder": "gru"}, {"encoder": "lstm"}, {"encoder": "identity"}, {"layers": 2}, {"layer_norm": True}]
)
def test_other_networks_are_refused(alphabet, demo_table, options):
    with pytest.raises(BundleError, match="expected bilstm of 1 layer"):
        prune(bundle_with(alphabet, **options), 4, demo_table)


@pytest.mark.slow
def test_the_script_writes_a_bundle_and_refuses_in_one_line(small_bundle, demo_table, tmp_path):
    save_bundle(replace(small_bundle, provenance=TRAINED), tmp_path / "wide", card="")
    command = [sys.executable, RECIPE / "prune_units.py"]
    rest = [demo_table, "--units", "3", "-o", tmp_path / "pruned"]
    done = subprocess.run([*command, tmp_path / "wide", *rest], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pruned = load_bundle(tmp_path / "pruned")
    assert (pruned.config.hidden, pruned.provenance["pruned_from"]["hidden"]) == (3, H)
    refused = subprocess.run([*command, "missing", *rest], capture_output=True, text=True)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
