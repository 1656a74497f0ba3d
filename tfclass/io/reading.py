"""Read files from elsewhere: nothing but a plain file of a stated size, compressed or not.

gzip, bzip2, xz and zstd are recognised by their first bytes, never by a name.
"""

import bz2
import gzip
import io
import lzma
import os
import stat
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

from tfclass.errors import TfclassError
from tfclass.limits import in_words

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_BUFFER_BYTES = 1 << 16
# What reading a cut or damaged stream raises, besides OSError.
DAMAGED = (EOFError, zlib.error, lzma.LZMAError, zstd.ZstdError)
# Bytes at the start of a file that tell its kind (`tfclass.io.filetypes`); the mark of a tar archive ends at byte 262.
LOOK_BYTES = 512

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
# Attempts to read a folder that other processes replace.
_ATTEMPTS = 20
T = TypeVar("T")


@contextmanager
def plain_file(path: Path, most: int, kind: type[TfclassError], action: str) -> Iterator[BinaryIO]:
    """Open a plain file for reading.

    Parameters
    ----------
    path : Path
        The folder may be reached through symbolic links; the file itself may not be one.
    most : int
        Bytes that it may have.
    kind : type
        Of the errors.
    action : str
        What errors advise.

    Raises
    ------
    TfclassError
        It is missing, too large, cannot be read, or is a link, a folder, a pipe, a socket or a device, which are not
        opened.
    """

    def check(status: os.stat_result) -> None:
        for is_kind, words in _KINDS:
            if is_kind(status.st_mode):
                raise kind(f"{path}: found {words}; expected a plain file; {action}")
        if status.st_size > most:
            found = f"a file of {in_words(status.st_size)}"
            raise kind(f"{path}: found {found}; expected at most {in_words(most)}; {action}")

    try:
        check(os.lstat(path))
        descriptor = os.open(path, _FLAGS)
        with open(descriptor, "rb") as stream:
            # Another process may have put something else there in between.
            check(os.fstat(descriptor))
            yield stream
    except FileNotFoundError:
        raise kind(f"{path}: no such file; {action}") from None
    except OSError as error:
        raise kind(f"{path}: the file cannot be read ({error.strerror})") from error


def read_again(folder: Path, read: Callable[[Path], T]) -> T:
    """Read a folder that another process may replace meanwhile: after an error, again if it is another one now.

    Parameters
    ----------
    read : callable
        Folder -> its content; raises a `TfclassError` where files do not belong together.
    """
    for _ in range(_ATTEMPTS):
        before = _identity(folder)
        try:
            return read(folder)
        except TfclassError:
            if _identity(folder) == before:
                raise
    return read(folder)


def _identity(folder: Path) -> tuple[int, ...]:
    try:
        status = folder.stat()
    except OSError:
        return ()
    return (status.st_dev, status.st_ino, status.st_mtime_ns)


def decompressed(stream: BinaryIO) -> BinaryIO:
    """Return the content of a stream that may be compressed; the stream is left open when the result is closed.

    Reading it raises one of `DAMAGED`, or OSError, where the compressed data is cut short or damaged.
    """
    start, whole = looked_into(stream, _LONGEST_MAGIC)
    for magic, opener in _OPENERS.items():
        if start.startswith(magic):
            return opener(whole)
    return whole


def unpacked(content: bytes, most: int) -> bytes:
    """Decompress what may be compressed, up to `most` bytes, whatever the compressed data promises.

    Raises
    ------
    ValueError
        There would be more.
    Exception
        As reading from `decompressed`.
    """
    whole = decompressed(io.BytesIO(content)).read(most + 1)
    if len(whole) > most:
        raise ValueError(f"more than {in_words(most)} when unpacked")
    return whole


def looked_into(stream: BinaryIO, size: int) -> tuple[bytes, BinaryIO]:
    """Read the first bytes of a stream, fewer only where it has no more; return them, and the stream as it was before.

    `peek` would not do: from a slow pipe it may return a single byte. Closing the result leaves the stream open.
    """
    start = b""
    while len(start) < size and (more := stream.read(size - len(start))):
        start += more

    def blocks() -> Iterator[bytes]:
        yield start
        while block := stream.read(_BUFFER_BYTES):
            yield block

    return start, _Blocks.stream(blocks())


def compressed(content: bytes) -> bytes:
    """Compress with zstd, as small as is quick to decompress; the same content gives the same bytes."""
    return zstd.compress(content, level=19)


class _Blocks(io.RawIOBase):
    """A file of the blocks of bytes that an iterator yields."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks, self._rest = blocks, memoryview(b"")

    @classmethod
    def stream(cls, blocks: Iterator[bytes]) -> BinaryIO:
        return cast(BinaryIO, io.BufferedReader(cls(blocks), _BUFFER_BYTES))

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401 - inherited
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._rest = memoryview(block)
        part, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)


def _contents(
    stream: BinaryIO, new_decoder: Callable[[], bz2.BZ2Decompressor | lzma.LZMADecompressor], padding: int = 0
) -> Iterator[bytes]:
    """Yield the content of compressed streams that follow one another, with NUL bytes in multiples of `padding` behind.

    `bz2.open` and `lzma.open` ignore whatever follows the first stream and is no intact stream; here it is an error.
    """
    packed = stream.read(_BUFFER_BYTES)
    while packed:
        decoder = new_decoder()
        while not decoder.eof:
            if decoder.needs_input and not packed:
                packed = stream.read(_BUFFER_BYTES)
                if not packed:
                    raise EOFError("Compressed file ended before the end-of-stream marker was reached")
            yield decoder.decompress(packed, _BUFFER_BYTES)
            packed = b""
        packed, n_skipped = decoder.unused_data or stream.read(_BUFFER_BYTES), 0
        while padding and packed.startswith(b"\0"):
            rest = packed.lstrip(b"\0")
            n_skipped += len(packed) - len(rest)
            packed = rest or stream.read(_BUFFER_BYTES)
        if padding and n_skipped % padding:
            raise lzma.LZMAError(f"{n_skipped} NUL bytes behind a stream, not a multiple of {padding}")


_new_xz = partial(lzma.LZMADecompressor, lzma.FORMAT_XZ)
_OPENERS: dict[bytes, Callable[[BinaryIO], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": lambda stream: _Blocks.stream(_contents(stream, bz2.BZ2Decompressor)),
    # The format allows NUL bytes between and behind streams, in multiples of four.
    b"\xfd7zXZ\x00": lambda stream: _Blocks.stream(_contents(stream, _new_xz, padding=4)),
    b"\x28\xb5\x2f\xfd": zstd.open,
}
_LONGEST_MAGIC = max(map(len, _OPENERS))
