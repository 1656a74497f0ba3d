"""``tfclass data import``, ``cluster``, ``split`` and ``audit``: own files to a table for training."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfclass.cli.data_console import count_of, print_audit, say_lost, say_sizes
from tfclass.cli.options import Threads, named_as_options, thread_count
from tfclass.cli.terminal import at_work, say
from tfclass.errors import TableError

if TYPE_CHECKING:
    from tfclass.data.sources import Source

Table = Annotated[Path, typer.Argument(help="A labelled table; its manifest is taken along where it has one.")]
Output = Annotated[Path, typer.Option("-o", "--output", help="The table to write: .tsv or .tsv.gz.")]
Files = Annotated[list[Path] | None, typer.Option(help="FASTA of this class; may be given more than once.")]
Sensitivity = Annotated[float | None, typer.Option(min=1, max=7.5, help="1 fast, 7.5 remote homologues.")]
Share = Annotated[float, typer.Option(help="Share of the proteins, above 0 and below 0.5.")]


def import_(
    output: Output,
    source: Annotated[
        Path | None,
        typer.Argument(help="A folder with a FASTA file for each class, a labelled table, or FASTA (with --labels)."),
    ] = None,
    positives: Files = None,
    negatives: Files = None,
    labels: Annotated[
        Path | None, typer.Option(help="Labels of the FASTA file: a table of two columns, id and label.")
    ] = None,
    column: Annotated[
        list[str] | None, typer.Option(help="NEW=NAME: the table's column NAME is NEW here, such as label=is_tf.")
    ] = None,
    rename: Annotated[
        list[str] | None, typer.Option(help="OLD=NEW: the label OLD of the source is NEW here, such as 1=TF.")
    ] = None,
    on_conflict: Annotated[str, typer.Option(help="leave-out or error: rows that contradict each other.")] = (
        "leave-out"
    ),
) -> None:
    """Make a clean table of your own files; each row that cannot be used is counted and named."""
    from tfclass.data.importer import import_corpus

    if on_conflict not in ("leave-out", "error"):
        raise typer.BadParameter(f"{on_conflict!r} is neither leave-out nor error", param_hint="--on-conflict")
    opened = _source(source, positives or [], negatives or [], labels, _pairs(column, "--column"))
    with at_work("importing"):
        label_of = _pairs(rename, "--rename")
        manifest, lost = import_corpus(opened, output, rename=label_of, on_conflict=on_conflict)  # type: ignore[arg-type]
    say_lost(manifest["funnel"], lost)
    for what, count in (*manifest["notes"].items(), *manifest["changes"].items()):
        say(f"note: {what}: {count:,}", err=True)
    if len(lost):
        say(f"{output.with_name(manifest['lost']['name'])}: the {len(lost):,} rows that were left out", err=True)
    say_sizes(output, manifest)


def cluster(
    table: Table,
    output: Output,
    identity: Annotated[float | None, typer.Option(min=0, max=1, help="Of a member to its representative.")] = None,
    coverage: Annotated[
        float | None, typer.Option(min=0, max=1, help="Share of residues inside the alignment.")
    ] = None,
    coverage_mode: Annotated[
        int | None, typer.Option(min=0, max=2, help="Whose residues: 0 both, 1 the member's, 2 the representative's.")
    ] = None,
    sensitivity: Sensitivity = None,
    clusters: Annotated[
        Path | None, typer.Option(help="Known clusters in place of MMseqs2: representative and member, by a tab.")
    ] = None,
    threads: Threads = 0,
) -> None:
    """Add the column cluster: proteins that resemble their representative, found by MMseqs2.

    What is not given is as `cluster` in conf/curation/swissprot.yaml says.
    """
    from tfclass.data.clusters import cluster_corpus
    from tfclass.data.curation import ClusterConfig, curation_config

    given = {"identity": identity, "coverage": coverage, "coverage_mode": coverage_mode, "sensitivity": sensitivity}
    if clusters is not None and any(value is not None for value in given.values()):
        raise typer.BadParameter("known clusters take no option of MMseqs2", param_hint="--clusters")
    config = clusters or curation_config(ClusterConfig, "cluster", given)
    with at_work("clustering"):
        manifest = cluster_corpus(table, output, config, threads=thread_count(threads))
    about = manifest["clusters"]
    method = f"MMseqs2 {about['version']}" if clusters is None else str(clusters)
    say(f"{about['clusters']:,} clusters ({method})", err=True)
    if about.get("not_in_table"):
        say(f"note: {about['not_in_table']:,} members in {clusters} that the table does not have", err=True)
    if several := about.get("in_several_splits"):
        say(f"note: {several:,} clusters are in several splits; deal them out anew: tfclass data split", err=True)
    say_sizes(output, manifest)


def split(
    table: Table,
    output: Output,
    policy: Annotated[str, typer.Option(help="cluster, folds or random (relatives on both sides).")] = "cluster",
    valid: Share = 0.1,
    test: Share = 0.1,
    folds: Annotated[int, typer.Option(min=3, max=100, help="With folds: how many.")] = 5,
    fold: Annotated[int, typer.Option(min=0, help="With folds: the one that is test; the next is valid.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="The same seed always gives the same splits.")] = 0,
    max_members: Annotated[
        int | None, typer.Option(min=1, help="Keep at most this number of proteins of a cluster and class.")
    ] = None,
) -> None:
    """Add the column split: train, valid and test, whole clusters only, stratified by label and kingdom."""
    from tfclass.config import SplitConfig, from_mapping
    from tfclass.data.split import split_corpus

    if policy == "column":
        raise typer.BadParameter("'column' is what training takes; here: cluster, folds, random", param_hint="--policy")
    values = {"policy": policy, "valid": valid, "test": test, "folds": folds, "fold": fold, "seed": seed}
    values |= {"max_members": max_members}
    with named_as_options("split", values):
        config = from_mapping(SplitConfig, values, "split")
    with at_work("splitting"):
        manifest = split_corpus(table, output, config)
    steps = manifest["funnel"]["steps"]
    if "max_members" in manifest["split"] and steps[-1]["lost"]:
        say(f"left out: {steps[-1]['lost']:,} further members of clusters", err=True)
    say_sizes(output, manifest)


def audit(
    table: Table,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Where the table goes, if not into its own place.")
    ] = None,
    max_identity: Annotated[
        float | None, typer.Option(min=0, max=1, help="To a training protein; more is a leak,")
    ] = None,
    min_coverage: Annotated[
        float | None, typer.Option(min=0, max=1, help="if this share of either of the two is in the alignment.")
    ] = None,
    move: Annotated[bool, typer.Option("--move", help="Move clusters with a leak into training.")] = False,
    sensitivity: Sensitivity = None,
    threads: Threads = 0,
) -> None:
    """Compare every test and validation protein with the training proteins, and count those above the limit.

    What is not given is as `audit` in conf/curation/swissprot.yaml says.
    """
    from tfclass.data.audit import ENDINGS, audit_corpus
    from tfclass.data.curation import AuditConfig, curation_config
    from tfclass.data.neighbours import sibling_path

    place = output or table
    given = {"identity": max_identity, "coverage": min_coverage, "sensitivity": sensitivity}
    config = curation_config(AuditConfig, "audit", given)
    with at_work("comparing"):
        manifest, moved = audit_corpus(table, place, config, move=move, threads=thread_count(threads))
    content = manifest["audit"]
    print_audit(content)
    if move:
        before = content["before_moving"]["pairs_above_limit"]
        say(
            f"moved into training: {count_of(moved.proteins, 'protein')} of {count_of(moved.clusters, 'cluster')} "
            f"({count_of(before, 'pair')} above the limit before, {content['pairs_above_limit']:,} after; "
            f"searches: {moved.n_searches})",
            err=True,
        )
    for ending in ENDINGS:
        say(str(sibling_path(place, ending)), err=True)
    say_sizes(place, manifest)


def _source(
    source: Path | None, positives: list[Path], negatives: list[Path], labels: Path | None, column_of: dict[str, str]
) -> "Source":
    from tfclass.data.sources import from_fastas, from_folder, from_labels, from_table

    if column_of and (source is None or labels is not None or source.is_dir()):
        raise typer.BadParameter("only a table has columns", param_hint="--column")
    if positives or negatives:
        if source is not None or labels is not None or not (positives and negatives):
            raise typer.BadParameter("--positives and --negatives go together, and with nothing else")
        if twice := set(positives) & set(negatives):
            raise typer.BadParameter(f"{min(twice)} is given for both classes")
        return from_fastas(dict.fromkeys(positives, "TF") | dict.fromkeys(negatives, "nonTF"))
    if source is None:
        raise typer.BadParameter("a SOURCE is needed, or --positives and --negatives")
    if not source.exists():
        raise TableError(f"{source}: no such file or folder; check the path")
    if labels is not None:
        return from_labels(source, labels)
    return from_folder(source) if source.is_dir() else from_table(source, column_of)


def _pairs(given: list[str] | None, option: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in given or []:
        left, sign, right = text.partition("=")
        if not (left and sign and right) or left in pairs:
            raise typer.BadParameter(f"{text!r} is no A=B, or A is there twice", param_hint=option)
        pairs[left] = right
    return pairs
