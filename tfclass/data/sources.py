"""Raw labelled proteins, row by row, from FASTA files with labels, or from tables.

Only the files themselves are checked here; what becomes of each row is decided in `tfclass.data.importer`.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tfclass.data.cells import FIRST_ROW, check_id, table_rows, text_rows, unpacked
from tfclass.errors import TableError
from tfclass.io.files import name_of
from tfclass.io.tsv import unbroken
from tfclass.sequences.fasta import MAX_LENGTH, Record, begin_inputs, read_fasta

_FASTA = (".fasta", ".fa", ".faa", ".fas", ".pep", ".aa", ".seq")
_NEEDED = ("id", "label", "sequence")
# Around a cell: what spreadsheets and people leave there.
_BLANKS = " \u00a0"

# Why rows are left out, in the order in which the rules are applied.
NO_LABEL, TWO_LABELS, TOO_LONG = "no label", "two labels", "too long"
NO_ID, EMPTY, ILLEGAL = "no id", "empty sequence", "illegal letter"
TWO_SEQUENCES, CONFLICT, IDENTICAL = "id with two sequences", "contradicting labels", "identical sequence"
STEPS = {
    NO_LABEL: "no label is given",
    TWO_LABELS: "the label file gives their id two labels",
    NO_ID: "the id is empty",
    TOO_LONG: f"more than {MAX_LENGTH:,} characters",
    EMPTY: "no residue",
    ILLEGAL: "a character that is no residue letter",
    TWO_SEQUENCES: "their id comes with more than one sequence; all its rows",
    CONFLICT: "their sequence comes with more than one label; all its rows",
    IDENTICAL: "their sequence is there already with the same label; the first row stays",
}


class RawRow(NamedTuple):
    """One protein as it stands in a file.

    Attributes
    ----------
    number : int
        Of the record in a FASTA file, or of the row in a table as an editor counts it (the header is row 1).
    others : tuple of str
        Cells of `Source.columns`.
    problem, detail : str
        The step of `Source.steps` that leaves the row out where the source knows it, and more about it; else empty.
    """

    file: str
    number: int
    id: str
    label: str
    sequence: str
    others: tuple[str, ...] = ()
    problem: str = ""
    detail: str = ""


def one_label(labels: Collection[str]) -> tuple[str, str]:
    """Return the label of rows with the same sequence if it is one, or `CONFLICT`; see `Source.merge`."""
    return next(iter(labels)), CONFLICT if len(labels) > 1 else ""


@dataclass
class Source:
    """A source of rows, and the rule that merges rows of one protein.

    Attributes
    ----------
    rows : iterator of RawRow
        Can be read once.
    columns : tuple of str
        Names of further columns.
    how : dict
        How the files are read; JSON values.
    notes : Counter of str
        What was ignored in the files and what was noticed of records; complete once the rows have been read.
    steps : mapping of str to str
        Why rows are left out, in the order of the funnel, with an explanation of each.
    merge : callable
        Takes the labels of the rows with one sequence; returns the label of the sequence, and the step that leaves all
        its rows out, or an empty text. Rows with another label are left out as `IDENTICAL`.
    repeated : str
        The step that leaves out further rows with the same id and sequence, whatever their label; empty for none.
    is_clean : bool
        Whether ids and sequences are known to be valid and are taken as they are.
    """

    name: str
    files: Sequence[Path]
    rows: Iterator[RawRow]
    columns: tuple[str, ...] = ()
    how: dict[str, Any] = field(default_factory=dict)
    notes: Counter[str] = field(default_factory=Counter)
    steps: Mapping[str, str] = field(default_factory=lambda: STEPS)
    merge: Callable[[Collection[str]], tuple[str, str]] = one_label
    repeated: str = ""
    is_clean: bool = False


def from_fastas(label_of: Mapping[Path, str], name: str = "") -> Source:
    """Read FASTA files, each with the proteins of one class.

    Reading the rows raises FastaError where any of the files is not FASTA, before the first row.
    """
    how = {"labels": [{"file": name_of(path), "label": label} for path, label in label_of.items()]}
    source = Source(name or ", ".join(map(str, label_of)), list(label_of), iter(()), how=how)

    def rows() -> Iterator[RawRow]:
        inputs = begin_inputs([*map(str, label_of)])
        for (path, label), records in zip(label_of.items(), inputs, strict=True):
            for number, record in enumerate(records, start=1):
                yield _record_row(record, name_of(path), number, label, "", source.notes)

    source.rows = rows()
    return source


def from_folder(folder: Path) -> Source:
    """Read the FASTA files of a folder; the name of each is that of its class.

    Hidden files are ignored; so are files without the ending of a FASTA file, which is noted. TableError where the
    folder has no FASTA file, or two for one class.
    """
    label_of: dict[Path, str] = {}
    ignored = []
    for path in sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")):
        name = Path(name_of(unpacked(path)))
        if name.suffix.lower() not in _FASTA:
            ignored.append(name_of(path))
        elif name.stem in label_of.values():
            raise TableError(f"{folder}: found two files of class {name.stem!r}; expected one file for each")
        else:
            label_of[path] = name.stem
    if not label_of:
        raise TableError(f"{folder}: found no FASTA file; expected names ending in {', '.join(_FASTA)}")
    source = from_fastas(label_of, str(folder))
    source.notes.update({f"file not read: {name}": 1 for name in ignored})
    return source


def from_labels(fasta: Path, labels: Path) -> Source:
    """Read proteins from a FASTA file and their labels from a table of two columns, id and label.

    The table is separated by tabs, or commas where its name ends in .csv; a first row of ``id`` and ``label`` is a
    header. A label whose id is not in the FASTA file is noted. TableError where the table cannot be read, or has other
    columns.
    """
    label_of, ambiguous = _read_labels(labels)
    source = Source(str(fasta), (fasta, labels), iter(()), how={"labels": labels.name})

    def rows() -> Iterator[RawRow]:
        found = set()
        for number, record in enumerate(read_fasta(fasta), start=1):
            found.add(record.id)
            label = label_of.get(record.id, "")
            problem = TWO_LABELS if record.id in ambiguous else "" if label else NO_LABEL
            yield _record_row(record, name_of(fasta), number, label, problem, source.notes)
        if unused := len(label_of.keys() - found):
            source.notes["label without a protein"] = unused

    source.rows = rows()
    return source


def from_table(path: Path, column_of: Mapping[str, str]) -> Source:
    """Read a labelled table: TSV, CSV (plain or compressed) or Parquet.

    Parameters
    ----------
    column_of : mapping of str to str
        Name of a column here -> its name in the table, where the two differ. Columns not named keep their names.

    Raises
    ------
    TableError
        The table cannot be read, or a column is missing or there twice; or, while reading its rows, the file is damaged
        or a row has another number of fields.
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
            yield RawRow(name_of(path), number, name, label, sequence, tuple(unbroken(row[i]) for i in others), problem)

    columns = {new: header[place] for new, place in zip(_NEEDED, places, strict=True)}
    return Source(str(path), (path,), rows(), tuple(names[i] for i in others), {"columns": columns | dict(column_of)})


