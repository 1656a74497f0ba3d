"""From a UniProt download to a labelled table, and a funnel beside it that counts what is lost at each step."""

import gzip
import json
from collections import Counter
from collections.abc import Callable, Collection, Container, Iterator, Mapping
from operator import itemgetter
from pathlib import Path
from typing import Any

from tfclass.config import to_mapping
from tfclass.data.download import ENTRIES, check_download
from tfclass.data.importer import Imported, collect
from tfclass.data.labels import AMBIGUOUS, CONFLICT, HARD, NON, OTHER, TF, Labeller
from tfclass.data.manifest import listed_tsv
from tfclass.data.neighbours import check_neighbour, is_funnel, is_manifest, manifest_path
from tfclass.data.sources import IDENTICAL, TWO_SEQUENCES, RawRow, Source
from tfclass.errors import TableError
from tfclass.io.compression import DAMAGED
from tfclass.io.files import whole_file
from tfclass.sequences.alphabet import Alphabet

FRAGMENT, REPEATED = "fragment", "repeated row"
# Why entries are left out, in the order of the funnel.
STEPS = {
    FRAGMENT: "fragments of proteins",
    REPEATED: "the same id and sequence again",
    TWO_SEQUENCES: "ids that come with more than one sequence, all their rows",
    CONFLICT: "sequences that are TF in one entry and not in another",
    AMBIGUOUS: "neither known to be TF nor known not to be",
    IDENTICAL: "further entries with a sequence that is kept",
}
# Behind the name of a rule whose entries lack the evidence that was asked for.
UNSUPPORTED = ", on other evidence"
_FIELDS = ("accession", "organism_id", "lineage", "keywordid", "go_id", "fragment", "sequence")
_LABELS = (TF, HARD, NON)

# Called now and then with the number of entries read, and of all.
OnRows = Callable[[int, int], None]
_ROWS_PER_CALL = 20_000


def label_download(
    folder: Path, table: Path, labeller: Labeller, *, evidence: Path | None = None, on_rows: OnRows | None = None
) -> dict[str, Any]:
    """Write the labelled table of a download, and its funnel beside it.

    Parameters
    ----------
    folder : Path
        A complete download.
    table : Path
        Ends in .tsv; the funnel has the same name with .funnel.json.
    evidence : Path, optional
        A complete download of the same release. An entry that a rule labels TF and that is not in it is ambiguous.

    Returns
    -------
    dict
        The funnel.

    Raises
    ------
    TableError
        A download is incomplete or damaged, or lacks a field, or is of another release; or a class has no protein left;
        or the name of the table has another ending.
    OutputError
        The table cannot be written.
    """
    if table.suffix != ".tsv":
        raise TableError(f"{table}: found a name ending in {table.suffix!r}; expected .tsv")
    place = table.with_suffix(".funnel.json")
    check_neighbour(place, is_funnel)
    check_neighbour(manifest_path(table), is_manifest)
    download = check_download(folder)
    proof = None if evidence is None else _of_same_release(evidence, download)
    supported = {row[0] for row in read_entries(evidence, proof)} if evidence and proof else None
    source = _source(folder, download, labeller, supported, on_rows)
    imported = collect(source, Alphabet(), {})
    funnel = imported.funnel | _counts(imported, labeller)
    _check_classes(funnel, str(table))
    funnel["entries_by_rule"] = dict(source.notes.most_common())
    funnel |= _contradictions(imported)
    with listed_tsv(imported.frame, table) as about:
        funnel["table"] = {"name": about["name"], "sha256": about["sha256"]}
        funnel |= {"rules": to_mapping(labeller.config), "download": download} | ({"evidence": proof} if proof else {})
        # Killed between the two, it is the table that is missing.
        with whole_file(place) as stream:
            stream.write((json.dumps(funnel, indent=2, ensure_ascii=False) + "\n").encode())
    return funnel


