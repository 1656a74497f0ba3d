"""FASTA input: a path, a stream or ``-``; plain or compressed; one record at a time.

Compression is recognised by the first bytes, never by the file name. Parsing is Biopython's; this module only opens
the input, and refuses what is not FASTA before Biopython would pass over it in silence.
"""

import io
import itertools
import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple, TextIO, cast

from Bio.SeqIO.FastaIO import SimpleFastaParser

from tfclass.compression import DAMAGED, decompressed
from tfclass.errors import FastaError
from tfclass.files import is_address

_LOOKS_LIKE = {
    "@": "what looks like a FASTQ file",
    "%PDF": "a PDF document",
    "<": "what looks like an HTML or XML page",
    "PK\x03\x04": "a zip archive",
    "LOCUS": "what looks like a GenBank file",
    "ID   ": "what looks like a UniProt or EMBL flat file",
}
# A file whose records are all empty is refused, so empty records are held back until one has residues. The
# limit keeps memory constant on a long run of empty records.
_HELD_BACK_MOST = 10_000


class Record(NamedTuple):
    """One FASTA record, as written.

    Attributes
    ----------
    id : str
        The header up to the first white space; empty when the header is.
    description : str
        The whole header without ``>``.
    sequence : str
        The sequence lines joined; letters are not changed.
    """

    id: str
    description: str
    sequence: str


def read_fasta(source: str | Path | BinaryIO) -> Iterator[Record]:
    r"""Read records one by one, in constant memory.

    Parameters
    ----------
    source : str, Path or binary file
        A path, ``"-"`` for standard input, an address such as ``s3://bucket/key`` (through fsspec and its driver), or
        an open binary stream, which is left open. Plain, gzip, bzip2, xz or zstd.

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
    >>> list(read_fasta(io.BytesIO(b">sp|P1 first\nMKV\nLA\n>P2\nMM")))[0]
    Record(id='sp|P1', description='sp|P1 first', sequence='MKVLA')
    """
    name = _name_of(source)
    with _one_line_errors(name), _opened(source) as stream:
        text = io.TextIOWrapper(decompressed(stream), encoding="utf-8-sig", errors="surrogateescape")
        lines = _from_first_header(text, name)
        records = (
            Record((title.split(None, 1) or [""])[0], title, sequence)
            # The type stub asks for a file; iterating lines is all the parser does.
            for title, sequence in SimpleFastaParser(cast(TextIO, lines))
        )
        yield from _refuse_all_empty(records, name)


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


def _from_first_header(text: Iterable[str], name: str) -> Iterator[str]:
    lines = iter(text)
    for number, line in enumerate(lines, start=1):
        if line.isspace():
            continue
        if line.startswith(">"):
            return itertools.chain([line], lines)
        found = next((what for start, what in _LOOKS_LIKE.items() if line.startswith(start)), None)
        if found is None:
            shown = line.strip()[:40]
            readable = shown.replace("\t", " ").isprintable()
            found = f"text before the first '>' ({shown!r})" if readable else "binary data"
            if readable and "\t" in shown:
                found = "what looks like a table with tabs between its cells"
        raise FastaError(f"{name}, line {number}", found, "a FASTA header starting with '>'", path=name, line=number)
    raise FastaError(name, "no records", "at least one FASTA record", "is the file complete?", path=name)


def _refuse_all_empty(records: Iterator[Record], name: str) -> Iterator[Record]:
    held_back: list[Record] = []
    for record in records:
        held_back.append(record)
        if record.sequence or len(held_back) == _HELD_BACK_MOST:
            yield from held_back
            yield from records
            return
    found = f"{len(held_back)} header{'s' * (len(held_back) != 1)} without a sequence"
    raise FastaError(name, found, "at least one record with residues", "is the file complete?", path=name)
