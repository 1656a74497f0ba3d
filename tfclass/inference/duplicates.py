"""Which ids came before, in eight bytes each."""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

# Digests in a run that grows no more: merging takes as much memory again for a moment.
_LARGEST_RUN = 1 << 20


class SeenIds:
    """Remembers ids by a 64-bit digest.

    Two different ids are taken for one with a chance of about :math:`n^2 / 2^{65}`: three in a million among ten
    million. A set of the ids themselves would hold some twelve times the memory.
    """

    def __init__(self) -> None:
        # Sorted runs, each full or at least twice as long as the next, so that few have to be searched.
        self._runs: list[npt.NDArray[np.uint64]] = []

    def add(self, ids: Sequence[str]) -> list[bool]:
        """Remember ids.

        Returns
        -------
        list of bool
            Which of them were there already, or earlier in `ids`.
        """
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
