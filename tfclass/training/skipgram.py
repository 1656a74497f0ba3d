r"""Skip-gram: vectors for k-mers, learned from which words stand near each other.

The vectors of [1]_ by negative sampling, on words of k residues as in [2]_: a protein is read in each of its k frames,
so the words around a word do not overlap it and cannot give it away. A word :math:`w` and a word :math:`c` near it
should score high, and :math:`w` with words :math:`n` drawn at random low:

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
from tfclass.models.embeddings import KmerEmbedding
from tfclass.sequences.alphabet import PAD
from tfclass.training.trainer import Callbacks, Interrupted
from tfclass.typing import IntArray, TokenArray

_BATCH = 8192
# Standard deviation of the vectors. After six minutes of training validation AP is 0.889, and 0.881 with 1, as wide
# as fresh embeddings are (`make zoo`).
_WIDTH = 0.2
# Drawn anew for each batch and shared by its pairs, which makes their scores one matrix product.
_DRAWN = 128
# Of `training.minutes`, at most.
_SHARE = 0.25


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
        Changed in place: every word seen in `tokens` gets its vector, shifted and scaled together to mean 0 and a
        standard deviation of 0.2; the others keep what they have.
    tokens : sequence of ndarray of uint8, each of shape (L,)
        Proteins to learn from; of a corpus, the training split only.
    config : TrainingConfig
        Under `minutes` it learns for a quarter of them at most, from fewer pairs.
    callbacks : Callbacks, optional
        `on_pretraining` and `should_stop` are called after each batch.

    Returns
    -------
    float
        Seconds that it took.

    Raises
    ------
    Interrupted
        `callbacks.should_stop` said so; the embedding is as it was.
    """
    started = time.monotonic()
    stream = KmerStream(embedding, tokens, config.skipgram.window)
    if not len(stream.places):
        return 0.0
    callbacks, limit = callbacks or Callbacks(), 60 * _SHARE * config.minutes if config.minutes else math.inf

    def goes_on(share: float) -> bool:
        seconds = time.monotonic() - started
        callbacks.on_pretraining(min(max(share, seconds / limit), 1.0), seconds)
        if callbacks.should_stop():
            raise Interrupted
        return seconds < limit

    n_words, dim = embedding.num_embeddings, embedding.embedding_dim
    vectors_WE = skipgram_vectors(stream, n_words, dim, config.skipgram, seed, goes_on)
    seen = torch.from_numpy(np.unique(stream.words[stream.places]))
    # What all words share grows as they learn, beyond what tells them apart: it goes first.
    centred_WE = vectors_WE[seen] - vectors_WE[seen].mean(dim=0)
    scaled_WE = _WIDTH * centred_WE / centred_WE.std().clamp_min(1e-6)
    with torch.no_grad():
        embedding.weight[seen.to(embedding.weight.device)] = scaled_WE.to(embedding.weight)
    return time.monotonic() - started


class KmerStream:
    """All words of a set of proteins in one row, and the words near each.

    Parameters
    ----------
    embedding : KmerEmbedding
        Says what a word is and which number it has.
    tokens : sequence of ndarray of uint8, each of shape (L,)
    window : int
        Words on either side that are near.

    Attributes
    ----------
    words : ndarray of int64, shape (N,)
        Number of the word that begins at each residue; proteins stand one behind the other.
    protein : ndarray of int64, shape (N,)
        Which protein each residue is of; -1 where no whole word begins.
    places : ndarray of int64, shape (M,)
        Where a whole word begins.
    """

    def __init__(self, embedding: KmerEmbedding, tokens: Sequence[TokenArray], window: int) -> None:
        self.k, self.window = embedding.k, window
        gap = np.full(self.k - 1, PAD, dtype=np.uint8)
        row = np.concatenate([part for sequence in tokens for part in (sequence, gap)])
        self.words = embedding.words(torch.from_numpy(row)[None].long())[0].numpy()
        lengths = np.array([len(sequence) for sequence in tokens])
        self.protein = np.repeat(np.arange(len(tokens)), lengths + self.k - 1)
        whole = np.lib.stride_tricks.sliding_window_view(np.concatenate([row, gap]), self.k).all(axis=1)
        self.protein[~whole] = -1
        self.places = np.flatnonzero(whole)

    def pairs(self, rng: np.random.Generator, size: int) -> tuple[IntArray, IntArray]:
        """Draw words and a word near each.

        Returns
        -------
        words, near : ndarray of int64, shape (at most `size`,)
            A draw that leaves its protein is dropped.
        """
        places = rng.choice(self.places, size)
        steps = rng.integers(1, self.window + 1, size) * rng.choice([-self.k, self.k], size)
        near = places + steps
        within = (near >= 0) & (near < len(self.words))
        places, near = places[within], near[within]
        same = self.protein[near] == self.protein[places]
        return self.words[places[same]], self.words[near[same]]


def skipgram_vectors(
    stream: KmerStream,
    n_words: int,
    dim: int,
    config: SkipgramConfig,
    seed: int,
    goes_on: Callable[[float], bool] = lambda _: True,
) -> Tensor:
    """Learn a vector for every word, from `config.pairs` pairs, or until `goes_on`, given the share done, is false.

    Returns
    -------
    float32 tensor, shape (n_words, dim)
    """
    rng = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    near = nn.Embedding.from_pretrained(torch.zeros(n_words, dim), freeze=False, sparse=True)
    small_WE = (torch.rand(n_words, dim, generator=generator) - 0.5) / dim
    vectors = nn.Embedding.from_pretrained(small_WE, freeze=False, sparse=True)
    optimizer = torch.optim.SparseAdam([*vectors.parameters(), *near.parameters()], lr=config.learning_rate)
    # Frequent words are drawn less often than they occur [1]_.
    share = torch.from_numpy(np.bincount(stream.words[stream.places], minlength=n_words) ** 0.75)
    batches = -(-config.pairs // _BATCH)
    for batch in range(1, batches + 1):
        words, contexts = (torch.from_numpy(drawn) for drawn in stream.pairs(rng, _BATCH))
        negatives = torch.multinomial(share, _DRAWN, replacement=True, generator=generator)
        loss = skipgram_loss(vectors(words), near(contexts), near(negatives), config.negative_weight)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if not goes_on(batch / batches):
            break
    return vectors.weight.detach()


def skipgram_loss(words_BE: Tensor, near_BE: Tensor, drawn_NE: Tensor, negative_weight: float) -> Tensor:
    """Mean over pairs of the loss of this module's equation, with K = `negative_weight`."""
    good_B = F.logsigmoid((words_BE * near_BE).sum(dim=1))
    bad_B = F.logsigmoid(-words_BE @ drawn_NE.T).mean(dim=1)
    return -(good_B + negative_weight * bad_B).mean()
