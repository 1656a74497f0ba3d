"""The losses of the auxiliary heads, against the same sums in NumPy over single residues."""

import numpy as np
import pytest
import torch
from scipy.special import expit, log_softmax
from sklearn.metrics import accuracy_score, f1_score

from tfclass.data.annotations import UNKNOWN, Annotations
from tfclass.models.forward import Scores
from tfclass.models.network import HeadLogits
from tfclass.training.losses import HeadTargets, domain_weights, head_metrics, step_fractions

LENGTHS = np.array([7, 12, 1, 5, 9])


def domains(*texts):
    return [None if text is None else np.array([letter == "#" for letter in text]) for text in texts]


ANNOTATIONS = Annotations(
    np.array([2, UNKNOWN, 0, 1, UNKNOWN]), domains("..###..", "............", "#", None, "........."), "d"
)


def head_logits(rows, pool, requires_grad=False):
    torch.manual_seed(1)
    steps = -(-int(LENGTHS[rows].max()) // pool)
    family_BK = torch.randn(len(rows), 3, requires_grad=requires_grad)
    domain_BS = torch.randn(len(rows), steps, requires_grad=requires_grad)
    return HeadLogits(torch.zeros(len(rows), 2), family_BK, domain_BS, torch.zeros(len(rows)))


def losses(rows, pool, **options):
    logits = head_logits(rows, pool, **options)
    return logits, HeadTargets(ANNOTATIONS, pool).losses(logits, torch.from_numpy(LENGTHS[rows]), np.array(rows))


@pytest.mark.parametrize("pool", [1, 2, 3, 20])
@pytest.mark.parametrize("rows", [[0, 1, 2, 3, 4], [3, 0], [4, 1]], ids=["all", "one known", "no domain"])
def test_losses_equal_a_loop_over_residues(rows, pool):
    logits, found = losses(rows, pool)
    weights = {0: 4 / (2 * 2), 1: 4 / (2 * 2), 2: 4 / (2 * 2), 4: 4 / (2 * 2)}
    families, per_protein, weight_of = [], [], []
    for place, row in enumerate(rows):
        if ANNOTATIONS.families[row] != UNKNOWN:
            log_probability_K = log_softmax(logits.family_BK[place].numpy().astype(float))
            families.append(-log_probability_K[ANNOTATIONS.families[row]])
        if ANNOTATIONS.domains[row] is not None:
            z_L = logits.domain_BS[place].numpy().astype(float).repeat(pool)[: LENGTHS[row]]
            p_L = np.where(ANNOTATIONS.domains[row], expit(z_L), expit(-z_L))
            per_protein.append(-np.log(p_L).mean())
            weight_of.append(weights[row])
    assert found["domain"].value.item() == pytest.approx(np.average(per_protein, weights=weight_of), rel=1e-5)
    assert found["domain"].weight == pytest.approx(sum(weight_of))
    assert found["family"].weight == len(families)
    assert found["family"].value.item() == pytest.approx(np.mean(families) if families else 0.0, rel=1e-5)


def test_a_batch_with_nothing_known_adds_nothing():
    logits, found = losses([3], 2, requires_grad=True)
    assert (found["domain"].value.item(), found["domain"].weight) == (0.0, 0.0)
    found["domain"].value.backward()
    assert (logits.domain_BS.grad == 0).all()
    logits, found = losses([1, 4], 2, requires_grad=True)
    assert (found["family"].value.item(), found["family"].weight) == (0.0, 0)
    found["family"].value.backward()
    assert (logits.family_BK.grad == 0).all()


def test_a_network_without_a_head_has_no_loss_of_it():
    logits = head_logits([0], 1)._replace(family_BK=None)
    assert list(HeadTargets(ANNOTATIONS, 1).losses(logits, torch.tensor([7]), np.array([0]))) == ["domain"]


@pytest.mark.parametrize("pool", [1, 2, 3, 8, 50])
def test_fractions_are_those_of_a_loop(pool):
    inside_L = np.random.default_rng(pool).random(23) < 0.4
    expected = [inside_L[start : start + pool].mean() for start in range(0, 23, pool)]
    np.testing.assert_allclose(step_fractions(inside_L, pool), expected, rtol=1e-6)


def test_proteins_with_and_without_a_domain_weigh_the_same_in_all():
    annotations = ANNOTATIONS._replace(domains=domains("#..", None, "...", "....", "."))
    weight_N = domain_weights(annotations)
    np.testing.assert_allclose(weight_N, [2.0, 0.0, 2 / 3, 2 / 3, 2 / 3])
    assert domain_weights(annotations._replace(domains=domains("#", None, "#."))).tolist() == [1.0, 0.0, 1.0]


def test_head_metrics_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    family_NK = rng.normal(size=(5, 3))
    logits = [rng.normal(size=length).astype(np.float32) for length in LENGTHS]
    found = head_metrics(Scores(np.zeros((5, 2)), family_NK, logits), ANNOTATIONS)
    known = ANNOTATIONS.families != UNKNOWN
    expected = accuracy_score(ANNOTATIONS.families[known], family_NK[known].argmax(axis=1))
    assert found["family_accuracy"] == pytest.approx(expected)
    truth, called = (np.concatenate([parts[0], parts[2]]) for parts in (ANNOTATIONS.domains, [z > 0 for z in logits]))
    assert found["domain_f1"] == pytest.approx(f1_score(truth, called))


def test_a_head_without_known_proteins_has_no_metric():
    unknown = ANNOTATIONS._replace(
        families=np.full(5, UNKNOWN), domains=domains(None, "............", None, None, None)
    )
    logits = [np.ones(length, dtype=np.float32) for length in LENGTHS]
    assert head_metrics(Scores(np.zeros((5, 2)), np.zeros((5, 3)), logits), unknown) == {}
    assert head_metrics(Scores(np.zeros((5, 2)), None, None), ANNOTATIONS) == {}
