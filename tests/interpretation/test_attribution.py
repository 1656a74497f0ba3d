"""Attributions against float64 quadratures, loops over sequences, and Captum where it is installed."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from tests.conftest import SMALL
from tfclass.interpretation.attribution import (
    METHODS,
    Attribution,
    Explained,
    gradient_x_input,
    integrated_gradients,
    occlusion,
)
from tfclass.interpretation.mutagenesis import mutagenesis
from tfclass.models.factory import build
from tfclass.models.forward import logits_of
from tfclass.sequences.alphabet import AMINO_ACIDS, Alphabet

ALPHABET = Alphabet()
SEQUENCE = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQAPILSRVGDGTQDNLXB"
TOKENS = ALPHABET.encode(SEQUENCE)
NETWORKS = {
    "attention": {"pooling": "attention"},
    "three-mers and max pooling": {"kmer": 3, "pooling": "max"},
    "fixed vectors, no stem, last state": {
        "embedding": "blosum62",
        "stem": replace(SMALL.stem, name="none"),
        "pooling": "last",
    },
    "a plain RNN": {"encoder": "rnn", "pooling": "mean"},
    "a peephole LSTM": {"encoder": "peephole_lstm"},
}


def network(n_classes=2, **options):
    torch.manual_seed(3)
    model = build(replace(SMALL, **options), ALPHABET, n_classes).double().eval()
    # An untrained network is nearly flat.
    with torch.no_grad():
        for weight in model.parameters():
            weight *= 2
    return model


@pytest.fixture(scope="module", params=NETWORKS.values(), ids=NETWORKS)
def explained(request):
    return Explained(network(**request.param), ALPHABET)


def vectors_and_baseline(model):
    """Return what the network's embedding gives for the protein, and the mean of all amino acids or k-mers of them."""
    x_LE = model.embedding(torch.from_numpy(TOKENS.astype(np.int64))[None])[0].detach()
    standard = ALPHABET.encode(AMINO_ACIDS).astype(np.int64)
    k = getattr(model.embedding, "k", 1)
    kmers = np.stack([each.ravel() for each in np.meshgrid(*[standard] * k, indexing="ij")], axis=1)
    mean_E = model.embedding(torch.from_numpy(kmers))[:, 0].detach().mean(dim=0)
    return x_LE, mean_E.expand_as(x_LE)


class AfterEmbedding(nn.Module):
    """A network from the vectors of residues to the difference of two logits."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x_BLE):
        hook = self.model.embedding.register_forward_hook(lambda *_: x_BLE)
        try:
            lengths_B = torch.full((len(x_BLE),), x_BLE.shape[1])
            logits_BC = self.model(torch.zeros(x_BLE.shape[:2], dtype=torch.int64), lengths_B)
        finally:
            hook.remove()
        return logits_BC[:, 1] - logits_BC[:, 0]


def of_residues(value_L, k):
    """Share each k-mer's value among the residues that it has."""
    shared_L = np.zeros(len(value_L))
    for place, value in enumerate(value_L):
        members = range(place, min(place + k, len(value_L)))
        for member in members:
            shared_L[member] += value / len(members)
    return shared_L


def test_integrated_gradients_are_the_limit_of_a_fine_riemann_sum(explained):
    x_LE, baseline_LE = vectors_and_baseline(explained.model)
    n_steps = 4000
    total_LE = torch.zeros_like(x_LE)
    for alpha_B in torch.linspace(0.5 / n_steps, 1 - 0.5 / n_steps, n_steps, dtype=torch.float64).split(500):
        points_BLE = torch.lerp(baseline_LE, x_LE, alpha_B[:, None, None]).requires_grad_()
        explained.log_odds_of_vectors(points_BLE).sum().backward()
        total_LE += points_BLE.grad.sum(dim=0) / n_steps
    expected_L = ((x_LE - baseline_LE) * total_LE).sum(dim=1).numpy()
    found = integrated_gradients(explained, TOKENS)
    spread = np.abs(expected_L).sum()
    np.testing.assert_allclose(
        found.value_L, of_residues(expected_L, getattr(explained.model.embedding, "k", 1)), atol=0.01 * spread
    )


def test_integrated_gradients_are_complete(explained):
    found = integrated_gradients(explained, TOKENS)
    x_LE, baseline_LE = vectors_and_baseline(explained.model)
    ends = explained.log_odds_of_vectors(torch.stack([x_LE, baseline_LE])).tolist()
    assert found.difference == pytest.approx(ends[0] - ends[1])
    assert abs(found.gap) <= max(0.009 * abs(found.difference), 0.03)


def test_the_line_ends_at_the_log_odds_of_the_protein(explained):
    x_LE, _ = vectors_and_baseline(explained.model)
    logits_C = logits_of(explained.model, [TOKENS], 10_000)[0]
    expected = pytest.approx(logits_C[1] - logits_C[0])
    assert explained.log_odds([TOKENS])[0] == expected
    assert explained.log_odds_of_vectors(x_LE[None]).item() == expected


def test_gradient_x_input_is_the_gradient_times_the_difference(explained):
    x_LE, baseline_LE = vectors_and_baseline(explained.model)
    leaf_BLE = x_LE[None].clone().requires_grad_()
    explained.log_odds_of_vectors(leaf_BLE).backward()
    expected_L = (leaf_BLE.grad[0] * (x_LE - baseline_LE)).sum(dim=1).numpy()
    found = gradient_x_input(explained, TOKENS)
    np.testing.assert_allclose(found.value_L, of_residues(expected_L, getattr(explained.model.embedding, "k", 1)))


