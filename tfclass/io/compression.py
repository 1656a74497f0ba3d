"""Compressed streams: gzip, bzip2, xz and zstd are read, recognised by their first bytes and never by a name."""

import bz2
import gzip
import io
import lzma
import sys
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO, cast

from tfclass.limits import in_words

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_BUFFER_BYTES = 1 << 16


def _bzip2(stream: BinaryIO) -> BinaryIO:
    return _buffered(_Streams(stream, bz2.BZ2Decompressor))


def _xz(stream: BinaryIO) -> BinaryIO:
    # The format allows NUL bytes between and behind streams, in multiples of four.
    return _buffered(_Streams(stream, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ), padding=4))


_OPENERS: dict[bytes, Callable[[BinaryIO], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": _bzip2,
    b"\xfd7zXZ\x00": _xz,
    b"\x28\xb5\x2f\xfd": zstd.open,
}
_LONGEST_MAGIC = max(map(len, _OPENERS))

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
            return cast(BinaryIO, opener(whole))
    return whole


def unpacked(content: bytes, most: int) -> bytes:
    """Unpack what may be packed, up to a size.

    Parameters
    ----------
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

    Returns
    -------
    start : bytes
        Fewer than `size` only where the stream has no more.
    whole : binary file
    """
    start = b""
    while len(start) < size and (more := stream.read(size - len(start))):
        start += more
    return start, _buffered(_PutBack(start, stream))


def compressed(content: bytes) -> bytes:
    """Pack with zstd, as small as is quick to unpack; the same content gives the same bytes."""
    return zstd.compress(content, level=19)


def _buffered(raw: io.RawIOBase) -> BinaryIO:
    return cast(BinaryIO, io.BufferedReader(raw, _BUFFER_BYTES))


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


class _Streams(io.RawIOBase):
    """The content of compressed streams that follow one another; closing this leaves the file open.

    `bz2.open` and `lzma.open` ignore whatever follows the first stream and is no intact stream; here it is an error.

    Parameters
    ----------
    new_decoder : callable
        Return a decoder of one stream.
    padding : int
        NUL bytes may stand behind a stream in multiples of this; 0 for none.
    """

    def __init__(
        self,
        stream: BinaryIO,
        new_decoder: Callable[[], bz2.BZ2Decompressor | lzma.LZMADecompressor],
        padding: int = 0,
    ) -> None:
        self._stream, self._new_decoder, self._padding = stream, new_decoder, padding
        self._decoder = new_decoder()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401
        content = b""
        while not content:
            packed = b""
            if self._decoder.eof:
                packed = self._next_stream()
                if not packed:
                    return 0
                self._decoder = self._new_decoder()
            elif self._decoder.needs_input:
                packed = self._stream.read(_BUFFER_BYTES)
                if not packed:
                    raise EOFError("Compressed file ended before the end-of-stream marker was reached")
            content = self._decoder.decompress(packed, len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def _next_stream(self) -> bytes:
        """Read the beginning of the next stream, behind the padding; nothing at the end of the file."""
        packed, skipped = self._decoder.unused_data or self._stream.read(_BUFFER_BYTES), 0
        while self._padding and packed:
            rest = packed.lstrip(b"\0")
            skipped += len(packed) - len(rest)
            if rest:
                packed = rest
                break
            packed = self._stream.read(_BUFFER_BYTES)
        if skipped and skipped % self._padding:
            raise lzma.LZMAError(f"{skipped} NUL bytes behind a stream, not a multiple of {self._padding}")
        return packed
