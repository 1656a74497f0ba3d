"""The interface of a channel: one kind of evidence about a protein."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np

from tfclass.sequences.alphabet import Alphabet, kept_characters, ranges_cell
from tfclass.typing import FloatArray, IntArray, OnProgress, TokenArray

if TYPE_CHECKING:
    from tfclass.data.table import LabelledProteins

Kind = Literal["text", "category", "integer", "number"]


class Column(NamedTuple):
    """A column of the output.

    Attributes
    ----------
    kind : {'text', 'category', 'integer', 'number'}
    decimals : int or None
        Decimals of a number in TSV; None writes it in full.
    of_positives : bool
        Shown for predicted positives alone.
    beside_others : bool
        Shown only where other channels are used as well.
    """

    kind: Kind
    decimals: int | None = None
    of_positives: bool = False
    beside_others: bool = False


class Channel:
    """A kind of evidence about proteins, with what it keeps in a bundle.

    Everything else in tfclass knows channels by this interface and by their table, `tfclass.channels.registry`.

    Attributes
    ----------
    name : str
        As in ``--channel``.
    file : str
        Its file in a bundle.
    n_features : int
        Columns of `features`.
    n_groups : int
        Number of groups that `group` tells apart; 0 without groups.
    columns : mapping of str to Column
        What it adds to a row of the output, in order.
    nothing : object
        The score of a protein in which it finds nothing; also that of a protein that it does not search.
    """

    name: ClassVar[str]
    file: ClassVar[str]
    n_features: ClassVar[int]
    n_groups: int = 0
    columns: Mapping[str, Column]
    nothing: Any = None

    def check_program(self) -> None:
        """Check that the program that it calls is installed; `MissingExtraError` where it is not."""

    def score(self, tokens: Sequence[TokenArray], threads: int = 1, on_progress: OnProgress = None) -> Any:  # noqa: ANN401
        """Score proteins, each independently of the others.

        Parameters
        ----------
        tokens : sequence of ndarray of uint8, each of shape (length,)
            None empty.
        threads : int
            For a search; a network takes as many as torch has.
        on_progress : callable, optional
            Takes the share of the work that is done; a channel that cannot tell does not call it.

        Returns
        -------
        object
            For the methods below, in the order given; a list with one item for each protein, except the network's.

        Raises
        ------
        MissingExtraError
            As `check_program`.
        """
        raise NotImplementedError

    def features(self, scores: Any) -> FloatArray:  # noqa: ANN401
        """Return the columns for the stacking regression, shape (N, `n_features`).

        The first is 1 where the channel found something about a protein and 0 elsewhere, except the network's own.
        """
        raise NotImplementedError

    def group(self, scores: Any) -> IntArray:  # noqa: ANN401
        """Return the group of each protein, -1 for none, shape (N,); each group has an offset in the regression."""
        raise NotImplementedError

    def group_terms(self, scores: Any, proteins: "LabelledProteins") -> FloatArray:  # noqa: ANN401
        """Return numbers that describe each group, from which its offset is fitted, shape (`n_groups`, J).

        Parameters
        ----------
        scores : object
            Of the training proteins.
        proteins : LabelledProteins
            The training proteins.
        """
        raise NotImplementedError

    def cells(self, scores: Any, row: int, sequence: str, *, positive: bool) -> dict[str, Any]:  # noqa: ANN401
        """Return the values of `columns` for one protein; those left out are empty.

        Parameters
        ----------
        scores : object
            What `score` returned.
        row : int
            Of the protein in `scores`.
        sequence : str
            As given, with gaps and stops.
        positive : bool
            Whether the protein is predicted positive, or may still be.
        """
        raise NotImplementedError

    def describe(self) -> str:
        """Describe it in a few words, for the model card."""
        raise NotImplementedError

    def to_bytes(self) -> bytes:
        """Return the content of its file; the same channel gives the same bytes."""
        raise NotImplementedError

    @classmethod
    def from_bytes(cls, content: bytes, alphabet: Alphabet, classes: Sequence[str], where: str) -> "Channel":
        """Read its file.

        Parameters
        ----------
        content : bytes
            The file of the channel.
        classes : sequence of str, length 2
            The positive one last.
        where : str
            For messages.

        Raises
        ------
        BundleError
            It cannot be read.
        """
        raise NotImplementedError

    @classmethod
    def from_training(
        cls, proteins: "LabelledProteins", alphabet: Alphabet, source: Path | None, where: str
    ) -> "Channel":
        """Make it from the training proteins, or from a file that was made from them.

        Parameters
        ----------
        source : Path or None
            The file, for a channel that is made from one.
        where : str
            Name of the table, for messages.

        Raises
        ------
        TfclassError
            It cannot be made.
        """
        raise NotImplementedError


def piecewise_linear(value_N: FloatArray, knots: Sequence[tuple[float, float]]) -> list[FloatArray]:
    r"""Return :math:`u(x, a, c) = \min(\max((x - a) / (c - a), 0), 1)` for each pair of knots, each of shape (N,).

    Ten bits mean much near a threshold and nothing far above it.
    """
    return [np.clip((value_N - low) / (high - low), 0.0, 1.0) for low, high in knots]


def place_cell(ranges: Iterable[tuple[int, int]], sequence: str, alphabet: Alphabet) -> str | None:
    """Write places in a protein, as in ``12-64;80-130``; None without one.

    Parameters
    ----------
    ranges : iterable of (int, int)
        First and last residue of each, counted from 1; ascending, none touching another.
    sequence : str
        As it was given, with gaps and stops: its characters are counted in the cell.
    """
    given = np.flatnonzero(kept_characters(alphabet.codes(sequence))) + 1
    return ranges_cell((given[start - 1], given[end - 1]) for start, end in ranges) or None
