"""``tfclass predict`` around the rows: where they go, and what is said at the end."""

import contextlib
import gzip
import itertools
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast
from urllib.parse import urlsplit
from urllib.request import url2pathname

import typer

from tfclass.errors import OutputError
from tfclass.io.files import is_address, temporary_folder, whole_file

if TYPE_CHECKING:
    from collections import Counter

    from tfclass.cli.terminal import Bar
    from tfclass.inference.genome import Genome
    from tfclass.inference.predictor import Predictor
    from tfclass.inference.rows import Prediction, Tally

_FORMATS = ("tsv", "csv", "jsonl", "parquet", "gff3", "bed", "txt")
# Families in the last lines.
_MAX_GROUPS = 8


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


def check_options(
    name: str, pages: list[str], *, header: bool, description: bool, taxon: str | None, genome_gff: Path | None
) -> None:
    """Refuse options that neither the format nor a summary has a place for; `typer.BadParameter`."""
    for option, is_given, takes in (
        ("--header", header, ("tsv", "parquet", "gff3")),
        ("--description", description, ("tsv", "csv", "jsonl", "parquet", "gff3")),
        ("--taxon", taxon is not None and not pages, ("gff3",)),
        ("--genome-gff", genome_gff is not None, ("gff3", "bed")),
    ):
        if is_given and name not in takes:
            raise typer.BadParameter(f"{name} has no place for it; it is for {' and '.join(takes)}", param_hint=option)


def _ending(output: str | None) -> tuple[str, bool]:
    """Return the ending of a name without ``.gz``, in small letters and without its dot, and whether .gz was there."""
    name = (output or "").rpartition("/")[2].lstrip(".").lower()
    packed = name.endswith(".gz")
    return name.removesuffix(".gz").partition(".")[2].rpartition(".")[2], packed


def keep_apart(output: str | None, inputs: list[str], parts: Path | None, option: str = "-o") -> None:
    """Refuse an output that is a folder or one of the inputs; `OutputError`."""
    path = None if output is None else path_of(output)
    if output is None or path is None:
        return
    if path.is_dir() or output.endswith("/") or (parts is not None and path.absolute() == parts.absolute()):
        raise OutputError(f"{output}: found a folder; expected a file; choose another name for {option}")
    if not path.is_file():
        return
    for source in inputs:
        same = _is_standard_input(path) if source == "-" else Path(source).exists() and path.samefile(source)
        if same:
            found = "found an input file; expected a file of its own"
            raise OutputError(f"{output}: {found}; choose another name for {option}")


def path_of(place: str) -> Path | None:
    """Return the path of a place; None for an address of another machine."""
    if not is_address(place):
        return Path(place)
    return Path(url2pathname(urlsplit(place).path)) if place.startswith("file://") else None


def _is_standard_input(path: Path) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(sys.stdin.fileno()))
    except (OSError, ValueError, AttributeError):
        # It is closed, or no file.
        return False


def parts_folder(
    parts: Path | None, output: str | None, engine: str, workers: int | None, *, resume: bool
) -> Path | None:
    """Return the folder for finished parts, None without one; a usage error where options do not go together."""
    if workers is not None and engine == "none":
        expected = "needs --engine; --threads says how many cores are used here"
        raise typer.BadParameter(expected, param_hint="--workers")
    if parts is None and resume:
        if output is None or is_address(output) or (Path(output).exists() and not Path(output).is_file()):
            raise typer.BadParameter(
                "needs -o FILE or --parts DIR: a pipe or an address cannot be resumed", param_hint="--resume"
            )
        return Path(f"{output}.parts")
    # A path has lost one of the slashes of an address.
    if parts is not None and ":/" in str(parts):
        raise typer.BadParameter("parts need a folder that all workers see, not an address", param_hint="--parts")
    if parts is None and engine != "none":
        raise typer.BadParameter("needs --parts DIR, or --resume with -o FILE", param_hint="--engine")
    return parts


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
    bar: "Bar",
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
        if output is None and sys.stdout.isatty():
            # A bar between the rows would spoil both.
            bar.stop()
        # Where the input decides the threshold, it is known with the first row.
        facts = facts_of(predictor) if header or name in ("parquet", "gff3") else None
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


def facts_of(predictor: "Predictor") -> dict[str, object]:
    """Return what the header of the rows says of the model and of its decision rule."""
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


def last_lines(tally: "Tally", places: list[str | None], genome: "Genome | None", seconds: float) -> Iterator[str]:
    """Yield what was predicted, by family, and with which threshold; each note and reason; the files and the time."""
    predictor, n_scored = tally.predictor, tally.n_records - tally.n_skipped
    predicted = f"predicted {predictor.bundle.classes[1]}" if predictor.binary else "predicted"
    share = f" ({100 * tally.n_positive / n_scored:.1f} %)" if predictor.binary and n_scored else ""
    yield f"{tally.n_positive:,} of {_records(tally.n_records)} {predicted}{share}, {tally.n_skipped:,} skipped"
    if tally.groups:
        yield f"{'families' if predictor.binary else 'classes'}: {_largest(tally.groups)}"
    if predictor.threshold is not None:
        from tfclass.channels.thresholds import parse_rule

        rule, prevalence = predictor.asked
        chosen = "max-mcc" if rule is None else "as given" if parse_rule(rule).kind == "number" else rule
        origin = "estimated" if prevalence in (None, "auto") else "as given"
        known = "" if predictor.prevalence is None else f", prevalence {predictor.prevalence} ({origin})"
        yield f"threshold {predictor.threshold} ({chosen}){known}"
    for name, number in tally.notes.most_common():
        yield f"{_records(number)} with {_explained(name)}"
    for name, number in tally.reasons.most_common():
        yield f"{_records(number)} skipped: {_explained(name)}"
    if genome is not None:
        yield from genome.summary()
    written = ", ".join(place for place in places if place is not None)
    yield f"{seconds:.1f} s" + (f"; written to {written}" if written else "")


def _largest(groups: "Counter[str]") -> str:
    """Write the largest groups with their sizes, and what the others and those without a name add up to."""
    named = [(name, n) for name, n in groups.most_common() if name]
    rest = [("other families", sum(n for _, n in named[_MAX_GROUPS:])), ("not known", groups[""])]
    return ", ".join(f"{name} {n:,}" for name, n in [*named[:_MAX_GROUPS], *rest] if n)


def _records(number: int) -> str:
    return f"{number:,} record{'s' * (number != 1)}"


def _explained(name: str) -> str:
    from tfclass.inference.rows import MEANINGS

    return f"{name} ({MEANINGS[name]})" if name in MEANINGS else name
