"""The channel of homology: the best hits among labelled proteins, searched by MMseqs2."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
from pydantic import FailFast, Field, TypeAdapter, ValidationError

from tfclass.channels.base import Channel, Column, piecewise_linear
from tfclass.errors import BundleError, ResidueError
from tfclass.io.reading import DAMAGED, compressed, unpacked
from tfclass.limits import MAX_REFERENCE_PROTEINS, MAX_UNPACKED_BYTES, in_words
from tfclass.sequences.alphabet import Alphabet
from tfclass.typing import FloatArray, IntArray, OnProgress, TokenArray

if TYPE_CHECKING:
    from tfclass.data.table import LabelledProteins

# Weaker than where a report speaks of a homologue: the regression says what a hit is worth.
_MAX_E_VALUE = 1e-2
# Left open, the number of proteins would decide it, and what is said of one depend on its neighbours.
_EVERY_PAIR = False
_LEAD_KNOTS = ((0.0, 50.0), (50.0, 200.0))
# Of one protein in the file, besides its id and residues.
_MARKUP_BYTES = 60


class _Protein(NamedTuple):
    id: Annotated[str, Field(min_length=1)]
    label: str
    sequence: Annotated[str, Field(min_length=1)]


# The first protein that is wrong is enough to refuse them all.
_PROTEINS = TypeAdapter(Annotated[list[_Protein], FailFast(), Field(min_length=1)])


class Homologue(NamedTuple):
    """The best hits of a protein.

    Attributes
    ----------
    target : int
        Index of the best hit in the reference; -1 where there is none.
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


