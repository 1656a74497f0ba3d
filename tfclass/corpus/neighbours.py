"""Files beside a table, under names that nobody gave: they replace those of tfclass, never another's."""

from pathlib import Path

from tfclass.errors import OutputError

# What the manifest of a corpus says that it is.
KIND = "tfclass corpus"
OUTPUTS = (".tsv", ".tsv.gz")
_LOOK_BYTES = 1024


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


def check_neighbour(path: Path, mark: str) -> None:
    """Refuse to replace a file that tfclass did not write.

    Parameters
    ----------
    path : Path
        What would be written; it need not exist.
    mark : str
        What those of tfclass have among their first characters.

    Raises
    ------
    OutputError
        Another file, or something that is no file, stands there.
    """
    if not path.exists():
        return
    if not path.is_file():
        raise OutputError(str(path), "something that is no file", "a free name", "choose another -o", path=str(path))
    if not _is_ours(path, mark):
        found, action = "a file that tfclass did not write, and that would be replaced", "move it, or choose another -o"
        raise OutputError(str(path), found, "a free name", action, path=str(path))


def forget_manifest(table: Path) -> None:
    """Remove the manifest of a table that is being replaced by one without; a file of another kind stays."""
    place = manifest_path(table)
    if place.is_file() and _is_ours(place, KIND):
        place.unlink()


def _is_ours(path: Path, mark: str) -> bool:
    """Tell whether a file has this mark among its first characters; OutputError where it cannot be read."""
    try:
        with path.open("rb") as stream:
            return mark.encode() in stream.read(_LOOK_BYTES)
    except OSError as error:
        raise OutputError(str(path), f"a file that cannot be read ({error.strerror})", path=str(path)) from error
