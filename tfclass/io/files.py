"""Files that appear whole or not at all, folders under construction, and locks.

What is under construction lies beside its place, under a hidden name that ends in a random number and a checksum of it:
no file of another program is taken for one. Its writer holds a lock, which the system releases when the process dies,
however it dies; the next process that writes to the same folder then removes it.
"""

import contextlib
import errno
import hashlib
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from tfclass.errors import OutputError

try:
    import fcntl
except ModuleNotFoundError:
    # Windows: what a killed process leaves behind stays.
    fcntl = None

if TYPE_CHECKING:
    from filelock import FileLock

_BLOCK_BYTES = 1 << 20
# What leads to an open file of this process.
_STREAMS, _DESCRIPTORS = ("/dev/stdout", "/dev/stderr"), ("/dev/fd", "/proc/self/fd")
# Characters of the final name in the temporary one, which must not be longer than a file system takes (255 bytes).
_KEPT = 40
_NAME = re.compile(r"\.(.*)\.([0-9a-f]{8})([0-9a-f]{16})", re.DOTALL)
_TAKEN = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)


def name_of(path: Path) -> str:
    r"""Return the last part of a path as text that can be written; bytes that are no UTF-8 become backslash escapes.

    Examples
    --------
    >>> name_of(Path("folder/a\udcff.fasta"))
    'a\\xff.fasta'
    """
    return os.fsencode(path.name).decode("utf-8", "backslashreplace")


def is_address(place: str) -> bool:
    """Return True for an address such as ``s3://bucket/key``, False for a path."""
    return "://" in place


def sha256_of(stream: BinaryIO) -> str:
    """Compute the SHA-256 of the rest of a stream, in hexadecimal."""
    digest = hashlib.sha256()
    while block := stream.read(_BLOCK_BYTES):
        digest.update(block)
    return digest.hexdigest()


def cannot_write(path: Path, error: OSError) -> OutputError:
    """Return the error to raise for a place that the system refuses to write to."""
    return OutputError(f"{path}: found a place that cannot be written ({error.strerror or error}); check the folder")


def make_folder(path: Path) -> None:
    """Make a folder and its missing parents; `OutputError` where that is not possible."""
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
        Its folder must exist. A link is followed; a pipe or a device is written to as it is.

    Raises
    ------
    OutputError
        The folder is missing, full or cannot be written to. Nothing is left behind.
    """
    try:
        target = Path(os.path.realpath(path)) if path.is_symlink() else path
        is_open = str(path) in _STREAMS or str(path.parent) in _DESCRIPTORS
        if is_open or (target.exists() and not target.is_file() and not target.is_dir()):
            # A rename would put a file in the place of a pipe, or lose the content of a log that /dev/stdout leads to.
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


def try_lock(path: Path) -> "FileLock | None":
    """Take a lock that the system releases when this process ends; None where another process holds it.

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


def temporary_name(name: str) -> str:
    """Return a new hidden name for what will be called `name`."""
    kept, number = name[:_KEPT], secrets.token_hex(4)
    return f".{kept}.{number}{_checksum(kept, number)}"


def is_temporary(name: str) -> bool:
    """Return whether a name is one of `temporary_name`."""
    match = _NAME.fullmatch(name)
    return match is not None and _checksum(match[1], match[2]) == match[3]


@contextlib.contextmanager
def temporary_file(target: Path) -> Iterator[BinaryIO]:
    """Open a new file beside `target` for reading and writing; it is removed unless the block has renamed it."""
    remove_abandoned(os.path.abspath(target.parent))
    while True:
        path = target.with_name(temporary_name(target.name))
        stream = open(path, "x+b")  # noqa: SIM115 - closed below
        if _hold(stream.fileno(), path):
            break
        stream.close()
    try:
        yield stream
    finally:
        # What could not be written is of no use any more.
        with contextlib.suppress(OSError):
            stream.close()
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def temporary_folder(target: Path | None = None) -> Iterator[Path]:
    """Make a folder beside `target`, or in the system's temporary folder, and remove what has its name at the end."""
    target = target or Path(tempfile.gettempdir(), "tfclass")
    remove_abandoned(os.path.abspath(target.parent))
    while True:
        folder, descriptor = target.with_name(temporary_name(target.name)), None
        folder.mkdir(mode=0o700)
        # It is missing where another process took it for abandoned.
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(folder, os.O_RDONLY) if fcntl else None
            if descriptor is None or _hold(descriptor, folder):
                break
            os.close(descriptor)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if descriptor is not None:
            os.close(descriptor)


@cache
def remove_abandoned(folder: str) -> None:
    """Remove what killed processes of this user left under construction in a folder; once in the life of a process."""
    # A folder that cannot be listed is found by whoever writes to it.
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if is_temporary(entry.name):
                _remove_if_abandoned(entry.path)


def _remove_if_abandoned(path: str) -> None:
    # It may be gone, or held, or on a file system without locks: then it stays.
    if fcntl is None:
        return
    with contextlib.suppress(OSError):
        status = os.lstat(path)
        is_folder = stat.S_ISDIR(status.st_mode)
        if status.st_uid != os.geteuid() or not (is_folder or stat.S_ISREG(status.st_mode)):
            return
        descriptor = os.open(path, os.O_NOFOLLOW | (os.O_RDONLY if is_folder else os.O_RDWR))
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(descriptor), os.lstat(path)):
                return
            if is_folder:
                shutil.rmtree(path, ignore_errors=True)
            else:
                os.unlink(path)
        finally:
            os.close(descriptor)


def _hold(descriptor: int, path: Path) -> bool:
    """Lock what was just made; False where another process took it for abandoned and removed it."""
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False
    except OSError as error:
        # On a file system without locks nothing is taken for abandoned.
        return error.errno not in _TAKEN


def _checksum(kept: str, number: str) -> str:
    return hashlib.sha256(f"tfclass {number} {kept}".encode("utf-8", "surrogatepass")).hexdigest()[:16]
