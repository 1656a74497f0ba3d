"""From a UniProt download to a labelled table, in two passes that hold no sequence: decide, then write.

Everything that is lost on the way is counted, step by step, in a funnel that is written beside the table.
"""

import gzip
import hashlib
import json
from array import array
from collections import Counter
from collections.abc import Callable, Container, Iterator
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from tfclass.config import to_mapping
from tfclass.data.download import ENTRIES, check_download
from tfclass.data.labels import AMBIGUOUS, CONFLICT, HARD, NON, OTHER, TF, Labeller, Verdict
from tfclass.data.neighbours import check_neighbour, forget_manifest, is_funnel, is_manifest, manifest_path
from tfclass.errors import TableError
from tfclass.io.compression import DAMAGED
from tfclass.io.files import whole_file

COLUMNS = ("id", "label", "kingdom", "organism_id", "sequence")
_FIELDS = ("accession", "organism_id", "lineage", "keywordid", "go_id", "fragment", "sequence")

FRAGMENT, REPEATED, TWO_SEQUENCES, MERGED = "fragment", "repeated row", "id with two sequences", "identical sequence"
# The steps of the funnel, in the order in which they are taken, and what each loses.
STEPS = {
    FRAGMENT: "fragments of proteins",
    REPEATED: "the same id and sequence again",
    TWO_SEQUENCES: "ids that come with more than one sequence, all their rows",
    CONFLICT: "sequences that are TF in one entry and not in another",
    AMBIGUOUS: "neither known to be TF nor known not to be",
    MERGED: "further entries with a sequence that is kept",
}
# Behind the name of a rule whose entries lack the evidence that was asked for.
UNPROVEN = ", on other evidence"
_LABELS = (TF, HARD, NON)
_OWN_LABELS = (*_LABELS, AMBIGUOUS)
_FATES = (*_OWN_LABELS, FRAGMENT, REPEATED, TWO_SEQUENCES)
_DIGEST_BYTES = 16

# Called now and then with the number of rows read, over both passes, and their sum.
OnRows = Callable[[int, int], None]
_ROWS_PER_CALL = 20_000


