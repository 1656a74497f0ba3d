"""Logits for any number of sequences: batched by length, restored to their order, the network left as it was found."""

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch

from tfclass.corpus.batching import collate, longest_first_batches
from tfclass.networks.classifier import Classifier


def logits_of(model: Classifier, tokens: Sequence[npt.NDArray[np.uint8]], max_residues: int) -> npt.NDArray[np.float64]:
    """Score sequences in evaluation mode, without gradients.

    Parameters
    ----------
    model : Classifier
        Used on the device it is on; its mode is restored.
    tokens : sequence of ndarray of uint8, each of shape (length,)
        None empty.
    max_residues : int
        Most padded residues in a batch.

    Returns
    -------
    ndarray of float64, shape (N, C)
        In the order given.
    """
    device = next(model.parameters()).device
    logits_NC = np.empty((len(tokens), model.head.out_features))
    with evaluating(model), torch.inference_mode():
        for rows in longest_first_batches([len(t) for t in tokens], max_residues):
            batch = collate([tokens[i] for i in rows]).to(device)
            logits_NC[rows] = model(batch.tokens_BL, batch.lengths_B).double().cpu().numpy()
    return logits_NC


@contextlib.contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Put every module in evaluation mode, and back into the mode each had."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
