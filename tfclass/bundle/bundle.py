"""A model as a folder: ``model.safetensors``, ``bundle.json``, ``MODEL_CARD.md``, and the files of its channels.

``bundle.json`` holds all that is needed to rebuild the network and to read its output (architecture, alphabet, classes,
calibration, threshold, and the stacking of other channels), where it came from, and the SHA-256 of the other files and
of itself. Loading checks every one of them, runs no code from the folder and needs neither Hydra nor MLflow.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError

from tfclass.bundle.description import CARD, DESCRIPTION, WEIGHTS, Description, opened, read_description
from tfclass.channels.base import Channel
from tfclass.channels.network import NetworkChannel
from tfclass.channels.registry import CHANNELS
from tfclass.channels.stacking import COMBINED, n_weights
from tfclass.channels.thresholds import DecisionRule
from tfclass.config import ModelConfig
from tfclass.environment import is_out_of_memory
from tfclass.errors import BundleError, ConfigError
from tfclass.io.files import sha256_of
from tfclass.io.reading import read_again
from tfclass.limits import MAX_CARD_BYTES, MAX_PACKED_BYTES, MAX_WEIGHTS_BYTES, MAX_WEIGHTS_HEADER_BYTES, in_words
from tfclass.models.factory import build, check_size
from tfclass.models.network import Classifier
from tfclass.sequences.alphabet import Alphabet

DEFAULT = "tf-bilstm"
_COPIES, _SPARE_BYTES = 3, 1 << 24
# Of a file; every other one is that of a channel.
MAX_BYTES = {WEIGHTS: MAX_WEIGHTS_BYTES + MAX_WEIGHTS_HEADER_BYTES, CARD: MAX_CARD_BYTES}


@dataclass(frozen=True, kw_only=True)
class Bundle(Description):
    """A description with what it describes; see `Description` for its other fields.

    Attributes
    ----------
    model : Classifier
        On the CPU, in evaluation mode.
    channels : mapping of str to Channel
        Those beside the network, in the order of `CHANNELS`; in a binary task alone.
    digest : str
        SHA-256 of the description, in hexadecimal; empty before it is saved.
    """

    model: Classifier
    channels: Mapping[str, Channel] = field(default_factory=dict)
    digest: str = ""

    @cached_property
    def alphabet(self) -> Alphabet:
        """The alphabet of the tokens."""
        return Alphabet(self.letters)

    @property
    def decision_rule(self) -> DecisionRule:
        """The decision rule of the network alone."""
        return DecisionRule(self.threshold, self.operating_points, self.calibration.prevalence)

    @property
    def network(self) -> str:
        """The name of the architecture, as in ``conf/model``; the encoder's where none was recorded."""
        return str(self.provenance.get("network") or self.config.encoder)

    @property
    def trained_on_generated(self) -> bool:
        """Return True if the model was trained on generated proteins; False if that was not recorded."""
        return bool(self.provenance.get("corpus", {}).get("generated", False))


def load_bundle(folder: Path) -> Bundle:
    """Read a bundle and check every byte of it.

    Raises
    ------
    BundleError
        A file is missing, altered, no plain file or too large (`tfclass.limits`), the schema is another than this
        tfclass has, a value is not allowed, the parts do not fit together, or the memory does not suffice.
    """
    try:
        return read_again(folder, _load)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        action = "free memory, or use a machine with more"
        raise BundleError(f"{folder}: found a model that needs more memory than there is; {action}") from error


def _load(folder: Path) -> Bundle:
    document = read_description(folder)
    where, n_classes = str(folder / DESCRIPTION), len(document.classes)
    for name in (WEIGHTS, CARD):
        if name not in document.files:
            raise BundleError(f"{where}: found no checksum of {name}")
    if len(document.calibration.log_weight_C) != n_classes:
        raise BundleError(f"{where}: found a calibration for other classes; expected one weight per class")
    alphabet = Alphabet(document.letters)
    contents = {}
    for name, sha256 in document.files.items():
        if name != WEIGHTS:
            with opened(folder / name, MAX_BYTES.get(name, MAX_PACKED_BYTES)) as stream:
                _check_digest(stream, folder / name, sha256)
                contents[name] = stream.read()
    _card_text(contents[CARD], folder / CARD)
    channels = {
        name: kind.from_bytes(contents[kind.file], alphabet, document.classes, str(folder / kind.file))
        for name, kind in CHANNELS.items()
        if kind.file in contents
    }
    check_stacked(document, channels, where)
    model = _network(folder / WEIGHTS, document.files[WEIGHTS], document.config, alphabet, n_classes)
    if (document.threshold is None) != (n_classes > 2):
        found = f"a threshold of {document.threshold} for {n_classes} classes"
        raise BundleError(f"{where}: found {found}; expected one for two classes, none for more")
    described = {part.name: getattr(document, part.name) for part in fields(Description)}
    return Bundle(**described, model=model.eval(), channels=channels, digest=document.sha256)