@pytest.mark.parametrize("width", [1, 7, 200])
def test_occlusion_is_the_mean_loss_over_the_windows_of_a_residue(explained, width):
    windows = [(start, start + width) for start in range(max(1, len(TOKENS) - width + 1))]
    occluded = []
    for start, end in windows:
        text = SEQUENCE[:start] + "X" * (min(end, len(SEQUENCE)) - start) + SEQUENCE[end:]
        occluded.append(ALPHABET.encode(text))
    logits_NC = logits_of(explained.model, [TOKENS, *occluded], 100_000)
    full, *others = logits_NC[:, 1] - logits_NC[:, 0]
    expected = [
        np.mean([full - other for (start, end), other in zip(windows, others, strict=True) if start <= place < end])
        for place in range(len(TOKENS))
    ]
    np.testing.assert_allclose(occlusion(explained, TOKENS, width).value_L, expected, atol=1e-10)


def test_mutagenesis_is_what_every_mutant_scores(explained):
    parts = []
    found_LA = mutagenesis(explained, TOKENS[:12], parts.append)
    text = SEQUENCE[:12]
    mutants = [text[:place] + letter + text[place + 1 :] for place in range(12) for letter in AMINO_ACIDS]
    logits_NC = logits_of(explained.model, [ALPHABET.encode(each) for each in (text, *mutants)], 10_000)
    odds_N = logits_NC[:, 1] - logits_NC[:, 0]
    np.testing.assert_allclose(found_LA.ravel(), odds_N[1:] - odds_N[0], atol=1e-10)
    assert all(found_LA[place, AMINO_ACIDS.index(letter)] == 0 for place, letter in enumerate(text))
    assert parts[-1] == 1
    assert parts == sorted(parts)


def test_the_log_odds_of_one_of_three_classes_are_those_of_its_softmax():
    model = network(3)
    logits_NC = logits_of(model, [TOKENS, TOKENS[:9]], 10_000)
    probability_N = np.exp(logits_NC[:, 2]) / np.exp(logits_NC).sum(axis=1)
    expected_N = np.log(probability_N / (1 - probability_N))
    np.testing.assert_allclose(Explained(model, ALPHABET, 2).log_odds([TOKENS, TOKENS[:9]]), expected_N)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("sequence", ["M", "MK", "X" * 40])
def test_every_length_and_letter_has_finite_values(method, sequence):
    model = network()
    found: Attribution = method(Explained(model, ALPHABET), ALPHABET.encode(sequence))
    assert found.value_L.shape == (len(sequence),)
    assert np.isfinite(found.value_L).all()
    assert all(weight.grad is None for weight in model.parameters())


def test_a_network_in_training_mode_is_explained_as_in_evaluation_and_left_in_it():
    model = network()
    expected_L = integrated_gradients(Explained(model, ALPHABET), TOKENS).value_L
    model.train()
    np.testing.assert_array_equal(integrated_gradients(Explained(model, ALPHABET), TOKENS).value_L, expected_L)
    assert model.training


class TestCaptum:
    """Captum has a release for NumPy 1 alone; without its dependencies it works beside NumPy 2."""

    @pytest.fixture(autouse=True)
    def attr(self):
        return pytest.importorskip("captum.attr", reason="captum is not installed")

    def test_integrated_gradients(self, explained, attr):
        x_LE, baseline_LE = vectors_and_baseline(explained.model)
        expected_BLE, gap = attr.IntegratedGradients(AfterEmbedding(explained.model)).attribute(
            x_LE[None],
            baseline_LE[None],
            n_steps=3000,
            internal_batch_size=200,
            method="riemann_middle",
            return_convergence_delta=True,
        )
        assert abs(gap.item()) < 1e-2
        expected_L = of_residues(expected_BLE[0].sum(dim=1).numpy(), getattr(explained.model.embedding, "k", 1))
        found_L = integrated_gradients(explained, TOKENS).value_L
        np.testing.assert_allclose(found_L, expected_L, atol=0.01 * np.abs(expected_L).sum())

    def test_gradient_x_input(self, explained, attr):
        x_LE, baseline_LE = vectors_and_baseline(explained.model)
        gradient_BLE = attr.Saliency(AfterEmbedding(explained.model)).attribute(x_LE[None].requires_grad_(), abs=False)
        expected_L = (gradient_BLE[0] * (x_LE - baseline_LE)).sum(dim=1).detach().numpy()
        found_L = gradient_x_input(explained, TOKENS).value_L
        np.testing.assert_allclose(
            found_L, of_residues(expected_L, getattr(explained.model.embedding, "k", 1)), atol=1e-12
        )

    def test_occlusion(self, explained, attr):
        def odds(tokens_BL):
            logits_BC = explained.model(tokens_BL.long(), torch.full((len(tokens_BL),), tokens_BL.shape[1]))
            return logits_BC[:, 1] - logits_BC[:, 0]

        tokens_BL = torch.from_numpy(TOKENS.astype(np.float64))[None]
        expected_BL = attr.Occlusion(odds).attribute(tokens_BL, (5,), baselines=float(ALPHABET.unknown))
        np.testing.assert_allclose(occlusion(explained, TOKENS, 5).value_L, expected_BL[0].detach().numpy(), atol=1e-10)
