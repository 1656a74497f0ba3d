"""A model as a folder: ``model.safetensors``, ``bundle.json``, ``MODEL_CARD.md``, and what further channels need.

``bundle.json`` holds all that is needed to rebuild the network and to read its output (architecture, alphabet, classes,
calibration, threshold, and how other channels are read beside it), where it came from, and the SHA-256 of the other
files and of itself. Loading checks every one of them, runs no code from the folder and needs neither Hydra nor MLflow.
"""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors.torch
from safetensors import SafetensorError

from tfclass.bundle.calibration import Calibration
from tfclass.bundle.description import (
    CARD,
    DESCRIPTION,
    PROFILES,
    REFERENCE,
    SCHEMA_VERSION,
    WEIGHTS,
    as_text,
    digest_of,
    read_description,
    read_verified,
)
from tfclass.bundle.evidence import Combiner, Reading, n_terms
from tfclass.bundle.operating_points import OperatingPoint
from tfclass.bundle.reference import Reference
from tfclass.config import ModelConfig
from tfclass.errors import BundleError, ConfigError, ProfileError
from tfclass.files import whole_folder
from tfclass.networks.classifier import Classifier
from tfclass.networks.zoo import build
from tfclass.sequence.vocabulary import Vocabulary

if TYPE_CHECKING:
    from tfclass.profiles.library import Library

DEFAULT = "tf-bilstm"
_FILES = {"profile": PROFILES, "homology": REFERENCE}


@dataclass(frozen=True)
class Bundle:
    """A trained network with everything that gives its output a meaning.

    Attributes
    ----------
    name : str
    model : Classifier
        On the CPU, in evaluation mode.
    config : ModelConfig
    vocabulary : Vocabulary
    classes : tuple of str, length C
        In the order of the logits; the positive class last in a binary task.
    calibration : Calibration
    threshold : float or None
        Least probability of the positive class that is called; None in a multi-class task.
    operating_points : tuple of OperatingPoint
        What other thresholds did on validation; empty in a multi-class task.
    provenance : dict
        Where it came from: corpus and its digest, configuration, validation scores, MLflow run. JSON values only.
    digest : str
        SHA-256 of the description, in hexadecimal; empty before it is saved.
    profiles : Library or None
        The channel ``profile``; in a binary task alone.
    reference : Reference or None
        The channel ``homology``; in a binary task alone.
    combiners : mapping of {'profile', 'homology', 'combined'} to Combiner
        How these channels are read, each alone and all beside the network; empty without them.
    """

    name: str
    model: Classifier
    config: ModelConfig
    vocabulary: Vocabulary
    classes: tuple[str, ...]
    calibration: Calibration
    threshold: float | None
    provenance: dict[str, Any]
    operating_points: tuple[OperatingPoint, ...] = ()
    digest: str = ""
    profiles: "Library | None" = None
    reference: Reference | None = None
    combiners: Mapping[Reading, Combiner] = field(default_factory=dict)