class HomologyChannel(Channel):
    """A reference: M proteins of two classes, among which others are searched for.

    Parameters
    ----------
    ids : sequence of str, length M
        Names of the proteins.
    tokens : sequence of ndarray of uint8, each of shape (length,)
        None empty.
    labels : ndarray of int64, shape (M,)
        1 for the positive class, 0 for the other.
    classes : sequence of str, length 2
        The positive one last.
    """

    name = "homology"
    file = "reference.json.zst"
    n_features = 1 + 2 * len(_LEAD_KNOTS)
    nothing = Homologue(-1, 0.0, 0.0)
    columns = {  # noqa: RUF012
        "homologue": Column("text"),
        "homologue_label": Column("category"),
        "homologue_bits": Column("number", 1),
    }

    def __init__(
        self,
        ids: Sequence[str],
        tokens: Sequence[TokenArray],
        labels: IntArray,
        alphabet: Alphabet,
        classes: Sequence[str],
    ) -> None:
        self.ids, self.tokens, self.labels = tuple(ids), tokens, labels
        self.alphabet, self.classes = alphabet, tuple(classes)

    def check_program(self) -> None:
        """Check that MMseqs2 is installed; see `Channel`."""
        from tfclass.search.mmseqs import program

        program()

    def score(
        self,
        tokens: Sequence[TokenArray],
        threads: int = 1,
        on_progress: OnProgress = None,  # noqa: ARG002
    ) -> list[Homologue]:
        """Find the best hit of each protein among those of either class, at an e-value of at most 0.01.

        MMseqs2 finds no hit in a protein of more than 65,535 residues, which is longer than any known.

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
            every_pair=_EVERY_PAIR,
            alphabet=self.alphabet,
        )
        query_K, target_K = hits["query"].to_numpy(), hits["target"].to_numpy()
        bits_N2 = np.zeros((len(tokens), 2))
        np.maximum.at(bits_N2, (query_K, self.labels[target_K]), hits["bits"].to_numpy())
        best_N = np.full(len(tokens), -1)
        # The best hit of a protein comes first.
        found, first = np.unique(query_K, return_index=True)
        best_N[found] = target_K[first]
        return [Homologue(best, *bits) for best, bits in zip(best_N.tolist(), bits_N2.tolist(), strict=True)]

    def features(self, scores: Sequence[Homologue]) -> FloatArray:
        """Return g, 1 where there is any hit, and the lead d as u(d, 0, 50), u(d, 50, 200), and u of -d alike.

        The lead is the bits of the best positive hit less those of the best other one, 0 where there is none; u is
        `piecewise_linear`.
        """
        bits_N2 = np.array([(found.other_bits, found.positive_bits) for found in scores]).reshape(-1, 2)
        lead_N = bits_N2[:, 1] - bits_N2[:, 0]
        leads = [*piecewise_linear(lead_N, _LEAD_KNOTS), *piecewise_linear(-lead_N, _LEAD_KNOTS)]
        return np.stack([bits_N2.any(axis=1).astype(float), *leads], axis=1)

    def cells(self, scores: Sequence[Homologue], row: int, sequence: str, *, positive: bool) -> dict[str, Any]:  # noqa: ARG002
        """Return id, class and score of the best hit."""
        best = scores[row]
        if best.target < 0:
            return {}
        label = self.classes[self.labels[best.target]]
        return {"homologue": self.ids[best.target], "homologue_label": label, "homologue_bits": round(best.bits, 1)}

    def describe(self) -> str:
        """Return the size of the reference."""
        size = f"a search by MMseqs2 among {len(self.ids):,} proteins of the training split, {int(self.labels.sum()):,}"
        return f"{size} of them {self.classes[1]}; their sequences are part of this bundle"

    def to_bytes(self) -> bytes:
        """Return the reference as JSON, compressed with zstd."""
        proteins = [
            _Protein(name, self.classes[int(label)], self.alphabet.decode(tokens))._asdict()
            for name, label, tokens in zip(self.ids, self.labels, self.tokens, strict=True)
        ]
        return compressed(json.dumps(proteins, indent=0).encode())

    @classmethod
    def from_bytes(cls, content: bytes, alphabet: Alphabet, classes: Sequence[str], where: str) -> "HomologyChannel":
        """Read a reference; see `Channel`."""
        try:
            proteins = _PROTEINS.validate_json(_within_limits(content))
            tokens = [alphabet.encode(protein.sequence) for protein in proteins]
            label_of = {name: label for label, name in enumerate(classes)}
            labels = np.array([label_of[protein.label] for protein in proteins])
        except (*DAMAGED, OSError, ValueError, KeyError, ResidueError) as error:
            reason = error.errors(include_url=False)[0]["msg"] if isinstance(error, ValidationError) else error
            expected = f"labelled proteins of the classes {' and '.join(classes)}"
            raise BundleError(
                f"{where}: found no reference that can be read ({reason}); expected {expected}; restore the bundle"
            ) from error
        return cls([protein.id for protein in proteins], tokens, labels, alphabet, classes)

    @classmethod
    def from_training(
        cls,
        proteins: "LabelledProteins",
        alphabet: Alphabet,
        source: Path | None,
        where: str,  # noqa: ARG003
    ) -> "HomologyChannel":
        """Make the training proteins the reference.

        Raises
        ------
        BundleError
            They are too many or too long to be read again.
        """
        ids = tuple(proteins.frame["id"])
        n_bytes = sum(map(len, proteins.tokens)) + sum(map(len, ids)) + _MARKUP_BYTES * len(ids)
        if len(ids) > MAX_REFERENCE_PROTEINS or n_bytes > MAX_UNPACKED_BYTES:
            found = f"a reference of {len(ids):,} proteins and {in_words(n_bytes)}"
            expected = f"at most {MAX_REFERENCE_PROTEINS:,} and {in_words(MAX_UNPACKED_BYTES)}"
            raise BundleError(f"{where}: found {found}; expected {expected}; leave some out")
        return cls(ids, proteins.tokens, proteins.labels, alphabet, proteins.classes)


def _within_limits(content: bytes) -> bytes:
    """Unpack a reference; ValueError where there is too much in it to be parsed."""
    text = unpacked(content, MAX_UNPACKED_BYTES)
    # An object for each protein; three commas for each, and those in ids: there are no more values than both.
    if text.count(b"{") > MAX_REFERENCE_PROTEINS or text.count(b",") > 6 * MAX_REFERENCE_PROTEINS:
        raise ValueError(f"more than {MAX_REFERENCE_PROTEINS:,} proteins")
    return text
