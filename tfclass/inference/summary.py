"""The numbers about a whole input, gathered row by row in bounded memory; `tfclass.inference.page` shows them."""

import json
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timezone
from heapq import heappush, heappushpop
from math import log
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from tfclass import __version__
from tfclass.channels.thresholds import parse_rule
from tfclass.inference.expected import ProbabilityCounts
from tfclass.inference.rows import MEANINGS, Prediction, Tally
from tfclass.inference.usual import CENSUSES, TAXA, TRENDS
from tfclass.sequences.identifiers import entry_link

if TYPE_CHECKING:
    from tfclass.inference.predictor import Predictor

# Proteins that are listed: the likeliest predicted positives; and on either side of the threshold the nearest, whose
# odds are at most ten times or a tenth of the threshold's.
MAX_LISTED, MAX_BORDERLINE = 4000, 20
_NEAR = log(10)
# Bars of the histogram, ids shown of each kind of note, and characters of an id.
N_BARS, _MAX_EXAMPLES, _MAX_ID = 50, 5, 300
_LEAST = 1e-6
_SCHEMA = 1
# Columns that are listed of a protein, where the channels have them.
_LISTED = ("family", "family_source", "domain", "network", "profile", "profile_bits", "homologue", "homologue_label")
_CITATION = (
    "The tfclass authors. tfclass: which proteins are transcription factors, version {version} (model {model}, SHA-256 "
    "{digest})."
)
_SEARCHES = {
    "profile": "Profiles were searched with HMMER (doi:10.1371/journal.pcbi.1002195) through PyHMMER "
    "(doi:10.1093/bioinformatics/btad214).",
    "homology": "Homologues were searched with MMseqs2 (doi:10.1038/nbt.3988).",
}


class Run(NamedTuple):
    """Facts about a run of a prediction, besides the numbers.

    Attributes
    ----------
    command : str
        For a shell.
    inputs : list of str
        Names of the inputs.
    output : str
        Where the rows are.
    options : mapping of str to object
        As they were asked for.
    seconds : float
    """

    command: str
    inputs: list[str]
    output: str
    options: Mapping[str, object]
    seconds: float


