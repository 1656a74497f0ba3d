"""Alignments of one protein to one profile, as HMMER prints them."""

from typing import NamedTuple

import pyhmmer
from pyhmmer.plan7 import HMM

from tfclass.search.hmmer import MIN_DOMAIN_BITS
from tfclass.search.hmmer_pieces import sequence_block
from tfclass.sequences.alphabet import Alphabet
from tfclass.typing import TokenArray


class Alignment(NamedTuple):
    """A domain aligned to a profile; the four lines have one character for each column.

    Attributes
    ----------
    bits : float
        Score of the domain.
    start, end : int
        First and last residue that is aligned, counted from 1.
    first_state, last_state : int
        Of the profile, counted from 1.
    consensus : str
        Of the profile: capitals are conserved, a dot is an insertion.
    match : str
        A letter where the residue is that of the consensus, ``+`` where it scores.
    residues : str
        Of the protein: small letters are insertions, a hyphen is a deletion.
    confidence : str
        Posterior probability of each column, from 0 to 9, ``*`` for more than 0.95; a dot at a deletion.
    """

    bits: float
    start: int
    end: int
    first_state: int
    last_state: int
    consensus: str
    match: str
    residues: str
    confidence: str


def alignments(hmm: HMM, tokens: TokenArray, alphabet: Alphabet) -> list[Alignment]:
    """Align the domains of a protein that a library's search would show to a profile, in the order of the residues.

    Parameters
    ----------
    tokens : ndarray of uint8, shape (L,)
        Of a protein; not empty.
    """
    block, starts = sequence_block([tokens], alphabet)
    found = []
    # All domains of the protein, whatever the score of the whole.
    for top in pyhmmer.hmmsearch([hmm], block, cpus=1, T=0.0, domT=0.0):
        for hit in top:
            _, offset = starts[int(hit.name)]
            domains = sorted(hit.domains, key=lambda domain: -domain.score)
            for number, domain in enumerate(domains):
                if number == 0 or domain.score >= MIN_DOMAIN_BITS:
                    found.append(_alignment(domain.score, domain.alignment, offset))
    return sorted(found, key=lambda each: each.start)


def _alignment(bits: float, aligned: pyhmmer.plan7.Alignment, offset: int) -> Alignment:
    return Alignment(
        bits,
        offset + aligned.target_from,
        offset + aligned.target_to,
        aligned.hmm_from,
        aligned.hmm_to,
        aligned.hmm_sequence,
        aligned.identity_sequence,
        aligned.target_sequence,
        aligned.posterior_probabilities,
    )
