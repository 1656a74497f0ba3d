"""Weights to begin with, from a network that was trained before."""

import logging
from typing import NamedTuple

import torch

from tfclass.bundle.bundle import find_bundle, load_bundle
from tfclass.errors import ConfigError
from tfclass.models.network import Classifier
from tfclass.sequences.alphabet import Alphabet

_KEY = "training.init_from"
_logger = logging.getLogger(__name__)


class WarmStart(NamedTuple):
    """What a network began with.

    Attributes
    ----------
    digest : str
        Of the bundle.
    copied, fresh : tuple of str
        Names of the weights that came from it, and of those that did not.
    """

    digest: str
    copied: tuple[str, ...]
    fresh: tuple[str, ...]


def load_matching_weights(name: str, model: Classifier, alphabet: Alphabet) -> WarmStart:
    """Copy into `model` every weight of a bundle whose name and shape agree.

    Parameters
    ----------
    name : str
        A bundle's folder, or the name of a shipped model.
    model : Classifier
        Changed in place.
    alphabet : Alphabet
        Of `model`.

    Raises
    ------
    BundleError
        There is no such bundle, or it is not whole.
    ConfigError
        It reads another alphabet, or no weight agrees.
    """
    bundle = load_bundle(find_bundle(name))
    if bundle.alphabet != alphabet:
        found = f"a model of the alphabet {bundle.alphabet.letters} ({name})"
        raise ConfigError(_KEY, found, f"one of {alphabet.letters}", key=_KEY, value=name)
    given, own = bundle.model.state_dict(), model.state_dict()
    fitting = {key: given[key] for key, weight in own.items() if key in given and given[key].shape == weight.shape}
    # What is not learned, such as BLOSUM62, fits any network that has it.
    if not fitting.keys() & dict(model.named_parameters()).keys():
        found = f"a model that shares no weight with this one ({name})"
        raise ConfigError(_KEY, found, "one with parts of the same names and shapes", key=_KEY, value=name)
    with torch.no_grad():
        model.load_state_dict(fitting, strict=False)
    start = WarmStart(bundle.digest, tuple(fitting), tuple(key for key in own if key not in fitting))
    _logger.info("%s: %d weights copied, %d start fresh", name, len(start.copied), len(start.fresh))
    return start
