"""From raw rows to a clean table: what cannot be used is left out by a stated rule, counted and named.

The rules, in the order in which they are applied; a row is lost to the first that meets it:

1. no label, or two for one id in the label file;
2. an id that is empty;
3. a sequence that is too long for a protein, empty, or has a character that is no residue letter;
4. an id with more than one sequence: all its rows;
5. a sequence with more than one label: all its rows;
6. a sequence that is there already, with the same label: the first row stays.

After them each id and each sequence is there once.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Literal, NamedTuple

import pandas as pd

from tfclass.data.sources import NO_LABEL, TOO_LONG, TWO_LABELS, RawRow, Source
from tfclass.errors import TableError
from tfclass.sequences.alphabet import Alphabet
from tfclass.sequences.cleaning import clean
from tfclass.sequences.fasta import MAX_LENGTH

NO_ID, EMPTY, ILLEGAL = "no id", "empty sequence", "illegal letter"
TWO_SEQUENCES, CONFLICT, REPEATED = "id with two sequences", "contradicting labels", "identical sequence"
# What each step loses, in the order in which the steps are taken.
STEPS = {
    NO_LABEL: "no label is given",
    TWO_LABELS: "the label file gives their id two labels",
    NO_ID: "the id is empty",
    TOO_LONG: f"more than {MAX_LENGTH:,} characters",
    EMPTY: "no residue",
    ILLEGAL: "a character that is no residue letter",
    TWO_SEQUENCES: "their id comes with more than one sequence; all its rows",
    CONFLICT: "their sequence comes with more than one label; all its rows",
    REPEATED: "their sequence is there already with the same label; the first row stays",
}
_CONTRADICTIONS = (TWO_SEQUENCES, CONFLICT)
_SHOWN = 3
LOST_COLUMNS = ["file", "row", "id", "label", "reason", "detail"]


class Imported(NamedTuple):
    """What became of a source.

    Attributes
    ----------
    frame : DataFrame
        ``id``, ``label``, further columns as they came, ``sequence``: upper-case residue letters. All text.
    lost : DataFrame
        A row for each raw row that was left out, in the order of the files: ``file``, ``row`` (of the table, or record
        of the FASTA file, from 1), ``id``, ``label``, ``reason`` (a key of `STEPS`), ``detail``.
    funnel : dict
        ``rows_in``, ``steps`` (each with ``step``, ``why``, ``lost``, ``left``) and ``rows_out``.
    changes : dict of str to int
        How many kept sequences were mended, by what was done to them (as in `tfclass.sequences.cleaning`).
    """

    frame: pd.DataFrame
    lost: pd.DataFrame
    funnel: dict[str, Any]
    changes: dict[str, int]


class _Protein(NamedTuple):
    row: RawRow
    sequence: str
    notes: tuple[str, ...]


def import_proteins(
    source: Source,
    alphabet: Alphabet,
    *,
    rename: Mapping[str, str] | None = None,
    on_conflict: Literal["leave-out", "error"] = "leave-out",
) -> Imported:
    """Clean the rows of a source and keep those that can be used.

    Parameters
    ----------
    rename : mapping of str to str, optional
        Label in the source -> label in the table.
    on_conflict : str
        ``error`` refuses ids with two sequences and sequences with two labels; ``leave-out`` loses them.

    Raises
    ------
    TableError
        A file is at fault; or a label to rename is not there; or a contradiction is not to be left out; or a class has
        no protein left, or there is only one class.
    FastaError
        A FASTA file is at fault.
    """
    lost: list[tuple[int, RawRow, str, str]] = []
    proteins: list[tuple[int, _Protein]] = []
    labels_in: Counter[str] = Counter()
    labels_given: set[str] = set()
    place = 0
    for place, raw in enumerate(source.rows, start=1):  # noqa: B007 - the last one is the number of rows
        labels_given.add(raw.label)
        row = raw._replace(label=(rename or {}).get(raw.label, raw.label))
        reason, detail, protein = _cleaned(row, alphabet)
        if row.label and not row.problem:
            labels_in[row.label] += 1
        if protein is None:
            # The sequence is of no more use, and may be long.
            lost.append((place, row._replace(sequence=""), reason, detail))
        else:
            proteins.append((place, protein))
    _check_renamed(source, rename or {}, labels_given)
    kept = list(_consistent(proteins, lost))
    lost.sort(key=lambda entry: entry[0])
    if on_conflict == "error":
        _refuse_contradictions(source, lost)
    _check_classes(source, labels_in, Counter(protein.row.label for protein in kept), lost)
    changes = Counter(note.split("=")[0] for protein in kept for note in protein.notes)
    funnel = _funnel(place, Counter(reason for _, _, reason, _ in lost))
    return Imported(_frame(kept, source.columns), _lost_frame(lost), funnel, dict(sorted(changes.items())))


def _cleaned(row: RawRow, alphabet: Alphabet) -> tuple[str, str, _Protein | None]:
    if row.problem:
        return row.problem, row.detail, None
    if not row.id:
        return NO_ID, "", None
    if len(row.sequence) > MAX_LENGTH:
        return TOO_LONG, f"{len(row.sequence):,} characters", None
    cleaned = clean(row.sequence, alphabet)
    if cleaned.problem:
        return (EMPTY if cleaned.problem == "empty" else ILLEGAL), cleaned.problem, None
    # The row itself lets go of the sequence as written.
    protein = _Protein(row._replace(sequence=""), alphabet.decode(cleaned.tokens), cleaned.notes)
    return "", "", protein


def _consistent(proteins: list[tuple[int, _Protein]], lost: list[tuple[int, RawRow, str, str]]) -> Iterator[_Protein]:
    """Let through what no other row contradicts or repeats; the rest goes to `lost`."""
    sequence_of: dict[str, str] = {}
    two_sequences = set()
    for _, protein in proteins:
        if sequence_of.setdefault(protein.row.id, protein.sequence) != protein.sequence:
            two_sequences.add(protein.row.id)
    first_of: dict[str, _Protein] = {}
    named: dict[str, dict[str, str]] = {}
    for _, protein in proteins:
        if protein.row.id in two_sequences:
            continue
        first = first_of.setdefault(protein.sequence, protein)
        if first.row.label != protein.row.label:
            labels = named.setdefault(protein.sequence, {first.row.label: first.row.id})
            labels.setdefault(protein.row.label, protein.row.id)
    for place, protein in proteins:
        row, first = protein.row, first_of.get(protein.sequence)
        if row.id in two_sequences:
            lost.append((place, row, TWO_SEQUENCES, f"{len(protein.sequence)} residues here"))
        elif protein.sequence in named:
            detail = ", ".join(f"{name} is {label}" for label, name in named[protein.sequence].items())
            lost.append((place, row, CONFLICT, detail))
        elif first is not protein:
            lost.append((place, row, REPEATED, f"as {first.row.id}" if first else ""))
        else:
            yield protein


def _refuse_contradictions(source: Source, lost: list[tuple[int, RawRow, str, str]]) -> None:
    found = [(row, reason, detail) for _, row, reason, detail in lost if reason in _CONTRADICTIONS]
    if found:
        shown = "; ".join(f"{row.id}: {reason} ({detail})" for row, reason, detail in islice(found, _SHOWN))
        action = "mend the source, or say --on-conflict leave-out"
        raise TableError(source.name, f"{len(found):,} rows that contradict others ({shown})", "none", action)


def _check_classes(
    source: Source, before: Counter[str], after: Counter[str], lost: list[tuple[int, RawRow, str, str]]
) -> None:
    reasons = Counter(reason for _, _, reason, _ in lost)
    if not before and not lost:
        raise TableError(source.name, "no protein", "at least one")
    if not before:
        found = f"no labelled protein among {len(lost):,} ({_counts(reasons)}; the first id is {lost[0][1].id!r})"
        raise TableError(source.name, found, "labels with the ids of the proteins")
    for label in sorted(before):
        if not after[label]:
            own = Counter(reason for _, row, reason, _ in lost if row.label == label)
            found = f"no protein of class {label!r} left of {before[label]:,} ({_counts(own)})"
            raise TableError(source.name, found, "at least one", label=label)
    if len(after) == 1:
        raise TableError(source.name, f"one class only ({next(iter(after))!r})", "at least two")


def _check_renamed(source: Source, rename: Mapping[str, str], labels_given: set[str]) -> None:
    for label in rename:
        if label not in labels_given:
            known = sorted(labels_given - {""})
            shown = ", ".join(map(repr, known[:_SHOWN])) + (", ..." if len(known) > _SHOWN else "")
            action = "--rename OLD=NEW takes OLD from the source"
            raise TableError(source.name, f"no label {label!r} to rename", f"one of {shown}", action, label=label)


def _counts(reasons: Counter[str]) -> str:
    return ", ".join(f"{reason}: {n:,}" for reason, n in reasons.most_common())


def _funnel(rows: int, lost: Counter[str]) -> dict[str, Any]:
    left, steps = rows, []
    for step, why in STEPS.items():
        left -= lost[step]
        steps.append({"step": step, "why": why, "lost": lost[step], "left": left})
    return {"rows_in": rows, "steps": steps, "rows_out": left}


def _frame(kept: list[_Protein], columns: tuple[str, ...]) -> pd.DataFrame:
    content: dict[str, list[str]] = {"id": [p.row.id for p in kept], "label": [p.row.label for p in kept]}
    content |= {name: [p.row.others[i] for p in kept] for i, name in enumerate(columns)}
    return pd.DataFrame(content | {"sequence": [p.sequence for p in kept]}, dtype=str)


def _lost_frame(lost: list[tuple[int, RawRow, str, str]]) -> pd.DataFrame:
    rows = [(row.file, str(row.number), row.id, row.label, reason, detail) for _, row, reason, detail in lost]
    return pd.DataFrame(rows, columns=LOST_COLUMNS, dtype=str)