def _network(path: Path, sha256: str, config: ModelConfig, alphabet: Alphabet, n_classes: int) -> Classifier:
    """Make a network with the weights of a file of this checksum; on the CPU, in training mode.

    Raises
    ------
    BundleError
        The file is not what `plain_file` allows, holds the weights of another network, or one that is infinite or not a
        number. The size is compared before anything is allocated.
    MemoryError, RuntimeError
        There is too little memory; see `tfclass.environment.is_out_of_memory`.
    """
    try:
        n_bytes = check_size(config, alphabet, n_classes)
        with opened(path, MAX_BYTES[WEIGHTS]) as stream:
            size = os.fstat(stream.fileno()).st_size
            if not n_bytes <= size <= n_bytes + MAX_WEIGHTS_HEADER_BYTES:
                found = f"a file of {in_words(size)} for a network of {in_words(n_bytes)}"
                raise _do_not_fit(path, found)
            _check_digest(stream, path, sha256)
            # The file, what is read from it, and the network: without so much memory, safetensors ends the process.
            np.empty(_COPIES * size + _SPARE_BYTES, dtype=np.uint8)
            weights = safetensors.torch.load(stream.read())
        network = build(config, alphabet, n_classes)
        network.load_state_dict(weights)
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        raise _do_not_fit(path, error) from error
    except (ConfigError, SafetensorError) as error:
        raise _do_not_fit(path, error) from error
    for name, tensor in network.state_dict().items():
        if not torch.isfinite(tensor).all():
            found = f"a weight that is infinite or not a number ({name})"
            raise BundleError(f"{path}: found {found}; train it again")
    return network


def _do_not_fit(path: Path, reason: object) -> BundleError:
    return BundleError(f"{path}: found parts that do not fit together ({reason})")


def _check_digest(stream: BinaryIO, path: Path, sha256: str) -> None:
    """Check the SHA-256 of an open file, and go back to its start; `BundleError` where it is another."""
    if sha256_of(stream) != sha256:
        raise BundleError(f"{path}: checksum mismatch; restore the bundle")
    stream.seek(0)


def check_stacked(description: Description, channels: Mapping[str, Channel], where: str) -> None:
    """Refuse channels and regressions that do not go together, or that are for other than two classes."""
    for name, channel in channels.items():
        if len(description.classes) != 2:
            raise BundleError(f"{where}: found {channel.file} for {len(description.classes)} classes; expected two")
        if not {name, COMBINED} & set(description.stacked):
            raise BundleError(f"{where}: found {channel.file}, and nothing stacked that uses it")
    for name, stacking in description.stacked.items():
        used = {n: c for n, c in channels.items() if name in (n, COMBINED)}
        if not used:
            needed = " or ".join(kind.file for n, kind in CHANNELS.items() if name in (n, COMBINED))
            raise BundleError(f"{where}: found stacked.{name} without a channel; expected a checksum of {needed}")
        expected = n_weights(({"network": NetworkChannel} if name == COMBINED else {}) | used)
        if len(stacking.weights) != expected:
            raise BundleError(f"{where}: found {len(stacking.weights)} weights in stacked.{name}; expected {expected}")
        n_groups = sum(channel.n_groups for channel in used.values())
        if len(stacking.offsets) not in (0, n_groups):
            found = f"{len(stacking.offsets)} offsets in stacked.{name}"
            raise BundleError(f"{where}: found {found}; expected {n_groups}, or none")


def read_card(folder: Path) -> str:
    """Read the model card of a bundle; `BundleError` where it is missing, too large or no UTF-8."""
    path = folder / CARD
    with opened(path, MAX_CARD_BYTES) as stream:
        return _card_text(stream.read(MAX_CARD_BYTES), path)


def _card_text(content: bytes, path: Path) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise BundleError(f"{path}: found a card that is not UTF-8 ({error})") from None


def shipped() -> dict[str, Path]:
    """List the models inside the package, by name."""
    root = Path(__file__).with_name("pretrained")
    return {path.parent.name: path.parent for path in sorted(root.glob(f"*/{DESCRIPTION}"))}


def find_bundle(name: str) -> Path:
    """Resolve what a user calls a model: the name of a shipped one, or a folder (``./NAME`` for one of such a name).

    Raises
    ------
    BundleError
        It is neither; the shipped names are listed.
    """
    models = shipped()
    if name in models:
        return models[name]
    if name and Path(name).is_dir():
        return Path(name)
    known = ", ".join(models) or "none in this installation"
    found = "a file" if Path(name).is_file() else "no such model"
    raise BundleError(f"{name}: found {found}; expected a folder with a bundle, or a shipped name ({known})")
