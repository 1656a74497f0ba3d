"""Profile search by HMMER [1]_, in this process through PyHMMER [2]_.

A library is a file in HMMER's own format: a profile's gathering threshold (``GA``) is its `Profile.threshold`, its
description (``DESC``) the family, with the kind of the profile behind it where that is not a known domain, as in
``LysR [cluster]``.

References
----------
.. [1] S. R. Eddy, "Accelerated profile HMM searches", PLoS Comput. Biol. 7 (2011), 10.1371/journal.pcbi.1002195.
.. [2] M. Larralde, G. Zeller, "PyHMMER", Bioinformatics 39 (2023), 10.1093/bioinformatics/btad214.
"""

import io
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from queue import SimpleQueue
from typing import Literal, NamedTuple, get_args

import numpy as np
import pyhmmer
from pydantic import TypeAdapter
from pyhmmer.plan7 import HMM, TopHits

from tfclass.errors import ProfileError
from tfclass.io.reading import DAMAGED, compressed, unpacked
from tfclass.limits import MAX_UNPACKED_BYTES
from tfclass.search.hmmer_format import read_hmms
from tfclass.search.hmmer_pieces import sequence_block
from tfclass.sequences.alphabet import Alphabet
from tfclass.typing import FloatArray, OnProgress, Text, TokenArray

_NAME = TypeAdapter(Text)
Kind = Literal["domain", "cluster", "other"]
# Prefix of the names of profiles that were found by comparing clusters, and have no better name.
OF_CLUSTER = "cluster:"
# Least score of a hit, in bits: below it chance hits are as common as others.
MIN_BITS = 10.0
# Half of what HMMER lets pass its first two filters by default: a fifth of the time less, and no hit of 25 bits lost.
_FILTER_1, _FILTER_2 = 0.01, 0.0005
# Least score of a domain other than the best one: a repeat of a short motif, such as a zinc finger, scores little.
MIN_DOMAIN_BITS = 5.0


class Profile(NamedTuple):
    """A profile hidden Markov model.

    Attributes
    ----------
    name : str
        Unique in a library.
    family : str
        Of most of the proteins it was made from; empty where unknown.
    threshold : float
        Least bits of a hit that indicates a transcription factor, or one of the others.
    kind : {'domain', 'cluster', 'other'}
        Of a known domain, of clusters of transcription factors, or of proteins that are none and resemble some.
    accession : str
        Of the domain in Pfam, or empty.
    """

    hmm: HMM
    name: str
    family: str
    threshold: float
    kind: Kind = "domain"
    accession: str = ""


class Hit(NamedTuple):
    """A protein that a profile matches.

    Attributes
    ----------
    profile, protein : int
        Indices into the library and into the sequences searched.
    bits : float
        Score of the whole sequence.
    envelopes : tuple of (int, int)
        First and last residue of each domain, counted from 1; the best domain first.
    states : tuple of (int, int)
        First and last state of the profile in the best domain, counted from 1.
    """

    profile: int
    protein: int
    bits: float
    envelopes: tuple[tuple[int, int], ...]
    states: tuple[int, int] = (1, 1)


class BestHit(NamedTuple):
    """The profile of the greatest margin in a protein, except those of others.

    Attributes
    ----------
    margin : float
        Bits above the threshold of the profile, less `lead_of_others`; -inf without a hit.
    profile : int
        Index into the library; -1 without a hit.
    bits : float
        Score of the hit; 0 without one.
    envelopes : tuple of (int, int)
        As in `Hit`.
    lead_of_others : float
        Bits by which a profile of others above its own threshold beats it; 0 where none does.
    """

    margin: float
    profile: int
    bits: float
    envelopes: tuple[tuple[int, int], ...] = ()
    lead_of_others: float = 0.0


NO_HIT = BestHit(-np.inf, -1, 0.0)


def _is_same_place(one: Hit | BestHit, other: Hit | BestHit) -> bool:
    """Return whether the best domains have in common at least half of the shorter one."""
    if not other.envelopes:
        return False
    (start, end), (other_start, other_end) = one.envelopes[0], other.envelopes[0]
    shared = min(end, other_end) + 1 - max(start, other_start)
    return 2 * shared >= 1 + min(end - start, other_end - other_start)


