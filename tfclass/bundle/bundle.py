"""A model as a folder: ``model.safetensors``, ``bundle.json``, ``MODEL_CARD.md``.

``bundle.json`` holds all that is needed to rebuild the network and to read its output (architecture, alphabet, classes,
calibration, threshold), where it came from, and the SHA-256 of the other files and of itself. Loading checks every one
of them, runs no code from the folder and needs neither Hydra nor MLflow.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import pydantic.dataclasses
import safetensors.torch
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from safetensors import SafetensorError

from tfclass.bundle.calibration import Calibration
from tfclass.bundle.operating_points import OperatingPoint
from tfclass.config import ModelConfig
from tfclass.errors import BundleError, ConfigError
from tfclass.files import whole_folder
from tfclass.networks.classifier import Classifier
from tfclass.networks.zoo import build
from tfclass.sequence.vocabulary import Vocabulary

SCHEMA_VERSION = 1
DESCRIPTION, WEIGHTS, CARD = "bundle.json", "model.safetensors", "MODEL_CARD.md"
DEFAULT = "tf-bilstm"


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


@pydantic.dataclasses.dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class _Description:
    """The content of ``bundle.json``."""

    schema_version: int
    name: str
    classes: Annotated[tuple[str, ...], Field(min_length=2)]
    letters: Annotated[str, Field(pattern="^[A-Z]*X[A-Z]*$")]
    model: ModelConfig
    calibration: Calibration
    threshold: float | None
    provenance: dict[str, Any]
    files: dict[str, str]
    sha256: str
    operating_points: tuple[OperatingPoint, ...] = ()


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
    OutputError
        The folder cannot be written.
    """
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in bundle.model.state_dict().items()}
    files = {WEIGHTS: safetensors.torch.save(weights), CARD: card.encode()}
    description = {
        "schema_version": SCHEMA_VERSION,
        "name": bundle.name,
        "classes": list(bundle.classes),
        "letters": bundle.vocabulary.letters,
        "model": asdict(bundle.config),
        "calibration": asdict(bundle.calibration),
        "threshold": bundle.threshold,
        "operating_points": [list(point) for point in bundle.operating_points],
        "provenance": bundle.provenance,
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    digest = _digest(description)
    with whole_folder(folder, DESCRIPTION) as building:
        for name, content in files.items():
            (building / name).write_bytes(content)
        (building / DESCRIPTION).write_bytes(_text({**description, "sha256": digest}))
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
    description = _read_description(folder)
    contents = {name: _read_verified(folder / name, sha256) for name, sha256 in description.files.items()}
    where = str(folder / DESCRIPTION)
    if WEIGHTS not in contents:
        raise BundleError(where, f"no checksum of {WEIGHTS}", "one", path=where)
    if len(description.calibration.log_weight_C) != len(description.classes):
        raise BundleError(where, "a calibration for other classes", "one weight per class", path=where)
    vocabulary = Vocabulary(description.letters)
    try:
        model = build(description.model, vocabulary, len(description.classes))
        model.load_state_dict(safetensors.torch.load(contents[WEIGHTS]))
    except (ConfigError, SafetensorError, RuntimeError) as error:
        raise BundleError(str(folder), f"parts that do not fit together ({error})", path=str(folder)) from error
    return Bundle(
        description.name,
        model.eval(),
        description.model,
        vocabulary,
        description.classes,
        description.calibration,
        description.threshold,
        description.provenance,
        description.operating_points,
        description.sha256,
    )


def shipped() -> dict[str, Path]:
    """List the models inside the package, by name."""
    root = Path(str(resources.files("tfclass.bundle.pretrained")))
    return {path.parent.name: path.parent for path in sorted(root.glob(f"*/{DESCRIPTION}"))}


def find_bundle(name: str) -> Path:
    """Resolve what a user calls a model: a folder, or the name of a shipped one.

    Raises
    ------
    BundleError
        It is neither; the shipped names are listed.
    """
    if Path(name).is_dir():
        return Path(name)
    models = shipped()
    if name in models:
        return models[name]
    known = ", ".join(models) or "none in this installation"
    raise BundleError(name, "no such model", f"a folder with a bundle, or a shipped name ({known})", path=name)


def _read_description(folder: Path) -> _Description:
    path = folder / DESCRIPTION
    try:
        content = path.read_bytes()
        description = json.loads(content.decode())
        as_written = _text(description)
    except FileNotFoundError:
        action = "name the folder that `tfclass train` wrote"
        raise BundleError(str(folder), f"no {DESCRIPTION}", "a model bundle", action, path=str(path)) from None
    except OSError as error:
        raise BundleError(str(path), f"a file that cannot be read ({error.strerror})", path=str(path)) from error
    except (ValueError, RecursionError) as error:
        raise BundleError(str(path), f"damaged JSON ({error})", action="restore the bundle", path=str(path)) from error
    version = description.get("schema_version") if isinstance(description, dict) else None
    if not isinstance(version, int) or version < 1:
        raise BundleError(str(path), "no schema version", "a description written by tfclass", path=str(path))
    if version > SCHEMA_VERSION:
        expected = f"at most {SCHEMA_VERSION}"
        raise BundleError(str(path), f"schema version {version}", expected, "upgrade tfclass", path=str(path))
    digest = _digest({key: value for key, value in description.items() if key != "sha256"})
    # Two texts can mean the same (1e-5 and 1E-5), so the bytes are compared as well.
    if description.get("sha256") != digest or content != as_written:
        found = "content that does not match its own checksum"
        raise BundleError(str(path), found, action="restore the bundle; it was altered", path=str(path))
    try:
        return TypeAdapter(_Description).validate_python(description)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = f"{path}, {'.'.join(map(str, problem['loc']))}"
        found = f"what is not allowed ({problem['msg']})"
        raise BundleError(where, found, "a description written by tfclass", path=str(path)) from None


def _read_verified(path: Path, sha256: str) -> bytes:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise BundleError(str(path), "no such file", action="restore the bundle", path=str(path)) from None
    except OSError as error:
        raise BundleError(str(path), f"a file that cannot be read ({error.strerror})", path=str(path)) from error
    if hashlib.sha256(content).hexdigest() != sha256:
        found = "content that does not match its checksum"
        raise BundleError(str(path), found, action="restore the bundle; it was altered", path=str(path))
    return content


def _text(description: object) -> bytes:
    return (json.dumps(description, indent=1, allow_nan=False) + "\n").encode()


def _digest(description: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(description, sort_keys=True, allow_nan=False).encode()).hexdigest()
