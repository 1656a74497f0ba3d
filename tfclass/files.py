"""Files and folders that appear whole or not at all: written beside their place, then renamed into it; and locks."""

import contextlib
import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from tfclass.errors import OutputError

if TYPE_CHECKING:
    from filelock import FileLock

_BLOCK_BYTES = 1 << 20
# What leads to an open file of this process.
_STREAMS, _DESCRIPTORS = ("/dev/stdout", "/dev/stderr"), ("/dev/fd", "/proc/self/fd")


class SupportsRead(Protocol):
    """What can be read in blocks of bytes."""

    def read(self, size: int, /) -> bytes:
        """Read at most `size` bytes; none at the end."""
        ...


def name_of(path: Path) -> str:
    r"""Give the last part of a path as text that can be written; bytes that are no UTF-8 become backslash escapes.

    Examples
    --------
    >>> name_of(Path("folder/a\udcff.fasta"))
    'a\\xff.fasta'
    """
    return os.fsencode(path.name).decode("utf-8", "backslashreplace")


def sha256_of(stream: SupportsRead) -> str:
    """Give the SHA-256 of what is left in a stream, in hexadecimal."""
    digest = hashlib.sha256()
    while block := stream.read(_BLOCK_BYTES):
        digest.update(block)
    return digest.hexdigest()


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
        Its folder must exist. A pipe or a device is written to as it is.

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
        # What a symbolic link points to is replaced, not the link.
        target = Path(os.path.realpath(path)) if path.is_symlink() else path
        is_open = str(path) in _STREAMS or str(path.parent) in _DESCRIPTORS
        if is_open or (target.exists() and not target.is_file() and not target.is_dir()):
            # A pipe or a device can only be written to; a rename would put a file in its place, or, where /dev/stdout
            # leads to a log, throw away what the log holds.
            with path.open("ab") as stream:
                yield stream
            return
        # Named before it is made: an interrupt between both would leave it behind.
        name = str(target.with_name(f".{target.name}.{secrets.token_hex(4)}"))
        with open(name, "x+b") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(name, target)
    except BrokenPipeError:
        # The reader of a pipe has seen enough.
        raise
    except OSError as error:
        _forget(name)
        raise _cannot_write(path, error) from error
    except BaseException:
        _forget(name)
        raise


def is_address(place: str) -> bool:
    """Tell an address such as ``s3://bucket/key`` from a path."""
    return "://" in place


@contextlib.contextmanager
def uploaded_file(address: str) -> Iterator[BinaryIO]:
    """Open a local file that is uploaded to `address` (through fsspec) when the block ends without an error.

    Parameters
    ----------
    address : str
        ``s3://``, ``gs://`` and whatever else fsspec has a driver for.

    Yields
    ------
    binary file

    Raises
    ------
    OutputError
        There is no driver; or the upload failed, and then the local file is kept and named.
    """
    import fsspec

    try:
        system, place = fsspec.url_to_fs(address)
    except (ImportError, ValueError) as error:
        # fsspec says which package is missing.
        raise OutputError(address, f"an address that cannot be opened ({error})", path=address) from error
    folder = Path(tempfile.mkdtemp(prefix="tfclass-"))
    local = folder / (Path(place).name or "rows")
    try:
        with whole_file(local) as stream:
            yield stream
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    try:
        system.put_file(str(local), place)
    # Every driver has exceptions of its own.
    except Exception as error:
        found = f"an upload that failed ({' '.join(str(error).split()) or type(error).__name__})"
        raise OutputError(address, found, action=f"upload it from {local}", path=address) from error
    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def whole_folder(path: Path, marker: str) -> Iterator[Path]:
    """Make a folder that replaces `path` only when the block ends without an error.

    Parameters
    ----------
    path : Path
        Missing parents are made; an older folder of the same kind is removed once the new one is complete.
    marker : str
        The file that tells a folder of this kind; see `check_replaceable`.

    Yields
    ------
    Path
        The folder to fill, beside `path`.

    Raises
    ------
    OutputError
        It cannot be written, or something else stands there.
    """
    check_replaceable(path, marker)
    building = None
    try:
        building = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        yield building
        os.chmod(building, 0o777 & ~_umask())
        _take_place(building, path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        if building is not None:
            shutil.rmtree(building, ignore_errors=True)


def check_replaceable(path: Path, marker: str) -> None:
    """Make sure that replacing `path` destroys nothing of another kind.

    Parameters
    ----------
    path : Path
    marker : str
        The file that tells a folder of the kind that is to be written.

    Raises
    ------
    OutputError
        `path` is a file, or a folder with content but without `marker`, or cannot be written beside.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.").cleanup()
    except OSError as error:
        raise _cannot_write(path, error) from error
    if path.exists() and not (path / marker).exists() and (not path.is_dir() or any(path.iterdir())):
        found = f"something there that has no {marker}, and would be lost"
        raise OutputError(str(path), found, "an empty or missing folder", "choose another", path=str(path))


def _take_place(building: Path, path: Path) -> None:
    if not path.exists():
        os.rename(building, path)
        return
    # Two renames: a folder cannot be replaced in one step, but both states on the way are whole folders.
    aside = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.old."))
    old = aside / "old"
    try:
        os.rename(path, old)
        os.rename(building, path)
    except BaseException:
        if not path.exists():
            os.rename(old, path)
        raise
    finally:
        # Should even the way back be barred, the old folder is kept where it is.
        if path.exists():
            shutil.rmtree(aside, ignore_errors=True)


def _cannot_write(path: Path, error: OSError) -> OutputError:
    reason = error.strerror or str(error)
    return OutputError(
        str(path), f"a place that cannot be written ({reason})", action="check the folder", path=str(path)
    )


def _forget(name: str) -> None:
    if name:
        Path(name).unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def try_lock(path: Path) -> "FileLock | None":
    """Take a lock that another process may hold; None when it does.

    The system lets go of it when this process dies, however it dies.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    # Its import takes longer than most of what needs no lock.
    from filelock import FileLock, Timeout

    lock = FileLock(path, blocking=False)
    try:
        lock.acquire()
    except Timeout:
        return None
    except OSError as error:
        raise _cannot_write(path, error) from error
    return lock
