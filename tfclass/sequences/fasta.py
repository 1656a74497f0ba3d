"""Read FASTA input: paths, streams or ``-``; plain or compressed; one record at a time, in bounded memory.

Compression is recognised by the first bytes, never by the file name. No record is lost in silence: it is yielded, or
the input is refused with the line.
"""

import codecs
import io
import os
import re
import stat
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from tfclass.errors import FastaError
from tfclass.io.files import is_address
from tfclass.io.reading import DAMAGED, LOOK_BYTES, decompressed
from tfclass.sequences.parsing import MAX_LENGTH, FastaParser, Record

__all__ = ["MAX_LENGTH", "Record", "begin_inputs", "read_fasta", "read_inputs"]

# White space, and the bytes of a byte order mark of UTF-8.
_BLANK = b" \t\r\n\x0b\x0c\xef\xbb\xbf"
_BLOCK_BYTES = 1 << 17
_LINE_END = re.compile(rb"\r\n|\r|\n")
# A file whose records are all empty is refused, so empty records are held back until one has residues. The
# limit keeps memory constant on a long run of empty records.
_MAX_HELD_BACK = 10_000


def read_fasta(
    source: str | Path | BinaryIO, max_length: int = MAX_LENGTH, on_read: Callable[[int], None] | None = None
) -> Iterator[Record]:
    r"""Read records one by one, in constant memory.

    Parameters
    ----------
    source : str, Path or binary file
        A path, ``"-"`` for standard input, an address such as ``s3://bucket/key`` (through fsspec and its driver), or
        an open binary stream, which is left open. Plain, gzip, bzip2, xz or zstd.
    max_length : int
        Most characters of a sequence. A longer one is not kept; see `Record`.
    on_read : callable, optional
        Takes how many bytes of a path's file are read, compressed as it is.

    Yields
    ------
    Record
        In the order of the file. A record without residues is yielded too, with an empty sequence.

    Raises
    ------
    FastaError
        The input is missing, unreadable, empty, cut short, or not FASTA; or none of its records has a residue.

    Examples
    --------
    >>> list(read_fasta(io.BytesIO(b">sp|P1 first\nMKV\nLA\n>P2\nMM")))[0][:3]
    ('sp|P1', 'sp|P1 first', 'MKVLA')
    """
    name = _name_of(source)
    with _one_line_errors(name), _opened(source, on_read) as stream:
        content = decompressed(stream)
        start, line = _from_first_header(content, name)
        parser = FastaParser(name, max_length, line)
        yield from _refuse_all_empty(_parsed(parser, start, content), name)


def read_inputs(
    sources: Sequence[str], max_length: int = MAX_LENGTH, on_read: Callable[[int, int], None] | None = None
) -> Iterator[Record]:
    """Read several inputs as one; see `begin_inputs`."""
    return chain.from_iterable(begin_inputs(sources, max_length, on_read))


def begin_inputs(
    sources: Sequence[str], max_length: int = MAX_LENGTH, on_read: Callable[[int, int], None] | None = None
) -> list[Iterator[Record]]:
    """Read the first record of each input, so that a bad one is found before the first is read to its end.

    The first input, and every input that can be opened only once (standard input, pipes), stays open; a file or an
    address is opened again when its turn comes. A named pipe after the first input, and any pipe after that one, is not
    opened before its turn: its writer may be waiting until another pipe has been read.

    Parameters
    ----------
    sources : sequence of str
        Paths, addresses or ``"-"``; see `read_fasta`.
    max_length : int
        Most characters of a sequence.
    on_read : callable, optional
        Takes the place of an input in `sources`, and how many bytes of its file are read.

    Returns
    -------
    list of iterator of Record
        All records of each input, to be read in this order.

    Raises
    ------
    FastaError
        An input is missing, unreadable, or has no record; or a stream is named twice.
    """
    streams: set[object] = set()
    begun: list[Iterator[Record]] = []
    waits = False
    for place, source in enumerate(sources):
        kind, reads = _kind(source), on_read and partial(on_read, place)
        if kind.stream is not None and kind.stream in streams:
            raise FastaError(f"{_name_of(source)}: found a stream that is named twice; expected each stream once")
        streams.add(kind.stream)
        records = cast(Generator[Record, None, None], read_fasta(source, max_length, reads))
        waits = waits or (kind.named_pipe and bool(begun))
        if waits and kind.stream is not None:
            if source != "-" and not os.access(source, os.R_OK):
                raise _no_permission(source)
            begun.append(records)
            continue
        # Errors of an input are raised with its first record.
        first = next(records)
        if begun and kind.stream is None:
            # There may be more inputs than the system lets a process open.
            records.close()
            begun.append(read_fasta(source, max_length, reads))
        else:
            begun.append(chain([first], records))
    return begun


class _Kind(NamedTuple):
    """The identity of an input that can be read only once (None for files), and whether it is a named pipe."""

    stream: object
    named_pipe: bool = False


def _kind(source: str) -> _Kind:
    if is_address(source):
        return _Kind(None)
    try:
        status = os.fstat(sys.stdin.fileno()) if source == "-" else os.stat(source)
    except (OSError, ValueError, AttributeError):
        # Missing or closed: reading it will say so. Standard input may also be a stream of Python's own.
        return _Kind("-" if source == "-" else None)
    if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
        return _Kind("-" if source == "-" else None)
    # A pipe of a shell, such as /dev/fd/63, resolves to a name that does not exist.
    named = stat.S_ISFIFO(status.st_mode) and source != "-" and Path(os.path.realpath(source)).exists()
    return _Kind((status.st_dev, status.st_ino), named)


