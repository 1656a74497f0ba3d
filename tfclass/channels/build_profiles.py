"""From labelled proteins to profiles: a seed is aligned [1]_, finds relatives, and is made anew from what they share.

Seeds are the known DNA-binding domains, by name, then the clusters of the transcription factors that no profile covers
yet, the largest first. A profile recruits among the training proteins: where it finds members of other clusters, their
envelopes are aligned into the next round's profile, so that what only one cluster has falls away and the domain in
common stays. A profile of one cluster alone is left out: it would tell what a homology search tells, and would hold
little else than that cluster's sequences.

References
----------
.. [1] S. Deorowicz et al., "FAMSA: fast and accurate multiple sequence alignment of huge protein families", Scientific
   Reports 6 (2016), 10.1038/srep33964.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from pyhmmer.easel import TextMSA, TextSequence
from pyhmmer.plan7 import HMM, Background, Builder

from tfclass.data.table import LabelledProteins
from tfclass.errors import MissingExtraError, ProfileError
from tfclass.search.hmmer import ALPHABET, MIN_BITS, OF_CLUSTER, Hit, Library, Profile, search
from tfclass.sequences.alphabet import Alphabet
from tfclass.typing import BoolArray, FloatArray, IntArray

Indices = IntArray

# A protein is recruited, and counts as covered, from so many bits.
RECRUIT_BITS = 25.0
# Sequences in an alignment, and those of one cluster: enough to tell what is kept from what varies.
_MAX_ALIGNED, _MAX_OF_CLUSTER = 150, 4
_ROUNDS = 2
# What of a whole protein is aligned at first: a longer one has its domain in there, or is found by a shorter one.
_MAX_SEED_LENGTH = 1_500
# Of the clusters of training proteins above a profile's threshold, at least this share are transcription factors'.
MIN_PRECISION = 0.9


class Recruited(NamedTuple):
    """A profile, and whom it found.

    Attributes
    ----------
    members : ndarray of int64
        Indices of the proteins of `RECRUIT_BITS` or more.
    """

    hmm: HMM
    members: Indices


def build_library(
    proteins: LabelledProteins,
    domains: Mapping[str, Sequence[str]],
    alphabet: Alphabet,
    *,
    threads: int = 1,
    on_progress: Callable[[str, float], None] = lambda *_: None,
) -> Library:
    """Make profiles of the positive class.

    Parameters
    ----------
    proteins : LabelledProteins
        The training split of a binary task, clustered; a column ``family`` gives profiles their families.
    domains : mapping of str to sequence of str
        Sequences of known domains by the domain's name; may be empty.
    on_progress : callable
        Called with what is being done and the share of it that is done.

    Raises
    ------
    ProfileError
        No two clusters share anything.
    MissingExtraError
        pyfamsa is not installed.
    """
    recruiter = _Recruiter(proteins, alphabet, threads)
    for done, name in enumerate(sorted(domains)):
        on_progress("profiles of known domains", done / len(domains))
        recruiter.seed(name, sorted(set(domains[name])), recruiter.positives)
    groups = recruiter.uncovered_by_cluster()
    for done, (cluster, members) in enumerate(groups):
        on_progress("profiles of clusters", done / len(groups))
        left = [i for i in members if i in recruiter.uncovered]
        if left:
            whole = [recruiter.sequences[i][:_MAX_SEED_LENGTH] for i in left]
            recruiter.seed(OF_CLUSTER + cluster, whole, sorted(recruiter.uncovered))
            # What it did not recruit would only seed the same profile again.
            recruiter.uncovered.difference_update(left)
    if not recruiter.found:
        found = "no domain that two clusters share"
        expected = "proteins of the positive class in more than one cluster each"
        raise ProfileError(f"profiles: found {found}; expected {expected}")
    on_progress("thresholds", 0.0)
    return _with_thresholds(recruiter, alphabet, threads)


class _Recruiter:
    """The proteins, and the profiles made of them so far."""

    def __init__(self, proteins: LabelledProteins, alphabet: Alphabet, threads: int) -> None:
        self.tokens, self.alphabet, self.threads = proteins.tokens, alphabet, threads
        self.sequences = [alphabet.decode(t) for t in proteins.tokens]
        self.clusters = proteins.frame["cluster"].to_numpy()
        self.families = proteins.frame["family"].to_numpy() if "family" in proteins.frame else None
        self.is_positive = proteins.is_positive
        self.positives: list[int] = np.flatnonzero(self.is_positive).tolist()
        self.uncovered = set(self.positives)
        self.found: dict[str, Recruited] = {}

    def uncovered_by_cluster(self) -> list[tuple[str, list[int]]]:
        groups = defaultdict(list)
        for i in sorted(self.uncovered):
            groups[self.clusters[i]].append(i)
        return sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))

    def seed(self, name: str, sequences: Sequence[str], among: Sequence[int]) -> None:
        """Recruit with a profile of `sequences` among the proteins `among`; keep it if two clusters have it."""
        hmm = build_profile(name, sequences[:_MAX_ALIGNED], self.threads)
        hits = self._search(hmm, among)
        for _ in range(_ROUNDS):
            if len({self.clusters[hit.protein] for hit in hits}) < 2:
                break
            rebuilt = build_profile(name, self._envelopes(hits), self.threads)
            again = self._search(rebuilt, among)
            if len(again) < len(hits):
                break
            hmm, hits = rebuilt, again
        members = np.array(sorted(hit.protein for hit in hits), dtype=np.int64)
        if len(set(self.clusters[members])) >= 2:
            self.found[name] = Recruited(hmm, members)
            self.uncovered.difference_update(members.tolist())

    def _search(self, hmm: HMM, among: Sequence[int]) -> list[Hit]:
        hits = search([hmm], [self.tokens[i] for i in among], self.alphabet, 1)
        return [hit._replace(protein=among[hit.protein]) for hit in hits if hit.bits >= RECRUIT_BITS]

    def _envelopes(self, hits: Iterable[Hit]) -> list[str]:
        taken: Counter[str] = Counter()
        envelopes = []
        for hit in sorted(hits, key=lambda hit: hit.protein):
            cluster = self.clusters[hit.protein]
            if taken[cluster] < _MAX_OF_CLUSTER:
                start, end = hit.envelopes[0]
                envelopes.append(self.sequences[hit.protein][start - 1 : end])
            taken[cluster] += 1
        # Spread over the table, whose neighbours may be of one source.
        spread = np.linspace(0, len(envelopes) - 1, min(len(envelopes), _MAX_ALIGNED)).astype(int)
        return [envelopes[i] for i in spread]


def build_profile(name: str, sequences: Sequence[str], threads: int = 1) -> HMM:
    """Align sequences and make a profile of the columns that at least half of them have.

    Parameters
    ----------
    sequences : sequence of str
        At least one; letters of the alphabet.

    Raises
    ------
    MissingExtraError
        pyfamsa is not installed.
    """
    try:
        import pyfamsa
    except ImportError:
        raise MissingExtraError("profiles: found no pyfamsa; pip install 'tfclass[profiles]'") from None
    rows: Any = sequences
    if len(sequences) > 1:
        aligner = pyfamsa.Aligner(threads=threads, guide_tree="upgma")
        unaligned = [pyfamsa.Sequence(str(i).encode(), s.encode()) for i, s in enumerate(sequences)]
        rows = [row.sequence.decode() for row in aligner.align(unaligned)]
    named = [TextSequence(name=str(i), sequence=row) for i, row in enumerate(rows)]
    alignment = TextMSA(name=name, sequences=named).digitize(ALPHABET)
    hmm, _, _ = Builder(ALPHABET).build_msa(alignment, Background(ALPHABET))
    return hmm


def threshold(bits: FloatArray, positive: BoolArray, weight: FloatArray) -> float:
    """Return the lowest score above which hits are precise.

    Parameters
    ----------
    bits : ndarray of float64, shape (M,)
        Of the training proteins that a profile hits.
    positive : ndarray of bool, shape (M,)
        True for the proteins of the positive class.
    weight : ndarray of float64, shape (M,)
        One over the size of the protein's cluster, so that clusters count alike.

    Returns
    -------
    float
        Infinite where no score will do.

    Examples
    --------
    >>> bits, positive = np.array([50.0, 40.0, 30.0, 20.0]), np.array([True, True, False, False])
    >>> threshold(bits, positive, np.ones(4))
    40.0
    """
    order = np.argsort(-bits, kind="stable")
    right = np.cumsum((weight * positive)[order])
    wrong = np.cumsum((weight * ~positive)[order])
    falling = bits[order]
    # A score is above or below a threshold together with all that equal it.
    last_of_equals = np.append(falling[1:] < falling[:-1], True)
    precise = np.flatnonzero(last_of_equals & (right >= MIN_PRECISION * (right + wrong) - 1e-9))
    return float(falling[precise[-1]]) if len(precise) else float("inf")


def _with_thresholds(recruiter: _Recruiter, alphabet: Alphabet, threads: int) -> Library:
    names = list(recruiter.found)
    _, cluster_N, size = np.unique(recruiter.clusters, return_inverse=True, return_counts=True)
    weight_N = 1.0 / size[cluster_N]
    hits = defaultdict(list)
    hmms = [recruiter.found[name].hmm for name in names]
    for hit in search(hmms, recruiter.tokens, alphabet, threads):
        hits[hit.profile].append(hit)
    profiles = []
    for number, name in enumerate(names):
        rows = np.array([hit.protein for hit in hits[number]], dtype=np.int64)
        bits = np.array([hit.bits for hit in hits[number]])
        # In halves of a bit: numbers that HMMER's files, text and binary, hold exactly.
        least = threshold(np.floor(2 * bits) / 2, recruiter.is_positive[rows], weight_N[rows])
        if np.isfinite(least):
            family = _commonest_family(recruiter, recruiter.found[name].members)
            profiles.append(Profile(hmms[number], name, family, max(MIN_BITS + 2.0, least)))
    if not profiles:
        found = f"none of {len(names)} that tells the positive class from the other"
        raise ProfileError(
            f"profiles: found {found}; expected at least one of {MIN_PRECISION:.0%} precision at some score"
        )
    return Library(profiles)


def _commonest_family(recruiter: _Recruiter, members: Indices) -> str:
    """Name the family of at least half of the members of known family; empty where there is none."""
    if recruiter.families is None:
        return ""
    known = Counter(name for name in recruiter.families[members] if name)
    name, count = known.most_common(1)[0] if known else ("", 0)
    return name if 2 * count >= known.total() else ""
