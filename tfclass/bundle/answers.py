"""What a bundle says of proteins: the one way from tokens to probabilities, for prediction and evaluation alike.

A bundle has the channel of evidence ``network``; with profiles also ``profile``, with a reference ``homology``, and
with either of them ``combined`` (see `tfclass.channels.stacking`). Each has its own threshold.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
import torch
from scipy.special import softmax

from tfclass.bundle.bundle import Bundle
from tfclass.channels.homology import Homologue, Reference, bits_of
from tfclass.channels.stacking import READINGS, Fits, Found
from tfclass.channels.thresholds import DecisionRule
from tfclass.config import Channel
from tfclass.errors import BundleError, ConfigError, MissingExtraError
from tfclass.models.forward import MAX_RESIDUES, Precision, scores_of
from tfclass.typing import Float32Array, FloatArray, TokenArray

if TYPE_CHECKING:
    from tfclass.search.hmmer import Evidence, Library


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
    homologues : list of Homologue or None
        Of the reference; None where it was not asked.
    family_NK : ndarray of float64, shape (N, K), or None
        Probability of each family, if the protein is a transcription factor; None without a head for them.
    domains : list of (ndarray of float32, shape (length,)) or None
        Logit of each residue lying in a DNA-binding domain; None without a head for it.
    """

    probability_NC: FloatArray
    network_NC: FloatArray | None = None
    evidence: "list[Evidence] | None" = None
    homologues: list[Homologue] | None = None
    family_NK: FloatArray | None = None
    domains: list[Float32Array] | None = None


def channels_of(bundle: Bundle) -> tuple[Channel, ...]:
    """List the channels that a bundle has."""
    return ("network", *(reading for reading in READINGS if reading in bundle.combiners))


def asked_by(bundle: Bundle, channel: Channel) -> tuple[Channel, ...]:
    """List the channels that are asked: the one that is named, or all that the bundle has where they are combined."""
    there: dict[Channel, bool] = {
        "network": True,
        "profile": bundle.profiles is not None,
        "homology": bundle.reference is not None,
    }
    return tuple(name for name in there if there[name]) if channel == "combined" else (channel,)


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


def decision_rule_of(bundle: Bundle, channel: Channel) -> DecisionRule:
    """Return the decision rule of a channel that the bundle has."""
    if channel == "network":
        return DecisionRule(bundle.threshold, bundle.operating_points, bundle.calibration.prevalence)
    combiner = bundle.combiners[channel]
    return DecisionRule(combiner.threshold, combiner.operating_points, combiner.prevalence)


def answer(
    bundle: Bundle,
    tokens: Sequence[TokenArray],
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
        Its network is used on the device it is on, and left in the mode it had; profiles and reference are searched on
        as many threads as torch has.
    tokens : sequence of ndarray of uint8, each of shape (length,)
        None empty.
    channel : {'network', 'profile', 'homology', 'combined'}
        One that the bundle has. ``profile`` and ``homology`` leave the network alone, and what only it can tell is None
        then.
    max_residues, precision, cpu_fallback
        See `tfclass.models.forward.scores_of`.

    Raises
    ------
    BundleError
        The network gives no number for a protein.
    MemoryLimitError
        As `tfclass.models.forward.scores_of`.
    MissingExtraError, ProgramError
        As `tfclass.search.mmseqs.search`, where the reference is asked.
    """
    asked = asked_by(bundle, channel)
    # The searches first: a program that is missing is told at once.
    homologues = _homologues(bundle, tokens) if "homology" in asked else None
    evidence = _evidence(bundle, tokens) if "profile" in asked else None
    network_NC = family_NK = domains = None
    if "network" in asked:
        scores = scores_of(bundle.model, tokens, max_residues, precision, cpu_fallback=cpu_fallback)
        network_NC = bundle.calibration.probability(scores.logits_NC)
        family_NK = None if scores.family_NK is None else softmax(scores.family_NK, axis=1)
        domains = scores.domains
    if channel == "network":
        probability_NC = cast(FloatArray, network_NC)
    else:
        positive_N = bundle.combiners[channel].probability(found_of(network_NC, evidence, homologues))
        probability_NC = np.stack([1 - positive_N, positive_N], axis=1)
    _check_finite(bundle.name, probability_NC, network_NC, family_NK)
    return Answers(probability_NC, network_NC, evidence, homologues, family_NK, domains)


def _check_finite(name: str, *arrays: FloatArray | None) -> None:
    # Weights that are finite may still be so large that what the network computes from them is not.
    if not all(np.isfinite(array).all() for array in arrays if array is not None):
        found = "a network whose output is not a number"
        raise BundleError(name, found, "finite probabilities", "train it again")


def found_of(
    network_NC: FloatArray | None, evidence: "list[Evidence] | None", homologues: list[Homologue] | None
) -> Found:
    """Give what channels found of proteins as combiners read it; None for one that was not asked."""
    found = Found(None if network_NC is None else network_NC[:, 1])
    if evidence is not None:
        from tfclass.search.hmmer import margins

        fits = Fits(margins(evidence), np.array([each.profile for each in evidence], dtype=np.int64))
        found = found._replace(profile=fits)
    if homologues is not None:
        found = found._replace(homology=bits_of(homologues))
    return found


def _evidence(bundle: Bundle, tokens: Sequence[TokenArray]) -> "list[Evidence]":
    return cast("Library", bundle.profiles).search(tokens, bundle.alphabet, torch.get_num_threads())


def _homologues(bundle: Bundle, tokens: Sequence[TokenArray]) -> list[Homologue]:
    try:
        return cast(Reference, bundle.reference).search(tokens, bundle.alphabet, torch.get_num_threads())
    except MissingExtraError as error:
        others = " or ".join(name for name in channels_of(bundle) if name in ("network", "profile"))
        action = f"{error.action}; evidence {others} works without"
        raise MissingExtraError(error.where, error.found, error.expected, action) from None
