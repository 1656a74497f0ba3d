"""FASTA input: a path, a stream or ``-``; plain or compressed; one record at a time, in bounded memory.

Compression is recognised by the first bytes, never by the file name. Whatever the input holds, no record is lost
without a word: it is yielded, or the input is refused with the line.
"""

import codecs
import io
import re
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from tfclass.errors import FastaError
from tfclass.io.compression import DAMAGED, decompressed
from tfclass.io.files import is_address
from tfclass.io.filetypes import LOOK_BYTES, kind_of
from tfclass.sequences.parsing import MAX_LENGTH, FastaParser, Record

__all__ = ["MAX_LENGTH", "Record", "read_fasta"]

# White space, and the bytes of a byte order mark of UTF-8.
_BLANK = b" \t\r\n\x0b\x0c\xef\xbb\xbf"
_BLOCK_BYTES = 1 << 17
_LINE_END = re.compile(rb"\r\n|\r|\n")
_HEADER = "a FASTA header starting with '>'"
# A file whose records are all empty is refused, so empty records are held back until one has residues. The
# limit keeps memory constant on a long run of empty records.
_HELD_BACK_MOST = 10_000


def read_fasta(source: str | Path | BinaryIO, max_length: int = MAX_LENGTH) -> Iterator[Record]:
    r"""Read records one by one, in constant memory.

    Parameters
    ----------
    source : str, Path or binary file
        A path, ``"-"`` for standard input, an address such as ``s3://bucket/key`` (through fsspec and its driver), or
        an open binary stream, which is left open. Plain, gzip, bzip2, xz or zstd.
    max_length : int
        Most characters of a sequence. A longer one is not kept; see `Record`.

    Yields
    ------
    Record
        In the order of the file. A record without residues is yielded too, with an empty sequence.

    Raises
    ------
    FastaError
        The input is missing, unreadable, empty, cut short, or not FASTA; or none of its records has a residue; or as
        `FastaParser` says.

    Examples
    --------
    >>> list(read_fasta(io.BytesIO(b">sp|P1 first\nMKV\nLA\n>P2\nMM")))[0][:3]
    ('sp|P1', 'sp|P1 first', 'MKVLA')
    """
    name = _name_of(source)
    with _one_line_errors(name), _opened(source) as stream:
        content = decompressed(stream)
        start, line = _from_first_header(content, name)
        parser = FastaParser(name, max_length, line)
        yield from _refuse_all_empty(_parsed(parser, start, content), name)


def _name_of(source: str | Path | BinaryIO) -> str:
    if isinstance(source, str | Path):
        return "standard input" if source == "-" else str(source)
    return str(getattr(source, "name", "input stream"))


@contextmanager
def _opened(source: str | Path | BinaryIO) -> Iterator[BinaryIO]:
    if not isinstance(source, str | Path):
        yield source
    elif source == "-":
        if sys.stdin is None:
            raise FastaError("standard input", "it closed", "FASTA records")
        yield sys.stdin.buffer
    elif is_address(str(source)):
        with _remote(str(source)) as stream:
            yield stream
    else:
        with Path(source).open("rb") as stream:
            yield stream


@contextmanager
def _remote(url: str) -> Iterator[BinaryIO]:
    """Open what is not a local path: ``s3://``, ``gs://`` and whatever else fsspec has a driver for."""
    import fsspec

    try:
        with cast(AbstractContextManager[BinaryIO], fsspec.open(url, "rb")) as stream:
            yield stream
    except (FastaError, OSError, *DAMAGED):
        raise
    except Exception as error:
        # Every driver has exceptions of its own; where a package is missing, fsspec says which.
        reason = str(error) or type(error).__name__
        raise FastaError(url, f"an address that cannot be opened ({reason})", path=url) from error


@contextmanager
def _one_line_errors(name: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        found = "nothing there, or no answer" if is_address(name) else "no such file"
        raise FastaError(name, found, action="check the path", path=name) from None
    except IsADirectoryError:
        raise FastaError(name, "a directory", "a FASTA file", "name the files inside it", path=name) from None
    except PermissionError:
        raise FastaError(name, "no permission to read it", action="change its permissions", path=name) from None
    except (*DAMAGED, OSError) as error:
        # gzip and bz2 report damage as an OSError too; only those of the system have a number.
        if isinstance(error, OSError) and error.errno is not None:
            raise FastaError(name, f"an input that cannot be read ({error.strerror})", path=name) from error
        found = f"compressed data that is cut short or damaged ({error})"
        raise FastaError(name, found, action="copy or download the file again", path=name) from error


def _from_first_header(content: BinaryIO, name: str) -> tuple[bytes, int]:
    """Read up to the first header; return what was read of it and of what follows, and its line."""
    start, line, size = b"", 1, LOOK_BYTES
    while block := _read_some(content, size - len(start)):
        start += block
        blank = len(start) - len(start.lstrip(_BLANK))
        # A carriage return may be half of a line end.
        blank -= start[:blank].endswith(b"\r") and blank == len(start)
        line += _line_ends(start[:blank])
        start = start[blank:]
        # Where there is white space only, there may be much of it.
        size = LOOK_BYTES if start.strip(_BLANK) else _BLOCK_BYTES
        if len(start) >= LOOK_BYTES or (start.startswith(b">") and len(start) >= len(b">\0\0\0") * 2):
            break
    if not start.strip(_BLANK):
        raise FastaError(name, "no records", "at least one FASTA record", "is the file complete?", path=name)
    kind = kind_of(start[:LOOK_BYTES])
    if start.startswith(b">") and not kind:
        return start, line
    raise FastaError(f"{name}, line {line}", kind or _shown(start), _HEADER, path=name, line=line)


def _line_ends(text: bytes) -> int:
    return text.count(b"\n") + text.count(b"\r") - text.count(b"\r\n")


def _shown(start: bytes) -> str:
    shown = _LINE_END.split(start)[0].decode("utf-8", "surrogateescape").strip()[:40]
    if not shown.replace("\t", " ").isprintable():
        return "binary data"
    return (
        "what looks like a table with tabs between its cells"
        if "\t" in shown
        else (f"text before the first '>' ({shown!r})")
    )


def _parsed(parser: FastaParser, start: bytes, content: BinaryIO) -> Iterator[Record]:
    utf8 = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    decoder = io.IncrementalNewlineDecoder(utf8, translate=True)
    yield from parser.feed(decoder.decode(start[1:]))
    while block := _read_some(content, _BLOCK_BYTES):
        yield from parser.feed(decoder.decode(block))
    yield from parser.feed(decoder.decode(b"", final=True))
    yield parser.last()


def _read_some(content: BinaryIO, size: int) -> bytes:
    """Read what is there without waiting for all of `size` bytes; none at the end."""
    return cast(io.BufferedReader, content).read1(size)


def _refuse_all_empty(records: Iterator[Record], name: str) -> Iterator[Record]:
    held_back: list[Record] = []
    for record in records:
        held_back.append(record)
        if record.sequence or record.problem or len(held_back) == _HELD_BACK_MOST:
            yield from held_back
            yield from records
            return
    found = f"{len(held_back)} header{'s' * (len(held_back) != 1)} without a sequence"
    raise FastaError(name, found, "at least one record with residues", "is the file complete?", path=name)
