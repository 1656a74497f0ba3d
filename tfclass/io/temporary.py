"""Files and folders under construction: beside their place, under names that show whose they are, and locked.

A name under construction ends in a random number and a checksum of it, so no file of another program is taken for one.
The writer holds a lock that the system lets go of when its process dies, however it dies; what is left of it is then
removed by the next process that writes to the same folder.
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
from typing import BinaryIO, cast

try:
    import fcntl
except ModuleNotFoundError:
    # Windows: what a killed process leaves behind stays.
    fcntl = None

# Characters of the final name in the temporary one, which must not be longer than a file system takes (255 bytes).
_KEPT = 40
_NAME = re.compile(r"\.(.*)\.([0-9a-f]{8})([0-9a-f]{16})", re.DOTALL)
_TAKEN = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)


def temporary_name(name: str) -> str:
    """Make up a hidden name for what will be called `name`."""
    kept, number = name[:_KEPT], secrets.token_hex(4)
    return f".{kept}.{number}{_checksum(kept, number)}"


def is_temporary(name: str) -> bool:
    """Return whether a name is one of `temporary_name`."""
    match = _NAME.fullmatch(name)
    return match is not None and _checksum(match[1], match[2]) == match[3]


@contextlib.contextmanager
def temporary_file(target: Path) -> Iterator[BinaryIO]:
    """Open a new file beside `target`, which is removed unless it has been renamed by the end of the block.

    Yields
    ------
    binary file
        Its `name` is the path; open for reading and writing.

    Raises
    ------
    OSError
        It cannot be made.
    """
    remove_abandoned(os.path.abspath(target.parent))
    stream, name = None, ""
    try:
        while stream is None:
            name = str(target.with_name(temporary_name(target.name)))
            made = open(name, "x+b")  # noqa: SIM115 - closed below
            stream = made if _hold(made.fileno(), name) else None
            if stream is None:
                made.close()
        yield cast(BinaryIO, stream)
    finally:
        if stream is not None:
            # What could not be written is of no use any more.
            with contextlib.suppress(OSError):
                stream.close()
            Path(name).unlink(missing_ok=True)


@contextlib.contextmanager
def temporary_folder(target: Path | None = None) -> Iterator[Path]:
    """Make a folder beside `target`, or in the system's folder for temporary files; it is removed with the block.

    Another folder that has got its name by then is removed instead of it.

    Raises
    ------
    OSError
        It cannot be made.
    """
    target = target or Path(tempfile.gettempdir(), "tfclass")
    remove_abandoned(os.path.abspath(target.parent))
    folder = descriptor = None
    try:
        while folder is None:
            made = target.with_name(temporary_name(target.name))
            made.mkdir(mode=0o700)
            try:
                descriptor = os.open(made, os.O_RDONLY) if fcntl else None
            except FileNotFoundError:
                # Another process took it for abandoned and removed it.
                continue
            if descriptor is None or _hold(descriptor, str(made)):
                folder = made
            else:
                os.close(descriptor)
        yield folder
    finally:
        if folder is not None:
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


def _hold(descriptor: int, path: str) -> bool:
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
