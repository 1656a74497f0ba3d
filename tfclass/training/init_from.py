"""Initial weights from a network that was trained before."""

import logging
from typing import NamedTuple

import torch

from tfclass.bundle.bundle import find_bundle, load_bundle
from tfclass.errors import ConfigError
from tfclass.models.network import Classifier
from tfclass.sequences.alphabet import Alphabet

_logger = logging.getLogger(__name__)


class WarmStart(NamedTuple):
    """The digest of the bundle; names of the weights copied from it, and of those that were not."""

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
        There is no such bundle, or it is damaged.
    ConfigError
        It reads another alphabet, or no weight agrees.
    """
    bundle = load_bundle(find_bundle(name))
    if bundle.alphabet != alphabet:
        raise ConfigError(
            f"training.init_from: found a model of the alphabet {bundle.alphabet.letters} ({name}); "
            f"expected one of {alphabet.letters}"
        )
    given, own = bundle.model.state_dict(), model.state_dict()
    matching = {key: given[key] for key, weight in own.items() if key in given and given[key].shape == weight.shape}
    # What is not learned, such as BLOSUM62, matches any network that has it.
    if not matching.keys() & dict(model.named_parameters()).keys():
        raise ConfigError(
            f"training.init_from: found a model that shares no weight with this one ({name}); "
            "expected one with parts of the same names and shapes"
        )
    with torch.no_grad():
        model.load_state_dict(matching, strict=False)
    fresh = tuple(key for key in own if key not in matching)
    _logger.info("%s: %d weights copied, %d start fresh", name, len(matching), len(fresh))
    return WarmStart(bundle.digest, tuple(matching), fresh)
