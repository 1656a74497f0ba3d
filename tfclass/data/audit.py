"""The audit of a split table: its results beside the table and, on request, leaks moved into training."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tfclass.config import SplitConfig
from tfclass.data.curation import AuditConfig
from tfclass.data.leakage import (
    MAX_HITS,
    Moved,
    Splits,
    above_limit,
    as_text,
    heldout_rows,
    move_into_training,
    nearest_table,
    pairs_table,
    search_rows,
    summarise,
    train_rows,
)
from tfclass.data.manifest import Manifest, check_output, listed_tsv, save_corpus, save_manifest
from tfclass.data.neighbours import check_neighbour, listed_beside, preview, sibling_path
from tfclass.data.split import assign_splits
from tfclass.data.table import read_corpus, without_default_clusters
from tfclass.errors import TableError
from tfclass.search.mmseqs import MAX_E_VALUE, mmseqs_version

# Endings of the files beside the table.
ENDINGS = (".audit.tsv", ".pairs.tsv")


def audit_corpus(
    table: Path, output: Path, config: AuditConfig, *, move: bool = False, threads: int = 1
) -> tuple[Manifest, Moved]:
    """Compare each test and validation protein with the training proteins.

    Beside `output`, NAME.audit.tsv has the nearest training protein of each, and NAME.pairs.tsv all pairs above the
    limit. With `move`, clusters with a protein above the limit go into training, and the table with new splits to
    `output`.

    Returns
    -------
    manifest : dict
        As written beside the table.
    moved : Moved
        The splits, and how many proteins were moved.

    Raises
    ------
    TfclassError
        The table or MMseqs2 is at fault; or moving leaves a class without a test or validation protein; or an output
        cannot be written.
    """
    elsewhere = output.resolve() != table.resolve()
    if elsewhere or move:
        check_output(output)
    for ending in ENDINGS:
        check_neighbour(sibling_path(output, ending), listed_beside(output))
    proteins, manifest = read_corpus(table)
    proteins = assign_splits(proteins, SplitConfig.default(policy="column"), str(table), by_options=True)
    splits_N = proteins.frame["split"].to_numpy(dtype=object)
    _check_both_sides(splits_N, str(table))
    held_out, train = heldout_rows(splits_N), train_rows(splits_N)
    hits = search_rows(proteins, held_out, train, sensitivity=config.sensitivity, threads=threads)
    moved = Moved(splits_N, hits, 0, 0, 1)
    audit: dict[str, Any] = {
        "search": f"MMseqs2 {mmseqs_version()}, sensitivity {config.sensitivity:g}",
        "max_e_value": MAX_E_VALUE,
        "max_hits": MAX_HITS,
    }
    if move:
        before = summarise(nearest_table(proteins, hits), hits, config, proteins)
        moved = move_into_training(proteins, hits, config, threads=threads)
        audit["moved"] = {"clusters": moved.clusters, "proteins": moved.proteins, "searches": moved.n_searches}
        audit["before_moving"] = before
        proteins = proteins._replace(frame=proteins.frame.assign(split=moved.splits_N))
        _check_classes_left(splits_N, moved.splits_N, proteins.frame["label"].to_numpy(dtype=object), str(table))
    nearest = nearest_table(proteins, moved.hits)
    pairs = pairs_table(proteins, above_limit(moved.hits, config))
    audit |= summarise(nearest, moved.hits, config, proteins)
    save = save_corpus if elsewhere or moved.proteins else save_manifest
    with ExitStack() as stack:
        tables = zip((nearest, pairs), (sibling_path(output, ending) for ending in ENDINGS), strict=True)
        audit["files"] = [stack.enter_context(listed_tsv(as_text(frame), path)) for frame, path in tables]
        return save(without_default_clusters(proteins), output, manifest | {"audit": audit}), moved


def _check_both_sides(splits_N: Splits, path: str) -> None:
    for name, rows in (("train", train_rows(splits_N)), ("valid or test", heldout_rows(splits_N))):
        if not len(rows):
            known = ", ".join(sorted(set(splits_N)))
            raise TableError(f"{path}, column 'split': found no row with {name}; expected some (there are: {known})")


def _check_classes_left(before_N: Splits, after_N: Splits, labels_N: Splits, path: str) -> None:
    gone = sorted(set(zip(before_N, labels_N, strict=True)) - set(zip(after_N, labels_N, strict=True)))
    if gone:
        classes = preview([f"{label!r} in {split}" for split, label in gone])
        raise TableError(
            f"{path}, column 'split': found nothing left of {classes} after moving; expected each class in each "
            "split; a weaker limit, other clusters or another seed may do"
        )
