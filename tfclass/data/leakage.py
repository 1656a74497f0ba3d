"""Identity between held-out proteins and training proteins, and its limit.

Clusters alone are not enough: members are similar to their own representative, and may be similar to those of other
clusters too. Here every held-out protein is compared with the training proteins themselves.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from tfclass.data.curation import AuditConfig
from tfclass.data.table import LabelledProteins
from tfclass.search.mmseqs import MAX_E_VALUE, search
from tfclass.typing import FloatArray, IntArray

TRAIN = "train"
HELD_OUT = ("valid", "test")
# More hits of one protein would not change its nearest one.
MAX_HITS = 100
_N_BINS = 10
_PAIR_COLUMNS = ["identity", "query_coverage", "target_coverage", "e_value"]

Splits = npt.NDArray[np.object_]


class Moved(NamedTuple):
    """Splits after `move_into_training`, and the hits of what is still held out among all training proteins.

    `clusters` and `proteins` are the numbers of those that were moved; the last of `n_searches` found nothing above the
    limit.
    """

    splits_N: Splits
    hits: pd.DataFrame
    clusters: int
    proteins: int
    n_searches: int


def heldout_rows(splits_N: Splits) -> IntArray:
    """Return the rows of validation and test proteins."""
    return np.flatnonzero(np.isin(splits_N.astype(str), HELD_OUT))


def train_rows(splits_N: Splits) -> IntArray:
    """Return the rows of training proteins."""
    return np.flatnonzero(splits_N == TRAIN)


def search_rows(
    proteins: LabelledProteins, queries: IntArray, targets: IntArray, *, sensitivity: float, threads: int
) -> pd.DataFrame:
    """Search rows of a table among others by MMseqs2; in the hits, query and target are rows of the table."""
    hits = search(
        [proteins.tokens[row] for row in queries],
        [proteins.tokens[row] for row in targets],
        sensitivity=sensitivity,
        threads=threads,
        max_hits=MAX_HITS,
    )
    return hits.assign(query=queries[hits["query"]], target=targets[hits["target"]])


def above_limit(hits: pd.DataFrame, limit: AuditConfig) -> pd.DataFrame:
    """Select the hits above the limit.

    Examples
    --------
    >>> hits = pd.DataFrame({"identity": [0.5, 0.5], "query_coverage": [0.9, 0.2], "target_coverage": [0.1, 0.2]})
    >>> above_limit(hits, AuditConfig(identity=0.3, coverage=0.8, sensitivity=5.7)).index.tolist()
    [0]
    """
    coverage = np.maximum(hits["query_coverage"], hits["target_coverage"])
    return hits.loc[(hits["identity"] > limit.identity) & (coverage >= limit.coverage)]


def move_into_training(
    proteins: LabelledProteins, hits: pd.DataFrame, limit: AuditConfig, *, threads: int = 1
) -> Moved:
    """Move whole clusters from test and validation into training until no hit is above the limit.

    Moved proteins are training proteins from then on, and may have hits of their own; so the rest is compared with
    them, and in the end with all of training once more. `hits` are those of all held-out proteins among all training
    proteins.
    """
    splits_N = proteins.frame["split"].to_numpy(dtype=object).copy()
    clusters_N = proteins.frame["cluster"].to_numpy(dtype=object)
    before_N, n_searches, is_complete = splits_N.copy(), 1, True
    while True:
        leaks = np.unique(above_limit(hits, limit)["query"].to_numpy(dtype=np.int64))
        if not len(leaks) and is_complete:
            break
        held_out = heldout_rows(splits_N)
        moved = held_out[np.isin(clusters_N[held_out].astype(str), clusters_N[leaks].astype(str))]
        splits_N[moved] = TRAIN
        is_complete = not len(moved)
        targets = train_rows(splits_N) if is_complete else moved
        hits = search_rows(proteins, heldout_rows(splits_N), targets, sensitivity=limit.sensitivity, threads=threads)
        n_searches += 1
    moved = np.flatnonzero(splits_N != before_N)
    return Moved(splits_N, hits, len(set(clusters_N[moved])), len(moved), n_searches)


def nearest_table(proteins: LabelledProteins, hits: pd.DataFrame) -> pd.DataFrame:
    """Find the nearest training protein of each held-out one.

    Returns
    -------
    DataFrame
        A row for each held-out protein, in the order of the table: ``id``, ``split``, ``label``, ``nearest`` (an id,
        empty where nothing was found), ``nearest_label``, and ``identity``, ``query_coverage``, ``target_coverage`` and
        ``e_value`` (float64, NaN where nothing was found).
    """
    frame = proteins.frame
    rows = heldout_rows(frame["split"].to_numpy(dtype=object))
    # The hits of a protein are sorted, the best first.
    best = hits.loc[hits["e_value"] < MAX_E_VALUE].drop_duplicates("query").set_index("query").reindex(rows)
    is_found = best["target"].notna().to_numpy()
    target = best["target"].fillna(0).to_numpy(dtype=np.int64)
    names = {
        column: np.where(is_found, frame[source].to_numpy(dtype=object)[target], "")
        for column, source in (("nearest", "id"), ("nearest_label", "label"))
    }
    table = frame.iloc[rows][["id", "split", "label"]].reset_index(drop=True).assign(**names)
    return table.assign(**{column: best[column].to_numpy(dtype=np.float64) for column in _PAIR_COLUMNS})


def pairs_table(proteins: LabelledProteins, hits: pd.DataFrame) -> pd.DataFrame:
    """Return the pairs of hits: ``id``, ``split``, ``training_id``, identity, coverages and e-value."""
    frame = proteins.frame
    names = {"id": frame["id"].to_numpy()[hits["query"]], "split": frame["split"].to_numpy()[hits["query"]]}
    names["training_id"] = frame["id"].to_numpy()[hits["target"]]
    return pd.DataFrame(names).assign(**{column: hits[column].to_numpy() for column in _PAIR_COLUMNS})


def as_text(table: pd.DataFrame) -> pd.DataFrame:
    """Turn the numbers of such tables into text: shares with three decimals, e-values with two digits."""
    formats = {column: "{:.3f}" for column in _PAIR_COLUMNS} | {"e_value": "{:.1e}"}
    cells = {
        column: ["" if np.isnan(value) else formats[column].format(value) for value in table[column]]
        for column in _PAIR_COLUMNS
    }
    return table.assign(**cells)


def summarise(
    table: pd.DataFrame, hits: pd.DataFrame, limit: AuditConfig, proteins: LabelledProteins
) -> dict[str, Any]:
    """Summarise an audit, split by split; `table` is from `nearest_table`.

    Returns
    -------
    dict
        ``limit``; ``pairs_above_limit``; ``splits``: for each held-out split ``proteins``, what `identities` returns,
        and ``above_limit``, a number of proteins. JSON values.
    """
    leaks = above_limit(hits, limit)
    ids = set(proteins.frame["id"].to_numpy()[leaks["query"]])
    splits = {}
    for split in HELD_OUT:
        own = table.loc[table["split"] == split]
        if not own.empty:
            n_leaks = sum(name in ids for name in own["id"])
            splits[split] = {"proteins": len(own), **identities(own["identity"].to_numpy()), "above_limit": n_leaks}
    n_pairs = len(leaks.drop_duplicates(["query", "target"]))
    about = {"identity": limit.identity, "coverage": limit.coverage}
    return {"limit": about, "pairs_above_limit": n_pairs, "splits": splits}


def identities(identity_N: FloatArray) -> dict[str, Any]:
    """Summarise the identity of proteins to their nearest homologue.

    Parameters
    ----------
    identity_N : ndarray of float64, shape (N,)
        From 0 to 1; NaN where there is no homologue.

    Returns
    -------
    dict
        ``n_with_homologue``, ``n_without``; ``median`` of those with one; ``histogram``: how many are in each of ten
        bins of equal width from 0 to 1. JSON values.

    Examples
    --------
    >>> identities(np.array([0.25, 0.95, np.nan]))
    {'n_with_homologue': 2, 'n_without': 1, 'median': 0.6, 'histogram': [0, 0, 1, 0, 0, 0, 0, 0, 0, 1]}
    """
    found = identity_N[np.isfinite(identity_N)]
    return {
        "n_with_homologue": len(found),
        "n_without": len(identity_N) - len(found),
        "median": float(np.median(found)) if len(found) else None,
        "histogram": np.histogram(found, bins=_N_BINS, range=(0.0, 1.0))[0].tolist(),
    }
