"""From raw files to a split table: import, cluster, split. Each takes a table and its manifest to the next ones."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pandas as pd

from tfclass.config import CorpusConfig, SplitConfig
from tfclass.data.cells import text_rows
from tfclass.data.fingerprint import check_rereadable, fingerprint
from tfclass.data.importer import import_proteins
from tfclass.data.manifest import (
    Manifest,
    begun_for,
    check_output,
    listed_tsv,
    read_manifest,
    save_corpus,
)
from tfclass.data.neighbours import beside, check_neighbour, listed_beside
from tfclass.data.sources import Source
from tfclass.data.split import FLATTERS, SPLITS, assign_splits
from tfclass.data.table import LabelledProteins, read_table
from tfclass.errors import TableError
from tfclass.search.mmseqs import cluster, mmseqs_version
from tfclass.sequences.alphabet import Alphabet

_SHOWN = 3


class ClusterOptions(NamedTuple):
    """How proteins are put into clusters by MMseqs2; see `tfclass.search.mmseqs.cluster`."""

    identity: float = 0.3
    coverage: float = 0.8
    coverage_mode: int = 1
    sensitivity: float | None = None


def import_corpus(
    source: Source,
    table: Path,
    *,
    rename: Mapping[str, str] | None = None,
    on_conflict: Literal["leave-out", "error"] = "leave-out",
) -> tuple[Manifest, pd.DataFrame]:
    """Write the clean table of a source; every row that was left out stands in ``TABLE.lost.tsv`` (without its .tsv).

    Parameters
    ----------
    rename, on_conflict
        As in `tfclass.data.importer.import_proteins`.

    Returns
    -------
    dict
        The manifest.
    DataFrame
        The rows that were left out.

    Raises
    ------
    TfclassError
        A source cannot be read or used, or an output not be written.
    """
    check_output(table)
    if table.resolve() in [path.resolve() for path in source.files]:
        raise TableError(str(table), "a table that would replace its own source", "another place", path=str(table))
    place = beside(table, ".lost.tsv")
    check_neighbour(place, listed_beside(table))
    for path in source.files:
        check_rereadable(path)
    sources = [fingerprint(path) | _nested(path) for path in source.files]
    imported = import_proteins(source, Alphabet(), rename=rename, on_conflict=on_conflict)
    manifest = {
        "sources": sources,
        "import": source.how | {"rename": dict(rename or {}), "on_conflict": on_conflict},
        "funnel": imported.funnel,
        "changes": imported.changes,
        "notes": dict(sorted(source.notes.items())),
    }
    with listed_tsv(imported.lost, place) as about:
        return save_corpus(imported.frame, table, manifest | {"lost": about}), imported.lost


def cluster_corpus(
    table: Path, output: Path, options: ClusterOptions, *, given: Path | None = None, threads: int = 1
) -> Manifest:
    """Write a table with the column ``cluster``, which holds the id of each protein's representative.

    Parameters
    ----------
    table, output : Path
        The same or different ones.
    given : Path, optional
        Clusters that are known: a file of two columns, representative and member, as MMseqs2 writes it.

    Returns
    -------
    dict
        The manifest.

    Raises
    ------
    TfclassError
        The table, the cluster file or MMseqs2 is at fault, or the output cannot be written.
    """
    check_output(output)
    if given is not None:
        check_rereadable(given)
    proteins, manifest = read_corpus(table)
    frame = proteins.frame
    if given is None:
        rows_N = cluster(
            proteins.tokens,
            min_identity=options.identity,
            coverage=options.coverage,
            coverage_mode=options.coverage_mode,
            sensitivity=options.sensitivity,
            threads=threads,
        )
        names = frame["id"].to_numpy(dtype=object)[rows_N]
        how: dict[str, Any] = {"method": "MMseqs2 easy-cluster", "version": mmseqs_version()} | options._asdict()
    else:
        cluster_of = _read_clusters(given)
        _check_all_have_one(frame, cluster_of, given)
        names = frame["id"].map(cluster_of).to_numpy(dtype=object)
        how = {"method": "given", "file": fingerprint(given), "not_in_table": len(cluster_of.keys() - set(frame["id"]))}
    how["clusters"] = len(set(names))
    clustered = frame.assign(cluster=names)
    if "split" in frame:
        how["in_several_splits"] = int((clustered.groupby("cluster")["split"].nunique() > 1).sum())
    # Splits that other clusters made are by these no longer, and what an audit found out holds no longer.
    by_clusters = manifest.get("split", {}).get("policy") in ("cluster", "folds")
    outdated = ("audit", "split") if by_clusters else ("audit",)
    manifest = {part: content for part, content in manifest.items() if part not in outdated}
    return save_corpus(clustered, output, manifest | {"clusters": how})


def split_corpus(table: Path, output: Path, config: SplitConfig) -> Manifest:
    """Write a table with the column ``split``.

    Parameters
    ----------
    table, output : Path
        The same or different ones.
    config : SplitConfig
        Any policy but ``column``.

    Returns
    -------
    dict
        The manifest.

    Raises
    ------
    TableError
        There is no cluster column; or a class has fewer clusters than there are splits, or would be missing in one.
    OutputError
        The output cannot be written.
    """
    check_output(output)
    proteins, manifest = read_corpus(table)
    n_splits = config.folds if config.policy == "folds" else len(SPLITS)
    _check_enough(proteins.frame, "id" if config.policy == "random" else "cluster", n_splits, str(table))
    split = assign_splits(proteins, config, str(table), by_options=True)
    _check_splits(split.frame, str(table))
    about: dict[str, Any] = {"policy": config.policy, "seed": config.seed}
    shares = ("folds", "fold") if config.policy == "folds" else ("valid", "test")
    about |= {name: getattr(config, name) for name in shares}
    if config.policy == "random":
        about["warning"] = FLATTERS
    if config.max_members is not None:
        about["max_members"] = config.max_members
        why = f"of a cluster and class, more than {config.max_members}"
        manifest["funnel"] = _with_step(manifest["funnel"], "further cluster members", why, len(split.frame))
    manifest = {part: content for part, content in manifest.items() if part != "audit"}
    return save_corpus(as_read(split), output, manifest | {"split": about})


def read_corpus(table: Path) -> tuple[LabelledProteins, Manifest]:
    """Read and check a table, its labels as they stand, together with what is known of how it was made."""
    proteins = read_table(CorpusConfig(path=str(table), classes=None, aliases={}), Alphabet())
    manifest = proteins.manifest
    return proteins, begun_for(table, len(proteins.frame)) if manifest is None else manifest


def as_read(proteins: LabelledProteins) -> pd.DataFrame:
    """Give the table without the clusters that reading one without any makes up: each protein its own."""
    return proteins.frame if proteins.clustered else proteins.frame.drop(columns="cluster")


def some(names: Sequence[str]) -> str:
    """Name the first few."""
    return ", ".join(map(str, names[:_SHOWN])) + (", ..." if len(names) > _SHOWN else "")


def _nested(path: Path) -> Manifest:
    manifest = read_manifest(path)
    return {} if manifest is None else {"manifest": manifest}


def _read_clusters(path: Path) -> dict[str, str]:
    cluster_of: dict[str, str] = {}
    for number, row in text_rows(path, "\t"):
        where = f"{path}, row {number}"
        if len(row) != 2 or not all(row):
            expected = "two, representative and member, separated by a tab"
            raise TableError(where, f"{len(row)} fields", expected, path=str(path), row=number)
        representative, member = (name.strip() for name in row)
        if cluster_of.setdefault(member, representative) != representative:
            found = f"{member!r} in a second cluster ({representative!r}, and {cluster_of[member]!r} before)"
            raise TableError(where, found, "each protein in one", path=str(path), row=number)
    return cluster_of


def _check_all_have_one(frame: pd.DataFrame, cluster_of: Mapping[str, str], given: Path) -> None:
    without = [name for name in frame["id"] if name not in cluster_of]
    if without:
        found = f"no cluster for {len(without):,} of {len(frame):,} proteins ({some(without)})"
        action = "the second column names the members"
        raise TableError(str(given), found, "one for each", action, path=str(given))


def _check_enough(frame: pd.DataFrame, unit: str, needed: int, path: str) -> None:
    counts = frame.groupby("label")[unit].nunique()
    few = [f"{label} ({n})" for label, n in counts.items() if n < needed]
    if few:
        what = "proteins" if unit == "id" else "clusters"
        found = f"{len(few)} of {len(counts)} classes with fewer {what} than splits: {some(few)}"
        expected, action = (
            f"at least {needed}",
            "leave them out, or join them (tfclass data import --rename)",
        )
        raise TableError(f"{path}, column 'label'", found, expected, action, path=path, column="label")


def _check_splits(frame: pd.DataFrame, path: str) -> None:
    there = Counter(zip(frame["split"], frame["label"], strict=True))
    labels = sorted(set(frame["label"]))
    empty = [f"no {label!r} in {split}" for label in labels for split in SPLITS if not there[split, label]]
    if empty:
        found = f"{some(empty)} ({len(empty)} of {len(labels) * len(SPLITS)} combinations)"
        expected, action = "each class in each split", "another seed, other shares or fewer classes may do"
        raise TableError(f"{path}, column 'split'", found, expected, action, path=path, column="split")


def _with_step(funnel: dict[str, Any], step: str, why: str, left: int) -> dict[str, Any]:
    added = {"step": step, "why": why, "lost": funnel["rows_out"] - left, "left": left}
    return funnel | {"steps": [*funnel["steps"], added], "rows_out": left}
