"""Several FASTA inputs as one: each is looked at before the first is read to its end."""

import os
import stat
import sys
from collections.abc import Generator, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple, cast

from tfclass.errors import FastaError
from tfclass.io.files import is_address
from tfclass.sequences.fasta import MAX_LENGTH, Record, read_fasta


def read_inputs(sources: Sequence[str], max_length: int = MAX_LENGTH) -> Iterator[Record]:
    """Read inputs one after another, after a look at each; see `begin_inputs`."""
    return chain.from_iterable(begin_inputs(sources, max_length))


def begin_inputs(sources: Sequence[str], max_length: int = MAX_LENGTH) -> list[Iterator[Record]]:
    """Read the first record of each input, so that a bad one is found before the first is read to its end.

    The first input, and every input that can be opened only once (standard input, pipes), stays open with that record
    in hand; a file or an address is opened again when its turn comes. A named pipe behind the first input, and any
    pipe behind that one, is not opened before its turn: its writer may be waiting until another pipe has been read.

    Parameters
    ----------
    sources : sequence of str
        Paths, addresses or ``"-"``; see `read_fasta`.
    max_length : int
        Most characters of a sequence.

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
    for source in sources:
        kind = _kind(source)
        if kind.stream is not None and kind.stream in streams:
            raise FastaError(_shown(source), "a stream that is named twice", "each stream once", path=source)
        streams.add(kind.stream)
        records = cast(Generator[Record, None, None], read_fasta(source, max_length))
        waits = waits or (kind.named_pipe and bool(begun))
        if waits and kind.stream is not None:
            _check_access(source)
            begun.append(records)
            continue
        # The errors of an input come with its first record.
        first = next(records)
        if begun and kind.stream is None:
            # Closed again, since there may be more inputs than the system lets a process open.
            records.close()
            begun.append(read_fasta(source, max_length))
        else:
            begun.append(chain([first], records))
    return begun


class _Kind(NamedTuple):
    """How an input can be opened: `stream` identifies what can be read only once, and is None for the rest."""

    stream: object
    named_pipe: bool = False


def _kind(source: str) -> _Kind:
    if is_address(source):
        return _Kind(None)
    try:
        status = os.fstat(sys.stdin.fileno()) if source == "-" else os.stat(source)
    except (OSError, ValueError, AttributeError):
        # Missing or closed; reading it says so. Standard input may also be a stream of Python's own.
        return _Kind("-" if source == "-" else None)
    if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
        return _Kind("-" if source == "-" else None)
    # What a shell opens, such as /dev/fd/63, resolves to a name that does not exist.
    named = stat.S_ISFIFO(status.st_mode) and source != "-" and Path(os.path.realpath(source)).exists()
    return _Kind((status.st_dev, status.st_ino), named)


def _check_access(source: str) -> None:
    if source != "-" and not os.access(source, os.R_OK):
        raise FastaError(source, "no permission to read it", action="change its permissions", path=source)


def _shown(source: str) -> str:
    return "standard input" if source == "-" else source
