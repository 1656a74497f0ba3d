"""Every network can learn 32 random proteins by heart.

The labels are drawn at random, so there is no rule to find: a network has to tell each protein from the others, and its
gradients have to lead it there. The loss is that of evaluation mode, so what training gathered on the way counts too.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.conftest import SMALL
from tests.contracts.test_network_contract import CASES
from tests.test_config import CONF, composed
from tfclass.config import TrainConfig
from tfclass.models.factory import build
from tfclass.models.forward import collate, evaluating

# Left out: options of dropout, which here is 0; and the network of an embedding and a pooling only. It is blind to
# order, and how often each residue occurs need not tell these proteins apart: its loss is above 0.3 after 3,000 steps,
# where every other network needs fewer than 70.
LEARNABLE = {name: c for name, c in CASES.items() if "dropout" not in name and name != "identity on residues"}
MODELS = sorted(path.stem for path in (CONF / "model").glob("*.yaml"))
N_PROTEINS, SHORTEST, LONGEST = 32, 20, 60
LOSS, MOST_STEPS, LEARNING_RATE = 0.01, 200, 0.01


def shrink(config):
    """The same architecture in small and without dropout, so that a test takes a second or two."""
    stem = replace(config.stem, channels=16)
    head_hidden = min(config.head_hidden, 16)
    return replace(config, embedding_dim=16, stem=stem, hidden=16, head_hidden=head_hidden, dropout=0.0)


def loss_after_training(config, alphabet, seed=0):
    """Cross-entropy in evaluation mode, every fifth step, as soon as it is small enough or after the last one."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    lengths = rng.integers(SHORTEST, LONGEST + 1, size=N_PROTEINS)
    batch = collate([rng.integers(1, 21, size=length).astype(np.uint8) for length in lengths])
    labels_B = torch.from_numpy(rng.permutation(np.arange(N_PROTEINS) % 2))
    network = build(shrink(config), alphabet, n_classes=2)
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    loss = np.inf
    for step in range(MOST_STEPS):
        optimizer.zero_grad()
        F.cross_entropy(network(*batch), labels_B).backward()
        optimizer.step()
        if step % 5 < 4:
            continue
        with evaluating(network), torch.inference_mode():
            loss = float(F.cross_entropy(network(*batch), labels_B))
        if loss < LOSS:
            break
    return loss


# Every third of them in the quick tests; those that ship, below, are there each time.
@pytest.mark.parametrize(
    "options",
    [
        pytest.param(options, id=name, marks=[] if number % 3 == 0 else [pytest.mark.slow])
        for number, (name, options) in enumerate(LEARNABLE.items())
    ],
)
def test_random_labels_can_be_overfitted(options, alphabet):
    assert loss_after_training(replace(SMALL, **options), alphabet) < LOSS


@pytest.mark.parametrize("name", MODELS)
def test_every_shipped_network_can_overfit_random_labels(name, alphabet):
    config = composed("train", TrainConfig, f"model={name}").model
    assert loss_after_training(config, alphabet) < LOSS
