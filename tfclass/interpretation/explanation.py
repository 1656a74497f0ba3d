"""Explanation of a prediction: residues, mutations, attention, gates, the profile, contributions of channels."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch

from tfclass.bundle.scorer import Scored, Scorer
from tfclass.channels.calibration import expit
from tfclass.channels.profile import ProfileChannel
from tfclass.errors import ConfigError
from tfclass.interpretation.attribution import METHODS, Attribution, Explained
from tfclass.interpretation.gates import gate_traces
from tfclass.interpretation.mutagenesis import mutagenesis
from tfclass.models.encoders import Recurrent, length_mask
from tfclass.models.lstm import Gates
from tfclass.models.network import AttentionPooling
from tfclass.search.hmmer_alignment import Alignment, alignments
from tfclass.typing import FloatArray, IntArray, TokenArray

MUTAGENESIS = "mutagenesis"
DIRECTIONS = ("forward", "backward")


class ProfileMatch(NamedTuple):
    """The profile that fits a protein best.

    Attributes
    ----------
    name, family, accession : str
        Empty where unknown.
    bits, threshold : float
        Score of the protein, and the least that indicates the positive class.
    alignments : list of Alignment
        In the order of the residues.
    """

    name: str
    family: str
    accession: str
    bits: float
    threshold: float
    alignments: list[Alignment]


class Explanation(NamedTuple):
    """Explanation of the prediction of a protein of L residues.

    Attributes
    ----------
    residues : str
        As scored, without gaps and a final stop; shape (L,).
    position_L : ndarray of int64, shape (L,)
        Of each residue in the sequence as it was given, counted from 1.
    class_name : str
        The class that is explained: the positive one, or the one that is predicted where there are more than two.
    attributions : dict of str to Attribution
        By method.
    mutations_LA : ndarray of float64, shape (L, 20), or None
        See `mutagenesis`; None where it was not asked for.
    attention_L : ndarray of float64, shape (L,), or None
        Weight of each residue in the pooling; the residues of a step share its weight evenly. None without attention.
    domain_L : ndarray of float64, shape (L,), or None
        Probability of each residue to lie in a DNA-binding domain; None without that head.
    gates : list of list of Gates
        By layer, then direction; each array of shape (S, H) for S steps of `pool` residues. Empty for a network without
        gates.
    pool : int
        Residues of a step.
    contributions : dict of str to float
        What each channel adds to the log-odds of the class, and ``prevalence`` where another one is expected; they sum
        to them.
    profile : ProfileMatch or None
        None without a hit, or where the channel of profiles is not used.
    """

    residues: str
    position_L: IntArray
    class_name: str
    attributions: dict[str, Attribution]
    mutations_LA: FloatArray | None
    attention_L: FloatArray | None
    domain_L: FloatArray | None
    gates: list[list[Gates]]
    pool: int
    contributions: dict[str, float]
    profile: ProfileMatch | None


def check(scorer: Scorer, methods: Sequence[str]) -> None:
    """Raise `ConfigError` where the network is not used, or a method does not exist."""
    if "network" not in scorer.channels:
        raise ConfigError(f"channel: found {scorer.channel!r}; expected one with the network, which is explained")
    for method in methods:
        if method not in (*METHODS, MUTAGENESIS):
            raise ConfigError(f"method: found {method!r}; expected {', '.join((*METHODS, MUTAGENESIS))}")


def explain(
    scorer: Scorer,
    tokens: TokenArray,
    methods: Sequence[str],
    on_progress: Callable[[float], None] = lambda _: None,
) -> Explanation:
    """Explain the prediction of one protein.

    Parameters
    ----------
    scorer : Scorer
        Of a network, alone or with other channels, on the CPU.
    tokens : ndarray of uint8, shape (L,)
        Not empty.
    methods : sequence of str
        Of `METHODS`, and ``mutagenesis``.
    on_progress : callable
        Called with the fraction that is done.

    Raises
    ------
    ConfigError
        As `check`.
    TfclassError
        As `Scorer.score`.
    """
    check(scorer, methods)
    bundle, scored = scorer.bundle, scorer.score([tokens])
    positive = 1 if len(bundle.classes) == 2 else int(scored.probability_NC[0].argmax())
    explained = Explained(bundle.model, bundle.alphabet, positive)
    wanted = [name for name in METHODS if name in methods]
    attributions = {}
    for name in wanted:
        attributions[name] = METHODS[name](explained, tokens)
        on_progress(len(attributions) / len(methods))
    done = len(wanted) / max(1, len(methods))
    mutations_LA = None
    if MUTAGENESIS in methods:
        mutations_LA = mutagenesis(explained, tokens, lambda part: on_progress(done + part * (1 - done)))
    attention_L, gates = _states(explained, tokens)
    domains = scored.scores["network"].domains
    return Explanation(
        residues=bundle.alphabet.decode(tokens),
        position_L=np.arange(1, len(tokens) + 1),
        class_name=bundle.classes[positive],
        attributions=attributions,
        mutations_LA=mutations_LA,
        attention_L=attention_L,
        domain_L=None if domains is None else expit(domains[0]),
        gates=gates,
        pool=bundle.model.stem.pool,
        contributions={name: float(each[0]) for name, each in scorer.contributions(scored, positive).items()},
        profile=_profile(scorer, scored, tokens),
    )


@torch.no_grad()
def _states(explained: Explained, tokens: TokenArray) -> tuple[FloatArray | None, list[list[Gates]]]:
    """Return the weight of each residue in an attention pooling, if there is one, and the gates of an LSTM."""
    model = explained.model
    x_BLE, lengths_B = explained.vectors(tokens)[0][None], torch.tensor([len(tokens)])
    x_BSE, steps_B = model.stem(x_BLE, lengths_B)
    attention_L = None
    if isinstance(model.pooling, AttentionPooling):
        states_BSF = model.encoder(x_BSE, steps_B)
        weight_S = model.pooling.weights(states_BSF, length_mask(steps_B, states_BSF.shape[1]))[0].double().numpy()
        step_L = np.arange(len(tokens)) // model.stem.pool
        attention_L = (weight_S / np.bincount(step_L))[step_L]
    try:
        traces = gate_traces(model.encoder, x_BSE, steps_B) if isinstance(model.encoder, Recurrent) else []
    except TypeError:
        # A GRU or a plain RNN.
        traces = []
    return attention_L, [[Gates(*(each[0] for each in gates)) for gates in layer] for layer in traces]


def _profile(scorer: Scorer, scored: Scored, tokens: TokenArray) -> ProfileMatch | None:
    channel = scorer.channels.get("profile")
    if not isinstance(channel, ProfileChannel):
        return None
    best = scored.scores["profile"][0]
    if best.profile < 0:
        return None
    profile = channel.library.profiles[best.profile]
    return ProfileMatch(
        profile.name.replace("_", " "),
        profile.family,
        profile.accession,
        best.bits,
        profile.threshold,
        alignments(profile.hmm, tokens, channel.alphabet),
    )
