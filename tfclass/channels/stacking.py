r"""Stacking: one probability from the scores of several channels.

Every channel gives features (`tfclass.channels.base.Channel.features`), and a logistic regression on the features x of
one or more channels side by side gives the probability of the positive class:

.. math:: \log \frac{p}{1 - p} = b + \sum_k w_k x_k + o_j

A channel other than the network may be used alone, and all are ``combined`` in the order ``network``, then that of
`tfclass.channels.registry`. The network's feature, its calibrated log-odds z, is then followed by z h, where h is 1 if
any other channel found something and 0 elsewhere: a network that disagrees with others is right less often than one
that is on its own.

Where a channel has groups (`Channel.group`), such as profiles, which differ in how much a hit of theirs tells, the j-th
adds an offset of its own, a weighted sum of the numbers that describe it (`Channel.group_terms`).

With a prefilter, the other channels search a protein only where z is at least that; for the rest, they find nothing. A
search takes longer than the network, and the network alone is sure of a third to a half of all proteins.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import compress
from typing import Annotated, Any

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from tfclass.channels.base import Channel
from tfclass.channels.calibration import Inside, Moderate, expit
from tfclass.channels.thresholds import DecisionRule, OperatingPoints, Probability
from tfclass.limits import MAX_PROFILES
from tfclass.typing import BoolArray, FloatArray, IntArray

COMBINED = "combined"
# A probability of the network of 0.7 %. Of 1,186 validation TFs two are below it, which no profile fits either; of all
# 4,165 validation proteins 40 % are.
PREFILTER = -5.0

Channels = Mapping[str, Channel]
# By channel, in the order of the features.
Scores = Mapping[str, Any]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Stacking:
    """A fitted regression; see the module for the equation.

    Attributes
    ----------
    weights : tuple of float
        In the order of `stacked_features`.
    threshold : float
        Least probability of a predicted positive.
    prevalence : float
        Share of the positive class among the proteins that it was fitted on.
    operating_points : tuple of OperatingPoint
        Of other thresholds.
    offsets : tuple of float
        Of each group of each channel, in order; empty without groups.
    prefilter : float or None
        Least log-odds of the network of a protein that the other channels search; None where they search all.
    """

    intercept: Moderate
    weights: Annotated[tuple[Moderate, ...], Field(max_length=100)]
    threshold: Probability
    prevalence: Inside
    operating_points: OperatingPoints = ()
    offsets: Annotated[tuple[Moderate, ...], Field(max_length=MAX_PROFILES)] = ()
    prefilter: Moderate | None = None

    @property
    def decision_rule(self) -> DecisionRule:
        """The rule that validation chose."""
        return DecisionRule(self.threshold, self.operating_points, self.prevalence)

    def probability(self, channels: Channels, scores: Scores) -> FloatArray:
        """Compute the probability of the positive class, shape (N,).

        Parameters
        ----------
        channels : mapping of str to Channel
            By name.
        scores : mapping of str to object
            Of the channels that it was fitted for, in that order.
        """
        log_odds_N = self.intercept + stacked_features(channels, scores) @ np.array(self.weights)
        for offset_N in self._offsets(channels, scores).values():
            log_odds_N += offset_N
        return expit(log_odds_N)

    def contributions(self, channels: Channels, scores: Scores) -> dict[str, FloatArray]:
        """Compute what each channel adds to the log-odds, each of shape (N,); the sum is that of `probability`.

        The first is the ``intercept``. See `probability` for the parameters.
        """
        features_NK = stacked_features(channels, scores) * np.array(self.weights)
        # The network's own log-odds stand there twice where it is not alone.
        widths = [channels[name].n_features + (name == "network" and len(scores) > 1) for name in scores]
        parts = np.split(features_NK, np.cumsum(widths)[:-1], axis=1)
        offsets = self._offsets(channels, scores)
        added = {name: part.sum(axis=1) + offsets.get(name, 0.0) for name, part in zip(scores, parts, strict=True)}
        return {"intercept": np.full(len(features_NK), self.intercept)} | added

    def _offsets(self, channels: Channels, scores: Scores) -> dict[str, FloatArray]:
        """Return the offset of each protein's group, by channel with groups; each of shape (N,)."""
        offsets, found = np.array(self.offsets), {}
        for name, scored in scores.items():
            if len(offsets) and channels[name].n_groups:
                own, offsets = np.split(offsets, [channels[name].n_groups])
                found[name] = _of_group(own, channels[name].group(scored))
        return found


