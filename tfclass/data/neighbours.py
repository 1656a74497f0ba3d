"""Files beside a table, and how files are identified: only files of tfclass are ever replaced."""

import json
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tfclass.errors import OutputError, TableError
from tfclass.io.files import name_of, sha256_of

# The manifest of a corpus says that it is one.
KIND = "tfclass corpus"
OUTPUTS = (".tsv", ".tsv.gz")
# Of the tables that a manifest lists.
LISTED = (".lost.tsv", ".audit.tsv", ".pairs.tsv")
_DIGEST = re.compile(r"[0-9a-f]{64}")
# A larger file is not a manifest.
_MAX_BYTES = 1 << 24
_SHOWN = 3


def manifest_path(table: str | Path) -> Path:
    """Return the path of a table's manifest.

    Examples
    --------
    >>> manifest_path("data/proteins.tsv").name
    'proteins.tsv.manifest.json'
    """
    return Path(f"{table}.manifest.json")


def sibling_path(table: Path, ending: str) -> Path:
    """Return the path of a file that belongs to a table: the table's up to .tsv, with another ending.

    Examples
    --------
    >>> sibling_path(Path("proteins.tsv.gz"), ".audit.tsv").name
    'proteins.audit.tsv'
    """
    name = table.name
    return table.with_name(next((name.removesuffix(end) for end in OUTPUTS if name.endswith(end)), name) + ending)


def preview(names: Sequence[str]) -> str:
    """Return the first few of some names as text."""
    return ", ".join(map(str, names[:_SHOWN])) + (", ..." if len(names) > _SHOWN else "")


def check_not_pipe(path: Path) -> None:
    """Raise TableError for a pipe or a device, which cannot be hashed and then read."""
    if path.exists() and not path.is_file() and not path.is_dir():
        found = "a pipe or a device, which cannot be read twice (its checksum is computed, and then its content read)"
        raise TableError(f"{path}: found {found}; expected a file; write the content to a file first")


def fingerprint(path: Path) -> dict[str, Any]:
    """Return ``name``, ``bytes`` and ``sha256`` of a file; TableError where it cannot be read."""
    check_not_pipe(path)
    try:
        with path.open("rb") as stream:
            return {"name": name_of(path), "bytes": path.stat().st_size, "sha256": sha256_of(stream)}
    except OSError as error:
        raise TableError(f"{path}: found a file that cannot be read ({error.strerror})") from error


def check_neighbour(path: Path, is_ours: Callable[[Path], bool], option: str = "-o") -> None:
    """Refuse to replace a file that tfclass did not write; OutputError.

    Parameters
    ----------
    path : Path
        What would be written; it need not exist.
    is_ours : callable
        Returns whether tfclass wrote a file: `is_manifest`, or what `listed_beside`, `starts_with` or
        `holds` returned.
    option : str
        The one that chooses the place, for messages.
    """
    if not path.exists():
        return
    if not path.is_file():
        raise OutputError(f"{path}: found something that is no file; expected a free name; choose another {option}")
    if not is_ours(path):
        raise OutputError(
            f"{path}: found a file that tfclass did not write, and that would be replaced; expected a free name; "
            f"move it, or choose another {option}"
        )


def is_manifest(path: Path) -> bool:
    """Return whether a file is the manifest of a corpus; `OutputError` where it cannot be read."""
    return bool(_manifest(path))


def starts_with(*columns: str) -> Callable[[Path], bool]:
    """Return a function that tells whether a TSV file begins with these columns."""
    line = "\t".join(columns).encode()

    def is_table(path: Path) -> bool:
        with path.open("rb") as stream:
            return stream.read(len(line)) == line

    return is_table


def holds(*keys: str) -> Callable[[Path], bool]:
    """Return a function that tells whether a file holds a JSON object with these keys."""
    return lambda path: path.is_file() and set(keys) <= _json(path).keys()


def listed_beside(table: Path) -> Callable[[Path], bool]:
    """Return a function that tells whether the manifest of a table lists a file, with the checksum that it has."""
    return partial(_is_listed, _manifest(manifest_path(table)))


def remove_manifest(table: Path) -> None:
    """Remove the manifest of a table that is being replaced by one without; a file of another kind stays."""
    remove_stale(table, {})
    place = manifest_path(table)
    if place.is_file() and is_manifest(place):
        place.unlink()


def remove_stale(table: Path, manifest: dict[str, Any]) -> None:
    """Remove the tables that the old manifest of a table lists and the new one does not."""
    # They may be those of the packed or plain table of the same name.
    if any(manifest_path(other).exists() for end in OUTPUTS if (other := sibling_path(table, end)) != table):
        return
    before, names = _manifest(manifest_path(table)), {file.get("name") for file in _listed(manifest)}
    for path in (sibling_path(table, ending) for ending in LISTED):
        if name_of(path) not in names and path.is_file() and _is_listed(before, path):
            path.unlink()


def _is_listed(manifest: dict[str, Any], path: Path) -> bool:
    digests = [file.get("sha256") for file in _listed(manifest) if file.get("name") == name_of(path)]
    if not digests:
        return False
    with path.open("rb") as stream:
        return sha256_of(stream) in digests


def _listed(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    audit = manifest.get("audit")
    files = audit.get("files") if isinstance(audit, dict) else None
    files = [manifest.get("lost"), *(files if isinstance(files, list) else [])]
    return [file for file in files if isinstance(file, dict)]


def _manifest(path: Path) -> dict[str, Any]:
    """Read a manifest; return an empty one where there is none, or something else."""
    content = _json(path) if path.is_file() else {}
    is_ours = content.get("kind") == KIND and isinstance(content.get("schema"), int) and _has_table(content)
    return content if is_ours else {}


def _has_table(content: dict[str, Any]) -> bool:
    table = content.get("table")
    return isinstance(table, dict) and bool(_DIGEST.fullmatch(str(table.get("sha256"))))


def _json(path: Path) -> dict[str, Any]:
    """Read a JSON object; return an empty one for anything else, `OutputError` where it cannot be read."""
    try:
        with path.open("rb") as stream:
            content = stream.read(_MAX_BYTES + 1)
        whole = json.loads(content) if len(content) <= _MAX_BYTES else None
    except OSError as error:
        raise OutputError(f"{path}: found a file that cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError):
        return {}
    return whole if isinstance(whole, dict) else {}
