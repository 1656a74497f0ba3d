"""Files that appear whole or not at all: written beside their place, then renamed into it; and locks."""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from tfclass.errors import OutputError
from tfclass.io.temporary import temporary_file, temporary_folder

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
        raise cannot_write(path, error) from error


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file that replaces `path` only when the block ends without an error.

    Parameters
    ----------
    path : Path
        Its folder must exist. A pipe or a device is written to as it is.

    Raises
    ------
    OutputError
        The folder is missing, or cannot be written to, or is full. Nothing is left behind.
    """
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
        with temporary_file(target) as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
            os.replace(stream.name, target)
    except BrokenPipeError:
        # The reader of a pipe has seen enough.
        raise
    except OSError as error:
        raise cannot_write(path, error) from error


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
    with temporary_folder() as folder:
        local = folder / (Path(place).name or "rows")
        with whole_file(local) as stream:
            yield stream
        try:
            system.put_file(str(local), place)
        # Every driver has exceptions of its own.
        except Exception as error:
            kept = Path(tempfile.mkdtemp(prefix="tfclass-"), local.name)
            os.replace(local, kept)
            found = f"an upload that failed ({' '.join(str(error).split()) or type(error).__name__})"
            raise OutputError(address, found, action=f"upload it from {kept}", path=address) from error


def cannot_write(path: Path, error: OSError) -> OutputError:
    """Return the error to raise for a place that the system refuses to write to."""
    reason = error.strerror or str(error)
    return OutputError(
        str(path), f"a place that cannot be written ({reason})", action="check the folder", path=str(path)
    )


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
        # A lock is nothing that a user has named.
        raise cannot_write(path if path.is_dir() else path.parent, error) from error
    return lock
