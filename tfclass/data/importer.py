"""From raw rows to a clean table: rows that cannot be used are left out by a stated rule, counted and named.

The rules are the steps of the source, in that order; a row is lost to the first that applies to it. Those of files
are `tfclass.data.sources.STEPS`. After them each id and each sequence is there once.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pandas as pd

from tfclass.data.manifest import Manifest, check_output, listed_tsv, read_manifest, save_corpus
from tfclass.data.neighbours import check_neighbour, check_not_pipe, fingerprint, listed_beside, preview, sibling_path
from tfclass.data.sources import CONFLICT, EMPTY, IDENTICAL, ILLEGAL, NO_ID, TOO_LONG, TWO_SEQUENCES, RawRow, Source
from tfclass.errors import TableError
from tfclass.sequences.alphabet import Alphabet
from tfclass.sequences.cleaning import clean
from tfclass.sequences.fasta import MAX_LENGTH

LOST_COLUMNS = ["file", "row", "id", "label", "reason", "detail"]
_SHOWN = 3


class Imported(NamedTuple):
    """What became of the rows of a source.

    Attributes
    ----------
    frame : DataFrame
        ``id``, ``label``, further columns as they came, ``sequence``: upper-case residue letters. All text.
    lost : DataFrame
        A row for each raw row that was left out, in the order of the files: ``file``, ``row`` (of the table, or record
        of the FASTA file, from 1), ``id``, ``label``, ``reason`` (a step of the source), ``detail``.
    funnel : dict
        ``rows_in``, ``steps`` (each with ``step``, ``why``, ``lost``, ``left``) and ``rows_out``.
    changes : dict of str to int
        Number of kept sequences that were changed, by the change (as in `tfclass.sequences.cleaning`).
    labels : Counter of str
        Labels of all rows that the source itself had no problem with.
    """

    frame: pd.DataFrame
    lost: pd.DataFrame
    funnel: dict[str, Any]
    changes: dict[str, int]
    labels: Counter[str]


class _Protein(NamedTuple):
    place: int
    row: RawRow
    sequence: str
    notes: tuple[str, ...]


class _Lost(NamedTuple):
    place: int
    row: RawRow
    reason: str
    detail: str


def import_corpus(
    source: Source,
    table: Path,
    *,
    rename: Mapping[str, str] | None = None,
    on_conflict: Literal["leave-out", "error"] = "leave-out",
) -> tuple[Manifest, pd.DataFrame]:
    """Write the clean table of a source; every row that was left out stands in ``TABLE.lost.tsv`` (without its .tsv).

    Returns
    -------
    manifest : dict
        As written beside the table.
    lost : DataFrame
        The rows that were left out.

    Raises
    ------
    TfclassError
        As `import_proteins`; or a file cannot be read twice, or an output cannot be written.
    """
    check_output(table)
    if table.resolve() in [path.resolve() for path in source.files]:
        raise TableError(f"{table}: found a table that would replace its own source; expected another place")
    place = sibling_path(table, ".lost.tsv")
    check_neighbour(place, listed_beside(table))
    for path in source.files:
        check_not_pipe(path)
    sources = [fingerprint(path) | _manifest_of(path) for path in source.files]
    imported = import_proteins(source, Alphabet(), rename=rename, on_conflict=on_conflict)
    manifest = {
        "sources": sources,
        "import": source.how | {"rename": dict(rename or {}), "on_conflict": on_conflict},
        "funnel": imported.funnel,
        "changes": imported.changes,
        "notes": dict(sorted(source.notes.items())),
    }
    with listed_tsv(imported.lost, place) as about:
        return save_corpus(imported.frame, table, manifest | {"lost": about}), imported.lost


def import_proteins(
    source: Source,
    alphabet: Alphabet,
    *,
    rename: Mapping[str, str] | None = None,
    on_conflict: Literal["leave-out", "error"] = "leave-out",
) -> Imported:
    """Clean the rows of a source and keep those that can be used; at least one of each class.

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
    imported = collect(source, alphabet, rename or {})
    if on_conflict == "error":
        _check_no_contradiction(source, imported.lost)
    _check_classes(source, imported)
    return imported


def collect(source: Source, alphabet: Alphabet, rename: Mapping[str, str]) -> Imported:
    """Clean the rows of a source and keep those that can be used; see `import_proteins`."""
    lost: list[_Lost] = []
    proteins: list[_Protein] = []
    given: set[str] = set()
    labels: Counter[str] = Counter()
    n_rows = 0
    for n_rows, raw in enumerate(source.rows, start=1):
        given.add(raw.label)
        row = raw._replace(label=rename[raw.label]) if raw.label in rename else raw
        if row.label and not row.problem:
            labels[row.label] += 1
        cleaned = _cleaned(n_rows, row, alphabet, is_clean=source.is_clean)
        if isinstance(cleaned, _Lost):
            lost.append(cleaned)
        else:
            proteins.append(cleaned)
    _check_renamed(source, rename, given)
    kept = list(_resolved(proteins, source, lost))
    lost.sort()
    changes = Counter(note.split("=")[0] for protein in kept for note in protein.notes)
    funnel = _funnel(source.steps, n_rows, Counter(each.reason for each in lost))
    return Imported(_frame(kept, source.columns), _lost_frame(lost), funnel, dict(sorted(changes.items())), labels)


