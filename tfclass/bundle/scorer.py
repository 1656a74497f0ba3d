"""The one way from proteins to probabilities, for prediction and evaluation alike.

A bundle can be used by its network alone, by each of its other channels, or by all of them ``combined``
(`tfclass.channels.stacking`). Each way has its own decision rule.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import compress
from typing import Any, NamedTuple

import numpy as np
import torch

from tfclass.bundle.bundle import Bundle
from tfclass.channels.base import Channel, Column
from tfclass.channels.calibration import logit
from tfclass.channels.network import SURE_FAMILY, NetworkChannel
from tfclass.channels.stacking import COMBINED, filled, is_searched
from tfclass.channels.thresholds import DecisionRule
from tfclass.errors import ConfigError, MissingExtraError
from tfclass.models.forward import MAX_RESIDUES, Precision
from tfclass.typing import FloatArray, OnProgress, TokenArray


class Scored(NamedTuple):
    """Probabilities of N proteins, in the order given.

    Attributes
    ----------
    probability_NC : ndarray of float64, shape (N, C)
        Rows sum to 1.
    scores : dict of str to object
        Of each channel used; see `Channel.score`.
    """

    probability_NC: FloatArray
    scores: dict[str, Any]


class Scorer:
    """The channels of a bundle that are used together, from tokens to probabilities.

    Parameters
    ----------
    bundle : Bundle
        Its network is used on the device it is on, and left in the mode it had; searches take as many threads as torch
        has.
    channel : str, optional
        One of `channels_of`; by default ``combined`` where the bundle has it, else ``network``.
    max_residues, precision, cpu_fallback
        Of the network; see `tfclass.models.forward.scores_of`.

    Attributes
    ----------
    channel : str
    channels : dict of str to Channel
        Those that are used: one, or all of the bundle.
    decision_rule : DecisionRule
    columns : dict of str to Column
        What the channels add to a row of the output; a column that several fill has one of its source as well.

    Raises
    ------
    ConfigError
        The bundle has no such channel.
    """

    def __init__(
        self,
        bundle: Bundle,
        channel: str | None = None,
        *,
        max_residues: int = MAX_RESIDUES,
        precision: Precision = "float32",
        cpu_fallback: bool = False,
    ) -> None:
        known = channels_of(bundle)
        if channel is not None and channel not in known:
            expected = f"{' or '.join(known)}, which is all that {bundle.name} has"
            raise ConfigError(f"channel: found {channel!r}; expected {expected}")
        self.bundle = bundle
        self.channel = channel or (COMBINED if COMBINED in known else "network")
        self.channels: dict[str, Channel] = {}
        if self.channel in ("network", COMBINED):
            self.channels["network"] = NetworkChannel(
                bundle.name,
                bundle.model,
                bundle.calibration,
                bundle.alphabet,
                bundle.config.families,
                max_residues=max_residues,
                precision=precision,
                cpu_fallback=cpu_fallback,
            )
        self.channels |= {name: each for name, each in bundle.channels.items() if self.channel in (name, COMBINED)}
        self._stacking = bundle.stacked.get(self.channel)
        self.decision_rule: DecisionRule = (self._stacking or bundle).decision_rule
        self._shared, self.columns = _columns(self.channels)

    def score(self, tokens: Sequence[TokenArray], on_progress: OnProgress = None) -> Scored:
        """Score proteins, each independently of the others.

        Parameters
        ----------
        tokens : sequence of ndarray of uint8, each of shape (length,)
            None empty.
        on_progress : callable, optional
            Takes the share of the work that is done, of which each channel is taken for an equal part.

        Raises
        ------
        BundleError
            The network gives no number for a protein.
        MemoryLimitError
            As `tfclass.models.forward.scores_of`.
        MissingExtraError, ProgramError
            Of a search; a program that is missing is reported before the network runs.

        Notes
        -----
        The network comes first, since the others search what it does not rule out (`Stacking.prefilter`).
        """
        scores: dict[str, Any] = {}

        def on_channel(done: float) -> None:
            if on_progress is not None:
                on_progress((len(scores) + done) / len(self.channels))

        self._check_programs()
        searched_N = np.ones(len(tokens), dtype=bool)
        for name, channel in self.channels.items():
            searched = list(compress(tokens, searched_N))
            found = channel.score(searched, torch.get_num_threads(), on_channel)
            scores[name] = found if len(searched) == len(tokens) else filled(channel, found, searched_N)
            if name == "network" and self._stacking is not None and self._stacking.prefilter is not None:
                searched_N = is_searched(self.channels, scores, self._stacking.prefilter)
        if self._stacking is None:
            return Scored(scores["network"].probability_NC, scores)
        positive_N = self._stacking.probability(self.channels, scores)
        return Scored(np.stack([1 - positive_N, positive_N], axis=1), scores)

    def _check_programs(self) -> None:
        for name, channel in self.channels.items():
            try:
                channel.check_program()
            except MissingExtraError as error:
                others = [each for each in channels_of(self.bundle) if each not in (name, COMBINED)]
                raise MissingExtraError(f"{error}; channel {' or '.join(others)} works without") from None

    def contributions(self, scored: Scored, positive: int = 1) -> dict[str, FloatArray]:
        """Compute what each channel adds to the log-odds of the positive class, each of shape (N,).

        Their sum is the log-odds of `Scored.probability_NC`; with channels stacked, the first is the ``intercept``.
        """
        if self._stacking is None:
            return {"network": logit(scored.probability_NC[:, positive])}
        return self._stacking.contributions(self.channels, scored.scores)

    def cells(self, scored: Scored, row: int, sequence: str, *, positive: bool) -> dict[str, Any]:
        """Return the values of `columns` for one protein; None where there is none. See `Channel.cells`.

        Of several channels that know a column, the first with a value fills it; a family of which the network is less
        sure than `SURE_FAMILY` makes way for another channel's.
        """
        values: dict[str, Any] = dict.fromkeys(self.columns)
        for name, channel in self.channels.items():
            found = channel.cells(scored.scores[name], row, sequence, positive=positive)
            if found.get("family") and 0 < (values.get("family_probability") or 0) < SURE_FAMILY:
                values |= {"family": None, "family_probability": None}
            for column, value in found.items():
                if value is not None and values.get(column, "hidden") is None:
                    values[column] = value
                    if column in self._shared:
                        values[f"{column}_source"] = name
        return values


def _columns(channels: Mapping[str, Channel]) -> tuple[set[str], dict[str, Column]]:
    """Return the columns that several channels fill, and all: those of the channels, then who filled the former."""
    shown = [
        (name, column)
        for channel in channels.values()
        for name, column in channel.columns.items()
        if len(channels) > 1 or not column.beside_others
    ]
    times = Counter(name for name, _ in shown)
    columns = {name: column for name, column in reversed(shown)}
    shared = [name for name in times if times[name] > 1]
    sources = {f"{name}_source": Column("category", of_positives=True) for name in shared}
    return set(shared), {name: columns[name] for name in times} | sources


def channels_of(bundle: Bundle) -> tuple[str, ...]:
    """Return the names that `Scorer` knows for a bundle."""
    return ("network", *bundle.stacked)
