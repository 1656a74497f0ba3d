r"""Skip-gram: vectors for k-mers, learned from which k-mers are neighbours.

The vectors of [1]_ by negative sampling, on k-mers as in [2]_: a protein is read in each of its k frames, so the
neighbours of a k-mer do not overlap it and cannot reveal it. A k-mer :math:`w` and a neighbour :math:`c` should score
high, and :math:`w` with k-mers :math:`n` drawn at random low:

.. math::

   -\log \sigma(u_c^\top v_w) - K \, \mathbb{E}_n \log \sigma(-u_n^\top v_w)

References
----------
.. [1] T. Mikolov et al., "Distributed representations of words and phrases and their compositionality", NeurIPS 2013,
   10.48550/arXiv.1310.4546.
.. [2] E. Asgari, M. Mofrad, "Continuous distributed representation of biological sequences for deep proteomics and
   genomics", PLoS ONE 10 (2015), 10.1371/journal.pone.0141287.
"""

import math
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tfclass.config import SkipgramConfig, TrainingConfig
from tfclass.models.front import KmerEmbedding
from tfclass.sequences.alphabet import PAD
from tfclass.training.trainer import Callbacks, Interrupted
from tfclass.typing import IntArray, TokenArray

_BATCH = 8192
# Standard deviation of the vectors. After six minutes of training validation AP is 0.889, and 0.881 with 1, as wide
# as fresh embeddings are.
_WIDTH = 0.2
# Negatives, drawn anew for each batch and shared by its pairs, which makes their scores one matrix product.
_N_NEGATIVES = 128
# Of `training.minutes`, at most.
_FRACTION = 0.25


def pretrain_kmers(
    embedding: KmerEmbedding,
    tokens: Sequence[TokenArray],
    config: TrainingConfig,
    seed: int,
    callbacks: Callbacks | None = None,
) -> float:
    """Set an embedding to the vectors that skip-gram learns.

    Parameters
    ----------
    embedding : KmerEmbedding
        Changed in place: every k-mer in `tokens` gets its vector, shifted and scaled together to mean 0 and a standard
        deviation of 0.2; the others are left as they are.
    tokens : sequence of ndarray of uint8, each of shape (L,)
        Proteins to learn from; of a corpus, the training split only.
    config : TrainingConfig
        With `minutes`, a quarter of them is the limit.
    callbacks : Callbacks, optional
        `on_pretraining` and `should_stop` are called after each batch.

    Returns
    -------
    float
        Seconds that it took.

    Raises
    ------
    Interrupted
        `callbacks.should_stop` returned true; the embedding is as it was.
    """
    started = time.monotonic()
    pairs = KmerPairs(embedding, tokens, config.skipgram.window)
    if not len(pairs.places):
        return 0.0
    callbacks, limit = callbacks or Callbacks(), 60 * _FRACTION * config.minutes if config.minutes else math.inf

    def on_batch(done: float) -> bool:
        seconds = time.monotonic() - started
        callbacks.on_pretraining(min(max(done, seconds / limit), 1.0), seconds)
        if callbacks.should_stop():
            raise Interrupted
        return seconds < limit

    vectors_KE = skipgram_vectors(pairs, embedding, config.skipgram, seed, on_batch)
    seen = torch.from_numpy(np.unique(pairs.kmers[pairs.places]))
    # Subtract the mean vector, which otherwise dominates differences between k-mers.
    centred_KE = vectors_KE[seen] - vectors_KE[seen].mean(dim=0)
    scaled_KE = _WIDTH * centred_KE / centred_KE.std().clamp_min(1e-6)
    with torch.no_grad():
        embedding.weight[seen.to(embedding.weight.device)] = scaled_KE.to(embedding.weight)
    return time.monotonic() - started


class KmerPairs:
    """The k-mers of a set of proteins, and pairs of neighbours: at most `window` k-mers apart.

    Attributes
    ----------
    kmers : ndarray of int64, shape (N,)
        Number of the k-mer that begins at each residue; proteins stand one behind the other.
    protein : ndarray of int64, shape (N,)
        Index of each residue's protein; -1 where no whole k-mer begins.
    places : ndarray of int64, shape (M,)
        Where a whole k-mer begins.
    """

    def __init__(self, embedding: KmerEmbedding, tokens: Sequence[TokenArray], window: int) -> None:
        self.k, self.window = embedding.k, window
        gap = np.full(self.k - 1, PAD, dtype=np.uint8)
        row = np.concatenate([part for sequence in tokens for part in (sequence, gap)])
        self.kmers = embedding.kmers(torch.from_numpy(row)[None].long())[0].numpy()
        lengths = np.array([len(sequence) for sequence in tokens])
        self.protein = np.repeat(np.arange(len(tokens)), lengths + self.k - 1)
        whole = np.lib.stride_tricks.sliding_window_view(np.concatenate([row, gap]), self.k).all(axis=1)
        self.protein[~whole] = -1
        self.places = np.flatnonzero(whole)

    def draw(self, rng: np.random.Generator, size: int) -> tuple[IntArray, IntArray]:
        """Draw k-mers and a neighbour of each, shape (at most `size`,); a draw that leaves its protein is dropped."""
        places = rng.choice(self.places, size)
        steps = rng.integers(1, self.window + 1, size) * rng.choice([-self.k, self.k], size)
        near = places + steps
        within = (near >= 0) & (near < len(self.kmers))
        places, near = places[within], near[within]
        same = self.protein[near] == self.protein[places]
        return self.kmers[places[same]], self.kmers[near[same]]


def skipgram_vectors(
    pairs: KmerPairs,
    embedding: KmerEmbedding,
    config: SkipgramConfig,
    seed: int,
    on_batch: Callable[[float], bool] = lambda _: True,
) -> Tensor:
    """Learn a vector for every k-mer; float32, with the shape (K, E) of the weight of the embedding.

    After each batch `on_batch` is called with the fraction done; learning ends when it returns false.
    """
    rng = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    n_kmers, dim = embedding.num_embeddings, embedding.embedding_dim
    near = nn.Embedding.from_pretrained(torch.zeros(n_kmers, dim), freeze=False, sparse=True)
    small_KE = (torch.rand(n_kmers, dim, generator=generator) - 0.5) / dim
    vectors = nn.Embedding.from_pretrained(small_KE, freeze=False, sparse=True)
    optimizer = torch.optim.SparseAdam([*vectors.parameters(), *near.parameters()], lr=config.learning_rate)
    # Frequent k-mers are drawn less often than they occur [1]_.
    frequency = torch.from_numpy(np.bincount(pairs.kmers[pairs.places], minlength=n_kmers) ** 0.75)
    n_batches = -(-config.pairs // _BATCH)
    for batch in range(1, n_batches + 1):
        kmers, neighbours = (torch.from_numpy(drawn) for drawn in pairs.draw(rng, _BATCH))
        negatives = torch.multinomial(frequency, _N_NEGATIVES, replacement=True, generator=generator)
        loss = skipgram_loss(vectors(kmers), near(neighbours), near(negatives), config.negative_weight)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if not on_batch(batch / n_batches):
            break
    return vectors.weight.detach()


def skipgram_loss(kmers_BE: Tensor, near_BE: Tensor, negatives_NE: Tensor, negative_weight: float) -> Tensor:
    """Return the mean over pairs of the loss of this module's equation, with K = `negative_weight`."""
    positive_B = F.logsigmoid((kmers_BE * near_BE).sum(dim=1))
    negative_B = F.logsigmoid(-kmers_BE @ negatives_NE.T).mean(dim=1)
    return -(positive_B + negative_weight * negative_B).mean()
