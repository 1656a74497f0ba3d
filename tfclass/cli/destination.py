"""Where the rows of ``tfclass predict`` go: standard output, a file that appears whole, or an address."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import typer

from tfclass.errors import OutputError
from tfclass.files import is_address, uploaded_file, whole_file


def format_of(asked: str | None, output: str | None) -> str:
    """Choose how rows are written: as asked, else as the name of the output ends, else TSV."""
    suffix = output.rpartition(".")[2] if output else ""
    name = asked or (suffix if suffix in ("tsv", "jsonl", "parquet") else "tsv")
    if name == "parquet" and output is None and sys.stdout is not None and sys.stdout.isatty():
        raise typer.BadParameter("Parquet is not for a terminal; name a file with -o", param_hint="--format")
    return name


def keep_apart(output: str | None, fasta: list[str], parts: Path | None) -> None:
    """Refuse an output that is a folder or one of the inputs; `OutputError`."""
    if output is None or is_address(output):
        return
    path = Path(output)
    if path.is_dir() or (parts is not None and path.absolute() == parts.absolute()):
        raise OutputError(output, "a folder", "a file", "choose another name for -o")
    if not path.is_file():
        return
    for source in fasta:
        if Path(source).exists() and path.samefile(source):
            raise OutputError(output, "an input file", "a file of its own", "choose another name for -o")


def opened(output: str | None) -> contextlib.AbstractContextManager[BinaryIO]:
    """Open the place for the rows; None is standard output."""
    if output is None:
        return _standard_output()
    return uploaded_file(output) if is_address(output) else whole_file(Path(output))


@contextlib.contextmanager
def _standard_output() -> Iterator[BinaryIO]:
    if sys.stdout is None:
        raise OutputError("standard output", "it closed", "a place for the rows", "name a file with -o")
    try:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        # The reader (`head`) has seen enough: typer ends the program without a word.
        raise
    except OSError as error:
        raise OutputError("standard output", f"a place that cannot be written ({error.strerror})") from error
