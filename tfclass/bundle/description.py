"""``bundle.json``, the description of a bundle: read, checked and written."""

import hashlib
import json
from contextlib import AbstractContextManager
from dataclasses import field, fields
from pathlib import Path
from typing import Annotated, Any, BinaryIO

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StringConstraints, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from tfclass.channels.calibration import Calibration
from tfclass.channels.registry import CHANNELS
from tfclass.channels.stacking import COMBINED, Stacking
from tfclass.channels.thresholds import OperatingPoints, Probability
from tfclass.config import ModelConfig
from tfclass.errors import BundleError
from tfclass.io.reading import plain_file
from tfclass.limits import MAX_CLASSES, MAX_DEPTH, MAX_DESCRIPTION_BYTES
from tfclass.sequences.alphabet import AMINO_ACIDS
from tfclass.typing import Name, Text, is_distinct, must

SCHEMA_VERSION = 5
DESCRIPTION, WEIGHTS, CARD = "bundle.json", "model.safetensors", "MODEL_CARD.md"
# Of a key that is not allowed, what a message shows.
_SHOWN_CHARACTERS = 60

# The table of channels is read at each check, since a program may add its own.
_IS_FILE = must(lambda name: name in (WEIGHTS, CARD, *(c.file for c in CHANNELS.values())), "no file of a bundle")
_IS_STACKABLE = must(lambda name: name in (*CHANNELS, COMBINED), "no channel beside the network, and not combined")
File = Annotated[str, _IS_FILE]
Stacked = Annotated[str, _IS_STACKABLE]
Sha256 = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
Letters = Annotated[str, Field(pattern=f"^{AMINO_ACIDS}[A-Z]*X[A-Z]*$"), must(is_distinct, "each once")]
Classes = Annotated[tuple[Name, ...], Field(min_length=2, max_length=MAX_CLASSES), must(is_distinct, "each once")]


class _Corpus(BaseModel, extra="allow"):
    sha256: str = ""
    generated: StrictBool = False
    split_options: dict[str, Any] = {}


class _Provenance(BaseModel, extra="allow"):
    """The parts of a provenance that are read by tfclass; everything else is for people."""

    corpus: _Corpus = _Corpus()
    network: Text = ""
    created: Text = ""
    mlflow_run_id: Text = ""


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class Description:
    """The content of ``bundle.json``.

    Attributes
    ----------
    classes : tuple of str, length C
        In the order of the logits; the positive class last in a binary task.
    letters : str
        Of the alphabet.
    config : ModelConfig
        The key ``model``.
    threshold : float or None
        Of the network alone: least probability of a predicted positive; None in a multi-class task.
    operating_points : tuple of OperatingPoint
        Of other thresholds; empty in a multi-class task.
    stacked : dict of str to Stacking
        A regression for each channel beside the network, and one for all ``combined``; empty without them.
    provenance : dict
        Where it came from: corpus and its digest, configuration, validation scores, MLflow run. JSON values only.
    """

    name: Name
    classes: Classes
    letters: Letters
    config: Annotated[ModelConfig, Field(alias="model")]
    calibration: Calibration
    threshold: Probability | None
    operating_points: OperatingPoints = ()
    stacked: dict[Stacked, Stacking] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class Document(Description):
    """The content of ``bundle.json``: a description with the checksums of the other files and of itself."""

    schema_version: int
    files: dict[File, Sha256]
    sha256: Sha256


def opened(path: Path, most: int) -> AbstractContextManager[BinaryIO]:
    """Open a file of a bundle of at most `most` bytes; `BundleError` as in `plain_file`."""
    return plain_file(path, most, BundleError, "restore the bundle")


def read_description(folder: Path) -> Document:
    """Read the description of a bundle, and check it against its own checksum.

    Raises
    ------
    BundleError
        It is missing, altered, or of another schema; or a value is of another type or outside its range.
    """
    path = folder / DESCRIPTION
    if not path.is_symlink() and not path.exists():
        action = "name the folder that `tfclass train` wrote"
        raise BundleError(f"{folder}: found no {DESCRIPTION}; expected a model bundle; {action}")
    with opened(path, MAX_DESCRIPTION_BYTES) as stream:
        content = stream.read(MAX_DESCRIPTION_BYTES)
    try:
        values = json.loads(content.decode())
        if _is_deeper(values, MAX_DEPTH):
            raise RecursionError
        as_written = _as_text(values)
    except (ValueError, RecursionError) as error:
        reason = error if isinstance(error, ValueError) else f"nested more than {MAX_DEPTH} deep"
        raise BundleError(f"{path}: found damaged JSON ({reason}); restore the bundle") from error
    version = values.get("schema_version") if isinstance(values, dict) else None
    if type(version) is not int:
        raise BundleError(f"{path}: found no schema version; expected a description written by tfclass")
    if version != SCHEMA_VERSION:
        action = "upgrade tfclass" if version > SCHEMA_VERSION else "train the model again"
        raise BundleError(f"{path}: found schema version {version}; expected {SCHEMA_VERSION}; {action}")
    digest = _digest({key: value for key, value in values.items() if key != "sha256"})
    # Two texts can mean the same (1e-5 and 1E-5), so the bytes are compared as well.
    if values.get("sha256") != digest or content != as_written:
        raise BundleError(f"{path}: checksum mismatch; restore the bundle")
    return _checked(values, str(path))


def write_description(description: Description, files: dict[str, str], where: str) -> tuple[bytes, str]:
    """Write a description with the checksums of the other files; return ``bundle.json`` and its digest.

    Raises
    ------
    BundleError
        It could not be read again; the first value that is not allowed is named, with `where` ahead.
    """
    names = [part.name for part in fields(Description) if part.name != "provenance"]
    own = {"model" if name == "config" else name: getattr(description, name) for name in names}
    values = {"schema_version": SCHEMA_VERSION, **TypeAdapter(dict[str, Any]).dump_python(own, mode="json")}
    values |= {"provenance": description.provenance, "files": files}
    values["sha256"] = digest = _digest(values)
    _checked(values, where)
    return _as_text(values), digest


def _checked(values: dict[str, Any], where: str) -> Document:
    """Check the type and range of every value of a description."""
    # The only part whose texts may hold anything, such as a path that is no UTF-8, which strict JSON refuses.
    provenance = values.get("provenance")
    place = ["provenance"]
    try:
        TypeAdapter(dict[str, Any]).validate_python(provenance)
        _Provenance.model_validate(provenance)
        place = []
        text = json.dumps(values | {"provenance": {}})
        document = TypeAdapter(Document).validate_json(text, strict=True)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
        key = ".".join(str(part)[:_SHOWN_CHARACTERS] for part in (*place, *problem["loc"]))
        path = f"{where}, {key}" if key else where
        problem = f"what is not allowed ({problem['msg']})"
        raise BundleError(f"{path}: found {problem}; expected a description written by tfclass") from None
    document.provenance.update(provenance)  # type: ignore[arg-type]
    return document


def _as_text(values: object) -> bytes:
    return (json.dumps(values, indent=1, allow_nan=False) + "\n").encode()


def _digest(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True, allow_nan=False).encode()).hexdigest()


def _is_deeper(value: object, most: int) -> bool:
    level = [value]
    for _ in range(most):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return True
