"""A model as a folder: ``model.safetensors``, ``bundle.json``, ``MODEL_CARD.md``, and what further channels need.

``bundle.json`` holds all that is needed to rebuild the network and to read its output (architecture, alphabet, classes,
calibration, threshold, and how other channels are read beside it), where it came from, and the SHA-256 of the other
files and of itself. Loading checks every one of them, runs no code from the folder and needs neither Hydra nor MLflow.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors.torch

from tfclass.bundle.consistency import check_channels, check_offsets
from tfclass.bundle.description import (
    CARD,
    DESCRIPTION,
    PROFILES,
    REFERENCE,
    SCHEMA_VERSION,
    WEIGHTS,
    Description,
    as_text,
    checked,
    digest_of,
    read_description,
)
from tfclass.bundle.plain_files import check_digest, opened, read_whole
from tfclass.bundle.weights import read_network
from tfclass.channels.calibration import Calibration
from tfclass.channels.homology import Reference
from tfclass.channels.stacking import Combiner, Reading
from tfclass.channels.thresholds import OperatingPoint
from tfclass.config import ModelConfig
from tfclass.environment import is_out_of_memory
from tfclass.errors import BundleError, ProfileError
from tfclass.io.folders import FolderKind, read_again, whole_folder
from tfclass.limits import (
    MAX_CARD_BYTES,
    MAX_PACKED_BYTES,
    MAX_WEIGHTS_BYTES,
    MAX_WEIGHTS_HEADER_BYTES,
    in_words,
)
from tfclass.models.network import Classifier
from tfclass.sequences.alphabet import Alphabet

if TYPE_CHECKING:
    from tfclass.search.hmmer import Library

DEFAULT = "tf-bilstm"
BUNDLE_FOLDER = FolderKind(DESCRIPTION, ("schema_version", "files"), lambda _: (WEIGHTS, CARD, PROFILES, REFERENCE))
_MOST_BYTES = {
    WEIGHTS: MAX_WEIGHTS_BYTES + MAX_WEIGHTS_HEADER_BYTES,
    CARD: MAX_CARD_BYTES,
    PROFILES: MAX_PACKED_BYTES,
    REFERENCE: MAX_PACKED_BYTES,
}


@dataclass(frozen=True)
class Bundle:
    """A trained network with everything that gives its output a meaning.

    Attributes
    ----------
    model : Classifier
        On the CPU, in evaluation mode.
    classes : tuple of str, length C
        In the order of the logits; the positive class last in a binary task.
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
    alphabet: Alphabet
    classes: tuple[str, ...]
    calibration: Calibration
    threshold: float | None
    provenance: dict[str, Any]
    operating_points: tuple[OperatingPoint, ...] = ()
    digest: str = ""
    profiles: "Library | None" = None
    reference: Reference | None = None
    combiners: Mapping[Reading, Combiner] = field(default_factory=dict)

    @property
    def network(self) -> str:
        """Return the name of the architecture, as in ``conf/model``; the encoder's where none was recorded."""
        return str(self.provenance.get("network") or self.config.encoder)

    @property
    def trained_on_generated(self) -> bool:
        """Return whether it was trained on generated proteins; False where that was not recorded."""
        return bool(self.provenance.get("corpus", {}).get("generated", False))


