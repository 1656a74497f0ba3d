"""Proteins and labels of a Python program, as scikit-learn has them, to a labelled table with a validation part."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import assert_all_finite

from tfclass.config import SplitConfig
from tfclass.data.cells import columns_digest
from tfclass.data.split import assign_groups
from tfclass.data.table import LabelledProteins
from tfclass.errors import InputError
from tfclass.inference.inputs import as_records
from tfclass.sequences.alphabet import Alphabet, clean
from tfclass.sequences.fasta import Record
from tfclass.typing import IntArray, TokenArray, is_name

Labels = npt.NDArray[Any]


def labelled_proteins(proteins: Any, y: Any, groups: Any, pos_label: object) -> tuple[Labels, LabelledProteins]:  # noqa: ANN401
    """Check proteins and their labels.

    Parameters
    ----------
    proteins : object
        See `as_records`.
    y : array-like, shape (N,)
        Labels.
    groups : array-like, shape (N,), or None
        Clusters; None makes each protein one of its own.
    pos_label : object
        The positive one of two labels; None: ``TF``, else the last one in sorted order.

    Returns
    -------
    ndarray, shape (C,)
        The labels, sorted.
    LabelledProteins
        Its classes are those labels as texts, the positive one last if there are two.

    Raises
    ------
    InputError
        A protein cannot be scored; the numbers differ; a label cannot be used, or there is one alone.
    """
    records, tokens = usable(proteins, Alphabet())
    classes, label_N = _labels(y, len(records))
    names, order = [str(label) for label in classes], np.arange(len(classes))
    if len(classes) == 2:
        default = "TF" if "TF" in names else names[1]
        positive = default if pos_label is None else str(pos_label)
        if positive not in names:
            raise InputError(f"pos_label: found {positive!r}; expected {' or '.join(map(repr, names))}")
        order = order[:: 1 if positive == names[1] else -1]
    names, label_N = [names[i] for i in order], np.argsort(order)[label_N]
    frame = pd.DataFrame({"id": [record.id for record in records], "sequence": [r.sequence for r in records]})
    frame["label"], frame["cluster"] = np.array(names, dtype=object)[label_N], frame.index.astype(str)
    if groups is not None:
        if len(groups) != len(records):
            raise InputError(f"groups: found {len(groups)} for {len(records)} proteins; expected one for each")
        frame["cluster"] = [str(group) for group in groups]
    digest = columns_digest(frame, ["id", "sequence", "label", "cluster"])
    return classes, LabelledProteins(frame, tokens, label_N, tuple(names), digest, clustered=groups is not None)


def with_validation(proteins: LabelledProteins, split: SplitConfig) -> LabelledProteins:
    """Fill the column ``split`` with train and valid, by whole clusters; `InputError` where a class lacks in one."""
    clusters = proteins.frame["cluster"].to_numpy(dtype=str)
    part_N = assign_groups(clusters, proteins, [1 - split.valid, split.valid], split.seed)
    for part, name in enumerate(("training", "validation")):
        present = np.unique(proteins.labels[part_N == part])
        missing = [label for i, label in enumerate(proteins.classes) if i not in present]
        if missing:
            action = "give more proteins, or another validation_fraction"
            raise InputError(f"{name}: found no protein of class {missing[0]!r}; expected each class; {action}")
    return proteins._replace(frame=proteins.frame.assign(split=np.array(["train", "valid"])[part_N]))


def usable(proteins: Any, alphabet: Alphabet) -> tuple[list[Record], list[TokenArray]]:  # noqa: ANN401
    """Return records and their tokens; `InputError` for the first that cannot be scored, or where there is none."""
    records, tokens = list(as_records(proteins)), []
    for place, record in enumerate(records):
        cleaned = clean(record.sequence, alphabet)
        if problem := record.problem or cleaned.problem:
            raise InputError(f"X[{place}] ({record.id!r}): found a sequence that is {problem}; expected residues")
        tokens.append(cleaned.tokens)
    if not records:
        raise InputError("X: found no protein; expected at least one")
    return records, tokens


def _labels(y: Any, n_proteins: int) -> tuple[Labels, IntArray]:  # noqa: ANN401
    """Return the distinct labels, sorted, and the place of each protein's among them; `InputError` or `ValueError`."""
    if y is None:
        raise InputError("TFClassifier requires y to be passed, but the target y is None; give a label a protein")
    labels_N = column_or_1d(y, warn=True)
    assert_all_finite(labels_N, input_name="y")
    check_classification_targets(labels_N)
    if len(labels_N) != n_proteins:
        raise InputError(f"y: found {len(labels_N)} labels for {n_proteins} proteins; expected one for each")
    classes, place_N = np.unique(labels_N, return_inverse=True)
    names = [str(label) for label in classes]
    if len(classes) < 2:
        raise InputError(f"y: found one class only ({names[0]!r}); expected at least two")
    unusable = [name for name in names if not is_name(name)]
    if unusable:
        raise InputError(f"y: found the label {unusable[0]!r}; expected a short text that can be printed")
    return classes, place_N.astype(np.int64)
