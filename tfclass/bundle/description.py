"""``bundle.json``, the description of a bundle: read, checked and written."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)
from pydantic.dataclasses import dataclass
from pydantic_core import PydanticCustomError

from tfclass.bundle.plain_files import read_whole
from tfclass.channels.calibration import Calibration
from tfclass.channels.stacking import Combiner, Reading
from tfclass.channels.thresholds import OperatingPoints, Probability
from tfclass.config import ModelConfig
from tfclass.errors import BundleError
from tfclass.limits import MAX_CLASSES, MAX_DEPTH, MAX_DESCRIPTION_BYTES
from tfclass.names import Name, Text
from tfclass.sequences.alphabet import AMINO_ACIDS

# 2: heads for families and domains, and profiles. 3: a reference for homology search. 4: offsets of profiles. What
# older bundles have means the same as ever.
SCHEMA_VERSION = 4
DESCRIPTION, WEIGHTS, CARD = "bundle.json", "model.safetensors", "MODEL_CARD.md"
PROFILES, REFERENCE = "profiles.h3m.zst", "reference.json.zst"

File = Literal["model.safetensors", "MODEL_CARD.md", "profiles.h3m.zst", "reference.json.zst"]
Sha256 = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
# Of a key that is not allowed, what a message shows.
_SHOWN_CHARACTERS = 60


def _distinct(values: Any) -> Any:  # noqa: ANN401 - a text or a tuple of texts, as it came
    if len(set(values)) < len(values):
        raise PydanticCustomError("distinct", "each once")
    return values


Letters = Annotated[str, Field(pattern=f"^{AMINO_ACIDS}[A-Z]*X[A-Z]*$"), AfterValidator(_distinct)]
Classes = Annotated[tuple[Name, ...], Field(min_length=2, max_length=MAX_CLASSES), AfterValidator(_distinct)]


class _Corpus(BaseModel, extra="allow"):
    sha256: str = ""
    generated: StrictBool = False
    split_options: dict[str, Any] = {}


class _Provenance(BaseModel, extra="allow"):
    """What is read by tfclass of where a model came from; everything else is for people."""

    corpus: _Corpus = _Corpus()
    network: Text = ""
    created: Text = ""
    mlflow_run_id: Text = ""


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class Description:
    """The content of ``bundle.json``; see `tfclass.bundle.bundle.Bundle` for what it means."""

    schema_version: int
    name: Name
    classes: Classes
    letters: Letters
    model: ModelConfig
    calibration: Calibration
    threshold: Probability | None
    files: dict[File, Sha256]
    sha256: Sha256
    operating_points: OperatingPoints = ()
    combiners: dict[Reading, Combiner] = Field(default_factory=dict)
    provenance: dict[str, Any] = Field(default_factory=dict)


def read_description(folder: Path) -> Description:
    """Read the description of a bundle, and check it against its own checksum.

    Raises
    ------
    BundleError
        It is missing, altered, or of a newer schema; or a value is of another type or outside its range.
    """
    path = folder / DESCRIPTION
    if not path.is_symlink() and not path.exists():
        action = "name the folder that `tfclass train` wrote"
        raise BundleError(str(folder), f"no {DESCRIPTION}", "a model bundle", action, path=str(path))
    content = read_whole(path, MAX_DESCRIPTION_BYTES)
    try:
        description = json.loads(content.decode())
        if _is_deeper(description, MAX_DEPTH):
            raise RecursionError
        as_written = as_text(description)
    except (ValueError, RecursionError) as error:
        reason = error if isinstance(error, ValueError) else f"nested more than {MAX_DEPTH} deep"
        raise BundleError(str(path), f"damaged JSON ({reason})", action="restore the bundle", path=str(path)) from error
    version = description.get("schema_version") if isinstance(description, dict) else None
    if not isinstance(version, int) or version < 1:
        raise BundleError(str(path), "no schema version", "a description written by tfclass", path=str(path))
    if version > SCHEMA_VERSION:
        expected = f"at most {SCHEMA_VERSION}"
        raise BundleError(str(path), f"schema version {version}", expected, "upgrade tfclass", path=str(path))
    digest = digest_of({key: value for key, value in description.items() if key != "sha256"})
    # Two texts can mean the same (1e-5 and 1E-5), so the bytes are compared as well.
    if description.get("sha256") != digest or content != as_written:
        found = "content that does not match its own checksum"
        raise BundleError(str(path), found, action="restore the bundle; it was altered", path=str(path))
    return checked(description, str(path))


def checked(description: dict[str, Any], where: str) -> Description:
    """Check the type and range of every value of a description.

    Raises
    ------
    BundleError
        The first value that is not allowed is named.
    """
    rest = {key: value for key, value in description.items() if key != "provenance"}
    # The only part whose texts may hold anything, such as a path that is no UTF-8, which strict JSON refuses.
    place = ["provenance"]
    try:
        provenance = TypeAdapter(dict[str, Any]).validate_python(description.get("provenance"))
        _Provenance.model_validate(provenance)
        place = []
        checked = TypeAdapter(Description).validate_json(json.dumps(rest), strict=True)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
        key = ".".join(str(part)[:_SHOWN_CHARACTERS] for part in (*place, *problem["loc"]))
        found = f"what is not allowed ({problem['msg']})"
        path = f"{where}, {key}" if key else where
        raise BundleError(path, found, "a description written by tfclass", path=where) from None
    return replace(checked, provenance=provenance)


def as_text(description: object) -> bytes:
    """Write a description as it stands in its file."""
    return (json.dumps(description, indent=1, allow_nan=False) + "\n").encode()


def digest_of(description: dict[str, Any]) -> str:
    """Give the checksum of a description that does not hold it yet."""
    return hashlib.sha256(json.dumps(description, sort_keys=True, allow_nan=False).encode()).hexdigest()


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