class Library:
    """Profiles that are searched together: at least one, no two of the same name."""

    def __init__(self, profiles: Sequence[Profile]) -> None:
        self.profiles = tuple(profiles)
        self.states = sum(profile.hmm.M for profile in self.profiles)

    def search(
        self, tokens: Sequence[TokenArray], alphabet: Alphabet, threads: int = 1, on_progress: OnProgress = None
    ) -> list[BestHit]:
        """Find the best profile of each protein.

        Parameters
        ----------
        tokens : sequence of ndarray of uint8, each of shape (length,)
            None empty.
        alphabet : Alphabet
            Of the tokens.
        threads : int
            Of HMMER.

        Returns
        -------
        list of BestHit, length N
            In the order of the proteins; each depends on its protein alone.
        """
        return self.best(self.hits(tokens, alphabet, threads, on_progress), len(tokens))

    def hits(
        self, tokens: Sequence[TokenArray], alphabet: Alphabet, threads: int = 1, on_progress: OnProgress = None
    ) -> list[Hit]:
        """Find all hits, by profile; see `search`."""
        return search([profile.hmm for profile in self.profiles], tokens, alphabet, threads, on_progress)

    def best(self, hits: Sequence[Hit], n: int) -> list[BestHit]:
        """Select the hit of the greatest margin in each of `n` proteins."""
        best, rivals = [NO_HIT] * n, list[Hit]()
        for hit in hits:
            profile = self.profiles[hit.profile]
            margin = hit.bits - profile.threshold
            if profile.kind == "other":
                rivals += [hit] * (margin >= 0)
            elif margin > best[hit.protein].margin:
                best[hit.protein] = BestHit(margin, hit.profile, hit.bits, hit.envelopes)
        for hit in rivals:
            found = best[hit.protein]
            lead = hit.bits - found.bits
            if lead > found.lead_of_others and _is_same_place(hit, found):
                margin = found.margin + found.lead_of_others - lead
                best[hit.protein] = found._replace(margin=margin, lead_of_others=lead)
        return best

    def to_bytes(self) -> bytes:
        """Write in HMMER's binary format, compressed with zstd; the same profiles give the same bytes."""
        buffer = io.BytesIO()
        for hmm, name, family, threshold, kind, accession in self.profiles:
            hmm.name, hmm.accession = name, accession or None
            hmm.description = " ".join([family] * bool(family) + [f"[{kind}]"] * (kind != "domain")) or None
            hmm.cutoffs.gathering = (threshold, threshold)
            hmm.command_line = hmm.creation_time = None
            hmm.write(buffer, binary=True)
        return compressed(buffer.getvalue())

    @classmethod
    def from_bytes(cls, content: bytes, where: str) -> "Library":
        """Read a library in HMMER's format, text or binary, which may be compressed.

        Parameters
        ----------
        content : bytes
            Of the file.
        where : str
            Its name, for messages.

        Raises
        ------
        ProfileError
            It is something else, larger than `tfclass.limits` allows, or holds a profile without a gathering threshold.
        """
        try:
            profiles = [_profile(hmm, where) for hmm in read_hmms(unpacked(content, MAX_UNPACKED_BYTES))]
        except (*DAMAGED, ValueError, OSError) as error:
            found = f"found no profiles that can be read ({error})"
            raise ProfileError(f"{where}: {found}; expected HMMER's format") from error
        name, times = Counter(profile.name for profile in profiles).most_common(1)[0]
        if times > 1:
            raise ProfileError(f"{where}: found {times} profiles {name!r}; expected each name once")
        return cls(profiles)


def margins(best: Sequence[BestHit]) -> FloatArray:
    """Return the margin of each of N proteins, shape (N,)."""
    return np.array([found.margin for found in best], dtype=np.float64)


def search(
    hmms: Sequence[HMM], tokens: Sequence[TokenArray], alphabet: Alphabet, threads: int, on_progress: OnProgress = None
) -> list[Hit]:
    """Find every hit of `MIN_BITS` or more; see `Library.search`.

    Returns
    -------
    list of Hit
        By profile, then by score. The pieces of a long sequence (`tfclass.search.hmmer_pieces`) have their own hits.
    """
    block, starts = sequence_block(tokens, alphabet)
    hits = []
    # Reported by score and not by E-value, which would change with the number of sequences.
    found = pyhmmer.hmmsearch(hmms, block, cpus=threads, T=MIN_BITS, domT=0.0, F1=_FILTER_1, F2=_FILTER_2)
    for profile, top in enumerate(_in_background(found)):
        for hit in top:
            protein, offset = starts[int(hit.name)]
            domains = sorted(hit.domains, key=lambda domain: -domain.score)
            kept = domains[:1] + [domain for domain in domains[1:] if domain.score >= MIN_DOMAIN_BITS]
            envelopes = tuple((offset + domain.env_from, offset + domain.env_to) for domain in kept)
            alignment = domains[0].alignment
            hits.append(Hit(profile, protein, hit.score, envelopes, (alignment.hmm_from, alignment.hmm_to)))
        if on_progress is not None:
            on_progress((profile + 1) / len(hmms))
    return hits


def _in_background(results: Iterable[TopHits]) -> Iterator[TopHits]:
    """Yield what an iterator yields in a thread of its own.

    Python handles a signal between two of its own steps, and HMMER may take minutes for one. The calling thread only
    waits, so that a signal interrupts it.
    """
    answers: SimpleQueue[tuple[list[TopHits], BaseException | None]] = SimpleQueue()
    stopped = threading.Event()

    def ask() -> None:
        try:
            for result in results:
                answers.put(([result], None))
                if stopped.is_set():
                    break
            answers.put(([], None))
        except BaseException as error:  # noqa: BLE001 - raised by the thread that waits
            answers.put(([], error))

    threading.Thread(target=ask, daemon=True).start()
    try:
        while True:
            result, error = answers.get()
            if error is not None:
                raise error
            if not result:
                return
            yield result[0]
    finally:
        stopped.set()


def _profile(hmm: HMM, where: str) -> Profile:
    name, description, accession = _text(hmm.name), _text(hmm.description), _text(hmm.accession)
    for text in (name, description, accession):
        _NAME.validate_python(text)
    if (gathering := hmm.cutoffs.gathering) is None:
        raise ProfileError(f"{where}, profile {name}: found no gathering threshold; expected a line GA")
    kind: Kind = "cluster" if name.startswith(OF_CLUSTER) else "domain"
    for named in get_args(Kind):
        if description.endswith(f"[{named}]"):
            kind, description = named, description.removesuffix(f"[{named}]").rstrip()
    return Profile(hmm, name, description, gathering[0], kind, accession)


def _text(value: bytes | str | None) -> str:
    return value.decode() if isinstance(value, bytes) else value or ""
