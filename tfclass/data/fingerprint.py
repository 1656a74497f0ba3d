"""The fingerprint of a file: its name, size and checksum."""

from pathlib import Path
from typing import Any

from tfclass.errors import TableError
from tfclass.io.files import name_of, sha256_of


def check_rereadable(path: Path) -> None:
    """Raise TableError for what can be read only once or has no end; such a file cannot be hashed and then read."""
    if path.exists() and not path.is_file() and not path.is_dir():
        found = "a pipe or a device, which cannot be read twice (its checksum is computed, and then its content read)"
        raise TableError(str(path), found, "a file", "write the content to a file first", path=str(path))


def fingerprint(path: Path) -> dict[str, Any]:
    """Tell a file by ``name``, ``bytes`` and ``sha256`` of its content; TableError where it cannot be read."""
    check_rereadable(path)
    try:
        with path.open("rb") as stream:
            digest = sha256_of(stream)
        return {"name": name_of(path), "bytes": path.stat().st_size, "sha256": digest}
    except OSError as error:
        raise TableError(str(path), f"a file that cannot be read ({error.strerror})", path=str(path)) from error
