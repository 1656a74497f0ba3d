"""From the terms of a UniProt entry to a label: rules of a file, the first that applies decides.

An entry is TF, nonTF_hard, nonTF, or ambiguous, by the first rule that shares a keyword or Gene Ontology term with it.
Entries with the same sequence become one row. Their labels are merged:

* TF and nonTF (hard or not): a conflict. Left out, or TF where the rules say ``conflicts: positive``;
* TF, or nonTF_hard, and ambiguous ones: TF, or nonTF_hard, since a reason to know beats none;
* nonTF_hard and nonTF: nonTF_hard;
* nonTF and ambiguous: ambiguous, and left out. That one entry lacks a keyword proves nothing.

The row has the id of the first entry with the merged label. An id with two sequences is left out altogether.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from tfclass.data.curation import LabelConfig

TF, HARD, NON, AMBIGUOUS = "TF", "nonTF_hard", "nonTF", "ambiguous"
CONFLICT = "conflict"
OTHER = "Other"

_RANK = re.compile(r" \([^()]*\)$")
_TERM = re.compile(r"GO:[0-9]{7}|KW-[0-9]{4}")


class LabelDecision(NamedTuple):
    """The label of an entry, and the name of its rule (``otherwise`` where none applied)."""

    label: str
    rule: str


class Labeller:
    """Apply label rules to entries.

    Examples
    --------
    >>> from tfclass.data.curation import curation_config
    >>> labeller = Labeller(curation_config(LabelConfig, "label"))
    >>> labeller.decide("GO:0000981; GO:0005634", "KW-0238")
    LabelDecision(label='TF', rule='transcription factor')
    >>> labeller.kingdom("cellular organisms (no rank), Eukaryota (domain), Opisthokonta (clade), Fungi (kingdom)")
    'Fungi'
    >>> labeller.merge(["TF", "ambiguous"]), labeller.merge(["TF", "nonTF_hard", "ambiguous"])
    ('TF', 'conflict')
    """

    def __init__(self, config: LabelConfig) -> None:
        self.config = config
        self._rules = [(frozenset(rule.terms), LabelDecision(rule.label, rule.name)) for rule in config.rules]
        self._otherwise = LabelDecision(config.otherwise, "otherwise")
        # Many entries share an organism.
        self._kingdoms: dict[str, str] = {}

    def decide(self, *cells: str) -> LabelDecision:
        """Return the label of an entry from the cells that hold its terms."""
        terms = [term for cell in cells for term in _TERM.findall(cell)]
        for known, decision in self._rules:
            if not known.isdisjoint(terms):
                return decision
        return self._otherwise

    def kingdom(self, lineage: str) -> str:
        """Find the kingdom in a lineage, whose names may be followed by their ranks in brackets."""
        if lineage not in self._kingdoms:
            names = {_RANK.sub("", name.strip()) for name in lineage.split(",")}
            known = (kingdom for kingdom in self.config.kingdoms if kingdom in names)
            self._kingdoms[lineage] = next(known, OTHER)
        return self._kingdoms[lineage]

    def merge(self, labels: Iterable[str]) -> str:
        """Return the label of a sequence whose entries have these labels, or ``conflict``."""
        found = set(labels)
        if TF in found:
            contradicted = self.config.conflicts == "leave_out" and not found.isdisjoint((HARD, NON))
            return CONFLICT if contradicted else TF
        return next(label for label in (HARD, AMBIGUOUS, NON) if label in found)
