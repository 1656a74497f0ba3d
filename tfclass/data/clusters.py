"""The column ``cluster`` of a table: clusters of similar proteins, by MMseqs2 or from a file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt
import pandas as pd

from tfclass.config import to_mapping
from tfclass.data.cells import text_rows
from tfclass.data.curation import ClusterConfig
from tfclass.data.manifest import Manifest, check_output, save_corpus
from tfclass.data.neighbours import check_not_pipe, fingerprint, preview
from tfclass.data.table import LabelledProteins, read_corpus
from tfclass.errors import TableError
from tfclass.search.mmseqs import cluster, mmseqs_version


def cluster_corpus(table: Path, output: Path, clusters: ClusterConfig | Path, *, threads: int = 1) -> Manifest:
    """Write a table with the column ``cluster``, the id of each protein's representative; return its manifest.

    Parameters
    ----------
    clusters : ClusterConfig or Path
        The options of MMseqs2; or known clusters: a file of two columns, representative and member, as MMseqs2 writes.

    Raises
    ------
    TfclassError
        The table, the cluster file or MMseqs2 is at fault, or the output cannot be written.
    """
    check_output(output)
    if isinstance(clusters, Path):
        check_not_pipe(clusters)
    proteins, manifest = read_corpus(table)
    frame = proteins.frame
    if isinstance(clusters, Path):
        names, how = _given_clusters(frame, clusters)
    else:
        names, how = _found_clusters(proteins, clusters, threads)
    clustered = frame.assign(cluster=names)
    how["clusters"] = clustered["cluster"].nunique()
    if "split" in frame:
        how["in_several_splits"] = int((clustered.groupby("cluster")["split"].nunique() > 1).sum())
    # Splits that were made from other clusters, and an audit, do not hold any more.
    by_clusters = manifest.get("split", {}).get("policy") in ("cluster", "folds")
    outdated = ("audit", "split") if by_clusters else ("audit",)
    manifest = {part: content for part, content in manifest.items() if part not in outdated}
    return save_corpus(clustered, output, manifest | {"clusters": how})


def _found_clusters(
    proteins: LabelledProteins, config: ClusterConfig, threads: int
) -> tuple[npt.ArrayLike, dict[str, Any]]:
    rows_N = cluster(
        proteins.tokens,
        min_identity=config.identity,
        coverage=config.coverage,
        coverage_mode=config.coverage_mode,
        sensitivity=config.sensitivity,
        threads=threads,
    )
    names = proteins.frame["id"].to_numpy(dtype=object)[rows_N]
    return names, {"method": "MMseqs2 easy-cluster", "version": mmseqs_version()} | to_mapping(config)


def _given_clusters(frame: pd.DataFrame, given: Path) -> tuple[npt.ArrayLike, dict[str, Any]]:
    cluster_of = _read_clusters(given)
    without = [name for name in frame["id"] if name not in cluster_of]
    if without:
        raise TableError(
            f"{given}: found no cluster for {len(without):,} of {len(frame):,} proteins ({preview(without)}); "
            "expected one for each; the second column names the members"
        )
    unused = len(cluster_of.keys() - set(frame["id"]))
    return frame["id"].map(cluster_of), {"method": "given", "file": fingerprint(given), "not_in_table": unused}


def _read_clusters(path: Path) -> Mapping[str, str]:
    cluster_of: dict[str, str] = {}
    for number, row in text_rows(path, "\t"):
        where = f"{path}, row {number}"
        if len(row) != 2 or not all(row):
            expected = "two, representative and member, separated by a tab"
            raise TableError(f"{where}: found {len(row)} fields; expected {expected}")
        representative, member = (name.strip() for name in row)
        before = cluster_of.setdefault(member, representative)
        if before != representative:
            found = f"{member!r} in a second cluster ({representative!r}, and {before!r} before)"
            raise TableError(f"{where}: found {found}; expected each protein in one")
    return cluster_of
