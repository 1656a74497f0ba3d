"""The reference of the homology channel: labelled proteins, among which others are searched for by MMseqs2."""

import json
from collections.abc import Sequence
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import FailFast, Field, TypeAdapter, ValidationError

from tfclass.errors import BundleError, ResidueError
from tfclass.io.compression import DAMAGED, compressed, unpacked
from tfclass.limits import MAX_REFERENCE_PROTEINS, MAX_UNPACKED_BYTES, in_words
from tfclass.sequences.alphabet import Alphabet
from tfclass.typing import FloatArray, IntArray, TokenArray

# Weaker than where a report speaks of a homologue: what a hit is worth is for the regression to say.
_MAX_E_VALUE = 1e-2
# Of one protein in the file, besides its id and residues.
_MARKUP_BYTES = 60


class _Protein(NamedTuple):
    id: Annotated[str, Field(min_length=1)]
    label: str
    sequence: Annotated[str, Field(min_length=1)]


# The first protein that is wrong is enough to refuse them all.
_PROTEINS = TypeAdapter(Annotated[list[_Protein], FailFast(), Field(min_length=1)])


class Homologue(NamedTuple):
    """What a reference says of a protein.

    Attributes
    ----------
    target : int
        Of the best hit, its place in the reference; -1 where there is none.
    other_bits, positive_bits : float
        Score of the best hit of either class; 0 where there is none.
    """

    target: int
    other_bits: float
    positive_bits: float

    @property
    def bits(self) -> float:
        """Score of the best hit."""
        return max(self.other_bits, self.positive_bits)


def bits_of(homologues: Sequence[Homologue]) -> FloatArray:
    """Give the bits of N proteins' best hits of either class, shape (N, 2), the positive class last."""
    return np.array([(found.other_bits, found.positive_bits) for found in homologues], dtype=np.float64).reshape(-1, 2)


class Reference(NamedTuple):
    """Proteins of two classes.

    Attributes
    ----------
    ids : tuple of str, length M
    tokens : sequence of ndarray of uint8, each of shape (length,)
        None empty.
    labels : ndarray of int64, shape (M,)
        1 for the positive class, 0 for the other.
    """

    ids: tuple[str, ...]
    tokens: Sequence[TokenArray]
    labels: IntArray

    def search(self, tokens: Sequence[TokenArray], alphabet: Alphabet, threads: int = 1) -> list[Homologue]:
        """Find the best hit of each protein among those of either class, at an e-value of at most 0.01.

        Parameters
        ----------
        tokens : sequence of ndarray of uint8, each of shape (length,)
        alphabet : Alphabet
            That of all tokens.

        Returns
        -------
        list of Homologue, length N
            In the order given; of a protein it depends on nothing but that protein. MMseqs2 finds no hit in one of
            more than 65,535 residues, which is longer than any known.

        Raises
        ------
        MissingExtraError, ProgramError
            As `tfclass.search.mmseqs.search`.
        """
        # Most predictions have no reference, and need not wait for pandas.
        from tfclass.search.mmseqs import MAX_HITS, SENSITIVITY, search

        hits = search(
            tokens,
            self.tokens,
            sensitivity=SENSITIVITY,
            max_e_value=_MAX_E_VALUE,
            threads=threads,
            max_hits=MAX_HITS,
            # Left open, the number of proteins would decide it, and what is said of one depend on its neighbours.
            every_pair=False,
            alphabet=alphabet,
        )
        query_K, target_K = hits["query"].to_numpy(), hits["target"].to_numpy()
        bits_N2 = np.zeros((len(tokens), 2))
        np.maximum.at(bits_N2, (query_K, self.labels[target_K]), hits["bits"].to_numpy())
        best_N = np.full(len(tokens), -1)
        # The best hit of a protein comes first.
        found, first = np.unique(query_K, return_index=True)
        best_N[found] = target_K[first]
        return [Homologue(best, *bits) for best, bits in zip(best_N.tolist(), bits_N2.tolist(), strict=True)]

    def check_size(self, where: str) -> None:
        """Refuse what would be too large to be read again.

        Raises
        ------
        BundleError
        """
        n_bytes = sum(map(len, self.tokens)) + sum(map(len, self.ids)) + _MARKUP_BYTES * len(self.ids)
        if len(self.ids) > MAX_REFERENCE_PROTEINS or n_bytes > MAX_UNPACKED_BYTES:
            found = f"a reference of {len(self.ids):,} proteins and {in_words(n_bytes)}"
            expected = f"at most {MAX_REFERENCE_PROTEINS:,} and {in_words(MAX_UNPACKED_BYTES)}"
            raise BundleError(where, found, expected, "leave some out")

    def to_bytes(self, classes: Sequence[str], alphabet: Alphabet) -> bytes:
        """Pack into JSON, compressed with zstd; the same proteins give the same bytes."""
        proteins = [
            _Protein(name, classes[int(label)], alphabet.decode(tokens))._asdict()
            for name, label, tokens in zip(self.ids, self.labels, self.tokens, strict=True)
        ]
        return compressed(json.dumps(proteins, indent=0).encode())

    @classmethod
    def from_bytes(cls, content: bytes, classes: Sequence[str], alphabet: Alphabet, where: str) -> "Reference":
        """Unpack what `to_bytes` gave.

        Parameters
        ----------
        classes : sequence of str
            The two, the positive one last.
        where : str
            For messages.

        Raises
        ------
        BundleError
            It is something else, or of other classes.
        """
        try:
            proteins = _PROTEINS.validate_json(_within_limits(content))
            tokens = [alphabet.encode(protein.sequence) for protein in proteins]
            place = {name: label for label, name in enumerate(classes)}
            labels = np.array([place[protein.label] for protein in proteins])
        except (*DAMAGED, OSError, ValueError, KeyError, ResidueError) as error:
            reason = error.errors(include_url=False)[0]["msg"] if isinstance(error, ValidationError) else error
            found = f"no reference that can be read ({reason})"
            expected = f"labelled proteins of the classes {' and '.join(classes)}"
            raise BundleError(where, found, expected, "restore the bundle", path=where) from error
        return cls(tuple(protein.id for protein in proteins), tokens, labels)


def _within_limits(content: bytes) -> bytes:
    """Unpack a reference; ValueError where there is too much in it to be parsed."""
    text = unpacked(content, MAX_UNPACKED_BYTES)
    # An object for each protein; three commas for each, and those in ids: there are no more values than both.
    if text.count(b"{") > MAX_REFERENCE_PROTEINS or text.count(b",") > 6 * MAX_REFERENCE_PROTEINS:
        raise ValueError(f"more than {MAX_REFERENCE_PROTEINS:,} proteins")
    return text