class _Greatest:
    """Keep the items with the greatest keys; of equal keys the first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.n_seen = 0
        self._heap: list[tuple[float, int, Prediction]] = []

    def add(self, key: float, number: int, item: Prediction) -> None:
        self.n_seen += 1
        if len(self._heap) < self._size:
            heappush(self._heap, (key, -number, item))
        elif key > self._heap[0][0]:
            heappushpop(self._heap, (key, -number, item))

    def items(self) -> list[tuple[int, Prediction]]:
        """Return the number of each row and the row, by falling key."""
        return [(-number, item) for _, number, item in sorted(self._heap, key=lambda each: each[:2], reverse=True)]


class Summary(Tally):
    """Gather the numbers about an input, and the proteins that are worth a look.

    Parameters
    ----------
    predictor : Predictor
        Whose rows are counted.
    taxon : str, optional
        One of `tfclass.inference.usual.TAXA`, to compare the input with.

    Examples
    --------
    >>> from tfclass import Predictor
    >>> from tfclass.sequences.parsing import Record
    >>> summary = Summary(predictor := Predictor.load())
    >>> rows = [*summary.count(predictor.predict([Record("a", "a", "MKV"), Record("b", "b", "")]))]
    >>> (summary.n_records, summary.n_skipped, summary.n_positive)
    (2, 1, 0)
    """

    def __init__(self, predictor: "Predictor", taxon: str | None = None) -> None:
        super().__init__(predictor)
        self.taxon = taxon
        self._residues = 0
        self._bars = [[0, 0] for _ in range(N_BARS)]
        self._probabilities = ProbabilityCounts(predictor.scorer.decision_rule) if predictor.binary else None
        self._listed = _Greatest(MAX_LISTED)
        self._above, self._below = _Greatest(MAX_BORDERLINE), _Greatest(MAX_BORDERLINE)
        self._examples: defaultdict[str, list[str]] = defaultdict(list)

    def add(self, row: Prediction, names: list[str]) -> None:
        """Count one row, and keep it where it is to be listed."""
        super().add(row, names)
        for name in names:
            if len(self._examples[name]) < _MAX_EXAMPLES:
                self._examples[name].append(_shown_id(row.id))
        if row.probability is None:
            return
        positive, probability = self.predictor.is_positive(row), row.probability
        self._residues += row.length
        self._bars[min(int(probability * N_BARS), N_BARS - 1)][positive] += 1
        if positive:
            self._listed.add(probability, self.n_records, row)
        if self._probabilities is None:
            if probability < 0.5:
                self._below.add(-probability, self.n_records, row)
            return
        self._probabilities.add(probability, positive)
        distance = abs(_log_odds(probability) - _log_odds(row.threshold or 0.0))
        if distance <= _NEAR:
            (self._above if positive else self._below).add(-distance, self.n_records, row)

    def content(self, run: Run) -> dict[str, Any]:
        """Return all numbers as JSON values; the documentation describes them (``docs/reference/formats.md``)."""
        predictor, n_scored = self.predictor, self.n_records - self.n_skipped
        bundle, near = predictor.bundle, {"above": self._above, "below": self._below}
        return {
            "schema_version": _SCHEMA,
            "tfclass_version": __version__,
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            **run._asdict(),
            "model": {
                "name": bundle.name,
                "network": bundle.network,
                "sha256": bundle.digest,
                "channel": predictor.channel,
                "classes": list(bundle.classes),
                "trained_on_generated": bundle.trained_on_generated,
            },
            "decision": self._decision(),
            "counts": {
                "records": self.n_records,
                "skipped": self.n_skipped,
                "scored": n_scored,
                "residues": self._residues,
                "predicted": self.n_positive,
                "share": self.n_positive / n_scored if n_scored else None,
            },
            "expected": self._expected(),
            "groups": [{"name": name, "n": n} for name, n in self.groups.most_common()],
            "histogram": [
                {"low": n / N_BARS, "high": (n + 1) / N_BARS, "n": sum(bar), "predicted": bar[1]}
                for n, bar in enumerate(self._bars)
            ],
            "predicted": {
                "total": self.n_positive,
                "proteins": [self._protein(*each) for each in self._listed.items()],
            },
            "borderline": {
                name: {"total": kept.n_seen, "proteins": [self._protein(*each) for each in kept.items()]}
                for name, kept in near.items()
            },
            "skipped": self._noted(self.reasons),
            "notes": self._noted(self.notes),
            "usual": self._usual(),
            "citation": self._citation(),
        }

    def _decision(self) -> dict[str, Any]:
        rule, prevalence = self.predictor.asked
        kind = "max-mcc" if rule is None else parse_rule(rule).kind
        return {
            "rule": None if not self.predictor.binary else "number" if kind == "number" else str(rule or kind),
            "threshold": self.predictor.threshold,
            "prevalence": self.predictor.prevalence,
            "prevalence_is_estimated": self.predictor.prevalence is not None and prevalence in (None, "auto"),
            "calibrated_at": self.predictor.scorer.decision_rule.prevalence,
        }

    def _expected(self) -> dict[str, Any] | None:
        if self._probabilities is None or self.n_records == self.n_skipped:
            return None
        found = self._probabilities.expected(self.predictor.prevalence)
        assumptions = [{**each._asdict(), "interval": each.interval._asdict()} for each in found.assumptions]
        ranges = {name: getattr(found, name)._asdict() for name in ("interval", "false", "missed")}
        return {"number": found.number, **ranges, "level": 0.95, "assumptions": assumptions}

    def _protein(self, number: int, row: Prediction) -> dict[str, Any]:
        details = {name: row.details[name] for name in _LISTED if name in row.details}
        return {
            "number": number,
            "id": _shown_id(row.id),
            "url": entry_link(row.id),
            "length": row.length,
            "label": row.label,
            "probability": row.probability,
            **details,
            "notes": row.notes,
        }

    def _noted(self, counts: Mapping[str, int]) -> list[dict[str, Any]]:
        ordered = sorted(counts.items(), key=lambda each: -each[1])
        return [
            {"name": name, "meaning": MEANINGS.get(name), "n": n, "examples": self._examples[name]}
            for name, n in ordered
        ]

    def _usual(self) -> list[dict[str, Any]]:
        if not self.predictor.binary or self.predictor.bundle.classes[1] != "TF":
            return []
        return [
            {
                "taxon": taxon,
                "is_chosen": taxon == self.taxon,
                "censuses": [each._asdict() for each in CENSUSES if each.taxon == taxon],
                "trend": TRENDS.get(taxon),
            }
            for taxon in TAXA
        ]

    def _citation(self) -> list[str]:
        bundle = self.predictor.bundle
        cited = _CITATION.format(version=__version__, model=bundle.name, digest=bundle.digest)
        return [cited, *(_SEARCHES[name] for name in self.predictor.scorer.channels if name in _SEARCHES)]


def write_json(content: Mapping[str, Any], stream: BinaryIO) -> None:
    """Write the content as JSON."""
    stream.write(json.dumps(content, indent=1).encode() + b"\n")


def _log_odds(probability: float) -> float:
    return log((probability + _LEAST) / (1 - probability + _LEAST))


def _shown_id(text: str) -> str:
    # Files hold UTF-8 only, and an id may be as long as a header.
    valid = text.encode("utf-8", "backslashreplace").decode()
    return valid if len(valid) <= _MAX_ID else f"{valid[: _MAX_ID - 1]}…"
