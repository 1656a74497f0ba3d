"""What a bundle says of proteins: the one way from tokens to probabilities, for prediction and evaluation alike.

A bundle with profiles has three channels of evidence: ``network``, ``profile`` and ``combined`` (see
`tfclass.bundle.evidence`); any other has ``network`` alone. Each has its own threshold.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import softmax

from tfclass.bundle.bundle import Bundle
from tfclass.bundle.evidence import READINGS, Reading
from tfclass.bundle.operating_points import Calling
from tfclass.config import Channel
from tfclass.errors import ConfigError
from tfclass.networks.scoring import MAX_RESIDUES, Precision, scores_of

if TYPE_CHECKING:
    from tfclass.profiles.library import Evidence, Library

Floats = npt.NDArray[np.float64]


class Answers(NamedTuple):
    """What a bundle says of N proteins, in the order given.

    Attributes
    ----------
    probability_NC : ndarray of float64, shape (N, C)
        By the channel that was asked; rows sum to 1.
    network_NC : ndarray of float64, shape (N, C), or None
        The network's own, calibrated; None where it was not asked.
    evidence : list of Evidence or None
        Of the profiles; None where they were not asked.
    family_NK : ndarray of float64, shape (N, K), or None
        Probability of each family, if the protein is a transcription factor; None without a head for them.
    domains : list of (ndarray of float32, shape (length,)) or None
        Logit of each residue lying in a DNA-binding domain; None without a head for it.
    """

    probability_NC: Floats
    network_NC: Floats | None = None
    evidence: "list[Evidence] | None" = None
    family_NK: Floats | None = None
    domains: list[npt.NDArray[np.float32]] | None = None


def channels_of(bundle: Bundle) -> tuple[Channel, ...]:
    """List the channels that a bundle has."""
    return ("network", *(reading for reading in READINGS if reading in bundle.combiners))


def choose_channel(bundle: Bundle, asked: Channel | None = None) -> Channel:
    """Give the channel that is asked for; without one, ``combined`` where the bundle has it, else ``network``.

    Raises
    ------
    ConfigError
        The bundle has no such channel.
    """
    known = channels_of(bundle)
    if asked is None:
        return "combined" if "combined" in known else "network"
    if asked not in known:
        expected = f"{' or '.join(known)}, which is all that {bundle.name} has"
        raise ConfigError("evidence", repr(asked), expected, key="evidence", value=asked)
    return asked


def calling_of(bundle: Bundle, channel: Channel) -> Calling:
    """Give threshold, operating points and prevalence of a channel that the bundle has."""
    if channel == "network":
        return Calling(bundle.threshold, bundle.operating_points, bundle.calibration.prevalence)
    combiner = bundle.combiners[channel]
    return Calling(combiner.threshold, combiner.operating_points, combiner.prevalence)


def answer(
    bundle: Bundle,
    tokens: Sequence[npt.NDArray[np.uint8]],
    channel: Channel,
    *,
    max_residues: int = MAX_RESIDUES,
    precision: Precision = "float32",
    cpu_fallback: bool = False,
) -> Answers:
    """Ask a bundle about proteins.

    Parameters
    ----------
    bundle : Bundle
        Its network is used on the device it is on, and left in the mode it had; profiles are searched on as many
        threads as torch has.
    tokens : sequence of ndarray of uint8, each of shape (length,)
        None empty.
    channel : {'network', 'profile', 'combined'}
        One that the bundle has. ``profile`` leaves the network alone, and what only it can tell is None then.
    max_residues, precision, cpu_fallback
        See `tfclass.networks.scoring.scores_of`.

    Returns
    -------
    Answers

    Raises
    ------
    MemoryLimitError
        As `tfclass.networks.scoring.scores_of`.
    """
    if channel == "profile":
        evidence = _evidence(bundle, tokens)
        return Answers(_combined(bundle, channel, np.full((len(tokens), 2), np.nan), evidence), evidence=evidence)
    scores = scores_of(bundle.model, tokens, max_residues, precision, cpu_fallback=cpu_fallback)
    network_NC = bundle.calibration.probability(scores.logits_NC)
    family_NK = None if scores.family_NK is None else softmax(scores.family_NK, axis=1)
    if channel == "network":
        return Answers(network_NC, network_NC, None, family_NK, scores.domains)
    evidence = _evidence(bundle, tokens)
    return Answers(_combined(bundle, channel, network_NC, evidence), network_NC, evidence, family_NK, scores.domains)


def _evidence(bundle: Bundle, tokens: Sequence[npt.NDArray[np.uint8]]) -> "list[Evidence]":
    return cast("Library", bundle.profiles).search(tokens, bundle.vocabulary, torch.get_num_threads())


def _combined(bundle: Bundle, reading: Reading, network_NC: Floats, evidence: "list[Evidence]") -> Floats:
    from tfclass.profiles.library import margins

    positive_N = bundle.combiners[reading].probability(network_NC[:, 1], margins(evidence))
    return np.stack([1 - positive_N, positive_N], axis=1)
