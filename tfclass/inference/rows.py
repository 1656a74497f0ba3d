"""A row of output, and which columns it has."""

from typing import Any, Literal, NamedTuple

import numpy as np

from tfclass.bundle.answers import Answers, asked_by
from tfclass.bundle.bundle import Bundle
from tfclass.config import Channel
from tfclass.inference.domains import domain_cell

Kind = Literal["text", "category", "integer", "number"]


class Prediction(NamedTuple):
    """One row of output.

    Attributes
    ----------
    id : str
        As in the input.
    length : int
        Residues scored; characters given when skipped.
    label : str
        The class called; empty when skipped.
    probability : float or None
        Of the positive class in a binary model, of the called class in a multi-class one; six decimals, and more where
        the threshold is below 0.01; None when skipped.
    threshold : float or None
        What `probability` was held against; None in a multi-class model.
    status : str
        ``ok`` or ``skipped``.
    notes : str
        What was done to the sequence, or why it was skipped; joined by ``;``.
    family : str or None
        Likeliest family of a protein that is called; None for others, and from a model that does not tell families.
    family_probability : float or None
        Of that family, if the protein is a transcription factor; six decimals.
    domain : str or None
        DNA-binding domains of a protein that is called, such as ``12-64;80-130``: characters of the sequence as given,
        counted from 1, ends included. None for others, where there is none, and from a model that does not tell.
    network : float or None
        The network's own calibrated probability, where other channels were asked as well; six decimals.
    profile : str or None
        The profile that fits best; None where none does or none was asked.
    profile_bits : float or None
        Its score; one decimal.
    homologue : str or None
        Id of the best hit in the reference; None where there is none or it was not asked.
    homologue_label : str or None
        Its class.
    homologue_bits : float or None
        Its score; one decimal.
    """

    id: str
    length: int
    label: str
    probability: float | None
    threshold: float | None
    status: str
    notes: str
    family: str | None = None
    family_probability: float | None = None
    domain: str | None = None
    network: float | None = None
    profile: str | None = None
    profile_bits: float | None = None
    homologue: str | None = None
    homologue_label: str | None = None
    homologue_bits: float | None = None


# What every output has, in order.
COLUMNS = ("id", "length", "label", "probability", "threshold", "status", "notes")
# What only a predicted positive shows.
OF_POSITIVES = ("family", "family_probability", "domain")
KINDS: dict[str, Kind] = {
    "id": "text",
    "length": "integer",
    "label": "category",
    "probability": "number",
    "threshold": "number",
    "family": "category",
    "family_probability": "number",
    "domain": "text",
    "network": "number",
    "profile": "category",
    "profile_bits": "number",
    "homologue": "text",
    "homologue_label": "category",
    "homologue_bits": "number",
    "status": "category",
    "notes": "text",
}


def columns_of(bundle: Bundle, channel: Channel) -> tuple[str, ...]:
    """Name the columns that a bundle fills when a channel is asked, in their order.

    Parameters
    ----------
    channel : {'network', 'profile', 'homology', 'combined'}

    Returns
    -------
    tuple of str
        `COLUMNS`, and before its last two those of the heads and of the channels that are asked.
    """
    asked = asked_by(bundle, channel)
    heads = bundle.config if "network" in asked else None
    filled = {
        "family": heads is not None and bool(heads.families),
        "family_probability": heads is not None and bool(heads.families),
        "domain": heads is not None and heads.domains,
        "network": channel == "combined",
        "profile": "profile" in asked,
        "profile_bits": "profile" in asked,
        "homologue": "homology" in asked,
        "homologue_label": "homology" in asked,
        "homologue_bits": "homology" in asked,
    }
    return tuple(name for name in KINDS if filled.get(name, True))


def details(bundle: Bundle, answers: Answers, place: int, sequence: str, is_called: bool) -> dict[str, Any]:
    """Give what a row holds beyond `COLUMNS`.

    Parameters
    ----------
    place : int
        Of the protein in `answers`.
    sequence : str
        As given.
    is_called : bool
        Whether the protein is called a transcription factor.

    Returns
    -------
    dict of str to value
        Fields of `Prediction`; those left out are None.
    """
    values: dict[str, Any] = {}
    if is_called and answers.family_NK is not None:
        family = int(np.argmax(answers.family_NK[place]))
        values["family"] = bundle.config.families[family]
        values["family_probability"] = round(float(answers.family_NK[place, family]), 6)
    if is_called and answers.domains is not None:
        values["domain"] = domain_cell(answers.domains[place], sequence, bundle.alphabet)
    if answers.network_NC is not None and (answers.evidence is not None or answers.homologues is not None):
        values["network"] = round(float(answers.network_NC[place, 1]), 6)
    if answers.evidence is not None and bundle.profiles is not None and answers.evidence[place].profile >= 0:
        fitting = answers.evidence[place]
        values["profile"] = bundle.profiles.profiles[fitting.profile].name
        values["profile_bits"] = round(fitting.bits, 1)
    if answers.homologues is not None and bundle.reference is not None and answers.homologues[place].target >= 0:
        nearest = answers.homologues[place]
        values["homologue"] = bundle.reference.ids[nearest.target]
        values["homologue_label"] = bundle.classes[bundle.reference.labels[nearest.target]]
        values["homologue_bits"] = round(nearest.bits, 1)
    return values