def _record_row(record: Record, file: str, number: int, label: str, problem: str, notes: Counter[str]) -> RawRow:
    notes.update(record.notes)
    if record.problem and not problem:
        return RawRow(file, number, record.id, label, "", (), TOO_LONG, f"{record.left_out:,} characters")
    return RawRow(file, number, record.id, label, record.sequence, (), problem)


def _renamed(header: list[str], column_of: Mapping[str, str], path: str) -> list[str]:
    found = f"{path}: found only {', '.join(map(repr, header))}"
    for new, old in column_of.items():
        if old not in header:
            raise TableError(f"{found}; expected a column {old!r} for {new!r}")
    new_of = {old: new for new, old in column_of.items()}
    # A column whose name is wanted for another one gets a new name.
    names = [new_of.get(name, f"{name}_before" if name in column_of else name) for name in header]
    for name in _NEEDED:
        if name not in names:
            raise TableError(f"{found}; expected a column {name!r}; say which: --column {name}=NAME")
    for name in names:
        if names.count(name) > 1:
            raise TableError(f"{path}: found more than one column {name!r}; expected each once")
    return names


def _read_labels(path: Path) -> tuple[dict[str, str], set[str]]:
    """Return the label of each id, and the ids that have two."""
    separator = "," if unpacked(path).suffix.lower() == ".csv" else "\t"
    label_of: dict[str, str] = {}
    ambiguous = set()
    for number, row in text_rows(path, separator):
        if len(row) != 2:
            expected = f"two, id and label, separated by {separator!r}"
            raise TableError(f"{path}, row {number}: found {len(row)} fields; expected {expected}")
        name, label = (cell.strip(_BLANKS) for cell in row)
        if number == 1 and [name.lower(), label.lower()] == ["id", "label"]:
            continue
        if label_of.setdefault(name, label) != label:
            ambiguous.add(name)
    if not label_of:
        raise TableError(f"{path}: found an empty file; expected a label for each protein")
    return label_of, ambiguous
