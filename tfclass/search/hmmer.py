"""A library of profiles in HMMER's [1]_ own format, each with the score from which it is believed.

HMMER itself can use the file: a profile's gathering threshold (``GA``) is its `Profile.threshold`, its description
(``DESC``) the family. HMMER runs in this process, through PyHMMER [2]_.

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
from typing import NamedTuple, TypeVar

import numpy as np
import pyhmmer
from pydantic import TypeAdapter
from pyhmmer.easel import DigitalSequence, DigitalSequenceBlock, VectorU8
from pyhmmer.plan7 import HMM

from tfclass.errors import ProfileError
from tfclass.io.compression import DAMAGED, compressed, unpacked
from tfclass.limits import MAX_UNPACKED_BYTES
from tfclass.names import Text
from tfclass.search.hmmer_format import ALPHABET, read_hmms
from tfclass.search.hmmer_pieces import pieces
from tfclass.sequences.alphabet import Alphabet
from tfclass.typing import FloatArray, TokenArray

T = TypeVar("T")

_NAME = TypeAdapter(Text)
# How the names of profiles begin that were found by comparing clusters.
OF_CLUSTER = "cluster:"
# The least score of a hit, in bits: below it chance hits are as common as others.
MIN_BITS = 10.0
# The least score of a domain beside the best one: a repeat of a short motif, such as a zinc finger, scores little.
MIN_DOMAIN_BITS = 5.0


class Profile(NamedTuple):
    """A profile hidden Markov model.

    Attributes
    ----------
    name : str
        Unique in a library, without white space.
    family : str
        Of most of the proteins it was made from; empty where that is not known.
    threshold : float
        Bits from which a hit speaks for a transcription factor.
    """

    hmm: HMM
    name: str
    family: str
    threshold: float

    @property
    def of_domain(self) -> bool:
        """Whether it was made from a known domain, and not from what clusters share."""
        return not self.name.startswith(OF_CLUSTER)


class Hit(NamedTuple):
    """A protein that a profile fits.

    Attributes
    ----------
    profile : int
        Index into the library.
    protein : int
        Index into the sequences searched.
    bits : float
        Score of the whole sequence.
    envelopes : tuple of (int, int)
        Where its domains lie, the best first; residues counted from 1, both ends included.
    """

    profile: int
    protein: int
    bits: float
    envelopes: tuple[tuple[int, int], ...]


class Evidence(NamedTuple):
    """What a library says of a protein.

    Attributes
    ----------
    margin : float
        Bits above the threshold of the profile that is exceeded most, or missed least; -inf where none fits.
    profile : int
        That profile's index; -1 where none fits.
    bits : float
        Its score; 0 where none fits.
    """

    margin: float
    profile: int
    bits: float


NO_EVIDENCE = Evidence(-np.inf, -1, 0.0)


class Library:
    """Profiles that are searched together.

    Parameters
    ----------
    profiles : sequence of Profile
        At least one; no two of one name.
    """

    def __init__(self, profiles: Sequence[Profile]) -> None:
        self.profiles = tuple(profiles)
        self.states = sum(profile.hmm.M for profile in self.profiles)

    def search(self, tokens: Sequence[TokenArray], alphabet: Alphabet, threads: int = 1) -> list[Evidence]:
        """Find the profile that fits each protein best.

        Parameters
        ----------
        tokens : sequence of ndarray of uint8, each of shape (length,)
            None empty.
        alphabet : Alphabet
            That of the tokens.

        Returns
        -------
        list of Evidence, length N
            In the order given; of a protein it depends on nothing but that protein.
        """
        return self.best(self.hits(tokens, alphabet, threads), len(tokens))

    def hits(self, tokens: Sequence[TokenArray], alphabet: Alphabet, threads: int = 1) -> list[Hit]:
        """Find all hits, by profile; see `search`."""
        return search([profile.hmm for profile in self.profiles], tokens, alphabet, threads)

    def best(self, hits: Sequence[Hit], n: int) -> list[Evidence]:
        """Keep the best of the hits in each of n proteins: the one farthest above its profile's threshold."""
        evidence = [NO_EVIDENCE] * n
        for hit in hits:
            margin = hit.bits - self.profiles[hit.profile].threshold
            if margin > evidence[hit.protein].margin:
                evidence[hit.protein] = Evidence(margin, hit.profile, hit.bits)
        return evidence

    def to_bytes(self) -> bytes:
        """Pack into HMMER's binary format, compressed with zstd; the same profiles give the same bytes."""
        buffer = io.BytesIO()
        for hmm, name, family, threshold in self.profiles:
            hmm.name, hmm.description = name, family or None
            hmm.cutoffs.gathering = (threshold, threshold)
            hmm.command_line = hmm.creation_time = None
            hmm.write(buffer, binary=True)
        return compressed(buffer.getvalue())

    @classmethod
    def from_bytes(cls, content: bytes, where: str) -> "Library":
        """Unpack what `to_bytes` gave.

        Parameters
        ----------
        content : bytes
            HMMER's format, text or binary, may be compressed.
        where : str
            For messages.

        Raises
        ------
        ProfileError
            It is something else, larger than `tfclass.limits` allows, or holds a profile without a gathering threshold.
        """
        try:
            profiles = [_profile(hmm, where) for hmm in read_hmms(unpacked(content, MAX_UNPACKED_BYTES))]
        except (*DAMAGED, ValueError, OSError) as error:
            raise ProfileError(where, f"no profiles that can be read ({error})", "HMMER's format") from error
        name, times = Counter(profile.name for profile in profiles).most_common(1)[0]
        if times > 1:
            raise ProfileError(where, f"{times} profiles {name!r}", "each name once")
        return cls(profiles)


