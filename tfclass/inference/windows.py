"""Windows of an input, which are scored at once, and what repeats: ids, which get a note, and sequences."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from tfclass.sequences.alphabet import CleanSequence
from tfclass.sequences.fasta import Record
from tfclass.typing import TokenArray

# Residues and records read before a window is scored. Large enough that sorting by length leaves little padding,
# small enough that memory stays flat and rows appear while it runs.
_WINDOW_RESIDUES = 2_000_000
_WINDOW_RECORDS = 10_000
# Digests in a run of `SeenIds` that grows no more: merging takes as much memory again for a moment.
_LARGEST_RUN = 1 << 20
# Takes the share of the present window that is scored, and the number of its records.
OnWindow = Callable[[float, int], None] | None


def windows(records: Iterable[Record]) -> Iterator[list[Record]]:
    """Cut records into lists that are scored at once: as many as fit a fixed number of residues."""
    window: list[Record] = []
    residues = 0
    for record in records:
        window.append(record)
        # A header may be longer than its sequence, and is held as well.
        residues += max(len(record.sequence), len(record.description))
        if residues >= _WINDOW_RESIDUES or len(window) >= _WINDOW_RECORDS:
            yield window
            window, residues = [], 0
    if window:
        yield window


class SeenIds:
    """Remember ids by a 64-bit digest.

    Two different ids are taken for one with a chance of about :math:`n^2 / 2^{65}`: three in a million among ten
    million. A set of the ids themselves would hold some twelve times the memory.
    """

    def __init__(self) -> None:
        # Sorted runs, each full or at least twice as long as the next, so that few have to be searched.
        self._runs: list[npt.NDArray[np.uint64]] = []

    def add(self, ids: Sequence[str]) -> list[bool]:
        """Remember ids, and return which of them were there already, or earlier in `ids`."""
        digests = b"".join(blake2b(i.encode("utf-8", "surrogatepass"), digest_size=8).digest() for i in ids)
        keys = np.frombuffer(digests, dtype=np.uint64)
        unique, first = np.unique(keys, return_index=True)
        repeated = np.ones(len(keys), dtype=bool)
        repeated[first] = False
        for run in self._runs:
            place = np.searchsorted(run, keys).clip(max=len(run) - 1)
            repeated |= run[place] == keys
        new = unique[~repeated[first]]
        if len(new):
            self._runs.append(new)
        while len(self._runs) > 1 and len(self._runs[-2]) < min(2 * len(self._runs[-1]), _LARGEST_RUN):
            merged = np.concatenate(self._runs[-2:])
            merged.sort()
            self._runs[-2:] = [merged]
        return repeated.tolist()


def distinct_sequences(cleaned: list[CleanSequence]) -> tuple[list[int | None], list[TokenArray]]:
    """Return the distinct sequences, and the place of each record's among them; None for one that cannot be used.

    Genomes and metagenomes repeat themselves; what is the same is scored once.
    """
    place_of: dict[bytes, int] = {}
    distinct: list[TokenArray] = []
    places: list[int | None] = []
    for sequence in cleaned:
        place = None if sequence.problem else place_of.setdefault(sequence.tokens.tobytes(), len(distinct))
        if place == len(distinct):
            distinct.append(sequence.tokens)
        places.append(place)
    return places, distinct


def without_long(cleaned: list[CleanSequence], residues: int) -> list[CleanSequence]:
    """Skip the sequences of `residues` or more."""
    return [
        sequence._replace(problem="too_long_for_memory") if len(sequence.tokens) >= residues else sequence
        for sequence in cleaned
    ]
