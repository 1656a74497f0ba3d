"""Profiles made of sequences, and of the part of a longer profile that tells most.

References
----------
.. [1] S. Deorowicz et al., "FAMSA: fast and accurate multiple sequence alignment of huge protein families", Scientific
   Reports 6 (2016), 10.1038/srep33964.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyhmmer
from pyhmmer.easel import DigitalSequenceBlock, TextMSA, TextSequence
from pyhmmer.plan7 import HMM, Background, Builder

from tfclass.errors import MissingExtraError
from tfclass.search.hmmer import Hit, search
from tfclass.search.hmmer_format import ALPHABET
from tfclass.sequences.alphabet import Alphabet
from tfclass.typing import FloatArray, IntArray

T = TypeVar("T")

# A protein is recruited, and counts as covered, from so many bits.
RECRUIT_BITS = 25.0
# Sequences in an alignment, and those of one cluster: enough to tell what is kept from what varies.
_MAX_ALIGNED, _MAX_OF_CLUSTER = 150, 4
_ROUNDS = 2
# What of a whole protein is aligned at first: a longer one has its domain in there, or is found by a shorter one.
_MAX_SEED_LENGTH = 1_500
# A profile of more states is long, and so is one of a single cluster; what is kept of it, and the least that is left
# where its ends are cut.
_LONG, _LONG_ALONE, _WIDTH, _SHORTEST = 180, 350, 150, 50
# A state that so small a share of the usual evidence comes from is no end of a domain.
_FAINT = 0.25


class Recruited(NamedTuple):
    """A profile, and whom it found.

    Attributes
    ----------
    hits : list of Hit
        Of `RECRUIT_BITS` or more; at least one, in the order of the sequences.
    is_long : bool
        Whether only a part of it is to be kept; of the sequences of one cluster there is more to keep, for they do not
        tell what is conserved.
    """

    hmm: HMM
    hits: list[Hit]
    is_long: bool

    @property
    def members(self) -> IntArray:
        """Get the indices of the sequences that it found."""
        return np.array([hit.protein for hit in self.hits], dtype=np.int64)


class Recruiter:
    """A search among sequences for those to make a profile of.

    Parameters
    ----------
    sequences : sequence of str, length N
        Letters of the alphabet.
    clusters : sequence of str, length N
        Of the sequences.
    families : sequence of str, length N, optional
        Empty where unknown. A cluster does not recruit what is known to be of another family: two families that have
        more than their DNA-binding domain in common, such as a receiver, would become one profile of that.

    Attributes
    ----------
    found : dict of str to Recruited
        By name, in the order of the seeds.
    uncovered : set of int
        Indices of the sequences that no profile of two clusters has recruited, and that were no seed.
    """

    def __init__(
        self,
        sequences: Sequence[str],
        clusters: Sequence[str],
        alphabet: Alphabet,
        threads: int = 1,
        families: Sequence[str] | None = None,
    ) -> None:
        self.sequences, self.clusters = sequences, clusters
        self.families = families or [""] * len(sequences)
        self.alphabet, self.threads = alphabet, threads
        self.tokens = [alphabet.encode(sequence) for sequence in sequences]
        self.found: dict[str, Recruited] = {}
        self.uncovered = set(range(len(sequences)))

    def groups(self) -> list[tuple[str, list[int]]]:
        """Return the uncovered sequences by cluster, the largest first."""
        groups: dict[str, list[int]] = {}
        for i in sorted(self.uncovered):
            groups.setdefault(self.clusters[i], []).append(i)
        return sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))

    def seed_cluster(self, name: str, members: Sequence[int], among: Sequence[int] | None = None) -> None:
        """Recruit with what is uncovered of a cluster among the sequences `among`, or the uncovered of its family."""
        left = [i for i in members if i in self.uncovered]
        if left:
            whole = [self.sequences[i][:_MAX_SEED_LENGTH] for i in left]
            self.seed(name, whole, self._open_to(left) if among is None else among)
            # What it did not recruit would only seed the same profile again.
            self.uncovered.difference_update(left)

    def seed(self, name: str, sequences: Sequence[str], among: Sequence[int]) -> None:
        """Recruit with a profile of sequences among the sequences `among`, and make it anew of the recruits."""
        hmm = build_profile(name, sequences[:_MAX_ALIGNED], self.threads)
        hits = self._search(hmm, among)
        for _ in range(_ROUNDS):
            if self.n_clusters(hit.protein for hit in hits) < 2:
                break
            rebuilt = build_profile(name, envelopes(hits, self.sequences, self.clusters), self.threads)
            again = self._search(rebuilt, among)
            if len(again) < len(hits):
                break
            hmm, hits = rebuilt, again
        if hits:
            shared = self.n_clusters(hit.protein for hit in hits) >= 2
            is_long = (_LONG if shared else _LONG_ALONE) < hmm.M
            self.found[name] = Recruited(hmm, sorted(hits, key=lambda hit: hit.protein), is_long)
            self.uncovered.difference_update(hit.protein for hit in hits if shared)

    def _open_to(self, members: Sequence[int]) -> list[int]:
        """Return the uncovered sequences that are not known to be of another family than these."""
        own = {self.families[i] for i in members} - {""}
        return [i for i in sorted(self.uncovered) if not own or not self.families[i] or self.families[i] in own]

    def n_clusters(self, members: Iterable[int]) -> int:
        """Count the clusters of some sequences."""
        return len({self.clusters[i] for i in members})

    def _search(self, hmm: HMM, among: Sequence[int]) -> list[Hit]:
        hits = search([hmm], [self.tokens[i] for i in among], self.alphabet, 1)
        return [hit._replace(protein=among[hit.protein]) for hit in hits if hit.bits >= RECRUIT_BITS]


def envelopes(hits: Iterable[Hit], sequences: Sequence[str] | Mapping[int, str], clusters: Sequence[str]) -> list[str]:
    """Cut the best domain of each hit out, of a few of each cluster, spread over the table."""
    taken: Counter[str] = Counter()
    found = []
    for hit in sorted(hits, key=lambda hit: hit.protein):
        cluster = clusters[hit.protein]
        if taken[cluster] < _MAX_OF_CLUSTER:
            start, end = hit.envelopes[0]
            found.append(sequences[hit.protein][start - 1 : end])
        taken[cluster] += 1
    return spread(found, _MAX_ALIGNED)


def spread(found: Sequence[T], most: int) -> list[T]:
    """Select so many at most, evenly: neighbours in a table may be of one source."""
    return [found[i] for i in np.linspace(0, len(found) - 1, min(len(found), most)).astype(int)]


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
    return _of_rows(name, rows)


def _of_rows(name: str, rows: Iterable[str]) -> HMM:
    named = [TextSequence(name=str(i), sequence=row) for i, row in enumerate(rows)]
    alignment = TextMSA(name=name, sequences=named).digitize(ALPHABET)
    # HMMER takes short rows for fragments and does not count their gaps: what few have would stay.
    hmm, _, _ = Builder(ALPHABET, fragthresh=0.0).build_msa(alignment, Background(ALPHABET))
    return hmm


def shortened(name: str, hmm: HMM, members: Sequence[str], states: IntArray, weight: FloatArray) -> HMM:
    """Keep the part of a long profile that tells the classes apart.

    Parameters
    ----------
    members : sequence of str
        What the profile matches in its members; at least one.
    states : ndarray of int64, shape (K, 2)
        First and last state of hits, counted from 1.
    weight : ndarray of float64, shape (K,)
        Of each hit: positive for the positive class, negative for the other.
    """
    edges_S = np.zeros(hmm.M + 1)
    np.add.at(edges_S, states[:, 0] - 1, weight)
    np.add.at(edges_S, states[:, 1], -weight)
    background = np.asarray(Background(ALPHABET).residue_frequencies)
    parameters: Any = hmm
    match_SA = np.asarray(parameters.match_emissions)[1:]
    entropy_S = (match_SA * np.log2(np.maximum(match_SA, 1e-9) / background)).sum(axis=1)
    value_S = entropy_S * np.cumsum(edges_S)[:-1]
    sums = np.concatenate([[0.0], np.cumsum(value_S)])
    start = int(np.argmax(sums[_WIDTH:] - sums[:-_WIDTH]))
    end = start + _WIDTH
    least = _FAINT * float(np.median(value_S[start:end]))
    while end - start > _SHORTEST and value_S[start] <= least:
        start += 1
    while end - start > _SHORTEST and value_S[end - 1] <= least:
        end -= 1
    return realigned(name, hmm, members, start, end) or hmm


def realigned(name: str, hmm: HMM, sequences: Sequence[str], start: int = 0, end: int | None = None) -> HMM | None:
    """Align sequences to some states of a profile, by default all, and make a profile of what half of them have.

    Parameters
    ----------
    sequences : sequence of str
        At least one.
    start, end : int
        The first state, counted from 0, and the one after the last.

    Returns
    -------
    HMM or None
        None where no sequence has half of these states.
    """
    end = hmm.M if end is None else end
    rows = [row for row in _columns(hmm, sequences, start, end) if 2 * len(row.replace("-", "")) >= end - start]
    return _of_rows(name, rows) if rows else None


def _columns(hmm: HMM, members: Sequence[str], start: int, end: int) -> list[str]:
    """Align members to a profile, and return the columns of the states from `start`, counted from 0, to `end`."""
    digital = [TextSequence(name=str(i), sequence=s).digitize(ALPHABET) for i, s in enumerate(members)]
    block: Any = DigitalSequenceBlock(ALPHABET, digital)
    aligned: Any = pyhmmer.hmmalign(hmm, block, all_consensus_cols=True)
    rows = [str(row) for row in aligned.alignment]
    # Capitals and dashes stand for states, small letters and dots for what lies between.
    is_state = np.array([any(row[i].isupper() or row[i] == "-" for row in rows) for i in range(len(rows[0]))])
    (of_states,) = np.nonzero(is_state)
    first, last = of_states[start], of_states[end - 1]
    return [row[first : last + 1].upper().replace(".", "-") for row in rows]
