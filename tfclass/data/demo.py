"""The generated demo corpus: small, deterministic, never to be taken for real proteins.

A positive carries a DNA-binding domain drawn from a published pattern [1]_ [2]_, inside background of natural
composition. A negative carries an enzyme motif, or the very same kind of domain with its residues shuffled, so that
composition alone cannot tell them apart and order must be learned. Clusters are made of mutated copies of one ancestor
and never cross splits. That the labels are right can be proved: `FAMILIES` compile to regular expressions that match
every positive and no negative.

References
----------
.. [1] C. Sigrist et al., "New and continuing developments at PROSITE", Nucleic Acids Research 41 (2013),
   10.1093/nar/gks1067. Domains follow PS00028 (two fingers with their linker), PS00027, PS00036 with PS00029, PS00463,
   PS00356 (with residues that commonly follow); motifs follow PS00017, PS00134, PS00108, PS00142, PS00039, PS00687.
.. [2] W. Atchley, W. Fitch, "A natural classification of the basic helix-loop-helix class of transcription factors",
   PNAS 94 (1997), 10.1073/pnas.94.10.5172: the basic region and first helix of bHLH.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from tfclass.data.annotations import NO_DOMAIN
from tfclass.data.split import SPLITS
from tfclass.sequences.alphabet import AMINO_ACIDS

# Shares of the amino acids (in the order of AMINO_ACIDS) in Swiss-Prot, percent.
_BACKGROUND = np.array(
    [8.25, 1.38, 5.46, 6.71, 3.86, 7.07, 2.27, 5.91, 5.80, 9.65]
    + [2.41, 4.06, 4.74, 3.93, 5.53, 6.65, 5.36, 6.86, 1.10, 2.92]
)
_BACKGROUND /= _BACKGROUND.sum()

_FINGER = "C-x(2)-C-x(3)-[LIVMFYWC]-x(8)-H-x(3)-H"

FAMILIES = {
    "C2H2": f"{_FINGER}-T-G-E-[KR]-P-[FY]-x-{_FINGER}",
    "homeobox": "[LIVMFYG]-[ASLVR]-x(2)-[LIVMSTACN]-x-[LIVM]-{Y}-x(2)-{L}-[LIV]-[RKNQESTAIY]-[LIVFSTNKH]-W-[FYVC]-x-"
    "[NDQTAH]-x(5)-[RKNAIMW]",
    "bHLH": "[RK]-R-x(2)-H-N-x(2)-E-[RK]-x-R-R-x(2)-[IL]-[NK]-x(2)-[FIL]-x(2)-[LI]-x(2)-[LIV]-[PI]",
    "bZIP": "[KR]-x(2)-[RKSAQ]-N-{VL}-x-[SAQ](2)-{L}-[RKTAENQ]-x-R-{S}-[RK]-x(7)-L-x(6)-L-x(6)-L-x(6)-L",
    "Zn2Cys6": "[GASTPV]-C-x(2)-C-[RKHSTACW]-x(2)-[RKHQ]-x(2)-C-x(6)-C-x(2)-C-x(6)-C",
    "LacI": "[LIVM]-x-[DE]-[LIVM]-A-x(2)-[STAGV]-x-V-[GSTP]-x(2)-T-[LIVMA]-S-R-[LIVMFYAN]-[LIVMC]-N-x(4)-V-[SR]-x(2)-"
    "T-[RK]",
}
ENZYMES = {
    "P-loop": "[AG]-x(4)-G-K-[ST]",
    "trypsin": "[LIVM]-[ST]-A-[STAG]-H-C",
    "kinase": "[LIVMFYC]-x-[HY]-x-D-[LIVMFY]-K-x(2)-N-[LIVMFYCT](3)",
    "zinc protease": "[GSTALIVN]-{PCHR}-{KND}-H-E-[LIVMFYW]-{DEHRKP}-H-{EKPC}-[LIVMFYWGSPQ]",
    "DEAD box": "[LIVMF](2)-D-E-A-D-[RKEN]-x-[LIVMFYGSTN]",
    "aldehyde dehydrogenase": "[LIVMFGA]-E-[LIMSTAC]-[GS]-G-[KNLM]-[SADN]-[TAPFV]",
}

_ELEMENT = re.compile(r"(?P<core>x|[A-Z]|\[[A-Z]+\]|\{[A-Z]+\})(?:\((?P<count>\d+)\))?")
_SPLIT_SHARES = (0.7, 0.15, 0.15)
_MUTATION_RATE = 0.3
_ID = re.compile(r"demo[0-9]{5,}")


class DemoProtein(NamedTuple):
    """One row of the demo corpus; positions are 1-based and inclusive.

    `domain_start` and `domain_end` are those of what was put into the background, `domains` those of DNA-binding
    domains as `tfclass.data.annotations` reads them: ``none`` where it was a shuffled domain or an enzyme's motif.
    """

    id: str
    sequence: str
    label: str
    family: str
    cluster: str
    split: str
    domain_start: int
    domain_end: int
    domains: str


def parse_pattern(pattern: str) -> list[str]:
    """Turn a PROSITE pattern into the residues allowed at each position.

    Elements are joined by ``-``: a residue, ``x``, ``[any of]``, ``{none of}``, each with an optional ``(count)``.

    Raises
    ------
    ValueError
        An element is none of these.

    Examples
    --------
    >>> parse_pattern("C-[ST](2)")
    ['C', 'ST', 'ST']
    """
    positions: list[str] = []
    for element in pattern.split("-"):
        match = _ELEMENT.fullmatch(element)
        if match is None:
            raise ValueError(f"not a PROSITE element: {element!r}")
        core = match["core"]
        if core == "x":
            allowed = AMINO_ACIDS
        elif core[0] == "{":
            allowed = "".join(letter for letter in AMINO_ACIDS if letter not in core)
        else:
            allowed = core.strip("[]")
        positions += [allowed] * int(match["count"] or 1)
    return positions


def family_regex() -> re.Pattern[str]:
    """Return the regular expression that matches a protein of any positive family."""
    patterns = ("".join(f"[{allowed}]" for allowed in parse_pattern(p)) for p in FAMILIES.values())
    return re.compile("|".join(patterns))


def generate_demo(n_clusters: int = 3000, seed: int = 0) -> pd.DataFrame:
    """Generate the demo corpus, with the columns of `DemoProtein`; the same arguments always give the same rows.

    Parameters
    ----------
    n_clusters : int
        A third each of positives, shuffled domains and enzymes; one to three proteins per cluster.
    """
    return pd.DataFrame(list(_proteins(n_clusters, np.random.default_rng(seed))), columns=list(DemoProtein._fields))


def is_generated(frame: pd.DataFrame) -> bool:
    """Return whether all proteins of a table are of the demo corpus, by their ids, which survive any change."""
    return bool(frame["id"].str.fullmatch(_ID).all())


def _proteins(n_clusters: int, rng: np.random.Generator) -> Iterator[DemoProtein]:
    positive = family_regex()
    number = 0
    for cluster in range(n_clusters):
        label = "TF" if cluster % 3 == 0 else "nonTF"
        patterns = ENZYMES if cluster % 3 == 2 else FAMILIES
        ancestor = _ancestor(rng, cluster // 3, patterns, shuffle=cluster % 3 == 1)
        split = str(rng.choice(SPLITS, p=_SPLIT_SHARES))
        for _ in range(int(rng.integers(1, 4))):
            sequence = ancestor.descendant(rng)
            # A negative may match a pattern by chance, as may the background of a positive: then its label would lie.
            while len(positive.findall(sequence)) != (label == "TF"):
                sequence = ancestor.descendant(rng)
            number += 1
            start = ancestor.start + 1
            end = ancestor.start + len(ancestor.domain)
            domains = f"{start}-{end}" if label == "TF" else NO_DOMAIN
            yield DemoProtein(
                f"demo{number:05d}", sequence, label, ancestor.family, f"c{cluster:04d}", split, start, end, domains
            )


class _Ancestor(NamedTuple):
    """The origin of a cluster's members: background with a domain at `start`, its positions in `order`."""

    family: str
    background: str
    start: int
    domain: list[str]
    order: list[int]

    def descendant(self, rng: np.random.Generator) -> str:
        kept = rng.random(len(self.background)) >= _MUTATION_RATE
        fresh = _draw_background(rng, len(self.background))
        letters = "".join(old if keep else new for old, new, keep in zip(self.background, fresh, kept, strict=True))
        drawn = [_draw_from(rng, allowed) for allowed in self.domain]
        domain = "".join(drawn[i] for i in self.order)
        return letters[: self.start] + domain + letters[self.start :]


def _ancestor(rng: np.random.Generator, number: int, patterns: dict[str, str], *, shuffle: bool = False) -> _Ancestor:
    family = list(patterns)[number % len(patterns)]
    domain = parse_pattern(patterns[family])
    order = rng.permutation(len(domain)).tolist() if shuffle else list(range(len(domain)))
    background = _draw_background(rng, int(rng.integers(30, 90)))
    start = int(rng.integers(0, len(background) + 1))
    return _Ancestor(f"shuffled {family}" if shuffle else family, background, start, domain, order)


def _draw_background(rng: np.random.Generator, length: int) -> str:
    return "".join(rng.choice(list(AMINO_ACIDS), size=length, p=_BACKGROUND))


def _draw_from(rng: np.random.Generator, allowed: str) -> str:
    if len(allowed) == 1:
        return allowed
    weights = _BACKGROUND[[AMINO_ACIDS.index(letter) for letter in allowed]]
    return allowed[int(np.searchsorted(np.cumsum(weights) / weights.sum(), rng.random()))]
