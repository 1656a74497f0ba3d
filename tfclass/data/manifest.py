"""The manifest of a corpus: a versioned JSON file beside the table, ``TABLE.manifest.json``.

It records sources, rows lost per step, clusters, splits, sizes and audit, with a SHA-256 of each file. Names and
digests only, neither times nor folders: the same inputs give the same bytes wherever and whenever they are processed.
"""

import contextlib
import gzip
import io
import json
import os
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO, cast

import pandas as pd
from pydantic import BaseModel, ValidationError

from tfclass.data.neighbours import (
    KIND,
    OUTPUTS,
    check_neighbour,
    fingerprint,
    is_manifest,
    manifest_path,
    remove_manifest,
    remove_stale,
)
from tfclass.errors import TableError
from tfclass.io.files import make_folder, name_of, sha256_of, whole_file

SCHEMA = 1
Manifest = dict[str, Any]
# Order of the parts in the file; those that a corpus lacks are left out.
_PARTS = (
    *("kind", "schema", "tfclass", "table", "sources", "import", "database", "rules", "funnel", "changes", "notes"),
    *("lost", "clusters", "split", "sizes", "audit"),
)


class _Step(BaseModel, strict=True):
    step: str
    why: str
    lost: int
    left: int


class _Funnel(BaseModel, strict=True):
    rows_in: int
    steps: list[_Step]
    rows_out: int


class _Split(BaseModel, strict=True):
    policy: str = ""


class _Content(BaseModel, strict=True):
    """The parts of a manifest that are read; the rest is carried along unchecked."""

    funnel: _Funnel
    split: _Split = _Split()


def read_manifest(table: str | Path) -> Manifest | None:
    """Read the manifest of a table, if it has one, and compare the table with it.

    Raises
    ------
    TableError
        The manifest cannot be read, or was written by a newer tfclass, or the table has another checksum.
    """
    place = manifest_path(table)
    if not place.exists() or not Path(table).exists():
        return None
    try:
        manifest = json.loads(place.read_bytes())
        schema, expected = manifest["schema"], manifest["table"]["sha256"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise TableError(f"{place}: found something that is no manifest ({error})") from error
    if schema != SCHEMA:
        action = "update tfclass, or make the corpus again"
        raise TableError(f"{place}: found schema {schema!r}; expected schema {SCHEMA}; {action}")
    if fingerprint(Path(table))["sha256"] != expected:
        raise TableError(
            f"{table}: checksum mismatch with its manifest; make it again with tfclass data, "
            f"or remove {place.name} if the table was changed on purpose"
        )
    _check_content(manifest, place)
    return manifest


def new_manifest(table: Path, n_rows: int) -> Manifest:
    """Make a manifest for a table that has none: the table is its own source."""
    return {"sources": [fingerprint(table)], "funnel": {"rows_in": n_rows, "steps": [], "rows_out": n_rows}}


def _check_content(manifest: Manifest, place: Path) -> None:
    try:
        _Content.model_validate(manifest)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        key, found = ".".join(map(str, problem["loc"])), repr(problem["input"])[:80]
        raise TableError(f"{place}, {key}: found {found}; expected {problem['msg']}") from None


def check_output(table: Path) -> None:
    """Check that a table can be written under this name.

    TableError where it has another ending, OutputError where its manifest would replace a file of another kind.
    """
    if not table.name.endswith(OUTPUTS):
        raise TableError(f"{table}: found a name ending in {table.suffix!r}; expected {' or '.join(OUTPUTS)}")
    check_neighbour(manifest_path(table), is_manifest)


def save_corpus(frame: pd.DataFrame, table: Path, manifest: Manifest) -> Manifest:
    """Write a table, its sequences in the last column, then its manifest; return the manifest as written.

    Parameters
    ----------
    frame : DataFrame
        Of text, with ``id``, ``label`` and ``sequence``.
    manifest : dict
        Version, table and sizes are filled in here.

    Raises
    ------
    TfclassError
        The table has another ending, or cannot be written.
    """
    check_output(table)
    make_folder(table.parent)
    with whole_file(table) as stream:
        _write_rows(frame.loc[:, [*(name for name in frame if name != "sequence"), "sequence"]], stream, table)
        about = _written(stream, table)
        os.fsync(stream.fileno())
        # The manifest gets its place first, and only once both are on the disk. Killed between the two, the table is
        # missing or does not have the checksum of its manifest, and is refused.
        return _write_manifest(frame, table, manifest, about)


def save_manifest(frame: pd.DataFrame, table: Path, manifest: Manifest) -> Manifest:
    """Write the manifest of a table that is there already; else as `save_corpus`."""
    return _write_manifest(frame, table, manifest, fingerprint(table))


def _write_manifest(frame: pd.DataFrame, table: Path, manifest: Manifest, file: dict[str, Any]) -> Manifest:
    about = {"kind": KIND, "schema": SCHEMA, "tfclass": version("tfclass")}
    whole = manifest | about | {"table": file | {"rows": len(frame)}, "sizes": _sizes(frame)}
    ordered = {part: whole[part] for part in _PARTS if part in whole}
    remove_stale(table, ordered)
    with whole_file(manifest_path(table)) as stream:
        stream.write((json.dumps(ordered, indent=1, ensure_ascii=False) + "\n").encode())
    return ordered


def write_tsv(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame as tab-separated text, packed where the name ends in .gz; the same frame gives the same bytes.

    The manifest of an earlier table of this name is removed.
    """
    with listed_tsv(frame, path):
        pass


@contextlib.contextmanager
def listed_tsv(frame: pd.DataFrame, path: Path) -> Iterator[dict[str, Any]]:
    """Write a frame as `write_tsv`, and yield its `fingerprint`, for a manifest to be written inside the block.

    The file gets its place when the block ends, so that it never stands there without the manifest that lists it.
    """
    make_folder(path.parent)
    with whole_file(path) as stream:
        _write_rows(frame, stream, path)
        yield _written(stream, path)
        remove_manifest(path)


def _written(stream: BinaryIO, path: Path) -> dict[str, Any]:
    size = stream.tell()
    stream.seek(0)
    return {"name": name_of(path), "bytes": size, "sha256": sha256_of(stream)}


def _write_rows(frame: pd.DataFrame, stream: BinaryIO, path: Path) -> None:
    if path.suffix != ".gz":
        _write_text(frame, stream)
        return
    # Neither a name nor a time of day inside.
    with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=stream, mtime=0) as packed:
        _write_text(frame, cast(BinaryIO, packed))


def _write_text(frame: pd.DataFrame, stream: BinaryIO) -> None:
    text = io.TextIOWrapper(stream, encoding="utf-8", newline="")
    frame.to_csv(text, sep="\t", index=False, lineterminator="\n")
    text.detach()


def _sizes(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Count proteins, clusters and residues by split, label and kingdom, as far as the frame has these columns."""
    by = [column for column in ("split", "label", "kingdom") if column in frame]
    counted = frame[by].assign(residues=frame["sequence"].str.len(), cluster=frame.get("cluster", frame["id"]))
    groups = counted.groupby(by, sort=True)
    table = groups.agg(proteins=("residues", "size"), clusters=("cluster", "nunique"), residues=("residues", "sum"))
    if "cluster" not in frame:
        table = table.drop(columns="clusters")
    return json.loads(str(table.reset_index().to_json(orient="records")))
