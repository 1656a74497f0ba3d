"""What a model with profiles teaches another network: more labelled proteins, the places of domains, families.

A labelled table becomes one with more in it, for training only: the valid and test rows keep their labels and their
number. Rows that the teacher labelled say so in their column ``source``.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from tfclass.channels.regions import Region
from tfclass.data.annotations import NO_DOMAIN
from tfclass.search.hmmer import Hit, Library, margins
from tfclass.sequences.intervals import merged, ranges_cell
from tfclass.typing import BoolArray, FloatArray

SOURCE = "teacher"
# A domain annotated in a protein known to be a transcription factor may score a little less than one that makes it one.
_GRACE_BITS = 3.0


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class EnrichmentRules:
    """What is taken from the teacher; see ``conf/enrichment.yaml``.

    Attributes
    ----------
    families : mapping of str to tuple of str
        Patterns (``*`` for anything) of what sources call a family, by the name it gets.
    family_of_kingdom : mapping of str to str
        Family of a kingdom's transcription factors that have none of their own.
    too_broad : mapping of str to tuple of str
        By pattern of what the column ``source`` says: names that say too little there, so that the family is unknown.
    family_share : float
        A profile names the family of an unlabelled protein if at least this share of the training proteins that it
        fits best, and whose family is known, are of one.
    positive_probability, negative_probability : float
        An unlabelled protein is taken for a transcription factor where the teacher gives it at least the one, for none
        where it gives it at most the other; what lies between is left out.
    contradiction_margin : float
        A training protein that is labelled as none, and lies so far above the threshold, is left out.
    repeats : mapping of str to int
        How often the training proteins of a family are in the table.
    """

    families: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    family_of_kingdom: Mapping[str, str] = Field(default_factory=dict)
    too_broad: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    family_share: Annotated[float, Field(ge=0, le=1)] = 0.9
    positive_probability: Annotated[float, Field(ge=0, le=1)] = 0.8
    negative_probability: Annotated[float, Field(ge=0, le=1)] = 0.01
    contradiction_margin: float = 20.0
    repeats: Mapping[str, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)

    def name_of(self, given: str, kingdom: str = "", source: str = "") -> str:
        """Give the one name of what a source calls a family; empty where no pattern fits, or the name is too broad.

        Parameters
        ----------
        given : str
            As a whole, or names joined by ``;``, ``+`` or ``,``: the first that fits counts.
        kingdom : str
            Names the family where `given` does not.
        source : str
            Where the name is from.
        """
        broad = {name for pattern, names in self.too_broad.items() if fnmatchcase(source, pattern) for name in names}
        for part in (given, *re.split(r"[;+,]", given)):
            for name, patterns in self.families.items():
                if any(fnmatchcase(part, pattern) for pattern in patterns):
                    return "" if name in broad else name
        return self.family_of_kingdom.get(kingdom, "")


def with_families(frame: pd.DataFrame, positive_N: BoolArray, rules: EnrichmentRules) -> pd.DataFrame:
    """Name the families of the positives, and of nothing else, in the column ``family``."""
    given = frame.reindex(columns=["family", "kingdom", "source"], fill_value="")
    named = [rules.name_of(*row) for row in given.itertuples(index=False)]
    return frame.assign(family=np.where(positive_N, named, ""))


def enriched(
    frame: pd.DataFrame,
    positive_N: BoolArray,
    hits: Sequence[Hit],
    library: Library,
    regions: Mapping[str, Sequence[Region]],
    rules: EnrichmentRules,
    negative_label: str,
) -> pd.DataFrame:
    """Name families, place domains and leave out what contradicts the profiles.

    Parameters
    ----------
    frame : DataFrame
        A table with ``id``, ``label``, ``sequence``, ``split`` and maybe ``family`` and ``kingdom``.
    positive_N : ndarray of bool, shape (N,)
    hits : sequence of Hit
        Of the library in the table's proteins.
    regions : mapping of str to sequence of Region
        Known domains by sequence: they are taken as they are, and so is what the table says of its own.
    negative_label : str
        Proteins of this label have no DNA-binding domain; one that is negative under another label may have.

    Returns
    -------
    DataFrame
        With the columns ``family`` and ``domains``.
    """
    frame = with_families(frame, positive_N, rules)
    found = _places(hits, library)
    margin_N = margins(library.best(hits, len(frame)))
    own = frame["domains"] if "domains" in frame else [""] * len(frame)
    rows = zip(own, frame["sequence"], frame["label"], positive_N, strict=True)
    frame["domains"] = [
        known or _domains(regions.get(sequence), found.get(i, []), label == negative_label, bool(positive))
        for i, (known, sequence, label, positive) in enumerate(rows)
    ]
    contradicts = ~positive_N & (margin_N > rules.contradiction_margin) & (frame["split"] == "train").to_numpy()
    return frame.loc[~contradicts]


def pseudo_labelled(
    ids: Sequence[str],
    sequences: Sequence[str],
    probability_N: FloatArray,
    hits: Sequence[Hit],
    library: Library,
    rules: EnrichmentRules,
    labels: tuple[str, str],
    family_of_profile: Mapping[int, str],
) -> pd.DataFrame:
    """Label proteins where the teacher is sure.

    Parameters
    ----------
    ids, sequences : sequence of str, length N
    probability_N : ndarray of float64, shape (N,)
        Of being a transcription factor, by the teacher.
    labels : tuple of str
        The negative and the positive one.
    family_of_profile : mapping of int to str
        See `families_of_profiles`.

    Returns
    -------
    DataFrame
        Training rows, each a cluster of its own.
    """
    found = _places(hits, library)
    rows = []
    told = zip(ids, sequences, probability_N, library.best(hits, len(ids)), strict=True)
    for i, (name, sequence, probability, best) in enumerate(told):
        positive = bool(probability >= rules.positive_probability)
        if not positive and probability > rules.negative_probability:
            continue
        family = family_of_profile.get(best.profile, "") if positive else ""
        domains = _domains(None, found.get(i, []), False, positive)
        rows.append((name, labels[int(positive)], SOURCE, family, domains, name, "train", sequence))
    columns = ["id", "label", "source", "family", "domains", "cluster", "split", "sequence"]
    return pd.DataFrame(rows, columns=columns)


def families_of_profiles(
    families: Sequence[str], hits: Sequence[Hit], library: Library, rules: EnrichmentRules
) -> dict[int, str]:
    """Find the profiles that stand for one family, by index into the library.

    A profile of a domain that several families have says little of which one it is.

    Parameters
    ----------
    families : sequence of str, length N
        Of the proteins searched; empty where it is not known, and for those that must not be looked at.
    rules : EnrichmentRules
        Of which `family_share` is used.
    """
    members: dict[int, Counter[str]] = {}
    for family, evidence in zip(families, library.best(hits, len(families)), strict=True):
        if family and evidence.profile >= 0:
            members.setdefault(evidence.profile, Counter())[family] += 1
    most = {profile: counts.most_common(1)[0] for profile, counts in members.items()}
    return {
        profile: family
        for profile, (family, count) in most.items()
        if count >= rules.family_share * members[profile].total()
    }


def repeated(frame: pd.DataFrame, rules: EnrichmentRules) -> pd.DataFrame:
    """Put the training rows of some families into the table again, under ids of their own."""
    parts = [frame]
    for family, times in rules.repeats.items():
        rows = frame[(frame["family"] == family) & (frame["split"] == "train")]
        parts += [rows.assign(id=rows["id"] + f"~{again}") for again in range(2, times + 1)]
    return pd.concat(parts, ignore_index=True).fillna("")


def _places(hits: Sequence[Hit], library: Library) -> dict[int, list[tuple[int, int]]]:
    """Find where profiles of known domains fit: of a cluster's profile nobody knows what its states are for."""
    found: dict[int, list[tuple[int, int]]] = {}
    for hit in hits:
        profile = library.profiles[hit.profile]
        if profile.of_domain and hit.bits >= profile.threshold - _GRACE_BITS:
            found.setdefault(hit.protein, []).extend(hit.envelopes)
    return found


def _domains(known: Sequence[Region] | None, found: list[tuple[int, int]], none_there: bool, positive: bool) -> str:
    if known:
        return ranges_cell(merged(region.place for region in known))
    if none_there:
        return NO_DOMAIN
    return ranges_cell(merged(found)) if positive else ""
