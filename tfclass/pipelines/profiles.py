"""Table to profiles, and what all that works with them reads."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tfclass.channels.build_profiles import Naming, build_library
from tfclass.channels.regions import read_regions
from tfclass.config import CorpusConfig
from tfclass.data.split import select_split
from tfclass.data.table import LabelledProteins, read_table
from tfclass.errors import TableError
from tfclass.io.files import make_folder, whole_file
from tfclass.search.hmmer import Library
from tfclass.sequences.alphabet import Alphabet
from tfclass.typing import BoolArray, TokenArray

if TYPE_CHECKING:
    import pandas as pd

Progress = Callable[[str, float], None]


def build_profiles(
    table: Path,
    output: Path,
    regions: Path | None = None,
    *,
    families_of: Callable[["pd.DataFrame"], Sequence[str]] | None = None,
    sparse: Callable[["pd.DataFrame"], BoolArray] | None = None,
    unlabelled: Sequence[TokenArray] = (),
    believed: Callable[["pd.DataFrame"], BoolArray] | None = None,
    naming: Callable[[str, str], Naming] = lambda seed, _: Naming(seed),
    threads: int = 1,
    on_progress: Progress = lambda *_: None,
) -> Library:
    """Make profiles of the transcription factors in a table's training split, and save them.

    Parameters
    ----------
    table : Path
        Two classes, with ``cluster`` and ``split``.
    regions : Path, optional
        Known domains.
    families_of : callable, optional
        Table -> family of each protein; by default the column ``family``, where there is one.
    sparse : callable, optional
        Table -> the proteins of groups with few clusters to a family; by default none.
    believed : callable, optional
        Table -> the proteins whose label is right; the others are left out.
    unlabelled, naming, on_progress
        See `build_library`.

    Raises
    ------
    TfclassError
        An input cannot be used, or the output not be written.
    """
    proteins = select_split(read_clustered(table), "train", str(table))
    if believed:
        proteins = proteins.select(believed(proteins.frame))
    known = [region for found in (read_regions(regions) if regions else {}).values() for region in found]
    names = sorted({region.domain for region in known})
    domains = {name: [region.residues for region in known if region.domain == name] for name in names}
    if families_of:
        proteins = proteins._replace(frame=proteins.frame.assign(family=families_of(proteins.frame)))
    library = build_library(
        proteins,
        domains,
        Alphabet(),
        sparse=sparse and sparse(proteins.frame),
        unlabelled=unlabelled,
        naming=naming,
        threads=threads,
        on_progress=on_progress,
    )
    make_folder(output.parent)
    with whole_file(output) as stream:
        stream.write(library.to_bytes())
    return library


def read_clustered(table: Path, classes: tuple[str, ...] = ("nonTF", "TF")) -> LabelledProteins:
    """Read a table labelled with these classes, whose clusters are dealt out to splits.

    Raises
    ------
    TableError
        It cannot be read, lacks the column ``split`` or ``cluster``, or has a cluster in several splits: a channel
        would be validated on relatives of the proteins it was made from.
    """
    proteins = read_table(CorpusConfig.default(path=str(table), classes=classes), Alphabet())
    for column in ("split", "cluster"):
        if column not in proteins.frame or (column == "cluster" and not proteins.clustered):
            action = f"add it with `tfclass data {column}`"
            raise TableError(f"{table}: found no column {column!r}; {action}")
    frame = proteins.frame
    if (n_splits := frame.groupby("cluster")["split"].nunique()).max() > 1:
        cluster = n_splits.idxmax()
        names = sorted(set(frame.loc[frame["cluster"] == cluster, "split"]))
        found = f"proteins in the splits {' and '.join(names)}; expected one split"
        action = "deal whole clusters out with `tfclass data split`"
        raise TableError(f"{table}, cluster {cluster!r}: found {found}; {action}")
    return proteins
