"""What a corpus is made of: a versioned JSON file beside the table, ``TABLE.manifest.json``.

It tells sources, rows lost per step, clusters, splits, sizes and audit, with a SHA-256 of each file. Names and digests
only, neither times nor folders: the same inputs give the same bytes wherever and whenever they are worked on.
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

from tfclass.data.fingerprint import fingerprint
from tfclass.data.neighbours import (
    KIND,
    OUTPUTS,
    beside,
    check_neighbour,
    forget_manifest,
    is_manifest,
    manifest_path,
    remove_stale,
)
from tfclass.errors import TableError
from tfclass.io.files import make_folder, name_of, sha256_of, whole_file

SCHEMA = 1
Manifest = dict[str, Any]


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


class _Form(BaseModel, strict=True):
    """What is read of a manifest; what else is in it is taken along as it is."""

    funnel: _Funnel
    split: _Split = _Split()


_DATABASE = ("source", "release", "release_date", "licence", "query")
# Order of the parts in the file; those that a corpus lacks are left out.
_PARTS = (
    *(
        "kind",
        "schema",
        "tfclass",
        "table",
        "sources",
        "import",
        "database",
        "rules",
        "funnel",
        "changes",
        "notes",
        "lost",
    ),
    *("clusters", "split", "sizes", "audit"),
)


def read_manifest(table: str | Path) -> Manifest | None:
    """Read the manifest of a table and compare the table with it.

    Returns
    -------
    dict or None
        None where the table has no manifest.

    Raises
    ------
    TableError
        The manifest cannot be read, or is of a newer tfclass, or the table is not as it says.
    """
    place = manifest_path(table)
    if not place.exists() or not Path(table).exists():
        return None
    try:
        manifest = json.loads(place.read_bytes())
        schema, expected = manifest["schema"], manifest["table"]["sha256"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise TableError(str(place), f"something that is no manifest ({error})", path=str(place)) from error
    if schema != SCHEMA:
        action = "update tfclass, or make the corpus again"
        raise TableError(str(place), f"schema {schema!r}", f"schema {SCHEMA}", action, path=str(place))
    if fingerprint(Path(table))["sha256"] != expected:
        action = f"make it again with tfclass data, or remove {place.name} if the table was changed on purpose"
        raise TableError(str(table), "a table other than its manifest tells of", action=action, path=str(table))
    _check_form(manifest, place)
    return manifest


def begun_for(table: Path, n_rows: int) -> Manifest:
    """Begin the manifest of a table that has none.

    Parameters
    ----------
    table : Path
        Where ``tfclass data label`` left a funnel beside it, that is taken over; else the table is its own source.

    Raises
    ------
    TableError
        The table cannot be read.
    """
    found = fingerprint(table)
    labelled = _from_labelling(beside(table, ".funnel.json"), found["sha256"])
    return labelled or {"sources": [found], "funnel": {"rows_in": n_rows, "steps": [], "rows_out": n_rows}}


def _from_labelling(place: Path, sha256: str) -> Manifest:
    if not place.exists():
        return {}
    try:
        content = json.loads(place.read_bytes())
        if content["table"]["sha256"] != sha256:
            return {}
        download, proof = content["download"], content.get("evidence")
        files = [file for each in (download, proof) if each for file in each["files"].items()]
        evidence = {"evidence": proof["query"]} if proof else {}
        begun = {
            "sources": [{"name": name, "bytes": file.get("bytes"), "sha256": file["sha256"]} for name, file in files],
            "database": {key: download.get(key) for key in _DATABASE} | evidence,
            "rules": content["rules"],
            "funnel": {key: content[key] for key in ("rows_in", "steps", "rows_out")},
        }
        _check_form(begun, place)
        return begun
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise TableError(str(place), f"something that is no funnel ({error!r})", path=str(place)) from error


def _check_form(manifest: Manifest, place: Path) -> None:
    try:
        _Form.model_validate(manifest)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = f"{place}, {'.'.join(map(str, problem['loc']))}"
        raise TableError(where, repr(problem["input"])[:80], problem["msg"], path=str(place)) from None


def check_output(table: Path) -> None:
    """Make sure that a table can be written under this name.

    Raises
    ------
    TableError
        Its ending is another.
    OutputError
        Where its manifest belongs there is a file that tfclass did not write.
    """
    if not table.name.endswith(OUTPUTS):
        raise TableError(str(table), f"a name ending in {table.suffix!r}", " or ".join(OUTPUTS), path=str(table))
    check_neighbour(manifest_path(table), is_manifest)


def save_corpus(frame: pd.DataFrame, table: Path, manifest: Manifest) -> Manifest:
    """Write a table, its sequences in the last column, then its manifest.

    Parameters
    ----------
    frame : DataFrame
        Of text, with ``id``, ``label`` and ``sequence``.
    table : Path
        Ends in .tsv or .tsv.gz.
    manifest : dict
        Version, table and sizes are filled in here.

    Returns
    -------
    dict
        The manifest as written.

    Raises
    ------
    TableError
        The table has another ending.
    OutputError
        It cannot be written.
    """
    check_output(table)
    make_folder(table.parent)
    with whole_file(table) as stream:
        _write_rows(frame.loc[:, [*(name for name in frame if name != "sequence"), "sequence"]], stream, table)
        size = stream.tell()
        stream.seek(0)
        about = {"name": table.name, "bytes": size, "sha256": sha256_of(stream)}
        os.fsync(stream.fileno())
        # The manifest gets its place first, and only once both are on the disk. Killed between the two, the table is
        # missing or is not the one that the manifest tells of, and so nobody will use it.
        return _write_manifest(frame, table, manifest, about)


def save_manifest(frame: pd.DataFrame, table: Path, manifest: Manifest) -> Manifest:
    """Write the manifest of a table that is there already; else as `save_corpus`."""
    return _write_manifest(frame, table, manifest, fingerprint(table))


def _write_manifest(frame: pd.DataFrame, table: Path, manifest: Manifest, file: dict[str, Any]) -> Manifest:
    about = {"kind": KIND, "schema": SCHEMA, "tfclass": version("tfclass")}
    whole = manifest | about | {"table": file | {"rows": len(frame)}, "sizes": sizes(frame)}
    ordered = {part: whole[part] for part in _PARTS if part in whole}
    remove_stale(table, ordered)
    with whole_file(manifest_path(table)) as stream:
        stream.write((json.dumps(ordered, indent=1, ensure_ascii=False) + "\n").encode())
    return ordered


def write_tsv(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame as tab-separated text, packed where the name ends in .gz; the same frame gives the same bytes.

    A manifest that an earlier table of this name had tells of another table, and is removed.
    """
    with listed_tsv(frame, path):
        pass