def margins(evidence: Sequence[Evidence]) -> FloatArray:
    """Give the margin of each of N proteins, shape (N,)."""
    return np.array([found.margin for found in evidence], dtype=np.float64)


def search(hmms: Sequence[HMM], tokens: Sequence[TokenArray], alphabet: Alphabet, threads: int = 1) -> list[Hit]:
    """Find every hit of `MIN_BITS` or more; see `Library.search`.

    Returns
    -------
    list of Hit
        By profile, then by score. Each of the pieces of a long sequence (`tfclass.search.hmmer_pieces`)
        has hits of its own.
    """
    block, starts = _block(tokens, alphabet)
    hits = []
    # Reported by score and not by E-value, which would change with the number of sequences.
    found = pyhmmer.hmmsearch(hmms, block, cpus=threads, T=MIN_BITS, domT=0.0)
    for profile, top in enumerate(_in_background(found)):
        for hit in top:
            protein, offset = starts[int(hit.name)]
            domains = sorted(hit.domains, key=lambda domain: -domain.score)
            kept = domains[:1] + [domain for domain in domains[1:] if domain.score >= MIN_DOMAIN_BITS]
            envelopes = tuple((offset + domain.env_from, offset + domain.env_to) for domain in kept)
            hits.append(Hit(profile, protein, hit.score, envelopes))
    return hits


def _in_background(results: Iterable[T]) -> Iterator[T]:
    """Yield what an iterator gives, which a thread of its own asks for.

    Python handles a signal between two of its own steps, and HMMER may take minutes for one. This thread only waits, so
    it can be interrupted; what goes on in the other one does not keep the program from ending.
    """
    answers: SimpleQueue[tuple[list[T], BaseException | None]] = SimpleQueue()
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


def _block(tokens: Sequence[TokenArray], alphabet: Alphabet) -> tuple[DigitalSequenceBlock, list[tuple[int, int]]]:
    """Give the sequences as HMMER reads them, and of each the protein it is of and where in it it begins."""
    codes = np.array([0] + [ALPHABET.encode(letter)[0] for letter in alphabet.letters], dtype=np.uint8)
    sequences, starts = [], []
    for protein, sequence in enumerate(tokens):
        for start, end in pieces(sequence):
            piece = VectorU8(codes[sequence[start:end]])
            sequences.append(DigitalSequence(ALPHABET, name=str(len(starts)), sequence=piece))
            starts.append((protein, start))
    return DigitalSequenceBlock(ALPHABET, sequences), starts


def _profile(hmm: HMM, where: str) -> Profile:
    name, family, gathering = _text(hmm.name), _text(hmm.description), hmm.cutoffs.gathering
    for text in (name, family):
        _NAME.validate_python(text)
    if gathering is None:
        raise ProfileError(f"{where}, profile {name}", "no gathering threshold", "a line GA")
    return Profile(hmm, name, family, gathering[0])


def _text(value: bytes | str | None) -> str:
    return value.decode() if isinstance(value, bytes) else value or ""
