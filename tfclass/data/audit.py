"""The audit of a split table: what was found, written beside it, and, where asked for, leaks moved into training."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tfclass.config import SplitConfig
from tfclass.data.leakage import (
    MAX_HITS,
    Limit,
    Moved,
    as_text,
    held_out,
    homology_look,
    move_into_training,
    nearest_table,
    pairs_table,
    summarise,
    too_near,
    trained_on,
)
from tfclass.data.manifest import (
    Manifest,
    check_output,
    listed_tsv,
    save_corpus,
    save_manifest,
)
from tfclass.data.neighbours import beside, check_neighbour, listed_beside
from tfclass.data.preparation import as_read, read_corpus, some
from tfclass.data.split import assign_splits
from tfclass.errors import TableError
from tfclass.search.mmseqs import MAX_E_VALUE, mmseqs_version

# What is written beside the table.
_FILES = (".audit.tsv", ".pairs.tsv")


class AuditOptions(NamedTuple):
    """What an audit looks for, how hard, and whether leaks are moved into training."""

    limit: Limit = Limit()
    sensitivity: float = 5.7
    move: bool = False


def audit_corpus(table: Path, output: Path, options: AuditOptions, *, threads: int = 1) -> tuple[Manifest, Moved]:
    """Compare each test and validation protein with the training proteins; move what is too near, where asked to.

    Beside `output`, NAME.audit.tsv has the nearest training protein of each, and NAME.pairs.tsv all pairs above the
    limit.

    Parameters
    ----------
    table : Path
        With a ``split`` column.
    output : Path
        Where the table goes after moving; the same as `table` or another.

    Returns
    -------
    dict
        The manifest.
    Moved

    Raises
    ------
    TfclassError
        The table or MMseqs2 is at fault; or moving leaves a class without a test or validation protein; or an output
        cannot be written.
    """
    elsewhere = output.resolve() != table.resolve()
    if elsewhere or options.move:
        check_output(output)
    for ending in _FILES:
        check_neighbour(beside(output, ending), listed_beside(output))
    proteins, manifest = read_corpus(table)
    proteins = assign_splits(proteins, SplitConfig(policy="column"), str(table), by_options=True)
    splits_N = proteins.frame["split"].to_numpy(dtype=object)
    _check_both_sides(splits_N, str(table))
    look = homology_look(proteins, sensitivity=options.sensitivity, threads=threads)
    hits = look(held_out(splits_N), trained_on(splits_N))
    moved = Moved(splits_N, hits, 0, 0, 1)
    audit: dict[str, Any] = {
        "search": f"MMseqs2 {mmseqs_version()}, sensitivity {options.sensitivity:g}",
        "max_e_value": MAX_E_VALUE,
        "max_hits": MAX_HITS,
    }
    if options.move:
        before = summarise(nearest_table(proteins, hits), hits, options.limit, proteins)
        moved = move_into_training(proteins, hits, options.limit, look)
        proteins = proteins._replace(frame=proteins.frame.assign(split=moved.splits_N))
        _check_left(splits_N, moved.splits_N, proteins.frame["label"].to_numpy(dtype=object), str(table))
        audit["moved"] = {"clusters": moved.clusters, "proteins": moved.proteins, "looks": moved.looks}
        audit["before_moving"] = before
    nearest = nearest_table(proteins, moved.hits)
    pairs = pairs_table(proteins, too_near(moved.hits, options.limit))
    audit |= summarise(nearest, moved.hits, options.limit, proteins)
    frame = as_read(proteins)
    save = save_corpus if elsewhere or moved.proteins else save_manifest
    with ExitStack() as stack:
        tables = zip(_FILES, (nearest, pairs), strict=True)
        audit["files"] = [stack.enter_context(listed_tsv(as_text(each), beside(output, end))) for end, each in tables]
        return save(frame, output, manifest | {"audit": audit}), moved


def _check_both_sides(splits_N: npt.NDArray[np.object_], path: str) -> None:
    for name, rows in (("train", trained_on(splits_N)), ("valid or test", held_out(splits_N))):
        if not len(rows):
            known = ", ".join(sorted(set(splits_N)))
            where = f"{path}, column 'split'"
            raise TableError(where, f"no row with {name}", f"some (there are: {known})", path=path, column="split")


def _check_left(
    before_N: npt.NDArray[np.object_], after_N: npt.NDArray[np.object_], labels_N: npt.NDArray[np.object_], path: str
) -> None:
    gone = sorted(set(zip(before_N, labels_N, strict=True)) - set(zip(after_N, labels_N, strict=True)))
    if gone:
        found = f"nothing left of {some([f'{label!r} in {split}' for split, label in gone])} after moving"
        action = "a weaker limit, other clusters or another seed may do"
        raise TableError(f"{path}, column 'split'", found, "each class in each split", action, path=path)