def _name_of(source: str | Path | BinaryIO) -> str:
    if isinstance(source, str | Path):
        return "standard input" if source == "-" else str(source)
    return str(getattr(source, "name", "input stream"))


@contextmanager
def _opened(source: str | Path | BinaryIO, on_read: Callable[[int], None] | None) -> Iterator[BinaryIO]:
    if not isinstance(source, str | Path):
        yield source
    elif source == "-":
        if sys.stdin is None:
            raise FastaError("standard input: found it closed; expected FASTA records")
        yield sys.stdin.buffer
    elif is_address(str(source)):
        with _remote(str(source)) as stream:
            yield stream
    else:
        with Path(source).open("rb") if on_read is None else _watched(source, on_read) as stream:
            yield stream


def _watched(path: str | Path, on_read: Callable[[int], None]) -> BinaryIO:
    class Watched(io.FileIO):
        n_read = 0

        def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401 - inherited
            n = super().readinto(buffer)
            self.n_read += n or 0
            on_read(self.n_read)
            return n

    return io.BufferedReader(Watched(path))


@contextmanager
def _remote(url: str) -> Iterator[BinaryIO]:
    """Open an address that fsspec has a driver for, such as ``s3://`` or ``gs://``."""
    import fsspec

    try:
        with cast(AbstractContextManager[BinaryIO], fsspec.open(url, "rb")) as stream:
            yield stream
    except (FastaError, OSError, *DAMAGED):
        raise
    except Exception as error:
        # Every driver has its own exceptions; if a package is missing, fsspec names it.
        reason = str(error) or type(error).__name__
        raise FastaError(f"{url}: found an address that cannot be opened ({reason})") from error


@contextmanager
def _one_line_errors(name: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        found = "nothing there, or no answer" if is_address(name) else "no such file"
        raise FastaError(f"{name}: found {found}; check the path") from None
    except IsADirectoryError:
        raise FastaError(f"{name}: found a directory; expected a FASTA file; name the files inside it") from None
    except PermissionError:
        raise _no_permission(name) from None
    except (*DAMAGED, OSError) as error:
        # gzip and bz2 report damage as an OSError too; only those of the system have a number.
        if isinstance(error, OSError) and error.errno is not None:
            raise FastaError(f"{name}: found an input that cannot be read ({error.strerror})") from error
        raise FastaError(
            f"{name}: found compressed data that is cut short or damaged ({error}); copy or download the file again"
        ) from error


def _no_permission(name: str) -> FastaError:
    return FastaError(f"{name}: found no permission to read it; change its permissions")


def _from_first_header(content: BinaryIO, name: str) -> tuple[bytes, int]:
    """Read up to the first header; return what was read from there on, and its line."""
    start, line, size = b"", 1, LOOK_BYTES
    while block := _read_some(content, size - len(start)):
        start += block
        blank = len(start) - len(start.lstrip(_BLANK))
        # A carriage return may be half of a line end.
        blank -= start[:blank].endswith(b"\r") and blank == len(start)
        line += start.count(b"\n", 0, blank) + start.count(b"\r", 0, blank) - start.count(b"\r\n", 0, blank)
        start = start[blank:]
        # After white space only, there may be much more of it.
        size = LOOK_BYTES if start.strip(_BLANK) else _BLOCK_BYTES
        if len(start) >= LOOK_BYTES or (start.startswith(b">") and len(start) >= len(b">\0\0\0") * 2):
            break
    if not start.strip(_BLANK):
        raise FastaError(f"{name}: found no records; expected at least one FASTA record; is the file complete?")
    # Kinds of files that begin as a FASTA file does have NUL bytes; so may a header.
    if start.startswith(b">") and b"\0" not in start[:LOOK_BYTES]:
        return start, line
    from tfclass.io.filetypes import kind_of

    kind = kind_of(start[:LOOK_BYTES])
    if start.startswith(b">") and not kind:
        return start, line
    raise FastaError(f"{name}, line {line}: found {kind or _shown(start)}; expected a FASTA header starting with '>'")


def _shown(start: bytes) -> str:
    shown = _LINE_END.split(start)[0].decode("utf-8", "surrogateescape").strip()[:40]
    if not shown.replace("\t", " ").isprintable():
        return "binary data"
    if "\t" in shown:
        return "what looks like a table with tabs between its cells"
    return f"text before the first '>' ({shown!r})"


def _parsed(parser: FastaParser, start: bytes, content: BinaryIO) -> Iterator[Record]:
    utf8 = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    decoder = io.IncrementalNewlineDecoder(utf8, translate=True)
    yield from parser.feed(decoder.decode(start[1:]))
    while block := _read_some(content, _BLOCK_BYTES):
        yield from parser.feed(decoder.decode(block))
    yield from parser.feed(decoder.decode(b"", final=True))
    yield parser.last()


def _read_some(content: BinaryIO, size: int) -> bytes:
    """Read what is available without waiting for all of `size` bytes; empty at the end."""
    return cast(io.BufferedReader, content).read1(size)


def _refuse_all_empty(records: Iterator[Record], name: str) -> Iterator[Record]:
    held_back: list[Record] = []
    for record in records:
        held_back.append(record)
        if record.sequence or record.problem or len(held_back) == _MAX_HELD_BACK:
            yield from held_back
            yield from records
            return
    raise FastaError(
        f"{name}: found {len(held_back)} header{'s' * (len(held_back) != 1)} without a sequence; "
        "expected at least one record with residues; is the file complete?"
    )
