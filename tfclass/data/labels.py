"""From the annotation of a UniProt entry to a label: rules that are read from a file, and applied from the top.

An entry is TF, nonTF_hard, nonTF, or ambiguous, by the first rule that shares a keyword or Gene Ontology term with it.
Entries with the same sequence become one row. What they say together:

* TF and nonTF (hard or not): a conflict. Left out, or TF where the rules say ``conflicts: positive``;
* TF, or nonTF_hard, and ambiguous ones: TF, or nonTF_hard, since a reason to know beats none;
* nonTF_hard and nonTF: nonTF_hard;
* nonTF and ambiguous: ambiguous, and left out. That one entry lacks a keyword proves nothing.

The row bears the id of the first entry with the label that won. An id with two sequences is left out altogether.
"""

import re
from collections.abc import Iterable
from typing import Annotated, Literal, NamedTuple

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

TF, HARD, NON, AMBIGUOUS = "TF", "nonTF_hard", "nonTF", "ambiguous"
CONFLICT = "conflict"
OTHER = "Other"

_STRICT = ConfigDict(extra="forbid")
_RANK = re.compile(r" \([^()]*\)$")
_TERM = re.compile(r"GO:[0-9]{7}|KW-[0-9]{4}")

Term = Annotated[str, Field(pattern=r"^(GO:[0-9]{7}|KW-[0-9]{4})$")]
Label = Literal["TF", "nonTF_hard", "nonTF", "ambiguous"]


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Rule:
    """The label of entries that have one of these terms, where that is from and why it is so.

    With `below`, the terms are meant to be that one and all below it in the ontology, but for those of rules before.
    """

    name: str
    label: Label
    source: str = ""
    why: str = ""
    below: Term | None = None
    terms: Annotated[dict[Term, str], Field(min_length=1)]


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class LabelConfig:
    """How entries get labels and kingdoms; ``curation.label`` of ``conf/corpus/swissprot.yaml``."""

    rules: Annotated[tuple[Rule, ...], Field(min_length=1)]
    otherwise: Label = NON
    drop_fragments: bool = True
    conflicts: Literal["leave_out", "positive"] = "leave_out"
    kingdoms: tuple[str, ...] = ("Viruses", "Bacteria", "Archaea", "Metazoa", "Fungi", "Viridiplantae", "Eukaryota")


class Verdict(NamedTuple):
    """What an entry is, and by which rule.

    Attributes
    ----------
    rule : str
        Its name; ``otherwise`` where none applied.
    """

    label: str
    rule: str


class Labeller:
    """Applies rules to entries.

    Examples
    --------
    >>> rule = Rule(name="transcription factor", label="TF", terms={"GO:0003700": "", "GO:0000981": ""})
    >>> labeller = Labeller(LabelConfig(rules=(rule,)))
    >>> labeller.verdict("GO:0000981; GO:0005634", "KW-0238")
    Verdict(label='TF', rule='transcription factor')
    >>> labeller.kingdom("cellular organisms (no rank), Eukaryota (domain), Opisthokonta (clade), Fungi (kingdom)")
    'Fungi'
    """

    def __init__(self, config: LabelConfig) -> None:
        self.config = config
        self._rules = [(frozenset(rule.terms), Verdict(rule.label, rule.name)) for rule in config.rules]
        self._otherwise = Verdict(config.otherwise, "otherwise")
        # Many entries share an organism.
        self._kingdoms: dict[str, str] = {}

    def verdict(self, *cells: str) -> Verdict:
        """Give the label of an entry from the cells that hold its terms."""
        terms = [term for cell in cells for term in _TERM.findall(cell)]
        for known, verdict in self._rules:
            if not known.isdisjoint(terms):
                return verdict
        return self._otherwise

    def kingdom(self, lineage: str) -> str:
        """Find the kingdom in a lineage, whose ranks may or may not stand behind the names in brackets."""
        if lineage not in self._kingdoms:
            names = {_RANK.sub("", name.strip()) for name in lineage.split(",")}
            known = (kingdom for kingdom in self.config.kingdoms if kingdom in names)
            self._kingdoms[lineage] = next(known, OTHER)
        return self._kingdoms[lineage]

    def together(self, labels: Iterable[str]) -> str:
        """Tell what entries with the same sequence and these labels are: a label, or ``conflict``.

        Examples
        --------
        >>> labeller = Labeller(LabelConfig(rules=(Rule(name="any", label="TF", terms={"GO:0003700": ""}),)))
        >>> labeller.together(["TF", "ambiguous"]), labeller.together(["TF", "nonTF_hard", "ambiguous"])
        ('TF', 'conflict')
        """
        found = set(labels)
        if TF in found:
            contradicted = self.config.conflicts == "leave_out" and not found.isdisjoint((HARD, NON))
            return CONFLICT if contradicted else TF
        return next(label for label in (HARD, AMBIGUOUS, NON) if label in found)
