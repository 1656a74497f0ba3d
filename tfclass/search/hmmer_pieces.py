"""The pieces of a sequence that are searched with profiles.

HMMER takes no sequence of more than 100,000 residues. It searches repeats of one or a few residues, or of a short
motif, up to a thousand times more slowly than other sequences of their length, since a domain may begin at each
residue; and up to a hundred times more slowly a sequence of ten kinds of residues or fewer. No protein has more than a
few thousand such residues, but a record may have millions. Beyond the first 3,000 only new k-mers are searched.
"""

from collections.abc import Sequence

import numpy as np
from pyhmmer.easel import DigitalSequence, DigitalSequenceBlock, VectorU8

from tfclass.search.hmmer_format import ALPHABET
from tfclass.sequences.alphabet import Alphabet
from tfclass.typing import BoolArray, TokenArray

# Residues of the longest piece, and of what two pieces share: more than the longest domain has.
_PIECE, _SHARED = 100_000, 5_000
# Residues whose complexity is computed together, and those of them that are kept or left out together.
_BLOCK, _PART = 500, 50
# A block is of low complexity if at most this fraction of its 3-mers are distinct, or if its composition has less than
# this entropy, in bits. In random sequences they are 0.97 and 4.3, and 3.32 for ten kinds of residues; of 133,087
# proteins from many genomes none has more than six blocks of low complexity.
_LOW, _LOW_BITS = 0.4, 3.35
_KEPT_BLOCKS = 6
# Parts that are kept on either side of one that is searched, for a domain to end in.
_MARGIN = 2
# Tokens are smaller than this.
_TOKENS = 32


def sequence_block(
    tokens: Sequence[TokenArray], alphabet: Alphabet
) -> tuple[DigitalSequenceBlock, list[tuple[int, int]]]:
    """Return the pieces of the sequences as HMMER reads them, and the protein and the start of each."""
    codes = np.array([0] + [ALPHABET.encode(letter)[0] for letter in alphabet.letters], dtype=np.uint8)
    sequences, starts = [], []
    for protein, sequence in enumerate(tokens):
        for start, end in pieces(sequence):
            piece = VectorU8(codes[sequence[start:end]])
            sequences.append(DigitalSequence(ALPHABET, name=str(len(starts)), sequence=piece))
            starts.append((protein, start))
    return DigitalSequenceBlock(ALPHABET, sequences), starts


def pieces(tokens: TokenArray) -> list[tuple[int, int]]:
    """Choose the pieces of a sequence that are searched.

    Parameters
    ----------
    tokens : ndarray of uint8, shape (length,)
        Of one sequence.

    Returns
    -------
    list of (int, int)
        Start, counted from 0, and end (exclusive) of each piece.
    """
    return [
        (start, min(start + _PIECE, end))
        for first, end in _stretches(tokens)
        for start in range(first, max(first + 1, end - _SHARED), _PIECE - _SHARED)
    ]


def _stretches(tokens: TokenArray) -> list[tuple[int, int]]:
    """Return start and end of the stretches between the repeats that are left out."""
    length = len(tokens)
    if length <= (_KEPT_BLOCKS + 1) * _BLOCK:
        return [(0, length)]
    is_kept_P = np.convolve(_kept_parts(tokens), np.ones(2 * _MARGIN + 1), "same") > 0
    edges = np.flatnonzero(np.diff(np.concatenate([[False], is_kept_P, [False]])))
    return [(int(first) * _PART, min(int(end) * _PART, length)) for first, end in edges.reshape(-1, 2)]


def _kept_parts(tokens: TokenArray) -> BoolArray:
    wide = tokens.astype(np.int64)
    kmers = (wide[:-2] * _TOKENS + wide[1:-1]) * _TOKENS + wide[2:]
    is_kept_P = np.ones(-(-len(tokens) // _PART), dtype=bool)
    is_known = np.zeros(_TOKENS**3, dtype=bool)
    n_low = 0
    for start in range(0, len(kmers), _BLOCK):
        block = kmers[start : start + _BLOCK]
        if len(np.unique(block)) > _LOW * len(block) and _entropy(tokens[start : start + _BLOCK]) >= _LOW_BITS:
            continue
        n_low += 1
        for first in range(0, len(block) if n_low > _KEPT_BLOCKS else 0, _PART):
            part = block[first : first + _PART]
            is_kept_P[(start + first) // _PART] = np.mean(~is_known[part]) > _LOW
            is_known[part] = True
        is_known[block] = True
    return is_kept_P


def _entropy(tokens: TokenArray) -> float:
    """Compute the entropy of the composition, in bits."""
    counts = np.bincount(tokens)
    shares = counts[counts > 0] / len(tokens)
    return float(-(shares * np.log2(shares)).sum())
