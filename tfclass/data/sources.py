"""Raw labelled proteins, row by row, from files as people have them: FASTA with labels beside it, or tables.

Nothing is judged here but the files themselves; what becomes of each row is decided in `tfclass.data.importer`.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tfclass.data.cells import FIRST_ROW, check_id, table_rows, text_rows, unpacked
from tfclass.errors import TableError
from tfclass.io.files import name_of
from tfclass.io.tsv import unbroken
from tfclass.sequences.fasta import Record, read_fasta
from tfclass.sequences.inputs import begin_inputs

_FASTA = (".fasta", ".fa", ".faa", ".fas", ".pep", ".aa", ".seq")
_NEEDED = ("id", "label", "sequence")
# Around a cell: what spreadsheets and people leave there.
_BLANKS = " \u00a0"

NO_LABEL, TWO_LABELS, TOO_LONG = "no label", "two labels", "too long"


class RawRow(NamedTuple):
    """One protein as it stands in a file.

    Attributes
    ----------
    file : str
        Its name, without folders.
    number : int
        Of the record in a FASTA file, or of the row in a table as an editor counts it (the header is row 1).
    id, label, sequence : str
        As written.
    others : tuple of str
        Cells of `Source.columns`.
    problem : str
        `NO_LABEL`, `TWO_LABELS` or `TOO_LONG` where that is known of it; else empty.
    detail : str
        More about the problem.
    """

    file: str
    number: int
    id: str
    label: str
    sequence: str
    others: tuple[str, ...] = ()
    problem: str = ""
    detail: str = ""


@dataclass
class Source:
    """Where rows come from.

    Attributes
    ----------
    name : str
        For messages.
    files : sequence of Path
        All that is read.
    rows : iterator of RawRow
        To be read once.
    columns : tuple of str
        Names of further columns.
    how : dict
        How the files are read; JSON values.
    notes : Counter of str
        What was passed over that is no row, and what was noticed of records; complete once the rows have been read.
    """

    name: str
    files: Sequence[Path]
    rows: Iterator[RawRow]
    columns: tuple[str, ...] = ()
    how: dict[str, Any] = field(default_factory=dict)
    notes: Counter[str] = field(default_factory=Counter)


def from_fastas(label_of: Mapping[Path, str], name: str = "") -> Source:
    """Take each FASTA file for the proteins of one class.

    Parameters
    ----------
    label_of : mapping of Path to str
        In the order of reading.
    name : str, optional
        For messages.

    Returns
    -------
    Source
        Reading its rows raises FastaError where a file is no FASTA, before the first row.
    """
    how = {"labels": [{"file": name_of(path), "label": label} for path, label in label_of.items()]}
    source = Source(name or ", ".join(map(str, label_of)), list(label_of), iter(()), how=how)

    def rows() -> Iterator[RawRow]:
        inputs = begin_inputs([*map(str, label_of)])
        for (path, label), records in zip(label_of.items(), inputs, strict=True):
            for number, record in enumerate(records, start=1):
                yield _of_record(record, name_of(path), number, label, "", source.notes)

    source.rows = rows()
    return source


def from_folder(folder: Path) -> Source:
    """Take each FASTA file of a folder for a class that is named as the file is.

    Parameters
    ----------
    folder : Path
        Hidden files are passed over; so are files that have no name of a FASTA file, which is noted.

    Raises
    ------
    TableError
        The folder has no FASTA file, or two for one class.
    """
    paths = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    label_of: dict[Path, str] = {}
    strangers = []
    for path in paths:
        name = Path(name_of(unpacked(path)))
        if name.suffix.lower() not in _FASTA:
            strangers.append(name_of(path))
        elif name.stem in label_of.values():
            raise TableError(str(folder), f"two files of class {name.stem!r}", "one file for each", path=str(folder))
        else:
            label_of[path] = name.stem
    if not label_of:
        raise TableError(str(folder), "no FASTA file", f"names ending in {', '.join(_FASTA)}", path=str(folder))
    source = from_fastas(label_of, str(folder))
    source.notes.update({f"file not read: {name}": 1 for name in strangers})
    return source


def from_labels(fasta: Path, labels: Path) -> Source:
    """Take proteins from a FASTA file and their labels from a table of two columns, id and label.

    Parameters
    ----------
    labels : Path
        Separated by tabs, or commas where the name ends in .csv; a first row of ``id`` and ``label`` is a header.
        Blanks around ids and labels do not count.

    Returns
    -------
    Source
        A label whose id is not in the FASTA file is noted.

    Raises
    ------
    TableError
        The label file cannot be read, or has other than two columns.
    """
    label_of, twice = _read_labels(labels)
    source = Source(str(fasta), (fasta, labels), iter(()), how={"labels": labels.name})

    def rows() -> Iterator[RawRow]:
        met = set()
        for number, record in enumerate(read_fasta(fasta), start=1):
            met.add(record.id)
            label = label_of.get(record.id, "")
            problem = TWO_LABELS if record.id in twice else "" if label else NO_LABEL
            yield _of_record(record, name_of(fasta), number, label, problem, source.notes)
        if unused := len(label_of.keys() - met):
            source.notes["label without a protein"] = unused

    source.rows = rows()
    return source


def from_table(path: Path, column_of: Mapping[str, str]) -> Source:
    """Take a labelled table: TSV, CSV (plain or compressed) or Parquet.

    Parameters
    ----------
    column_of : mapping of str to str
        Name of a column here -> its name in the table, where the two differ. Columns not named keep their names.

    Returns
    -------
    Source
        Reading its rows raises TableError where the file is damaged or a row has another number of fields.

    Raises
    ------
    TableError
        The table cannot be read, or a column is missing or there twice.
    """
    cells = table_rows(path, "a table (.tsv, .csv, .parquet), or a FASTA file together with --labels")
    header = next(cells)[1]
    names = _renamed(header, column_of, str(path))
    places = [names.index(name) for name in _NEEDED]
    others = [i for i in range(len(names)) if i not in places]

    def rows() -> Iterator[RawRow]:
        for number, row in cells:
            name, label, sequence = (row[i].strip(_BLANKS) for i in places)
            check_id(str(path), number - FIRST_ROW, name)
            problem = "" if label else NO_LABEL
            further = tuple(unbroken(row[i]) for i in others)
            yield RawRow(name_of(path), number, name, label, sequence, further, problem)

    columns = {new: header[place] for new, place in zip(_NEEDED, places, strict=True)}
    return Source(str(path), (path,), rows(), tuple(names[i] for i in others), {"columns": columns | dict(column_of)})


def _of_record(record: Record, file: str, number: int, label: str, problem: str, notes: Counter[str]) -> RawRow:
    notes.update(record.notes)
    if record.problem and not problem:
        return RawRow(file, number, record.id, label, "", (), TOO_LONG, f"{record.left_out:,} characters")
    return RawRow(file, number, record.id, label, record.sequence, (), problem)


def _renamed(header: list[str], column_of: Mapping[str, str], path: str) -> list[str]:
    found = "only " + ", ".join(map(repr, header))
    for new, old in column_of.items():
        if old not in header:
            raise TableError(path, found, f"a column {old!r} for {new!r}", path=path, column=old)
    new_of = {old: new for new, old in column_of.items()}
    # A column whose name is wanted for another one makes room for it.
    names = [new_of.get(name, f"{name}_before" if name in column_of else name) for name in header]
    for name in _NEEDED:
        if name not in names:
            raise TableError(path, found, f"a column {name!r}", f"say which: --column {name}=NAME", path=path)
    for name in names:
        if names.count(name) > 1:
            raise TableError(path, f"more than one column {name!r}", "each once", path=path, column=name)
    return names


def _read_labels(path: Path) -> tuple[dict[str, str], set[str]]:
    """Read id and label; ids that come with two labels are told apart."""
    separator = "," if unpacked(path).suffix.lower() == ".csv" else "\t"
    label_of: dict[str, str] = {}
    twice = set()
    for number, row in text_rows(path, separator):
        if len(row) != 2:
            where, expected = f"{path}, row {number}", f"two, id and label, separated by {separator!r}"
            raise TableError(where, f"{len(row)} fields", expected, path=str(path), row=number)
        name, label = (cell.strip(_BLANKS) for cell in row)
        if number == 1 and [name.lower(), label.lower()] == ["id", "label"]:
            continue
        if label_of.setdefault(name, label) != label:
            twice.add(name)
    if not label_of:
        raise TableError(str(path), "an empty file", "a label for each protein", path=str(path))
    return label_of, twice
