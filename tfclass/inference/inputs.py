"""Proteins as a Python program holds them, to records: files, texts, pairs, mappings, objects of Biopython and pandas.

A text that could be two things is never taken for one of them in silence; neither Biopython nor pandas is imported.
"""

import io
import math
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from itertools import chain, starmap
from numbers import Number
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from tfclass.errors import InputError
from tfclass.io.files import is_address
from tfclass.sequences.fasta import MAX_LENGTH, Record, read_fasta

if TYPE_CHECKING:
    import pandas as pd

_EXPECTED = "expected a list of sequences, pairs or records, a mapping, a Series, a DataFrame, or a file as Path(...)"
_ITEM = "expected a sequence, an (id, sequence) pair, a record, or a file as Path(...)"
# A text of these alone is a sequence; a dot may be a gap as well as a part of a file's name.
_RESIDUES = re.compile(r"[A-Za-z*\s-]*")
# What Biopython writes for an id or description that nobody gave.
_UNKNOWN = ("<unknown id>", "<unknown description>")
# Cells that are texts by another name, such as numbers that are ids.
_SCALARS = (Number, np.generic, date, timedelta)
_SHOWN_CHARACTERS = 40


def as_records(proteins: Any, max_length: int = MAX_LENGTH) -> Iterator[Record]:  # noqa: ANN401
    """Return proteins as records, one by one, whatever a program holds them in.

    Parameters
    ----------
    proteins : object
        * ``os.PathLike``, or an open binary file: a FASTA file (`read_fasta`).
        * ``str``: FASTA text if it begins with ``>``; one sequence if it has letters, ``*``, ``-`` and white space
          only; else a file or an address. One that would be a sequence and is the name of a file is refused.
        * ``Record``, or Biopython's ``SeqRecord``, ``Seq``: one protein.
        * A mapping of ids to sequences, such as a dict; a pandas ``Series``, whose index has the ids; a pandas
          ``DataFrame`` with a column ``sequence``, and ``id`` where the index does not have the ids.
        * Any other iterable, such as a list, an array, a generator or ``SeqIO.parse(...)``: its items are sequences,
          (id, sequence) pairs, records or files, also mixed. The id of a sequence is its place, counted from 0.

        White space in a sequence does not count. A sequence that is missing (None, NaN) is an empty one.
    max_length : int
        Most characters of a sequence; a longer one is not kept, see `Record`.

    Raises
    ------
    InputError
        `proteins`, or one of its items once it is reached, is something else.
    FastaError
        See `read_fasta`; of a single file, before the first record is asked for.

    Examples
    --------
    >>> [(record.id, record.sequence) for record in as_records({"a": "MKV", "b": None})]
    [('a', 'MKV'), ('b', '')]
    """
    if isinstance(proteins, str):
        records = _from_text(proteins, max_length)
    elif isinstance(proteins, os.PathLike) or hasattr(proteins, "read"):
        records = _from_file(proteins, max_length)
    elif isinstance(proteins, Record) or _is(proteins, "Bio.SeqRecord", "SeqRecord") or _is_seq(proteins):
        records = _of_item(0, proteins, max_length)
    elif _is(proteins, "pandas", "DataFrame"):
        records = starmap(_named, _cells(proteins))
    elif _is(proteins, "pandas", "Series") or isinstance(proteins, Mapping):
        records = (_named(name, value, f"proteins[{name!r}]") for name, value in proteins.items())
    else:
        records = chain.from_iterable(_of_item(i, item, max_length) for i, item in enumerate(_items(proteins)))
    return (_shortened(record, max_length) for record in records)


def _from_text(text: str, max_length: int) -> Iterator[Record]:
    if text.lstrip().startswith(">"):
        stream = io.BytesIO(text.encode("utf-8", "surrogateescape"))
        stream.name = "the text"  # type: ignore[attr-defined]
        return _from_file(stream, max_length)
    is_sequence, exists = _RESIDUES.fullmatch(text) is not None, os.path.exists(text)
    if is_sequence and not exists:
        return iter([_named("0", text, "proteins")])
    if not is_sequence and (exists or is_address(text)):
        return _from_file(text if is_address(text) else Path(text), max_length)
    shown = text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
    what = "both a sequence and the name of a file" if exists else "neither a sequence nor the name of a file"
    raise InputError(f"proteins: found {shown!r}, {what}; write a file as Path(...), a sequence as [...]")