def save_bundle(bundle: Bundle, folder: Path, card: str) -> str:
    """Write a bundle; a bundle already there is replaced once the new one is complete.

    Parameters
    ----------
    bundle : Bundle
    folder : Path
    card : str
        The model card, Markdown.

    Returns
    -------
    str
        Its digest.

    Raises
    ------
    BundleError
        Profiles or a reference without a combiner or the other way round, more than two classes with them, or offsets
        of other profiles.
    OutputError
        The folder cannot be written.
    """
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in bundle.model.state_dict().items()}
    files = {WEIGHTS: safetensors.torch.save(weights), CARD: card.encode()}
    files |= {PROFILES: bundle.profiles.to_bytes()} if bundle.profiles else {}
    files |= {REFERENCE: bundle.reference.to_bytes(bundle.classes, bundle.vocabulary)} if bundle.reference else {}
    _check_channels(bundle.name, bundle.classes, files, bundle.combiners)
    _check_offsets(bundle.name, bundle.combiners, bundle.profiles)
    description = {
        "schema_version": SCHEMA_VERSION,
        "name": bundle.name,
        "classes": list(bundle.classes),
        "letters": bundle.vocabulary.letters,
        "model": asdict(bundle.config),
        "calibration": asdict(bundle.calibration),
        "threshold": bundle.threshold,
        "operating_points": [list(point) for point in bundle.operating_points],
        "combiners": {reading: asdict(combiner) for reading, combiner in bundle.combiners.items()},
        "provenance": bundle.provenance,
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    digest = digest_of(description)
    with whole_folder(folder, DESCRIPTION) as building:
        for name, content in files.items():
            (building / name).write_bytes(content)
        (building / DESCRIPTION).write_bytes(as_text({**description, "sha256": digest}))
    return digest


def load_bundle(folder: Path) -> Bundle:
    """Read a bundle and check every byte of it.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    Bundle

    Raises
    ------
    BundleError
        A file is missing or altered, the schema is newer than this tfclass, or the parts do not fit together.
    """
    description = read_description(folder)
    contents = {name: read_verified(folder / name, sha256) for name, sha256 in description.files.items()}
    where = str(folder / DESCRIPTION)
    if WEIGHTS not in contents:
        raise BundleError(where, f"no checksum of {WEIGHTS}", "one", path=where)
    if len(description.calibration.log_weight_C) != len(description.classes):
        raise BundleError(where, "a calibration for other classes", "one weight per class", path=where)
    _check_channels(where, description.classes, contents, description.combiners)
    vocabulary = Vocabulary(description.letters)
    try:
        model = build(description.model, vocabulary, len(description.classes))
        model.load_state_dict(safetensors.torch.load(contents[WEIGHTS]))
    except (ConfigError, SafetensorError, RuntimeError) as error:
        raise BundleError(str(folder), f"parts that do not fit together ({error})", path=str(folder)) from error
    library = _library(contents[PROFILES], folder / PROFILES) if PROFILES in contents else None
    _check_offsets(where, description.combiners, library)
    return Bundle(
        name=description.name,
        model=model.eval(),
        config=description.model,
        vocabulary=vocabulary,
        classes=description.classes,
        calibration=description.calibration,
        threshold=description.threshold,
        provenance=description.provenance,
        operating_points=description.operating_points,
        digest=description.sha256,
        profiles=library,
        reference=Reference.from_bytes(contents[REFERENCE], description.classes, vocabulary, str(folder / REFERENCE))
        if REFERENCE in contents
        else None,
        combiners=description.combiners,
    )


def shipped() -> dict[str, Path]:
    """List the models inside the package, by name."""
    root = Path(str(resources.files("tfclass.bundle.pretrained")))
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
    raise BundleError(name, found, f"a folder with a bundle, or a shipped name ({known})", path=name)


def _check_channels(
    where: str, classes: Collection[str], files: Collection[str], combiners: Mapping[Reading, Combiner]
) -> None:
    """Refuse channels and combiners that do not go together, or that are for other than two classes."""
    channels = [channel for channel, name in _FILES.items() if name in files]
    for reading, combiner in combiners.items():
        if combiner.reading != reading:
            found = f"the combiner of {combiner.reading} evidence under the name {reading}"
            raise BundleError(where, found, "each under its own", path=where)
        needed = [name for channel, name in _FILES.items() if reading in (channel, "combined")]
        if not set(needed) & set(files):
            found = f"a combiner of {reading} evidence, and nothing for it to read"
            raise BundleError(where, found, f"a checksum of {' or '.join(needed)}", path=where)
        expected = n_terms(reading, ["network", *channels])
        if len(combiner.weights) != expected:
            found = f"{len(combiner.weights)} weights for {reading} evidence"
            raise BundleError(where, found, f"{expected}", path=where)
    for channel in channels:
        if not {channel, "combined"} & set(combiners):
            raise BundleError(where, f"{_FILES[channel]} without a combiner", "one that reads it", path=where)
        if len(classes) != 2:
            raise BundleError(where, f"{_FILES[channel]} for {len(classes)} classes", "two", path=where)


def _check_offsets(where: str, combiners: Mapping[Reading, Combiner], library: "Library | None") -> None:
    """Refuse offsets of other profiles than the bundle's."""
    n_profiles = len(library.profiles) if library else 0
    for reading, combiner in combiners.items():
        if len(combiner.offsets) not in (0, n_profiles):
            found = f"offsets of {len(combiner.offsets)} profiles for {reading} evidence"
            raise BundleError(where, found, f"those of {n_profiles}, or none", path=where)


def _library(content: bytes, path: Path) -> "Library":
    # Most bundles have no profiles, and need not wait for HMMER.
    from tfclass.profiles.library import Library

    try:
        return Library.from_bytes(content, str(path))
    except ProfileError as error:
        raise BundleError(error.where, error.found, error.expected, error.action, path=str(path)) from error
