"""``bundle.json``, the description of a bundle: read, checked and written."""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from tfclass.bundle.calibration import Calibration
from tfclass.bundle.evidence import Combiner, Reading
from tfclass.bundle.operating_points import OperatingPoint
from tfclass.config import ModelConfig
from tfclass.errors import BundleError
from tfclass.sequence.vocabulary import AMINO_ACIDS

# 2: heads for families and domains, and profiles. 3: a reference for homology search. 4: offsets of profiles. What
# older bundles have means the same as ever.
SCHEMA_VERSION = 4
DESCRIPTION, WEIGHTS, CARD = "bundle.json", "model.safetensors", "MODEL_CARD.md"
PROFILES, REFERENCE = "profiles.h3m.zst", "reference.json.zst"


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class Description:
    """The content of ``bundle.json``; see `tfclass.bundle.bundle.Bundle` for what it means."""

    schema_version: int
    name: str
    classes: Annotated[tuple[str, ...], Field(min_length=2)]
    letters: Annotated[str, Field(pattern=f"^{AMINO_ACIDS}[A-Z]*X[A-Z]*$")]
    model: ModelConfig
    calibration: Calibration
    threshold: float | None
    provenance: dict[str, Any]
    files: dict[str, str]
    sha256: str
    operating_points: tuple[OperatingPoint, ...] = ()
    combiners: dict[Reading, Combiner] = Field(default_factory=dict)


def read_description(folder: Path) -> Description:
    """Read the description of a bundle, and hold it against its own checksum.

    Raises
    ------
    BundleError
        It is missing, altered, or of a newer schema.
    """
    path = folder / DESCRIPTION
    try:
        content = path.read_bytes()
        description = json.loads(content.decode())
        as_written = as_text(description)
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
    digest = digest_of({key: value for key, value in description.items() if key != "sha256"})
    # Two texts can mean the same (1e-5 and 1E-5), so the bytes are compared as well.
    if description.get("sha256") != digest or content != as_written:
        found = "content that does not match its own checksum"
        raise BundleError(str(path), found, action="restore the bundle; it was altered", path=str(path))
    try:
        return TypeAdapter(Description).validate_python(description)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = f"{path}, {'.'.join(map(str, problem['loc']))}"
        found = f"what is not allowed ({problem['msg']})"
        raise BundleError(where, found, "a description written by tfclass", path=str(path)) from None


def read_verified(path: Path, sha256: str) -> bytes:
    """Read a file whose checksum is known; `BundleError` where it is missing or altered."""
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


def as_text(description: object) -> bytes:
    """Write a description as it stands in its file."""
    return (json.dumps(description, indent=1, allow_nan=False) + "\n").encode()


def digest_of(description: dict[str, Any]) -> str:
    """Give the checksum of a description that does not hold it yet."""
    return hashlib.sha256(json.dumps(description, sort_keys=True, allow_nan=False).encode()).hexdigest()