class Entry(NamedTuple):
    """The cells of an entry that matter here, as they stand in the download."""

    accession: str
    organism_id: str
    lineage: str
    keywordid: str
    go_id: str
    fragment: str
    sequence: str


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
        A complete download of the same release. What a rule calls TF and is not in it is ambiguous.

    Returns
    -------
    dict
        The funnel.

    Raises
    ------
    TableError
        A download is incomplete or damaged, or lacks a field, or is of another release; or a class has no protein left;
        or the name of the table is another.
    OutputError
        The table cannot be written.
    """
    if table.suffix != ".tsv":
        raise TableError(str(table), f"a name ending in {table.suffix!r}", ".tsv", path=str(table))
    check_neighbour(table.with_suffix(".funnel.json"), is_funnel)
    check_neighbour(manifest_path(table), is_manifest)
    manifest = check_download(folder)
    total = 2 * int(manifest["entries"])

    def entries(before: int) -> Iterator[Entry]:
        for number, entry in enumerate(read_entries(folder, manifest)):
            if on_rows is not None and number % _ROWS_PER_CALL == 0:
                on_rows(before + number, total)
            yield entry

    proof = None if evidence is None else _of_same_release(evidence, manifest)
    proven = {entry.accession for entry in read_entries(evidence, proof)} if evidence and proof else None
    decisions = _Decisions(labeller, proven)
    for entry in entries(0):
        decisions.add(entry)
    outcome = _Outcome(labeller, decisions)
    digest = hashlib.sha256()
    with whole_file(table) as stream:
        for line in outcome.lines(entries(total // 2)):
            digest.update(line)
            stream.write(line)
        funnel = outcome.funnel()
        _check_classes(funnel, str(table))
        about = {"table": {"name": table.name, "sha256": digest.hexdigest()}, "rules": to_mapping(labeller.config)}
        funnel |= about | {"download": manifest} | ({"evidence": proof} if proof else {})
        # Killed between the two, it is the table that is missing.
        with whole_file(table.with_suffix(".funnel.json")) as beside:
            beside.write((json.dumps(funnel, indent=2, ensure_ascii=False) + "\n").encode())
        forget_manifest(table)
    return funnel


def _of_same_release(evidence: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    proof = check_download(evidence)
    expected, found = manifest.get("release"), proof.get("release")
    if found != expected:
        expected, action = f"{expected}, as of the entries", "fetch both anew (tfclass data fetch --restart)"
        raise TableError(str(evidence), f"UniProt release {found}", expected, action, path=str(evidence))
    return proof


def _check_classes(funnel: dict[str, Any], table: str) -> None:
    counts = funnel["labels"]
    for name, left in ((TF, counts[TF]), (NON, counts[HARD] + counts[NON])):
        if not left:
            lost = ", ".join(f"{step['step']}: {step['lost']:,}" for step in funnel["steps"] if step["lost"])
            found = f"no protein of class {name!r} left of {funnel['rows_in']:,} entries ({lost or 'none was lost'})"
            raise TableError(table, found, "at least one", "another search or other rules may do", label=name)


def read_entries(folder: Path, manifest: dict[str, Any]) -> Iterator[Entry]:
    """Read the entries of a download one by one.

    Parameters
    ----------
    manifest : dict
        Its ``fields`` tell which column holds what.

    Raises
    ------
    TableError
        A field is missing among the columns, or the file is damaged.
    """
    fields = list(manifest["fields"])
    for field in _FIELDS:
        if field not in fields:
            raise TableError(str(folder), f"a download without {field!r}", "a field for it", path=str(folder))
    place = folder / ENTRIES
    pick = itemgetter(*(fields.index(field) for field in _FIELDS))
    try:
        with gzip.open(place, "rt", encoding="utf-8", newline="\n") as stream:
            next(stream)
            for line in stream:
                yield Entry(*pick(line.rstrip("\n").split("\t")))
    except (*DAMAGED, OSError, UnicodeDecodeError, IndexError, StopIteration) as error:
        raise TableError(str(place), f"a file that cannot be read ({error})", path=str(place)) from error


class _Decisions:
    """What the first pass learns of each row: a few bytes, whatever the length of its sequence."""

    def __init__(self, labeller: Labeller, proven: Container[str] | None = None) -> None:
        self._labeller, self._proven = labeller, proven
        self._numbers: dict[bytes, int] = {}
        self._first_rows: dict[str, int] = {}
        # Per row: the number of its sequence, and the index in _FATES of its own label or of what loses it.
        self.sequences, self.fates = array("l"), array("b")
        self.by_rule: Counter[str] = Counter()
        self.two_sequences: set[str] = set()

    def add(self, entry: Entry) -> None:
        digest = hashlib.blake2b(entry.sequence.encode(), digest_size=_DIGEST_BYTES).digest()
        self.sequences.append(self._numbers.setdefault(digest, len(self._numbers)))
        verdict = self._labeller.verdict(entry.keywordid, entry.go_id)
        if verdict.label == TF and self._proven is not None and entry.accession not in self._proven:
            verdict = Verdict(AMBIGUOUS, verdict.rule + UNPROVEN)
        self.by_rule[verdict.rule] += 1
        dropped = self._labeller.config.drop_fragments and entry.fragment
        self.fates.append(_FATES.index(FRAGMENT if dropped else self._fate(entry.accession, verdict.label)))

    def _fate(self, accession: str, label: str) -> str:
        row = len(self.fates)
        first = self._first_rows.setdefault(accession, row)
        if first == row:
            return label
        if self.sequences[first] == self.sequences[row]:
            return REPEATED
        self.two_sequences.add(accession)
        self.fates[first] = _FATES.index(TWO_SEQUENCES)
        return TWO_SEQUENCES

    def together(self) -> list[str]:
        """Give what each sequence is, all its entries taken together; empty where none of them counts."""
        masks = bytearray(len(self._numbers))
        for number, fate in zip(self.sequences, self.fates, strict=True):
            if fate < len(_OWN_LABELS):
                masks[number] |= 1 << fate
        outcomes = {0: ""}
        for mask in set(masks) - {0}:
            found = [label for bit, label in enumerate(_OWN_LABELS) if mask >> bit & 1]
            outcomes[mask] = self._labeller.together(found)
        return [outcomes[mask] for mask in masks]


class _Outcome:
    """What becomes of the rows, told while the second pass writes those that are kept."""

    def __init__(self, labeller: Labeller, decisions: _Decisions) -> None:
        self._labeller, self._decisions = labeller, decisions
        self._lost: Counter[str] = Counter()
        self._kept: dict[str, Counter[str]] = {}
        self._conflicts: dict[int, dict[str, str]] = {}

    def lines(self, entries: Iterator[Entry]) -> Iterator[bytes]:
        decisions, labeller = self._decisions, self._labeller
        together = decisions.together()
        written = bytearray(len(together))
        yield ("\t".join(COLUMNS) + "\n").encode()
        for entry, number, index in zip(entries, decisions.sequences, decisions.fates, strict=True):
            own = _FATES[index]
            fate = self._fate(entry, own, together[number], number, written=bool(written[number]))
            if fate not in _LABELS:
                self._lost[fate] += 1
                continue
            written[number] = 1
            kingdom = labeller.kingdom(entry.lineage)
            self._kept.setdefault(kingdom, Counter())[fate] += 1
            cells = (entry.accession, fate, kingdom, entry.organism_id, entry.sequence)
            yield ("\t".join(cells) + "\n").encode()

    def _fate(self, entry: Entry, own: str, together: str, number: int, *, written: bool) -> str:
        if own != FRAGMENT and entry.accession in self._decisions.two_sequences:
            return TWO_SEQUENCES
        if own not in _OWN_LABELS:
            return own
        if together == CONFLICT:
            self._conflicts.setdefault(number, {})[entry.accession] = own
        if together in (CONFLICT, AMBIGUOUS):
            return together
        return MERGED if written or own != together else own

    def funnel(self) -> dict[str, Any]:
        rows = left = len(self._decisions.fates)
        steps = []
        for step, why in STEPS.items():
            left -= self._lost[step]
            steps.append({"step": step, "why": why, "lost": self._lost[step], "left": left})
        kingdoms = {}
        for kingdom in (*self._labeller.config.kingdoms, OTHER):
            if kingdom in self._kept:
                counts = self._kept[kingdom]
                shares = {"rows": counts.total(), "prevalence": counts[TF] / counts.total()}
                kingdoms[kingdom] = {label: counts[label] for label in _LABELS} | shares
        return {
            "rows_in": rows,
            "steps": steps,
            "rows_out": left,
            "labels": {label: sum(counts[label] for counts in self._kept.values()) for label in _LABELS},
            "kingdoms": kingdoms,
            "entries_by_rule": dict(self._decisions.by_rule.most_common()),
            "conflicts": list(self._conflicts.values()),
            "ids_with_two_sequences": sorted(self._decisions.two_sequences),
        }
