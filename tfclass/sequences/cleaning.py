"""Clean sequences, by the same rules for training and prediction.

Gene predictors end proteins with ``*``, alignments bring gaps, databases bring B, Z, U. None of that is a reason to
lose a protein: it is repaired by a fixed rule, and the rule is reported with the result.
"""

import functools
from typing import NamedTuple

import numpy as np

from tfclass.sequences.alphabet import AMINO_ACIDS, GAP, ILLEGAL, STOP, Alphabet
from tfclass.typing import BoolArray, TokenArray

# The note on a sequence that spells a missing value, as programs write it.
EMPTY_VALUE = "looks_like_empty_value"
_EMPTY_VALUES = ("NA", "NAN", "NIL", "NONE", "NULL")
_SHORTEST_NUCLEOTIDE = 30
_NUCLEOTIDE_FRACTION = 0.95


class CleanSequence(NamedTuple):
    """A sequence ready for the network, or the reason why it is not.

    Attributes
    ----------
    tokens : ndarray of uint8, shape (L,)
        Empty when the sequence cannot be used.
    notes : tuple of str
        Repairs and warnings: ``stop_removed``, ``internal_stops=n``, ``gaps_removed=n``, ``nonstandard=n``,
        ``looks_like_nucleotide``, ``looks_like_empty_value``.
    problem : str
        Why the sequence cannot be used (``empty``, ``illegal '1' at 17``); empty when it can.
    """

    tokens: TokenArray
    notes: tuple[str, ...] = ()
    problem: str = ""


def clean(sequence: str, alphabet: Alphabet) -> CleanSequence:
    """Apply the cleaning rules.

    Parameters
    ----------
    sequence : str
        Any text.

    Returns
    -------
    CleanSequence
        Final ``*`` and gaps (``-``, ``.``) are removed, an internal ``*`` becomes X, any other character that is no
        residue letter is a problem. Positions in a problem are 1-based in the sequence as given.

    Examples
    --------
    >>> clean("MK-V*", Alphabet()).notes
    ('stop_removed', 'gaps_removed=1')
    >>> clean("MK1V", Alphabet()).problem
    "illegal '1' at 3"
    """
    codes = alphabet.codes(sequence)
    nonstandard = int(((codes > len(AMINO_ACIDS)) & (codes < GAP)).sum())
    notes: list[str] = []
    if codes.size and codes.max() >= GAP:
        if (codes == ILLEGAL).any():
            position = int(np.argmax(codes == ILLEGAL))
            return CleanSequence(codes[:0], (), f"illegal {ascii(sequence[position])} at {position + 1}")
        codes, notes = _without_gaps_and_stops(codes, alphabet)
    if not codes.size:
        return CleanSequence(codes, tuple(notes), "empty")
    if nonstandard:
        notes.append(f"nonstandard={nonstandard}")
    if _looks_like_nucleotide(codes, alphabet):
        notes.append("looks_like_nucleotide")
    if len(sequence) <= len("NULL") and sequence.upper() in _EMPTY_VALUES:
        notes.append(EMPTY_VALUE)
    return CleanSequence(codes, tuple(notes))


def cleaning_problem(sequence: str, alphabet: Alphabet) -> str:
    """Return why a sequence is not as `clean` leaves it; empty if it is, so that its letters can be compared.

    Examples
    --------
    >>> cleaning_problem("MK-V", Alphabet())
    'gaps, stops or small letters'
    """
    cleaned = clean(sequence, alphabet)
    if cleaned.problem or alphabet.decode(cleaned.tokens) == sequence:
        return cleaned.problem
    return "gaps, stops or small letters"


def kept_characters(codes: TokenArray) -> BoolArray:
    """Mark the characters that `clean` keeps, by their codes: all but gaps, and stops after the last residue.

    It maps positions in the sequence as given to the tokens: the result is True L times.
    """
    kept = codes != GAP
    residues = np.flatnonzero(kept & (codes != STOP))
    kept[int(residues[-1]) + 1 if residues.size else 0 :] = False
    return kept


def _without_gaps_and_stops(codes: TokenArray, alphabet: Alphabet) -> tuple[TokenArray, list[str]]:
    notes = []
    gaps = int((codes == GAP).sum())
    kept = kept_characters(codes)
    if gaps + int(kept.sum()) < codes.size:
        notes.append("stop_removed")
    codes = codes[kept]
    internal = int((codes == STOP).sum())
    if internal:
        notes.append(f"internal_stops={internal}")
        codes = np.where(codes == STOP, np.uint8(alphabet.unknown), codes)
    if gaps:
        notes.append(f"gaps_removed={gaps}")
    return codes, notes


def _looks_like_nucleotide(codes: TokenArray, alphabet: Alphabet) -> bool:
    if codes.size < _SHORTEST_NUCLEOTIDE:
        return False
    # The quickest check, which most proteins fail.
    if np.count_nonzero(_tokens_of("ACGTUN", alphabet)[codes]) < _NUCLEOTIDE_FRACTION * codes.size:
        return False
    return all(_tokens_of(letters, alphabet)[codes].any() for letters in ("A", "C", "G", "TU"))


@functools.cache
def _tokens_of(letters: str, alphabet: Alphabet) -> BoolArray:
    """Mark the tokens of some letters; shape (V,)."""
    return np.array([False, *(letter in letters for letter in alphabet.letters)])
