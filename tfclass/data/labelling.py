"""From a UniProt download to a labelled table: its entries as rows for the importer."""

import gzip
from collections import Counter
from collections.abc import Callable, Collection, Container, Iterator, Mapping
from operator import itemgetter
from pathlib import Path
from typing import Any

import pandas as pd

from tfclass.config import to_mapping
from tfclass.data.cells import FIRST_ROW
from tfclass.data.download import ENTRIES, check_download
from tfclass.data.importer import Imported, check_import, collect, save_import
from tfclass.data.labels import AMBIGUOUS, CONFLICT, HARD, NON, TF, Labeller
from tfclass.data.manifest import Manifest
from tfclass.data.sources import IDENTICAL, TWO_SEQUENCES, RawRow, Source
from tfclass.errors import TableError
from tfclass.io.reading import DAMAGED
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
# What the manifest of the table has of that of the download.
_DATABASE = ("source", "release", "release_date", "licence", "query")

# Called now and then with the number of entries read, and of all.
OnRows = Callable[[int, int], None]
_ROWS_PER_CALL = 20_000


def label_corpus(
    folder: Path, table: Path, labeller: Labeller, *, evidence: Path | None = None, on_rows: OnRows | None = None
) -> tuple[Manifest, pd.DataFrame]:
    """Write the labelled table of a download; every entry that was left out stands in ``TABLE.lost.tsv``.

    Parameters
    ----------
    evidence : Path, optional
        A complete download of the same release. An entry that a rule labels TF and that is not in it is ambiguous.

    Returns
    -------
    manifest : dict
        As written beside the table; its notes are the number of entries that each rule labelled.
    lost : DataFrame
        The entries that were left out.

    Raises
    ------
    TfclassError
        A download is incomplete or damaged, or lacks a field, or is of another release; or a class has no protein left;
        or the table cannot be written.
    """
    check_import(table)
    download = check_download(folder)
    proof = None if evidence is None else _of_same_release(evidence, download)
    supported = {row[0] for row in read_entries(evidence, proof)} if evidence and proof else None
    source = _source(folder, download, labeller, supported, on_rows)
    imported = collect(source, Alphabet(), {})
    _check_classes(imported, str(table))
    files = [file for each in (download, proof) if each for file in each["files"].items()]
    manifest = {
        "sources": [{"name": name, "bytes": file.get("bytes"), "sha256": file["sha256"]} for name, file in files],
        "database": {key: download.get(key) for key in _DATABASE} | ({"evidence": proof["query"]} if proof else {}),
        "rules": to_mapping(labeller.config),
        "notes": dict(source.notes.most_common()),
    }
    return save_import(imported, table, manifest), imported.lost


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
        entries = enumerate(read_entries(folder, download), start=FIRST_ROW)
        for number, (accession, organism, lineage, keywords, terms, fragment, sequence) in entries:
            if on_rows is not None and number % _ROWS_PER_CALL == 0:
                on_rows(number - FIRST_ROW, int(download["entries"]))
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


def _check_classes(imported: Imported, table: str) -> None:
    left, funnel = Counter(imported.frame["label"]), imported.funnel
    for name, n_left in ((TF, left[TF]), (NON, left[HARD] + left[NON])):
        if not n_left:
            lost = ", ".join(f"{step['step']}: {step['lost']:,}" for step in funnel["steps"] if step["lost"])
            raise TableError(
                f"{table}: found no protein of class {name!r} left of {funnel['rows_in']:,} entries "
                f"({lost or 'none was lost'}); expected at least one; another search or other rules may do"
            )