def _from_file(source: "str | os.PathLike[str] | BinaryIO", max_length: int) -> Iterator[Record]:
    if isinstance(source, os.PathLike):
        source = Path(source)
    elif isinstance(getattr(source, "file", source), io.TextIOBase):
        raise InputError("proteins: found a file that is open as text; expected a binary one; open it with mode 'rb'")
    records = read_fasta(source, max_length)
    # Errors of a file are raised with its first record.
    return chain([next(records)], records)


def _items(proteins: Any) -> Iterable[Any]:  # noqa: ANN401
    found = f"proteins: found an object of type {type(proteins).__name__}"
    if isinstance(proteins, set | frozenset):
        raise InputError(f"{found}, which has no order; expected a list")
    if isinstance(proteins, tuple) and len(proteins) == 2 and all(isinstance(each, str) for each in proteins):
        raise InputError("proteins: found a tuple of two texts; write [(id, sequence)] or [sequence, sequence]")
    # An array of no dimension says that it can be iterated over.
    if isinstance(proteins, bytes) or not isinstance(proteins, Iterable) or getattr(proteins, "ndim", 1) == 0:
        raise InputError(f"{found}; {_EXPECTED}")
    return proteins


def _of_item(place: int, item: Any, max_length: int) -> Iterator[Record]:  # noqa: ANN401
    where = f"proteins[{place}]"
    if isinstance(item, Record):
        return iter([item])
    if isinstance(item, os.PathLike):
        return read_fasta(Path(item), max_length)
    if _is(item, "Bio.SeqRecord", "SeqRecord"):
        return iter([_named("" if item.id in _UNKNOWN else item.id, item, where)])
    if isinstance(item, tuple | list) and len(item) == 2:
        name, sequence = item
        return iter([_named(name, sequence, where)])
    if isinstance(item, str) and ("." in item or os.sep in item) and os.path.isfile(item):
        raise InputError(f"{where}: found {item!r}, the name of a file; write it as Path(...)")
    if isinstance(item, tuple | list | Mapping):
        size = f" of {len(item)} items" if isinstance(item, tuple | list) else ""
        raise InputError(f"{where}: found an object of type {type(item).__name__}{size}; {_ITEM}")
    return iter([_named(str(place), item, where)])


def _cells(table: "pd.DataFrame") -> Iterator[tuple[Any, Any, str]]:
    names = list(table.columns)
    for column, least in (("sequence", 1), ("id", 0)):
        if not least <= names.count(column) <= 1:
            problem = "more than one" if column in names else "no"
            raise InputError(f"the table: found {problem} column {column!r}; expected sequence, and id if known")
    ids = table["id"] if "id" in names else table.index
    pairs = zip(ids, table["sequence"], strict=True)
    return ((name, sequence, f"the table, row {row}") for row, (name, sequence) in enumerate(pairs, start=1))


def _named(name: Any, sequence: Any, where: str) -> Record:  # noqa: ANN401
    given = _text(name, f"{where}, id")
    header = given
    if _is(sequence, "Bio.SeqRecord", "SeqRecord"):
        described = "" if sequence.description in _UNKNOWN else sequence.description
        header = described if described.split(None, 1)[:1] == [given] else f"{given} {described}".strip()
        sequence = sequence.seq
    if _is_seq(sequence):
        try:
            sequence = str(sequence)
        except ValueError as error:
            raise InputError(f"{where}: found a sequence without letters ({error}); expected residues") from None
    return Record(given, header, "".join(_text(sequence, f"{where}, sequence").split()))


def _text(value: Any, where: str) -> str:  # noqa: ANN401
    """Return a cell as text: empty where it is missing, whole numbers without a fraction."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    pandas = sys.modules.get("pandas")
    if value is None or (pandas and (value is pandas.NA or value is pandas.NaT)):
        return ""
    if isinstance(value, float | np.floating) and not math.isfinite(value):
        return "" if math.isnan(value) else str(value)
    # Whole numbers become fractions in a column where one is missing.
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, _SCALARS):
        return str(value)
    raise InputError(f"{where}: found an object of type {type(value).__name__}; expected a text")


def _shortened(record: Record, most: int) -> Record:
    characters = len(record.sequence)
    if characters <= most:
        return record
    return record._replace(sequence="", problem=f"longer_than={most}", left_out=characters)


def _is(value: object, module: str, name: str) -> bool:
    """Return whether an object is of a class of a library, which has been imported if there is such an object."""
    return module in sys.modules and isinstance(value, getattr(sys.modules[module], name))


def _is_seq(value: object) -> bool:
    return _is(value, "Bio.Seq", "Seq") or _is(value, "Bio.Seq", "MutableSeq")
