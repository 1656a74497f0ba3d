"""Train, validation and test splits.

A table's own ``split`` column is kept. Otherwise whole clusters are assigned, so that no relative of a test protein is
in training. A random split shows how much it inflates the scores of a model, and is named in every report.
"""

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tfclass.config import SplitConfig
from tfclass.data.manifest import Manifest, check_output, save_corpus
from tfclass.data.neighbours import preview
from tfclass.data.table import LabelledProteins, read_corpus, without_default_clusters
from tfclass.errors import TableError
from tfclass.typing import BoolArray, IntArray

SPLITS = ("train", "valid", "test")
FLATTERS = "single proteins at random: homologues are on both sides, and scores are too high"

_log = logging.getLogger(__name__)


def assign_splits(
    proteins: LabelledProteins, config: SplitConfig, path: str, *, by_options: bool = False
) -> LabelledProteins:
    """Fill the ``split`` column by the configured policy; warn where it is, or was, random.

    Parameters
    ----------
    config : SplitConfig
        ``column`` keeps the table's column. ``cluster`` assigns whole clusters, ``random`` single proteins, class by
        class and kingdom by kingdom (where the table has a column ``kingdom``), by the shares of `valid` and `test`.
        ``folds`` assigns whole clusters to equal folds: number `fold` is the test split, the next one validation.
        With `max_members`, for both of these, the rest of a cluster's proteins of one class are left out.
    by_options : bool
        Whether the policy is set by options (``--policy random``), not by overrides (``split=random``): messages
        advise what the caller takes.

    Raises
    ------
    TableError
        The policy needs a column that the table does not have.
    """
    if split_policy(proteins, config) == "random":
        _log.warning("warning: %s", FLATTERS)
    if config.policy == "column":
        if "split" not in proteins.frame:
            action = _how_to_split(clustered=proteins.clustered, by_options=by_options)
            raise TableError(f"{path}: found no column 'split'; expected one with train, valid, test; {action}")
        return proteins
    if config.policy != "random" and not proteins.clustered:
        action = f"add one (tfclass data cluster), or say {'--policy random' if by_options else 'split=random'}"
        raise TableError(f"{path}: found no column 'cluster'; {action}")
    if config.max_members is not None:
        proteins = proteins.select(_sampled_members(proteins, config.max_members, config.seed))
    groups = proteins.frame["cluster" if config.policy != "random" else "id"].to_numpy(dtype=str)
    if config.policy == "folds":
        names = np.array(["train"] * config.folds)
        names[config.fold], names[(config.fold + 1) % config.folds] = "test", "valid"
        shares = [1 / config.folds] * config.folds
    else:
        names = np.array(SPLITS)
        shares = [1 - config.valid - config.test, config.valid, config.test]
    splits = names[assign_groups(groups, proteins, shares, config.seed)]
    return proteins._replace(frame=proteins.frame.assign(split=splits))


def _how_to_split(*, clustered: bool, by_options: bool) -> str:
    """Return advice on adding splits to a table, by the columns that it has."""
    if clustered:
        return "add one (tfclass data split)" + ("" if by_options else ", or use split=cluster or split=random")
    return "add one (tfclass data cluster, then tfclass data split)" + ("" if by_options else ", or use split=random")


def split_policy(proteins: LabelledProteins, config: SplitConfig) -> str:
    """Return the policy that made the splits; for a table's own column, the one in its manifest, if it has one."""
    if config.policy != "column":
        return config.policy
    return str((proteins.manifest or {}).get("split", {}).get("policy", config.policy))


def select_split(proteins: LabelledProteins, name: str, path: str) -> LabelledProteins:
    """Select the proteins of one split; `TableError` where there is none."""
    rows = (proteins.frame["split"] == name).to_numpy()
    if not rows.any():
        known = ", ".join(sorted(set(proteins.frame["split"])))
        raise TableError(f"{path}, column 'split': found no row with {name!r}; expected some (there are: {known})")
    return proteins.select(rows)


def check_classes(part: LabelledProteins, name: str, path: str) -> None:
    """Refuse a split of one class only, from which nothing can be learned; `TableError`."""
    present = np.unique(part.labels)
    if len(present) < 2:
        found = f"one class only ({part.classes[int(present[0])]!r})"
        raise TableError(f"{path}, column 'label', split {name!r}: found {found}; expected at least two")


