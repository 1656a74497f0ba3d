"""Which proteins train, which choose, which judge.

A table's own ``split`` column is honoured. Otherwise whole clusters are dealt out, so that no relative of a test
protein is trained on. A random split exists to show how much it flatters a model, and is named in every report.
"""

import logging
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tfclass.config import SplitConfig
from tfclass.data.table import LabelledProteins
from tfclass.errors import TableError
from tfclass.typing import BoolArray, IntArray

SPLITS = ("train", "valid", "test")
FLATTERS = "single proteins at random: relatives are on both sides, and scores are too high"

_log = logging.getLogger(__name__)


def assign_splits(
    proteins: LabelledProteins, config: SplitConfig, path: str, *, by_options: bool = False
) -> LabelledProteins:
    """Fill the ``split`` column by the configured policy; say so where that is, or was, at random.

    Parameters
    ----------
    config : SplitConfig
        ``column`` keeps the table's column. ``cluster`` deals out whole clusters, ``random`` single proteins, class by
        class and kingdom by kingdom (where the table has a column ``kingdom``), by the shares of `valid` and `test`.
        ``folds`` deals whole clusters into equal folds: number `fold` is the test split, the next one validation.
        With `max_members`, which both of these take, the rest of a cluster's proteins of one class are left out.
    path : str
        Of the table, for messages.
    by_options : bool
        Whether the policy is set by options (``--policy random``), not by overrides (``split=random``): messages
        advise what the caller takes.

    Raises
    ------
    TableError
        The policy needs a column that the table does not have.
    """
    frame = proteins.frame
    if split_policy(proteins, config) == "random":
        _log.warning("warning: %s", FLATTERS)
    if config.policy == "column":
        if "split" not in frame:
            action = _how_to_split(clustered=proteins.clustered, by_options=by_options)
            raise TableError(
                path, "no column 'split'", "one with train, valid, test", action, path=path, column="split"
            )
        return proteins
    if config.policy != "random" and not proteins.clustered:
        action = f"add one (tfclass data cluster), or say {'--policy random' if by_options else 'split=random'}"
        raise TableError(path, "no column 'cluster'", "one", action, path=path, column="cluster")
    if config.max_members is not None:
        proteins = proteins.select(_at_most(proteins, config.max_members, config.seed))
    groups = proteins.frame["cluster" if config.policy != "random" else "id"].to_numpy(dtype=str)
    if config.policy == "folds":
        names = np.array(["train"] * config.folds)
        names[config.fold], names[(config.fold + 1) % config.folds] = "test", "valid"
        shares = [1 / config.folds] * config.folds
    else:
        names = np.array(SPLITS)
        shares = [1 - config.valid - config.test, config.valid, config.test]
    splits = names[_deal_out(groups, proteins, shares, config.seed)]
    return proteins._replace(frame=proteins.frame.assign(split=splits))


def _how_to_split(*, clustered: bool, by_options: bool) -> str:
    """Say what adds splits to a table without them: only what works with the columns that it has."""
    if clustered:
        return "add one (tfclass data split)" + ("" if by_options else ", or use split=cluster or split=random")
    return "add one (tfclass data cluster, then tfclass data split)" + ("" if by_options else ", or use split=random")


def split_policy(proteins: LabelledProteins, config: SplitConfig) -> str:
    """Name the policy that made the splits: of a table's own column, what its manifest says of it.

    Returns
    -------
    str
        ``column`` where the table brings its splits along and nothing is known of how they were made.
    """
    if config.policy != "column":
        return config.policy
    return str((proteins.manifest or {}).get("split", {}).get("policy", config.policy))


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


def check_classes(part: LabelledProteins, name: str, path: str) -> None:
    """Refuse a split of one class only, from which nothing can be learned; `TableError`."""
    present = np.unique(part.labels)
    if len(present) < 2:
        where = f"{path}, column 'label', split {name!r}"
        found = f"one class only ({part.classes[int(present[0])]!r})"
        raise TableError(where, found, "at least two", path=path, column="label")


def _at_most(proteins: LabelledProteins, most: int, seed: int) -> BoolArray:
    """Choose which members of each cluster and class stay, whatever the order of the rows; shape (N,)."""
    frame = proteins.frame
    by_id = np.argsort(frame["id"].to_numpy(dtype=str), kind="stable")
    shuffled = by_id[np.random.default_rng(seed).permutation(len(by_id))]
    place = frame.iloc[shuffled].groupby(["cluster", "label"], sort=False).cumcount().to_numpy()
    kept = np.zeros(len(frame), dtype=bool)
    kept[shuffled[place < most]] = True
    return kept


def _deal_out(groups: npt.NDArray[np.str_], proteins: LabelledProteins, shares: Sequence[float], seed: int) -> IntArray:
    """Give the number of the part that each protein falls into; a group is never cut. Shape (N,)."""
    names, membership = np.unique(groups, return_inverse=True)
    sizes = np.bincount(membership)
    label_of, kingdom_of = (_majority(membership, values) for values in (proteins.labels, _kingdoms(proteins)))
    part_of = np.zeros(len(names), dtype=np.int64)
    rng = np.random.default_rng(seed)
    for label in np.unique(label_of):
        # What a kingdom left a part short of is made up for in the next, so that small ones add up.
        short = np.zeros(len(shares))
        for kingdom in np.unique(kingdom_of[label_of == label]):
            members = rng.permutation(np.flatnonzero((label_of == label) & (kingdom_of == kingdom)))
            short += np.array(shares) * sizes[members].sum()
            # Large ones first, while there is a part with room for them.
            for member in members[np.argsort(-sizes[members], kind="stable")]:
                part_of[member] = short.argmax()
                short[part_of[member]] -= sizes[member]
    return part_of[membership]


def _kingdoms(proteins: LabelledProteins) -> IntArray:
    if "kingdom" not in proteins.frame:
        return np.zeros(len(proteins.labels), dtype=np.int64)
    return np.unique(proteins.frame["kingdom"].to_numpy(dtype=str), return_inverse=True)[1]


def _majority(membership: IntArray, values: IntArray) -> IntArray:
    """Give the commonest value of each group, the greatest of equally common ones; shape (groups,)."""
    counts = np.zeros((membership.max() + 1, values.max() + 1), dtype=np.int64)
    np.add.at(counts, (membership, values), 1)
    return counts.shape[1] - 1 - counts[:, ::-1].argmax(axis=1)