def read_entries(folder: Path, download: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield accession, organism, lineage, keywords, GO terms, fragment and sequence of each entry of a download.

    TableError where a field is missing among the columns, or the file is damaged.
    """
    fields = list(download["fields"])
    for field in _FIELDS:
        if field not in fields:
            raise TableError(f"{folder}: found a download without {field!r}; expected a field for it")
    place = folder / ENTRIES
    pick = itemgetter(*(fields.index(field) for field in _FIELDS))
    try:
        with gzip.open(place, "rt", encoding="utf-8", newline="\n") as stream:
            next(stream)
            for line in stream:
                yield pick(line.rstrip("\n").split("\t"))
    except (*DAMAGED, OSError, UnicodeDecodeError, IndexError, StopIteration) as error:
        raise TableError(f"{place}: found a file that cannot be read ({error})") from error


def _source(
    folder: Path,
    download: Mapping[str, Any],
    labeller: Labeller,
    supported: Container[str] | None,
    on_rows: OnRows | None,
) -> Source:
    """Return the entries as rows; their notes are the number of entries that each rule labelled."""
    # Many entries share an organism.
    others: dict[tuple[str, str], tuple[str, str]] = {}

    def merge(labels: Collection[str]) -> tuple[str, str]:
        label = labeller.merge(labels)
        return label, label if label in (CONFLICT, AMBIGUOUS) else ""

    def rows() -> Iterator[RawRow]:
        entries = enumerate(read_entries(folder, download))
        for number, (accession, organism, lineage, keywords, terms, fragment, sequence) in entries:
            if on_rows is not None and number % _ROWS_PER_CALL == 0:
                on_rows(number, int(download["entries"]))
            label, rule = labeller.decide(keywords, terms)
            if label == TF and supported is not None and accession not in supported:
                label, rule = AMBIGUOUS, rule + UNSUPPORTED
            source.notes[rule] += 1
            origin = labeller.kingdom(lineage), organism
            problem = FRAGMENT if fragment and labeller.config.drop_fragments else ""
            yield RawRow(ENTRIES, number, accession, label, sequence, others.setdefault(origin, origin), problem)

    source = Source(
        str(folder),
        (folder / ENTRIES,),
        rows(),
        ("kingdom", "organism_id"),
        steps=STEPS,
        merge=merge,
        repeated=REPEATED,
        is_clean=True,
    )
    return source


def _of_same_release(evidence: Path, download: Mapping[str, Any]) -> dict[str, Any]:
    proof = check_download(evidence)
    expected, found = download.get("release"), proof.get("release")
    if found != expected:
        raise TableError(
            f"{evidence}: found UniProt release {found}; expected {expected}, as of the entries; "
            "fetch both anew (tfclass data fetch --restart)"
        )
    return proof


def _counts(imported: Imported, labeller: Labeller) -> dict[str, Any]:
    """Count the rows that are kept by label, and by kingdom."""
    frame = imported.frame
    counts = Counter(zip(frame["kingdom"], frame["label"], strict=True))
    kingdoms = {}
    for kingdom in (*labeller.config.kingdoms, OTHER):
        own = {label: counts[kingdom, label] for label in _LABELS}
        if n_rows := sum(own.values()):
            kingdoms[kingdom] = own | {"rows": n_rows, "prevalence": own[TF] / n_rows}
    return {"labels": {label: sum(own[label] for own in kingdoms.values()) for label in _LABELS}, "kingdoms": kingdoms}


def _contradictions(imported: Imported) -> dict[str, Any]:
    """List sequences with contradicting labels, and ids with two sequences."""
    lost = imported.lost
    conflicts: dict[str, dict[str, str]] = {}
    # The detail names an entry for each label, so it differs from sequence to sequence.
    for row in lost.loc[lost["reason"] == CONFLICT].itertuples():
        conflicts.setdefault(str(row.detail), {})[str(row.id)] = str(row.label)
    ids = lost.loc[lost["reason"] == TWO_SEQUENCES, "id"]
    return {"conflicts": list(conflicts.values()), "ids_with_two_sequences": sorted(set(ids))}


def _check_classes(funnel: Mapping[str, Any], table: str) -> None:
    counts = funnel["labels"]
    for name, left in ((TF, counts[TF]), (NON, counts[HARD] + counts[NON])):
        if not left:
            lost = ", ".join(f"{step['step']}: {step['lost']:,}" for step in funnel["steps"] if step["lost"])
            raise TableError(
                f"{table}: found no protein of class {name!r} left of {funnel['rows_in']:,} entries "
                f"({lost or 'none was lost'}); expected at least one; another search or other rules may do"
            )
