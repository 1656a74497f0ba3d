"""``tfclass predict`` around the rows: where they go, and what is said of them at the end."""

import contextlib
import gzip
import itertools
import os
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast
from urllib.parse import urlsplit
from urllib.request import url2pathname

import typer

from tfclass.errors import OutputError
from tfclass.io.files import is_address, temporary_folder, whole_file

if TYPE_CHECKING:
    from tfclass.inference.genome import Genome
    from tfclass.inference.predictor import Predictor
    from tfclass.inference.rows import Prediction

_FORMATS = ("tsv", "csv", "jsonl", "parquet", "gff3", "bed", "txt")


def place_of(output: str | None) -> str | None:
    """Return the path or address of the output; None for standard output, `OutputError` for an empty name."""
    if output == "":
        raise OutputError("-o: found an empty name; expected a file")
    return None if output == "-" else output


def format_of(asked: str | None, output: str | None) -> str:
    """Choose the format of the rows: the one asked for, else that of the name's ending, else TSV.

    An ending is what follows the last dot of the name, or the last but one before ``.gz``. A dot at the very start does
    not count.

    Raises
    ------
    OutputError
        The name has an ending that belongs to no format, and none was asked for; or Parquet would be compressed twice.
    """
    ending, packed = _ending(output)
    if asked is None and ending not in ("", *_FORMATS):
        expected = ", ".join(f".{name}" for name in _FORMATS)
        found = f"found a name ending in .{ending}"
        raise OutputError(
            f"{output}: {found}; expected {expected}, or these with .gz; or name the format with --format"
        )
    name = asked or ending or "tsv"
    if name == "parquet" and output is None and sys.stdout is not None and sys.stdout.isatty():
        raise typer.BadParameter("Parquet is not for a terminal; name a file with -o", param_hint="--format")
    if name == "parquet" and packed:
        found = "found a name ending in .gz; expected .parquet"
        raise OutputError(f"{output}: {found}; Parquet is compressed in itself")
    return name


def check_options(name: str, *, header: bool, description: bool, taxon: str | None, genome_gff: Path | None) -> None:
    """Refuse options that the format has no place for; `typer.BadParameter`."""
    for option, is_given, takes in (
        ("--header", header, ("tsv", "parquet", "gff3")),
        ("--description", description, ("tsv", "csv", "jsonl", "parquet", "gff3")),
        ("--taxon", taxon is not None, ("gff3",)),
        ("--genome-gff", genome_gff is not None, ("gff3", "bed")),
    ):
        if is_given and name not in takes:
            raise typer.BadParameter(f"{name} has no place for it; it is for {' and '.join(takes)}", param_hint=option)


def _ending(output: str | None) -> tuple[str, bool]:
    """Return the ending of a name without ``.gz``, in small letters and without its dot, and whether .gz was there."""
    name = (output or "").rpartition("/")[2].lstrip(".").lower()
    packed = name.endswith(".gz")
    return name.removesuffix(".gz").partition(".")[2].rpartition(".")[2], packed


def keep_apart(output: str | None, fasta: list[str], parts: Path | None, genome: Path | None) -> None:
    """Refuse an output that is a folder or one of the inputs; `OutputError`."""
    if output is None or (is_address(output) and not output.startswith("file://")):
        return
    path = Path(url2pathname(urlsplit(output).path) if is_address(output) else output)
    if path.is_dir() or output.endswith("/") or (parts is not None and path.absolute() == parts.absolute()):
        raise OutputError(f"{output}: found a folder; expected a file; choose another name for -o")
    if not path.is_file():
        return
    for source in fasta if genome is None else [*fasta, str(genome)]:
        same = _is_standard_input(path) if source == "-" else Path(source).exists() and path.samefile(source)
        if same:
            found = "found an input file; expected a file of its own"
            raise OutputError(f"{output}: {found}; choose another name for -o")


def _is_standard_input(path: Path) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(sys.stdin.fileno()))
    except (OSError, ValueError, AttributeError):
        # It is closed, or no file.
        return False


def opened(output: str | None) -> contextlib.AbstractContextManager[BinaryIO]:
    """Open the place for the rows, compressed where its name ends in .gz; None is standard output."""
    if output is None:
        return _standard_output()
    place = _uploaded(output) if is_address(output) else whole_file(Path(output))
    return _compressed(place) if _ending(output)[1] else place


@contextlib.contextmanager
def _uploaded(address: str) -> Iterator[BinaryIO]:
    """Open a local file that fsspec uploads when the block ends; it is kept and named where that fails."""
    import fsspec

    try:
        system, place = fsspec.url_to_fs(address)
    except (ImportError, ValueError) as error:
        # fsspec says which package is missing.
        raise OutputError(f"{address}: found an address that cannot be opened ({error})") from error
    with temporary_folder() as folder:
        local = folder / (Path(place).name or "rows")
        with whole_file(local) as stream:
            yield stream
        try:
            system.put_file(str(local), place)
        # Every driver has exceptions of its own.
        except Exception as error:
            kept = Path(tempfile.mkdtemp(prefix="tfclass-"), local.name)
            os.replace(local, kept)
            reason = " ".join(str(error).split()) or type(error).__name__
            raise OutputError(f"{address}: found an upload that failed ({reason}); upload it from {kept}") from error