def _cleaned(place: int, row: RawRow, alphabet: Alphabet, *, is_clean: bool) -> _Protein | _Lost:
    # The sequence as it was read is not kept: it is of no more use, and may be long.
    rest = row._replace(sequence="")
    if row.problem:
        return _Lost(place, rest, row.problem, row.detail)
    if is_clean:
        return _Protein(place, rest, row.sequence, ())
    if not row.id:
        return _Lost(place, rest, NO_ID, "")
    if len(row.sequence) > MAX_LENGTH:
        return _Lost(place, rest, TOO_LONG, f"{len(row.sequence):,} characters")
    cleaned = clean(row.sequence, alphabet)
    if cleaned.problem:
        return _Lost(place, rest, EMPTY if cleaned.problem == "empty" else ILLEGAL, cleaned.problem)
    return _Protein(place, rest, alphabet.decode(cleaned.tokens), cleaned.notes)


def _resolved(proteins: list[_Protein], source: Source, lost: list[_Lost]) -> Iterator[_Protein]:
    """Yield one protein for each id and sequence; the rest goes to `lost`."""
    sequence_of: dict[str, str] = {}
    two_sequences = set()
    for protein in proteins:
        if sequence_of.setdefault(protein.row.id, protein.sequence) != protein.sequence:
            two_sequences.add(protein.row.id)
    usable: list[_Protein] = []
    ids: set[str] = set()
    # For each sequence its first protein and, where there are several labels, the first id of each.
    first_of: dict[str, _Protein] = {}
    labels_of: dict[str, dict[str, str]] = {}
    for protein in proteins:
        row = protein.row
        if row.id in two_sequences:
            lost.append(_Lost(protein.place, row, TWO_SEQUENCES, f"{len(protein.sequence)} residues here"))
        elif source.repeated and row.id in ids:
            lost.append(_Lost(protein.place, row, source.repeated, ""))
        else:
            usable.append(protein)
            ids.add(row.id)
            first = first_of.setdefault(protein.sequence, protein)
            if first.row.label != row.label:
                labels = labels_of.setdefault(protein.sequence, {first.row.label: first.row.id})
                labels.setdefault(row.label, row.id)
    kept: set[str] = set()
    for protein in usable:
        row, first = protein.row, first_of[protein.sequence].row
        labels = labels_of.get(protein.sequence) or {first.label: first.id}
        label, reason = source.merge(labels)
        if reason:
            detail = ", ".join(f"{name} is {label}" for label, name in labels.items())
            lost.append(_Lost(protein.place, row, reason, detail))
        elif row.label != label or protein.sequence in kept:
            lost.append(_Lost(protein.place, row, IDENTICAL, f"as {labels[label]}"))
        else:
            kept.add(protein.sequence)
            yield protein


def _check_no_contradiction(source: Source, lost: pd.DataFrame) -> None:
    found = lost.loc[lost["reason"].isin((TWO_SEQUENCES, CONFLICT))]
    if len(found):
        rows = found.head(_SHOWN).itertuples()
        shown = "; ".join(f"{row.id}: {row.reason} ({row.detail})" for row in rows)
        raise TableError(
            f"{source.name}: found {len(found):,} rows that contradict others ({shown}); expected none; "
            "mend the source, or say --on-conflict leave-out"
        )


def _check_classes(source: Source, imported: Imported) -> None:
    lost, left = imported.lost, Counter(imported.frame["label"])
    if not imported.labels and lost.empty:
        raise TableError(f"{source.name}: found no protein; expected at least one")
    if not imported.labels:
        reasons = f"{_counts_text(Counter(lost['reason']))}; the first id is {lost['id'].iloc[0]!r}"
        raise TableError(
            f"{source.name}: found no labelled protein among {len(lost):,} ({reasons}); "
            "expected labels with the ids of the proteins"
        )
    for label, n_labelled in sorted(imported.labels.items()):
        if not left[label]:
            reasons = _counts_text(Counter(lost.loc[lost["label"] == label, "reason"]))
            raise TableError(
                f"{source.name}: found no protein of class {label!r} left of {n_labelled:,} ({reasons}); "
                "expected at least one"
            )
    if len(left) == 1:
        raise TableError(f"{source.name}: found one class only ({next(iter(left))!r}); expected at least two")


def _check_renamed(source: Source, rename: Mapping[str, str], given: set[str]) -> None:
    for label in rename:
        if label not in given:
            known = preview([repr(name) for name in sorted(given - {""})])
            raise TableError(
                f"{source.name}: found no label {label!r} to rename; expected one of {known}; "
                "--rename OLD=NEW takes OLD from the source"
            )


def _counts_text(reasons: Counter[str]) -> str:
    """Return the reasons with their numbers, the most frequent first."""
    return ", ".join(f"{reason}: {n:,}" for reason, n in reasons.most_common())


def _funnel(steps: Mapping[str, str], n_rows: int, lost: Counter[str]) -> dict[str, Any]:
    left, described = n_rows, []
    for step, why in steps.items():
        left -= lost[step]
        described.append({"step": step, "why": why, "lost": lost[step], "left": left})
    return {"rows_in": n_rows, "steps": described, "rows_out": left}


def _frame(kept: list[_Protein], columns: tuple[str, ...]) -> pd.DataFrame:
    content: dict[str, list[str]] = {"id": [p.row.id for p in kept], "label": [p.row.label for p in kept]}
    content |= {name: [p.row.others[i] for p in kept] for i, name in enumerate(columns)}
    return pd.DataFrame(content | {"sequence": [p.sequence for p in kept]}, dtype=str)


def _lost_frame(lost: list[_Lost]) -> pd.DataFrame:
    rows = [(row.file, str(row.number), row.id, row.label, reason, detail) for _, row, reason, detail in lost]
    return pd.DataFrame(rows, columns=LOST_COLUMNS, dtype=str)


def _manifest_of(path: Path) -> Manifest:
    manifest = read_manifest(path)
    return {} if manifest is None else {"manifest": manifest}
