"""Segments of high attribution and domains of a protein, and their lines in GFF3.

References
----------
.. [1] L. Stein, "Generic Feature Format Version 3 (GFF3)", version 1.26, Sequence Ontology Project (2020).
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from tfclass.channels.calibration import logit
from tfclass.channels.network import domain_ranges
from tfclass.interpretation.explanation import Explanation
from tfclass.io.gff3 import attribute, sequence_name
from tfclass.sequences.alphabet import merged
from tfclass.typing import FloatArray

# Residues of the moving mean, the share of its maximum from which a residue is in a segment, the shortest segment.
WINDOW, SHARE, SHORTEST = 9, 1 / 3, 5


class Segment(NamedTuple):
    """A part of a protein.

    Attributes
    ----------
    start, end : int
        First and last residue of those scored, counted from 1.
    kind : str
        The method of attribution, or who placed a domain: ``network`` or ``profile``.
    name : str
        Of the domain; empty where it has none.
    value : float or None
        Sum of the attributions in logits, or for occlusion, whose windows overlap, their mean; score of a profile in
        bits; or None.
    """

    start: int
    end: int
    kind: str
    name: str
    value: float | None


def high_segments(value_L: FloatArray) -> list[tuple[int, int]]:
    """Find segments of high attribution: maximal runs in which the moving mean is at least a third of its maximum.

    Runs of fewer than 5 residues are left out.

    Parameters
    ----------
    value_L : ndarray of float64, shape (L,)
        Attributions. The mean is over 9 residues, fewer at the ends.

    Returns
    -------
    list of (int, int)
        First and last residue of each, counted from 1; empty where no mean is positive.

    Examples
    --------
    >>> high_segments(np.repeat([0.0, 9.0, 0.0], [20, 5, 20]))
    [(18, 28)]
    """
    window = np.ones(WINDOW)
    # The outermost residues are in windows that reach beyond the ends.
    reach = WINDOW // 2
    total_L = np.convolve(value_L, window)[reach : reach + len(value_L)]
    mean_L = total_L / np.convolve(np.ones(len(value_L)), window)[reach : reach + len(value_L)]
    most = mean_L.max()
    if most <= 0:
        return []
    edges = np.flatnonzero(np.diff(mean_L >= SHARE * most, prepend=False, append=False))
    return [(start + 1, end) for start, end in edges.reshape(-1, 2).tolist() if end - start >= SHORTEST]


def segments_of(explanation: Explanation) -> list[Segment]:
    """Collect the segments of high attribution of every method."""
    found = []
    for method, attribution in explanation.attributions.items():
        for start, end in high_segments(attribution.value_L):
            values = attribution.value_L[start - 1 : end]
            value = values.mean() if method == "occlusion" else values.sum()
            found.append(Segment(start, end, method, "", float(value)))
    return found


def domains_of(explanation: Explanation) -> list[Segment]:
    """Collect the domains that the network predicts, and those that the best profile matches."""
    found, profile = [], explanation.profile
    if explanation.domain_L is not None:
        ranges = domain_ranges(logit(explanation.domain_L))
        found += [Segment(start, end, "network", "DNA-binding domain", None) for start, end in ranges]
    if profile:
        places = merged((each.start, each.end) for each in profile.alignments)
        found += [Segment(start, end, "profile", profile.name, profile.bits) for start, end in places]
    return found


def gff3_lines(number: int, row: Mapping[str, Any], explanation: Explanation, source: str) -> Iterator[str]:
    """Yield the lines of a protein in GFF3 [1]_: its sequence region, its domains, its segments of high attribution.

    Parameters
    ----------
    number : int
        Of the record in the input, counted from 1; it names a record without an id, or with that of an earlier one.
    row : mapping
        Of the prediction; ``id`` and ``notes`` are needed.
    source : str
        The second column.
    """
    position_L = explanation.position_L
    sequence = sequence_name(str(row["id"]), number, str(row["notes"]))
    yield f"##sequence-region {sequence} 1 {position_L[-1]}\n"
    for count, each in enumerate([*domains_of(explanation), *segments_of(explanation)], start=1):
        is_domain = each.kind in ("network", "profile")
        kind = "polypeptide_domain" if is_domain else "polypeptide_region"
        start, end = position_L[each.start - 1], position_L[each.end - 1]
        score = "." if each.value is None else f"{each.value:.4g}"
        attributes = {"ID": f"record{number}.{count}", "Name": each.name or "high attribution"}
        attributes["domain_source" if is_domain else "method"] = each.kind
        written = ";".join(f"{key}={attribute(value)}" for key, value in attributes.items())
        yield f"{sequence}\t{source}\t{kind}\t{start}\t{end}\t{score}\t.\t.\t{written}\n"
    yield "###\n"