@contextlib.contextmanager
def listed_tsv(frame: pd.DataFrame, path: Path) -> Iterator[dict[str, Any]]:
    """Write a frame as `write_tsv`, and yield its `fingerprint`, for a manifest to be written inside the block.

    The file gets its place when the block ends, so that it does not stand there without the manifest that lists it.
    """
    make_folder(path.parent)
    with whole_file(path) as stream:
        _write_rows(frame, stream, path)
        size = stream.tell()
        stream.seek(0)
        yield {"name": name_of(path), "bytes": size, "sha256": sha256_of(stream)}
        forget_manifest(path)


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


def sizes(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Count proteins, clusters and residues by split, label and kingdom, as far as the frame has these columns."""
    by = [column for column in ("split", "label", "kingdom") if column in frame]
    counted = pd.DataFrame({column: frame[column] for column in by} | {"residues": frame["sequence"].str.len()})
    counted["cluster"] = frame["cluster"] if "cluster" in frame else frame["id"]
    groups = counted.groupby(by, sort=True)
    table = groups.agg(proteins=("residues", "size"), clusters=("cluster", "nunique"), residues=("residues", "sum"))
    if "cluster" not in frame:
        table = table.drop(columns="clusters")
    return json.loads(str(table.reset_index().to_json(orient="records")))
