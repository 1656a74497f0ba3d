"""Known DNA-binding domains: a table with ``domain``, ``start``, ``end`` and the protein's ``sequence``."""

from pathlib import Path
from typing import NamedTuple

from tfclass.data.cells import FIRST_ROW, cell_error, table_rows
from tfclass.errors import TableError
from tfclass.sequences.alphabet import Alphabet, cleaning_problem

_NEEDED = ("domain", "start", "end", "sequence")


class Region(NamedTuple):
    """A domain in a protein.

    Attributes
    ----------
    domain : str
        Its name.
    start, end : int
        Residues counted from 1, both included.
    sequence : str
        Of the whole protein.
    """

    domain: str
    start: int
    end: int
    sequence: str

    @property
    def place(self) -> tuple[int, int]:
        """First and last residue."""
        return self.start, self.end

    @property
    def residues(self) -> str:
        """The domain's own."""
        return self.sequence[self.start - 1 : self.end]


def read_regions(path: Path) -> dict[str, list[Region]]:
    """Read known domains, by the sequence that they are in.

    Parameters
    ----------
    path : Path
        TSV, CSV or Parquet. Where it has a column ``split``, only the rows of ``train`` are read.

    Raises
    ------
    TableError
        A column is missing, a region does not lie in its sequence, or that has more in it than capital letters.
    """
    rows = table_rows(path)
    _, header = next(rows)
    for column in _NEEDED:
        if column not in header:
            raise TableError(f"{path}: found no column {column!r}; expected the columns {', '.join(_NEEDED)}")
    alphabet = Alphabet()
    place = {name: header.index(name) for name in header}
    regions: dict[str, list[Region]] = {}
    for number, row in rows:
        if "split" in place and row[place["split"]] != "train":
            continue
        domain, start, end, sequence = (row[place[name]] for name in _NEEDED)
        if not (start.isdecimal() and end.isdecimal() and 1 <= int(start) <= int(end) <= len(sequence)):
            expected = f"numbers from 1 to the sequence's {len(sequence)}, the start first"
            raise cell_error(str(path), number - FIRST_ROW, "start", f"{start!r} to {end!r}", expected)
        if problem := cleaning_problem(sequence, alphabet):
            raise cell_error(str(path), number - FIRST_ROW, "sequence", problem, "capital residue letters alone")
        regions.setdefault(sequence, []).append(Region(domain, int(start), int(end), sequence))
    return regions