@contextlib.contextmanager
def _compressed(place: contextlib.AbstractContextManager[BinaryIO]) -> Iterator[BinaryIO]:
    # Without name and time, so that the same rows give the same bytes.
    with place as stream, gzip.GzipFile("", "wb", fileobj=stream, mtime=0) as packed:
        yield cast(BinaryIO, packed)


@contextlib.contextmanager
def _standard_output() -> Iterator[BinaryIO]:
    if sys.stdout is None:
        found = "found it closed; expected a place for the rows"
        raise OutputError(f"standard output: {found}; name a file with -o")
    try:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        # The reader (`head`) has seen enough: typer ends the program without a word.
        raise
    except OSError as error:
        reason = error.strerror
        raise OutputError(f"standard output: found a place that cannot be written ({reason})") from error


def write_rows(
    rows: "Iterator[Prediction]",
    name: str,
    output: str | None,
    predictor: "Predictor",
    *,
    header: bool,
    taxon: str | None,
    genome: "Genome | None",
) -> None:
    """Write rows in a format of `format_of`; `OutputError` where the place cannot be written."""
    from tfclass.inference.writers import WRITERS, write_ids

    with opened(output) as stream:
        # An input that cannot be read leaves the output empty, header included: its error comes with the first row.
        rows = itertools.chain(list(itertools.islice(rows, 1)), rows)
        # Where the input decides the threshold, it is known with the first row.
        facts = _facts(predictor) if header or name in ("parquet", "gff3") else None
        if name in WRITERS:
            WRITERS[name](rows, stream, facts, predictor.columns)
        elif name == "txt":
            write_ids(rows, stream)
        else:
            from tfclass.inference.gff3 import Features, write_bed, write_gff3

            features = Features.of(predictor, taxon, genome)
            if facts is None:
                write_bed(rows, stream, features)
            else:
                write_gff3(rows, stream, facts, features)


def _facts(predictor: "Predictor") -> dict[str, object]:
    from tfclass import __version__

    bundle = predictor.bundle
    return {
        "tfclass": __version__,
        "model": bundle.name,
        "sha256": bundle.digest,
        **({"channel": predictor.channel} if bundle.channels else {}),
        "threshold": predictor.threshold,
        **({} if predictor.prevalence is None else {"prevalence": predictor.prevalence}),
        "classes": ",".join(bundle.classes),
    }


# Explanations of the notes; one that is not listed has its name alone.
_MEANINGS = {
    "looks_like_nucleotide": "DNA or RNA? The model expects proteins: translate the sequences first",
    "duplicate_id": "an earlier record has the same id; both are kept",
    "no_id": "the header is empty",
    "id_escaped": "bytes that are no UTF-8, and control characters, are backslash escapes in the id",
    "header_within_line": "a '>' inside a line began the next record; files joined without a line end?",
    "stop_removed": "a stop (*) at the end was removed",
    "internal_stops": "stops (*) inside the sequence were read as X",
    "gaps_removed": "gaps (- or .) were removed",
    "nonstandard": "letters other than the 20 amino acids",
    "looks_like_empty_value": "a word such as nan or null, read as residues",
    "empty": "no residue",
    "illegal": "a character that is no residue letter",
    "longer_than": "more characters than --max-length allows",
    "too_long_for_memory": "longer than the memory allows",
}
# The name at the start of each note; what a note quotes never begins with a letter.
_NAMES = re.compile(r"(?:^|;)([a-z_]+)")


class Tally:
    """Counts of the rows of a predictor: all, skipped and predicted positive ones, and those with each note."""

    def __init__(self, predictor: "Predictor") -> None:
        self._predictor = predictor
        self.n_records = self.n_skipped = self.n_positive = 0
        self._notes: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()

    def count(self, rows: Iterable["Prediction"]) -> Iterator["Prediction"]:
        """Count rows as they pass."""
        for row in rows:
            self.n_records += 1
            self.n_positive += self._predictor.is_positive(row)
            names = _NAMES.findall(row.notes)
            if row.status == "skipped":
                self.n_skipped += 1
                self._reasons.update(names[-1:])
                names = names[:-1]
            self._notes.update(names)
            yield row

    def summary(self) -> Iterator[str]:
        """Yield the predictions, each note, the most frequent first, and the threshold where the input decides it."""
        predictor = self._predictor
        predicted = f"predicted {predictor.bundle.classes[1]}" if predictor.binary else "predicted"
        yield f"{self.n_positive:,} of {_records(self.n_records)} {predicted}, {self.n_skipped:,} skipped"
        for name, number in self._notes.most_common():
            yield f"{_records(number)} with {_explained(name)}"
        for name, number in self._reasons.most_common():
            yield f"{_records(number)} skipped: {_explained(name)}"
        if predictor.waits:
            rule, prevalence = predictor.asked
            origin = "estimated" if prevalence in (None, "auto") else "as given"
            known = "" if predictor.prevalence is None else f", prevalence {predictor.prevalence} ({origin})"
            yield f"threshold {predictor.threshold} ({rule or 'max-mcc'}){known}"


def _records(number: int) -> str:
    return f"{number:,} record{'s' * (number != 1)}"


def _explained(name: str) -> str:
    return f"{name} ({_MEANINGS[name]})" if name in _MEANINGS else name
