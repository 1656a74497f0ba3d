"""Explanations for the tests of what is written: of a small network, and of random numbers."""

import numpy as np
import pytest
import torch

from tfclass.bundle.scorer import Scorer
from tfclass.interpretation.attribution import Attribution
from tfclass.interpretation.explanation import Explanation, explain
from tfclass.interpretation.page import ModelFacts
from tfclass.models.lstm import Gates
from tfclass.sequences.alphabet import AMINO_ACIDS


@pytest.fixture(scope="session")
def explanation(with_profiles, demo_proteins):
    """Explanation of a protein of the demo corpus by a small untrained network with profiles."""
    tokens = demo_proteins.tokens[int(np.flatnonzero(demo_proteins.is_positive)[0])]
    return explain(Scorer(with_profiles), tokens, ["integrated_gradients", "occlusion", "mutagenesis"])


@pytest.fixture(scope="session")
def row():
    """The columns of a prediction."""
    details = {"family": "bZIP", "family_probability": 0.9, "domain": "3-40", "network": 0.75}
    return {"id": "a", "length": 60, "label": "TF", "probability": 0.8, "threshold": 0.5, "notes": "", **details}


@pytest.fixture(scope="session")
def facts():
    """Facts about a model, for a page."""
    return ModelFacts("0.1.0", "small", "ab" * 32, "bilstm", "combined")


def random_explanation(length, units=128, pool=1, layers=1):
    """An explanation in which every number is random, so that nothing can be compressed well."""
    rng = np.random.default_rng(length)
    steps = -(-length // pool)
    shape = (steps, units)
    gates = [[Gates(*(torch.from_numpy(rng.normal(size=shape)) for _ in range(6))) for _ in range(2)]] * layers
    return Explanation(
        residues="".join(rng.choice(list(AMINO_ACIDS), length)),
        position_L=np.arange(1, length + 1),
        class_name="TF",
        attributions={"integrated_gradients": Attribution(rng.normal(size=length), 1.0)},
        mutations_LA=rng.normal(size=(length, 20)),
        attention_L=rng.random(length),
        domain_L=rng.random(length),
        gates=gates,
        pool=pool,
        contributions={"network": 2.0},
        profile=None,
    )
