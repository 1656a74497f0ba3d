"""The files of a bundle, opened so that nothing but a plain file of a stated size is ever read."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from tfclass.errors import BundleError
from tfclass.io.files import sha256_of
from tfclass.limits import in_words

_KINDS = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
# Where a system lacks one of the last three, there is nothing that it would keep out.
_FLAGS = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_BINARY", "O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK"))


@contextmanager
def opened(path: Path, most: int) -> Iterator[BinaryIO]:
    """Open a plain file for reading.

    Parameters
    ----------
    path : Path
        The folder may be reached through symbolic links; the file itself may not be one.
    most : int
        Bytes that it may have.

    Raises
    ------
    BundleError
        It is missing, too large, cannot be read, or is a link, a folder, a pipe, a socket or a device, which are not
        opened.
    """
    try:
        _check(path, os.lstat(path), most)
        descriptor = os.open(path, _FLAGS)
    except FileNotFoundError:
        raise BundleError(f"{path}: no such file; restore the bundle") from None
    except OSError as error:
        raise BundleError(f"{path}: the file cannot be read ({error.strerror})") from error
    with open(descriptor, "rb") as stream:
        # Another process may have put something else there in between.
        _check(path, os.fstat(descriptor), most)
        try:
            yield stream
        except OSError as error:
            raise BundleError(f"{path}: the file cannot be read ({error.strerror})") from error


def read_whole(path: Path, most: int) -> bytes:
    """Read a plain file of at most `most` bytes; see `opened` for errors."""
    with opened(path, most) as stream:
        return stream.read(most)


def check_digest(stream: BinaryIO, path: Path, sha256: str) -> None:
    """Check the SHA-256 of an open file, and go back to its start; `BundleError` where it is another."""
    if sha256_of(stream) != sha256:
        raise BundleError(f"{path}: checksum mismatch; restore the bundle")
    stream.seek(0)


def _check(path: Path, status: os.stat_result, most: int) -> None:
    for is_kind, words in _KINDS:
        if is_kind(status.st_mode):
            raise BundleError(f"{path}: found {words}; expected a plain file; restore the bundle")
    if status.st_size > most:
        found = f"a file of {in_words(status.st_size)}"
        raise BundleError(f"{path}: found {found}; expected at most {in_words(most)}; restore the bundle")
