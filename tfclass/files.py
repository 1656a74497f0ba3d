"""Files and folders that appear whole or not at all: written beside their place, then renamed into it."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from tfclass.errors import OutputError


def make_folder(path: Path) -> None:
    """Make a folder and its parents where they are missing; `OutputError` when that is not possible."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_write(path, error) from error


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file that replaces `path` only when the block ends without an error.

    Parameters
    ----------
    path : Path
        Its folder must exist.

    Yields
    ------
    binary file

    Raises
    ------
    OutputError
        The folder is missing, or cannot be written to, or is full. Nothing is left behind.
    """
    name = ""
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as stream:
            name = stream.name
            yield cast(BinaryIO, stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except OSError as error:
        _forget(name)
        raise _cannot_write(path, error) from error
    except BaseException:
        _forget(name)
        raise


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Make a folder that replaces `path` only when the block ends without an error.

    Parameters
    ----------
    path : Path
        Missing parents are made; what stood there before is removed once the new folder is complete.

    Yields
    ------
    Path
        The folder to fill, beside `path`.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    building = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        yield building
        os.chmod(building, 0o777 & ~_umask())
        _take_place(building, path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        if building is not None:
            shutil.rmtree(building, ignore_errors=True)


def _take_place(building: Path, path: Path) -> None:
    if not path.exists():
        os.rename(building, path)
        return
    # Two renames: a folder cannot be replaced in one step, but both states on the way are whole folders.
    aside = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.old."))
    os.rename(path, aside / path.name)
    os.rename(building, path)
    shutil.rmtree(aside, ignore_errors=True)


def _cannot_write(path: Path, error: OSError) -> OutputError:
    reason = error.strerror or str(error)
    return OutputError(str(path), f"it cannot be written ({reason})", action="check the folder", path=str(path))


def _forget(name: str) -> None:
    if name:
        Path(name).unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
