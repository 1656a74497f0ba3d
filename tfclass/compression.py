"""Compressed streams: gzip, bzip2, xz and zstd are read, recognised by their first bytes and never by a name."""

import bz2
import gzip
import io
import lzma
import sys
import zlib
from typing import Any, BinaryIO, cast

from tfclass.limits import in_words

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_OPENERS = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
    b"\x28\xb5\x2f\xfd": zstd.open,
}
_LONGEST_MAGIC = max(map(len, _OPENERS))
_BUFFER_BYTES = 1 << 16

# What reading a cut or damaged stream raises, besides OSError.
DAMAGED = (EOFError, zlib.error, lzma.LZMAError, zstd.ZstdError)


def decompressed(stream: BinaryIO) -> BinaryIO:
    """Give the content of a stream, unpacked where it is packed.

    Parameters
    ----------
    stream : binary file
        Left open when the result is closed.

    Returns
    -------
    binary file
        Reading it raises one of `DAMAGED`, or OSError, where the packed data is cut short or damaged.
    """
    start, whole = looked_into(stream, _LONGEST_MAGIC)
    for magic, opener in _OPENERS.items():
        if start.startswith(magic):
            return cast(BinaryIO, opener(whole, "rb"))
    return whole


def unpacked(content: bytes, most: int) -> bytes:
    """Unpack what may be packed, up to a size.

    Parameters
    ----------
    content : bytes
    most : int
        Bytes that the result may have; no more are unpacked, whatever the packed data promises.

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
    """Read the first bytes of a stream; return them, and the stream as it was before.

    Parameters
    ----------
    stream : binary file
        Left open when the result is closed.
    size : int

    Returns
    -------
    start : bytes
        Fewer than `size` only where the stream has no more.
    whole : binary file
    """
    start = b""
    while len(start) < size and (more := stream.read(size - len(start))):
        start += more
    return start, cast(BinaryIO, io.BufferedReader(_PutBack(start, stream), _BUFFER_BYTES))


def compressed(content: bytes) -> bytes:
    """Pack with zstd, as small as is quick to unpack; the same content gives the same bytes."""
    return zstd.compress(content, level=19)


class _PutBack(io.RawIOBase):
    """The stream as it was before its first bytes were looked at; closing this leaves the stream open.

    `peek` would not do: from a slow pipe it may return a single byte.
    """

    def __init__(self, start: bytes, stream: BinaryIO) -> None:
        self._start, self._stream = start, stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401
        part = self._start or self._stream.read(len(buffer)) or b""
        part, self._start = part[: len(buffer)], part[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)
