"""Which proteins train, which choose, which judge.

A table's own ``split`` column is honoured. Otherwise whole clusters are dealt out, so that no relative of a test
protein is trained on. A random split exists to show how much it flatters a model, and is named in every report.
"""

import numpy as np
import numpy.typing as npt

from tfclass.config import SplitConfig
from tfclass.corpus.table import LabelledProteins
from tfclass.errors import TableError


def assign_splits(proteins: LabelledProteins, config: SplitConfig, path: str) -> LabelledProteins:
    """Fill the ``split`` column by the configured policy.

    Parameters
    ----------
    proteins : LabelledProteins
    config : SplitConfig
        ``column`` keeps the table's column; ``cluster`` and ``random`` deal out clusters or single proteins, class by
        class of their first member, until the shares of `valid` and `test` are reached.
    path : str
        Of the table, for messages.

    Returns
    -------
    LabelledProteins

    Raises
    ------
    TableError
        The policy needs a column that the table does not have.
    """
    frame = proteins.frame
    if config.policy == "column":
        if "split" not in frame:
            action = "add one, or use split=cluster or split=random"
            raise TableError(
                path, "no column 'split'", "one with train, valid, test", action, path=path, column="split"
            )
        return proteins
    if config.policy == "cluster" and (frame["cluster"] == frame["id"]).all():
        action = "add one (for example from MMseqs2), or say split=random"
        raise TableError(path, "no column 'cluster'", "one", action, path=path, column="cluster")
    groups = frame["cluster"] if config.policy == "cluster" else frame["id"]
    splits = _deal_out(groups.to_numpy(dtype=str), proteins.labels, config)
    return proteins._replace(frame=frame.assign(split=splits))


def select_split(proteins: LabelledProteins, name: str, path: str) -> LabelledProteins:
    """Take the proteins of one split.

    Raises
    ------
    TableError
        There are none; the splits that do exist are listed.
    """
    rows = (proteins.frame["split"] == name).to_numpy()
    if not rows.any():
        known = ", ".join(sorted(set(proteins.frame["split"])))
        where = f"{path}, column 'split'"
        raise TableError(where, f"no row with {name!r}", f"some (there are: {known})", path=path, column="split")
    return proteins.select(rows)


def _deal_out(groups: npt.NDArray[np.str_], labels: npt.NDArray[np.int64], config: SplitConfig) -> npt.NDArray[np.str_]:
    names, first, membership = np.unique(groups, return_index=True, return_inverse=True)
    sizes = np.bincount(membership)
    splits = np.full(len(names), "train", dtype="U5")
    rng = np.random.default_rng(config.seed)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels[first] == label))
        share = np.cumsum(sizes[members]) / sizes[members].sum()
        splits[members[share <= config.valid + config.test]] = "valid"
        splits[members[share <= config.test]] = "test"
    return splits[membership]
