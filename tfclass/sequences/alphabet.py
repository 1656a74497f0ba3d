"""Residues: the only place where a letter becomes a number, the rules that clean a sequence, and ranges of residues.

The alphabet is the 20 amino acids followed by the six other IUPAC letters (B, J, O, U, X, Z), each with a token of its
own, so nothing is merged and ``decode(encode(s)) == s.upper()``. Token 0 is padding. Letters are upper-cased: lower
case only means soft masking.

Gene predictors end proteins with ``*``, alignments bring gaps, databases bring B, Z, U. None of that is a reason to
lose a protein: it is repaired by a fixed rule, the same for training and prediction, and the rule is reported with the
result.
"""

import functools
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from tfclass.errors import ResidueError
from tfclass.typing import BoolArray, TokenArray

PAD = 0
AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"
NONSTANDARD = "BJOUXZ"

# Codes of bytes that are no residue (`Alphabet.codes`). They never reach a network.
GAP, STOP, ILLEGAL = 253, 254, 255


@dataclass(frozen=True)
class Alphabet:
    """An immutable map between residue letters and tokens; equal when the letters are equal.

    Attributes
    ----------
    letters : str
        Letter ``letters[i]`` has token ``i + 1``. The first 20 are the amino acids; the others are nonstandard.

    Examples
    --------
    >>> Alphabet().encode("ACx")
    array([ 1,  2, 25], dtype=uint8)
    >>> Alphabet().decode(Alphabet().encode("MKV"))
    'MKV'
    """

    letters: str = AMINO_ACIDS + NONSTANDARD
    _table: TokenArray = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        table = np.full(256, ILLEGAL, dtype=np.uint8)
        for token, letter in enumerate(self.letters, start=1):
            table[ord(letter)] = table[ord(letter.lower())] = token
        table[ord("-")] = table[ord(".")] = GAP
        table[ord("*")] = STOP
        table.flags.writeable = False
        object.__setattr__(self, "_table", table)

    @property
    def size(self) -> int:
        """Number of tokens, padding included."""
        return len(self.letters) + 1

    @property
    def unknown(self) -> int:
        """The token of X, "any residue"."""
        return self.letters.index("X") + 1

    def codes(self, sequence: str) -> TokenArray:
        """Return the token of each character, or `GAP`, `STOP` or `ILLEGAL`, also outside ASCII; uint8, shape (L,)."""
        return self._table[np.frombuffer(sequence.encode("ascii", "replace"), dtype=np.uint8)]

    def encode(self, sequence: str) -> TokenArray:
        """Encode residues, of either case, as tokens; uint8, shape (L,).

        Raises
        ------
        ResidueError
            A character is not a residue letter (gaps and stops included).
        """
        codes = self.codes(sequence)
        if codes.size and codes.max() >= GAP:
            position = int(np.argmax(codes >= GAP))
            raise ResidueError(f"position {position + 1}: found {sequence[position]!r}; expected one of {self.letters}")
        return codes

    def decode(self, tokens: TokenArray) -> str:
        """Decode tokens to upper-case letters; padding becomes ``-``."""
        letters = np.frombuffer(("-" + self.letters).encode(), dtype=np.uint8)
        return letters[tokens].tobytes().decode()


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
    # Most proteins have nothing but amino acids, so that one look is enough.
    highest = int(codes.max(initial=0))
    nonstandard = int(((codes > len(AMINO_ACIDS)) & (codes < GAP)).sum()) if highest > len(AMINO_ACIDS) else 0
    notes: list[str] = []
    if highest >= GAP:
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


def merged(ranges: Iterable[tuple[int, int]], gap: int = 1) -> list[tuple[int, int]]:
    """Merge ranges that overlap or have fewer than `gap` residues between them.

    Parameters
    ----------
    ranges : iterable of (int, int)
        First and last residue of each, in any order.

    Returns
    -------
    list of (int, int)
        In ascending order.

    Examples
    --------
    >>> merged([(30, 40), (5, 12), (13, 20), (35, 50)])
    [(5, 20), (30, 50)]
    """
    apart: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if apart and start - apart[-1][1] <= gap:
            start, before = apart.pop()
            end = max(before, end)
        apart.append((start, end))
    return apart


def ranges_cell(ranges: Iterable[tuple[int, int]]) -> str:
    """Write ranges as in ``12-64;80-130``; empty without any."""
    return ";".join(f"{start}-{end}" for start, end in ranges)