def split_corpus(table: Path, output: Path, config: SplitConfig) -> Manifest:
    """Write a table with the column ``split`` by any policy but ``column``; return its manifest.

    Raises
    ------
    TfclassError
        There is no cluster column; or a class has fewer clusters than there are splits, or would be missing in one; or
        the output cannot be written.
    """
    check_output(output)
    proteins, manifest = read_corpus(table)
    n_splits = config.folds if config.policy == "folds" else len(SPLITS)
    _check_enough_groups(proteins.frame, "id" if config.policy == "random" else "cluster", n_splits, str(table))
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
    return save_corpus(without_default_clusters(split), output, manifest | {"split": about})


def _sampled_members(proteins: LabelledProteins, most: int, seed: int) -> BoolArray:
    """Choose which members of each cluster and class stay, whatever the order of the rows; shape (N,)."""
    frame = proteins.frame
    by_id = np.argsort(frame["id"].to_numpy(dtype=str), kind="stable")
    shuffled = by_id[np.random.default_rng(seed).permutation(len(by_id))]
    rank = frame.iloc[shuffled].groupby(["cluster", "label"], sort=False).cumcount().to_numpy()
    kept = np.zeros(len(frame), dtype=bool)
    kept[shuffled[rank < most]] = True
    return kept


def assign_groups(
    groups: npt.NDArray[np.str_], proteins: LabelledProteins, shares: Sequence[float], seed: int
) -> IntArray:
    """Deal groups of proteins out to parts of these shares, class by class and kingdom by kingdom.

    Returns
    -------
    ndarray of int64, shape (N,)
        The number of each protein's part, the same for all of a group.
    """
    names, membership = np.unique(groups, return_inverse=True)
    sizes = np.bincount(membership)
    label_of, kingdom_of = (_majority(membership, values) for values in (proteins.labels, _kingdoms(proteins)))
    part_of = np.zeros(len(names), dtype=np.int64)
    rng = np.random.default_rng(seed)
    for label in np.unique(label_of):
        # What a part lacks of one kingdom it gets of the next, so that small kingdoms add up.
        missing = np.zeros(len(shares))
        for kingdom in np.unique(kingdom_of[label_of == label]):
            members = rng.permutation(np.flatnonzero((label_of == label) & (kingdom_of == kingdom)))
            missing += np.array(shares) * sizes[members].sum()
            # Large ones first, while there is a part with room for them.
            for member in members[np.argsort(-sizes[members], kind="stable")]:
                part_of[member] = missing.argmax()
                missing[part_of[member]] -= sizes[member]
    return part_of[membership]


def _kingdoms(proteins: LabelledProteins) -> IntArray:
    if "kingdom" not in proteins.frame:
        return np.zeros(len(proteins.labels), dtype=np.int64)
    return np.unique(proteins.frame["kingdom"].to_numpy(dtype=str), return_inverse=True)[1]


def _majority(membership: IntArray, values: IntArray) -> IntArray:
    """Return the most frequent value of each group, the greatest of equally frequent ones; shape (groups,)."""
    counts = np.zeros((membership.max() + 1, values.max() + 1), dtype=np.int64)
    np.add.at(counts, (membership, values), 1)
    return counts.shape[1] - 1 - counts[:, ::-1].argmax(axis=1)


def _check_enough_groups(frame: pd.DataFrame, unit: str, needed: int, path: str) -> None:
    counts = frame.groupby("label")[unit].nunique()
    few = [f"{label} ({n})" for label, n in counts.items() if n < needed]
    if few:
        what = "proteins" if unit == "id" else "clusters"
        raise TableError(
            f"{path}, column 'label': found {len(few)} of {len(counts)} classes with fewer {what} than splits: "
            f"{preview(few)}; expected at least {needed}; leave them out, or join them (tfclass data import --rename)"
        )


def _check_splits(frame: pd.DataFrame, path: str) -> None:
    counts = Counter(zip(frame["split"], frame["label"], strict=True))
    labels = sorted(set(frame["label"]))
    empty = [f"no {label!r} in {split}" for label in labels for split in SPLITS if not counts[split, label]]
    if empty:
        raise TableError(
            f"{path}, column 'split': found {preview(empty)} ({len(empty)} of {len(labels) * len(SPLITS)} "
            "combinations); expected each class in each split; another seed, other shares or fewer classes may do"
        )


def _with_step(funnel: dict[str, Any], step: str, why: str, left: int) -> dict[str, Any]:
    added = {"step": step, "why": why, "lost": funnel["rows_out"] - left, "left": left}
    return funnel | {"steps": [*funnel["steps"], added], "rows_out": left}
