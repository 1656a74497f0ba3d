"""The alphabet of residues: the only place where a letter becomes a number.

The alphabet is the 20 amino acids followed by the six other IUPAC letters (B, J, O, U, X, Z), each with a token of its
own, so nothing is merged and ``decode(encode(s)) == s.upper()``. Token 0 is padding. Letters are upper-cased: lower
case only means soft masking.
"""

from dataclasses import dataclass, field

import numpy as np

from tfclass.errors import ResidueError
from tfclass.typing import TokenArray

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
        """Return the token of each character, or `GAP`, `STOP` or `ILLEGAL`.

        Parameters
        ----------
        sequence : str
            Any text; a character outside ASCII counts as one illegal character.

        Returns
        -------
        ndarray of uint8, shape (len(sequence),)
        """
        return self._table[np.frombuffer(sequence.encode("ascii", "replace"), dtype=np.uint8)]

    def encode(self, sequence: str) -> TokenArray:
        """Encode residues as tokens.

        Parameters
        ----------
        sequence : str
            Residue letters, either case.

        Returns
        -------
        ndarray of uint8, shape (L,)

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
