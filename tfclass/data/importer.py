"""From raw rows to a clean table: rows that cannot be used are left out by a stated rule, counted and named.

The rules are the steps of the source, in that order; a row is lost to the first that applies to it. Those of files
are `tfclass.data.sources.STEPS`. After them each id and each sequence is there once.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pandas as pd

from tfclass.data.manifest import Manifest, check_output, listed_tsv, read_manifest, save_corpus
from tfclass.data.neighbours import check_neighbour, check_not_pipe, fingerprint, listed_beside, preview, sibling_path
from tfclass.data.sources import CONFLICT, EMPTY, IDENTICAL, ILLEGAL, NO_ID, TOO_LONG, TWO_SEQUENCES, RawRow, Source
from tfclass.errors import TableError
from tfclass.sequences.alphabet import Alphabet, clean
from tfclass.sequences.fasta import MAX_LENGTH

_LOST = ".lost.tsv"
LOST_COLUMNS = ["file", "row", "id", "label", "reason", "detail"]
_SHOWN = 3


class Imported(NamedTuple):
    """The outcome of an import, row by row.

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
        Number of kept sequences that were changed, by the change (as in `tfclass.sequences.alphabet`).
    labels : Counter of str
        Labels of all rows that the source itself had no problem with.
    """

    frame: pd.DataFrame
    lost: pd.DataFrame
    funnel: dict[str, Any]
    changes: dict[str, int]
    labels: Counter[str]


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
    check_import(table)
    if table.resolve() in [path.resolve() for path in source.files]:
        raise TableError(f"{table}: found a table that would replace its own source; expected another place")
    for path in source.files:
        check_not_pipe(path)
    sources = [fingerprint(path) | _manifest_of(path) for path in source.files]
    imported = import_proteins(source, Alphabet(), rename=rename, on_conflict=on_conflict)
    manifest = {
        "sources": sources,
        "import": source.how | {"rename": dict(rename or {}), "on_conflict": on_conflict},
        "changes": imported.changes,
        "notes": dict(sorted(source.notes.items())),
    }
    return save_import(imported, table, manifest), imported.lost


def check_import(table: Path) -> None:
    """Check that a table and its lost rows can be written; see `check_output`."""
    check_output(table)
    check_neighbour(sibling_path(table, _LOST), listed_beside(table))


def save_import(imported: Imported, table: Path, manifest: Manifest) -> Manifest:
    """Write the table, the rows that were left out, and the manifest; see `save_corpus`."""
    with listed_tsv(imported.lost, sibling_path(table, _LOST)) as about:
        return save_corpus(imported.frame, table, manifest | {"funnel": imported.funnel, "lost": about})


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
    TfclassError
        A file is at fault; or a label to rename is not there; or a contradiction is not to be left out; or a class has
        no protein left, or there is only one class.
    """
    imported = collect(source, alphabet, rename or {})
    if on_conflict == "error":
        _check_no_contradiction(source, imported.lost)
    _check_classes(source, imported)
    return imported


def collect(source: Source, alphabet: Alphabet, rename: Mapping[str, str]) -> Imported:
    """Clean the rows of a source and keep those that can be used; see `import_proteins`."""
    rows: list[RawRow] = []
    notes: dict[int, tuple[str, ...]] = {}
    given: set[str] = set()
    labels: Counter[str] = Counter()
    for raw in source.rows:
        given.add(raw.label)
        row = raw._replace(label=rename[raw.label]) if raw.label in rename else raw
        if row.label and not row.problem:
            labels[row.label] += 1
        if not row.problem and not source.is_clean:
            row, changes = _cleaned(row, alphabet)
            if changes:
                notes[len(rows)] = changes
        rows.append(row._replace(sequence="") if row.problem else row)
    _check_renamed(source, rename, given)
    _leave_out_ids(rows, source)
    _merge_sequences(rows, source)
    changed = Counter(note.split("=")[0] for at, of_row in notes.items() if not rows[at].problem for note in of_row)
    lost = [row for row in rows if row.problem]
    funnel = _funnel(source.steps, len(rows), Counter(row.problem for row in lost))
    lost_frame = pd.DataFrame(
        [(row.file, str(row.number), row.id, row.label, row.problem, row.detail) for row in lost],
        columns=LOST_COLUMNS,
        dtype=str,
    )
    return Imported(_kept_frame(rows, source.columns), lost_frame, funnel, dict(sorted(changed.items())), labels)


def _cleaned(row: RawRow, alphabet: Alphabet) -> tuple[RawRow, tuple[str, ...]]:
    """Return the row with a clean sequence, or with its problem; and what was changed."""
    if not row.id:
        return _left_out(row, NO_ID, ""), ()
    if len(row.sequence) > MAX_LENGTH:
        return _left_out(row, TOO_LONG, f"{len(row.sequence):,} characters"), ()
    cleaned = clean(row.sequence, alphabet)
    if cleaned.problem:
        return _left_out(row, EMPTY if cleaned.problem == "empty" else ILLEGAL, cleaned.problem), ()
    return row._replace(sequence=alphabet.decode(cleaned.tokens)), cleaned.notes


def _leave_out_ids(rows: list[RawRow], source: Source) -> None:
    """Mark ids with two sequences and, where the source asks for it, ids that come again."""
    sequence_of: dict[str, str] = {}
    two_sequences = set()
    for row in rows:
        if not row.problem and sequence_of.setdefault(row.id, row.sequence) != row.sequence:
            two_sequences.add(row.id)
    for place, row in enumerate(rows):
        if row.problem:
            continue
        if row.id in two_sequences:
            rows[place] = _left_out(row, TWO_SEQUENCES, f"{len(row.sequence)} residues here")
        elif source.repeated and sequence_of.pop(row.id, None) is None:
            rows[place] = _left_out(row, source.repeated, "")


def _merge_sequences(rows: list[RawRow], source: Source) -> None:
    """Mark all rows of a sequence but the first with its label, or all where its labels contradict each other."""
    # The place of the first row of each sequence and, where there are several labels, of the first row of each.
    first_of: dict[str, int] = {}
    labels_of: dict[str, dict[str, int]] = {}
    for place, row in enumerate(rows):
        first = place if row.problem else first_of.setdefault(row.sequence, place)
        if rows[first].label != row.label:
            labels_of.setdefault(row.sequence, {rows[first].label: first}).setdefault(row.label, place)
    for place, row in enumerate(rows):
        if row.problem:
            continue
        first = first_of[row.sequence]
        labels = labels_of.get(row.sequence) or {rows[first].label: first}
        label, problem = source.merge(labels)
        if problem:
            detail = ", ".join(f"{rows[at].id} is {label}" for label, at in labels.items())
            rows[place] = _left_out(row, problem, detail)
        elif place != labels[label]:
            rows[place] = _left_out(row, IDENTICAL, f"as {rows[labels[label]].id}")


def _left_out(row: RawRow, problem: str, detail: str) -> RawRow:
    return row._replace(sequence="", problem=problem, detail=detail)


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


def _kept_frame(rows: list[RawRow], columns: tuple[str, ...]) -> pd.DataFrame:
    kept = [row for row in rows if not row.problem]
    content: dict[str, list[str]] = {"id": [row.id for row in kept], "label": [row.label for row in kept]}
    content |= {name: [row.others[i] for row in kept] for i, name in enumerate(columns)}
    return pd.DataFrame(content | {"sequence": [row.sequence for row in kept]}, dtype=str)


def _manifest_of(path: Path) -> Manifest:
    manifest = read_manifest(path)
    return {} if manifest is None else {"manifest": manifest}
