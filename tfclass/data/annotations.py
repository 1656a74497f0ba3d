"""Optional columns of a table: a protein's family, and the positions of its DNA-binding domains.

``family`` is a name, empty where it is not known. ``domains`` is empty where nothing is known, ``none`` where there is
known to be no DNA-binding domain, else ranges such as ``12-64;80-130``: residues counted from 1 in the sequence as the
table has it, both ends included, in ascending order.
"""

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from tfclass.data.cells import cell_error, columns_digest
from tfclass.errors import TableError
from tfclass.sequences.alphabet import Alphabet, kept_characters
from tfclass.typing import BoolArray, IntArray, TokenArray

UNKNOWN = -1
NO_DOMAIN = "none"

_RANGE = re.compile(r"([0-9]{1,9})-([0-9]{1,9})")
_logger = logging.getLogger(__name__)


class Annotations(NamedTuple):
    """Families and domains, in the order of the proteins.

    Attributes
    ----------
    families : ndarray of int64, shape (N,)
        Index of the family; `UNKNOWN` where it is not known, or not one of those asked for.
    domains : list of (ndarray of bool, shape (L,)) or None
        Whether a residue lies in a domain, after cleaning; None where that is not known.
    digest : str
        SHA-256 of the columns that were read, of the whole table, in hexadecimal. The table's own digest leaves them
        out: they change neither the proteins nor the labels, so scores stay comparable.
    """

    families: IntArray
    domains: list[BoolArray | None]
    digest: str

    def select(self, kept: npt.NDArray[np.intp]) -> "Annotations":
        """Keep the proteins with the indices `kept`."""
        return self._replace(families=self.families[kept], domains=[self.domains[i] for i in kept])


def read_annotations(
    frame: pd.DataFrame, families: Sequence[str], alphabet: Alphabet, path: str, *, domains: bool
) -> Annotations:
    """Read the columns ``family`` and ``domains`` of a table whose sequences are known to be valid.

    Parameters
    ----------
    families : sequence of str
        The names that count, in the order of their indices; without any, the column is not read.

    Raises
    ------
    TableError
        A column is missing; a range cannot be read, begins after its end, overlaps or precedes the one before it, or
        goes beyond the last residue.
    """
    columns = ["family"] * bool(families) + ["domains"] * domains
    for column in columns:
        if column not in frame:
            option = "families" if column == "family" else column
            raise TableError(
                f"{path}: found no column {column!r}; expected one, as it is to be learned; "
                f"add it, or leave model.{option} out"
            )
    index = {name: i for i, name in enumerate(families)}
    family_N = np.full(len(frame), UNKNOWN, dtype=np.int64)
    if families:
        family_N = np.array([index.get(name, UNKNOWN) for name in frame["family"]], dtype=np.int64)
        others = int((frame["family"] != "").sum() - (family_N != UNKNOWN).sum())
        _logger.info("%s: %d proteins of known family, %d of other families", path, (family_N >= 0).sum(), others)
    masks: list[BoolArray | None] = [None] * len(frame)
    if domains:
        cells = zip(frame["domains"], frame["sequence"], strict=True)
        masks = [
            _mask(cell, alphabet.codes(sequence), partial(cell_error, path, row, "domains"))
            for row, (cell, sequence) in enumerate(cells)
        ]
        _logger.info("%s: %d proteins of known domains", path, sum(mask is not None for mask in masks))
    return Annotations(family_N, masks, columns_digest(frame, columns))


def _mask(cell: str, codes: TokenArray, refuse: Callable[[str, str], TableError]) -> BoolArray | None:
    """Mark the residues in a domain; shape (L,), gaps and final stops left out."""
    if not cell:
        return None
    kept = kept_characters(codes)
    inside = np.zeros(len(codes), dtype=bool)
    if cell != NO_DOMAIN:
        for start, end in _ranges(cell, int(np.flatnonzero(kept)[-1]) + 1, refuse):
            inside[start - 1 : end] = True
    return inside[kept]


def _ranges(cell: str, last: int, refuse: Callable[[str, str], TableError]) -> Iterator[tuple[int, int]]:
    before = 0
    for text in cell.split(";"):
        match = _RANGE.fullmatch(text)
        if match is None:
            raise refuse(repr(text), f"START-END, several joined by ';', {NO_DOMAIN!r}, or an empty cell")
        start, end = int(match[1]), int(match[2])
        if not 1 <= start <= end:
            raise refuse(repr(text), "a start from 1 to the end")
        if end > last:
            raise refuse(repr(text), f"an end of at most {last}, the last residue")
        if start <= before:
            raise refuse(f"{text!r} after one that ends at {before}", "ascending ranges that do not overlap")
        before = end
        yield start, end