def n_weights(channels: Mapping[str, Channel | type[Channel]]) -> int:
    """Count the columns of `stacked_features`; `channels` includes the network or not."""
    interaction = "network" in channels and len(channels) > 1
    return sum(channel.n_features for channel in channels.values()) + interaction


def stacked_features(channels: Channels, scores: Scores) -> FloatArray:
    """Return the features of the channels that have scores, side by side, shape (N, K)."""
    blocks = {name: channels[name].features(found) for name, found in scores.items()}
    network_N1 = blocks.pop("network", None)
    if network_N1 is not None and blocks:
        found_N = np.max([block[:, 0] for block in blocks.values()], axis=0)
        network_N1 = np.concatenate([network_N1, network_N1 * found_N[:, None]], axis=1)
    return np.concatenate([*([] if network_N1 is None else [network_N1]), *blocks.values()], axis=1)


def fit_stacking(
    channels: Channels, scores: Scores, positive_N: BoolArray, terms: Mapping[str, FloatArray] | None = None
) -> Stacking:
    """Fit one regression on validation proteins: scikit-learn's, with its ridge of C = 1.

    Parameters
    ----------
    channels : mapping of str to Channel
        By name.
    scores : mapping of str to object
        Of the channels to be stacked, in the order of the features.
    positive_N : ndarray of bool, shape (N,)
        Some true, some false.
    terms : mapping of str to (ndarray of float64, shape (G, J)), optional
        Of every channel with groups, from `Channel.group_terms`; without, groups are alike.

    Returns
    -------
    Stacking
        With the threshold of `expected_mcc_threshold`, and other operating points.
    """
    # Prediction does not fit, and need not wait for scikit-learn.
    from sklearn.linear_model import LogisticRegression

    from tfclass.channels.threshold_fit import expected_mcc_threshold, operating_points

    features_NK = stacked_features(channels, scores)
    terms = terms or {}
    of_groups = {name: terms[name] for name in scores if name in terms}
    columns = [_of_group(terms_GJ, channels[name].group(scores[name])) for name, terms_GJ in of_groups.items()]
    fitted = LogisticRegression(max_iter=10_000).fit(np.column_stack([features_NK, *columns]), positive_N)
    widths = [features_NK.shape[1], *(terms_GJ.shape[1] for terms_GJ in of_groups.values())]
    weights, *of_terms = np.split(fitted.coef_[0], np.cumsum(widths)[:-1])
    offsets = [terms_GJ @ own for terms_GJ, own in zip(of_groups.values(), of_terms, strict=True)]
    unset = Stacking(
        float(fitted.intercept_[0]),
        tuple(weights.tolist()),
        0.5,
        float(positive_N.mean()),
        offsets=tuple(np.concatenate([np.zeros(0), *offsets]).tolist()),
    )
    probability_N = unset.probability(channels, scores)
    return replace(
        unset, threshold=expected_mcc_threshold(probability_N), operating_points=operating_points(probability_N)
    )


def fit_stackings(
    channels: Channels,
    scores: Scores,
    positive_N: BoolArray,
    terms: Mapping[str, FloatArray] | None = None,
    prefilter: float = PREFILTER,
) -> dict[str, Stacking]:
    """Fit every channel but the network alone, on all proteins, and all together behind the prefilter.

    See `fit_stacking`.

    Parameters
    ----------
    scores : mapping of str to object
        Of all proteins.
    """
    others = {name: found for name, found in scores.items() if name != "network"}
    alone = {name: fit_stacking(channels, {name: found}, positive_N, terms) for name, found in others.items()}
    searched_N = is_searched(channels, scores, prefilter)
    known = {name: filled(channels[name], compress(found, searched_N), searched_N) for name, found in others.items()}
    combined = fit_stacking(channels, {"network": scores["network"]} | known, positive_N, terms)
    return alone | {COMBINED: replace(combined, prefilter=prefilter)}


def is_searched(channels: Channels, scores: Scores, prefilter: float) -> BoolArray:
    """Return which proteins the channels beside the network search, shape (N,)."""
    is_searched_N: BoolArray = channels["network"].features(scores["network"])[:, 0] >= prefilter
    return is_searched_N


def filled(channel: Channel, found: Iterable[Any], searched_N: BoolArray) -> list[Any]:
    """Return the scores of all proteins from those of the proteins searched; the others have `Channel.nothing`."""
    nothing, rest = channel.nothing, iter(found)
    return [next(rest) if searched else nothing for searched in searched_N]


def _of_group(value_G: FloatArray, group_N: IntArray) -> FloatArray:
    """Return the value of each protein's group, shape (N, ...); 0 where it has none."""
    return np.concatenate([value_G, np.zeros_like(value_G[:1])])[group_N]
