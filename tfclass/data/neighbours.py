"""Files beside a table, under names that nobody gave: they replace those of tfclass, never another's."""

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tfclass.errors import OutputError
from tfclass.io.files import name_of, sha256_of

# What the manifest of a corpus says that it is.
KIND = "tfclass corpus"
OUTPUTS = (".tsv", ".tsv.gz")
# Of the tables that a manifest lists.
LISTED = (".lost.tsv", ".audit.tsv", ".pairs.tsv")
_DIGEST = re.compile(r"[0-9a-f]{64}")
# A larger file is no manifest.
_MOST_BYTES = 1 << 24


def manifest_path(table: str | Path) -> Path:
    """Give the place of a table's manifest.

    Examples
    --------
    >>> manifest_path("data/proteins.tsv").name
    'proteins.tsv.manifest.json'
    """
    return Path(f"{table}.manifest.json")


def beside(table: Path, ending: str) -> Path:
    """Name a file that goes with a table: its name up to .tsv, and another ending.

    Examples
    --------
    >>> beside(Path("proteins.tsv.gz"), ".audit.tsv").name
    'proteins.audit.tsv'
    """
    name = table.name
    return table.with_name(next((name.removesuffix(end) for end in OUTPUTS if name.endswith(end)), name) + ending)


def check_neighbour(path: Path, is_ours: Callable[[Path], bool], option: str = "-o") -> None:
    """Refuse to replace a file that tfclass did not write.

    Parameters
    ----------
    path : Path
        What would be written; it need not exist.
    is_ours : callable
        Returns whether tfclass wrote a file: `is_manifest`, `is_funnel`, or what `listed_beside`, `starts_with` or
        `holds` returned.
    option : str
        The one that chooses the place, for messages.

    Raises
    ------
    OutputError
        Another file, or something that is no file, stands there.
    """
    if not path.exists():
        return
    if not path.is_file():
        raise OutputError(
            str(path), "something that is no file", "a free name", f"choose another {option}", path=str(path)
        )
    if not is_ours(path):
        found = "a file that tfclass did not write, and that would be replaced"
        action = f"move it, or choose another {option}"
        raise OutputError(str(path), found, "a free name", action, path=str(path))


def is_manifest(path: Path) -> bool:
    """Return whether a file is the manifest of a corpus; `OutputError` where it cannot be read."""
    return bool(_manifest(path))


def is_funnel(path: Path) -> bool:
    """Return whether a file is the funnel of ``tfclass data label``; `OutputError` where it cannot be read."""
    content = _json(path)
    kinds = {"rows_in": int, "steps": list, "rows_out": int}
    return all(isinstance(content.get(key), kind) for key, kind in kinds.items()) and _has_table(content)


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


def forget_manifest(table: Path) -> None:
    """Remove the manifest of a table that is being replaced by one without; a file of another kind stays."""
    remove_stale(table, {})
    place = manifest_path(table)
    if place.is_file() and is_manifest(place):
        place.unlink()


def remove_stale(table: Path, manifest: dict[str, Any]) -> None:
    """Remove the tables that only the manifest which is being replaced lists: nobody could tell whose they are."""
    # They may be those of the packed or plain table of the same name.
    if any(manifest_path(other).exists() for end in OUTPUTS if (other := beside(table, end)) != table):
        return
    before, names = _manifest(manifest_path(table)), {file.get("name") for file in _listed(manifest)}
    for path in (beside(table, ending) for ending in LISTED):
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
    return [
        file for file in (manifest.get("lost"), *(files if isinstance(files, list) else [])) if isinstance(file, dict)
    ]


def _manifest(path: Path) -> dict[str, Any]:
    """Read a manifest; nothing where there is none, or something else."""
    content = _json(path) if path.is_file() else {}
    is_ours = content.get("kind") == KIND and isinstance(content.get("schema"), int) and _has_table(content)
    return content if is_ours else {}


def _has_table(content: dict[str, Any]) -> bool:
    table = content.get("table")
    return isinstance(table, dict) and bool(_DIGEST.fullmatch(str(table.get("sha256"))))


def _json(path: Path) -> dict[str, Any]:
    """Read a JSON object; nothing where it is something else, `OutputError` where it cannot be read."""
    try:
        with path.open("rb") as stream:
            content = stream.read(_MOST_BYTES + 1)
        whole = json.loads(content) if len(content) <= _MOST_BYTES else None
    except OSError as error:
        raise OutputError(str(path), f"a file that cannot be read ({error.strerror})", path=str(path)) from error
    except (ValueError, RecursionError):
        return {}
    return whole if isinstance(whole, dict) else {}