def save_bundle(bundle: Bundle, folder: Path, card: str) -> str:
    """Write a bundle; a bundle already there is replaced once the new one is complete.

    Parameters
    ----------
    card : str
        The model card, Markdown.

    Returns
    -------
    str
        Its digest.

    Raises
    ------
    BundleError
        Profiles or a reference without a combiner or the other way round, more than two classes with them, offsets of
        other profiles, or what `load_bundle` would refuse: a name or value that is not allowed, a file too large.
    OutputError
        The folder cannot be written.
    """
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in bundle.model.state_dict().items()}
    files = {WEIGHTS: safetensors.torch.save(weights), CARD: card.encode()}
    files |= {PROFILES: bundle.profiles.to_bytes()} if bundle.profiles else {}
    files |= {REFERENCE: bundle.reference.to_bytes(bundle.classes, bundle.alphabet)} if bundle.reference else {}
    check_channels(bundle.name, bundle.classes, files, bundle.combiners)
    check_offsets(bundle.name, bundle.combiners, bundle.profiles)
    description = {
        "schema_version": SCHEMA_VERSION,
        "name": bundle.name,
        "classes": list(bundle.classes),
        "letters": bundle.alphabet.letters,
        "model": asdict(bundle.config),
        "calibration": asdict(bundle.calibration),
        "threshold": bundle.threshold,
        "operating_points": [list(point) for point in bundle.operating_points],
        "combiners": {reading: asdict(combiner) for reading, combiner in bundle.combiners.items()},
        "provenance": bundle.provenance,
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    digest = digest_of(description)
    # What could not be read again is not written.
    checked({**description, "sha256": digest}, str(folder / DESCRIPTION))
    for name, content in files.items():
        if len(content) > _MOST_BYTES[name]:
            found, expected = f"{name} of {in_words(len(content))}", f"at most {in_words(_MOST_BYTES[name])}"
            raise BundleError(str(folder), found, expected, path=str(folder))
    with whole_folder(folder, BUNDLE_FOLDER) as building:
        for name, content in files.items():
            (building / name).write_bytes(content)
        (building / DESCRIPTION).write_bytes(as_text({**description, "sha256": digest}))
    return digest


def load_bundle(folder: Path) -> Bundle:
    """Read a bundle and check every byte of it.

    Raises
    ------
    BundleError
        A file is missing, altered, no plain file or too large (`tfclass.limits`), the schema is newer than this
        tfclass, a value is not allowed, the parts do not fit together, or the memory does not suffice.
    """
    try:
        return read_again(folder, _load)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        found = "a model that needs more memory than there is"
        action = "free memory, or use a machine with more"
        raise BundleError(str(folder), found, action=action, path=str(folder)) from error


def _load(folder: Path) -> Bundle:
    description = read_description(folder)
    where = str(folder / DESCRIPTION)
    for name in (WEIGHTS, CARD):
        if name not in description.files:
            raise BundleError(where, f"no checksum of {name}", "one", path=where)
    if len(description.calibration.log_weight_C) != len(description.classes):
        raise BundleError(where, "a calibration for other classes", "one weight per class", path=where)
    check_channels(where, description.classes, description.files, description.combiners)
    alphabet = Alphabet(description.letters)
    contents = _verified_contents(folder, description)
    n_classes = len(description.classes)
    sha256 = description.files[WEIGHTS]
    model = read_network(folder / WEIGHTS, sha256, description.model, alphabet, n_classes)
    if (description.threshold is None) != (n_classes > 2):
        found = f"a threshold of {description.threshold} for {n_classes} classes"
        raise BundleError(where, found, "one for two classes, none for more", path=where)
    library = _library(contents[PROFILES], folder / PROFILES) if PROFILES in contents else None
    check_offsets(where, description.combiners, library)
    return Bundle(
        name=description.name,
        model=model.eval(),
        config=description.model,
        alphabet=alphabet,
        classes=description.classes,
        calibration=description.calibration,
        threshold=description.threshold,
        provenance=description.provenance,
        operating_points=description.operating_points,
        digest=description.sha256,
        profiles=library,
        reference=Reference.from_bytes(contents[REFERENCE], description.classes, alphabet, str(folder / REFERENCE))
        if REFERENCE in contents
        else None,
        combiners=description.combiners,
    )


def read_card(folder: Path) -> str:
    """Read the model card of a bundle; `BundleError` where it is missing, too large or no UTF-8."""
    path = folder / CARD
    return _card_text(read_whole(path, MAX_CARD_BYTES), path)


def _card_text(content: bytes, path: Path) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise BundleError(str(path), f"a card that is not UTF-8 ({error})", path=str(path)) from None


def _verified_contents(folder: Path, description: Description) -> dict[str, bytes]:
    """Read every file but the weights."""
    contents = {}
    for name, sha256 in description.files.items():
        if name != WEIGHTS:
            path = folder / name
            with opened(path, _MOST_BYTES[name]) as stream:
                check_digest(stream, path, sha256)
                contents[name] = stream.read()
    _card_text(contents[CARD], folder / CARD)
    return contents


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


def _library(content: bytes, path: Path) -> "Library":
    # Most bundles have no profiles, and need not wait for HMMER.
    from tfclass.search.hmmer import Library

    try:
        return Library.from_bytes(content, str(path))
    except ProfileError as error:
        raise BundleError(error.where, error.found, error.expected, error.action, path=str(path)) from error
