"""No verb removes or changes a file that tfclass did not write, in any folder that it writes to."""

import contextlib
import hashlib
import os
import re
import shutil
import signal
import sqlite3
import time
from pathlib import Path

import pytest

from tests.cli.test_train import QUICK, wait_for
from tests.data.uniprot_server import UniProtServer

NAMES = [
    *(
        "notes.md",
        "README.txt",
        "thesis/draft.tex",
        "figures/mine.png",
        "bundle/mine.txt",
        ".hidden",
        "part-mine.parquet",
    ),
    *(".lock", "lock", ".rows.tsv.1a2b3c4d", ".bundle.0123abcd", "checkpoint.bak", "report.json.bak", "mlflow.notes"),
    *("000001.tsv.gz.bak", ".entries.tsv.gz.swp", "request.json.old", "predictions.tsv.old", "resolved.yaml~"),
]


def put(folders):
    """Fill folders with files of a user; gives each path with what is there now."""
    for folder in folders:
        for name in NAMES:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                path.write_text(f"mine: {path}")
    return state(path for folder in folders for path in (folder / name for name in NAMES))


def state(paths):
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def folders_of(root):
    return [root, *(Path(place) for place, _, _ in os.walk(root))]


@pytest.fixture
def check(tfclass, tmp_path):
    """Run a verb, fill every folder below the working one, run it again, and look; once where it takes long."""

    def run(*arguments, again=None, times=2):
        first = tfclass(*arguments)
        assert first.status == 0, first.err
        before = put(folders_of(tmp_path))
        for _ in range(times):
            second = tfclass(*(again or arguments))
            assert second.status == 0, second.err
            assert state(map(Path, before)) == before

    return run


@pytest.fixture
def fasta(tmp_path):
    (tmp_path / "in.fasta").write_text("".join(f">r{n}\n{'MKVLAGHWMK' * 9}\n" for n in range(30)))
    return "in.fasta"


@pytest.mark.parametrize(
    "options",
    [
        ["--parts", "parts"],
        ["--resume"],
        pytest.param(["--parts", ".", "--engine", "dask", "--workers", "1"], marks=pytest.mark.slow),
        [],
    ],
)
def test_predict(check, fasta, small_bundle_folder, options):
    times = 1 if "dask" in options else 2
    check("predict", fasta, "--model", small_bundle_folder, "-o", "rows.tsv", *options, times=times)


def test_export(check, small_bundle_folder):
    check("model", "export", small_bundle_folder, "copy")


def test_attach(check, with_profiles_folder, demo_table):
    check("model", "attach", with_profiles_folder, demo_table, "-o", "extended", "--homology", times=1)


def test_training(check, demo_table):
    words = ("train", f"corpus.path={demo_table}", *QUICK, "training.epochs=1", "run_dir=run")
    check(*words, again=("train", "resume=run"))


@pytest.mark.slow
def test_evaluation_and_comparison(check, small_bundle_folder, demo_table, tmp_path):
    quick = ("tracking=off", "evaluation.n_bootstrap=20")
    corpus = ("corpus=table", f"corpus.path={demo_table}", "evaluation.baselines=false")
    check("evaluate", *corpus, f"bundle={small_bundle_folder}", "report=one", *quick, times=1)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    check("evaluate", "compare", "one", "two", "report=both", *quick)


def test_tables(check, demo_table):
    check("data", "demo", "--clusters", 60, "-o", "made/demo.tsv")
    check("data", "import", demo_table, "-o", "taken/table.tsv")
    check("data", "split", "taken/table.tsv", "-o", "dealt/table.tsv", "--policy", "random")


MULTIRUN = [
    *("train", "-m", "hydra.sweep.dir=made", "hydra.sweep.subdir=${network}", "model=rnn", "training.epochs=1"),
    *(word for word in QUICK if "epochs" not in word),
]
SWEEP = [
    *("sweep", "run_dir=made", "study=demo", "study.n_trials=2", "study.startup_trials=1", "training.epochs=1"),
    "study.heartbeat_seconds=1",
    *(word for word in QUICK if "epochs" not in word),
]
FETCH = ["data", "fetch", "-o", "made", "--query", "reviewed:true", "--backoff", 0.001]


def test_multirun(check, demo_table):
    check(*MULTIRUN, f"corpus.path={demo_table}", times=1)


@pytest.mark.slow
def test_sweep(check, demo_table):
    check(*SWEEP, f"corpus.path={demo_table}", times=1)


@pytest.mark.parametrize("options", [[], ["--restart"]], ids=["again", "restarted"])
def test_fetch(check, options):
    with UniProtServer(30) as server:
        check(*FETCH, "--url", server.url, *options)


def test_fetch_goes_on(tfclass, tmp_path):
    with UniProtServer(1200, {2: "400"}) as server:
        refused = tfclass(*FETCH, "--url", server.url)
        assert refused.status == 2
        assert (tmp_path / "made" / "pages.part" / "000001.json").exists()
        before = put(folders_of(tmp_path))
        done = tfclass(*FETCH, "--url", server.url)
    assert "2 of 3 pages fetched" in done.err
    assert state(map(Path, before)) == before


# Names that the verbs themselves use in their folders.
TAKEN = {
    "multirun": (MULTIRUN, ["rnn/run.json", "rnn/checkpoint.pt", "rnn/bundle/bundle.json", "rnn/training.lock"]),
    "sweep": (
        SWEEP,
        [
            "trials.tsv",
            "run.json",
            "study.db",
            "study.lock",
            "trial-000/training.lock",
            "trial-000/checkpoint.pt",
            "trial-000/run.json",
        ],
    ),
    "fetch": (
        FETCH,
        [
            "entries.tsv.gz",
            "manifest.json",
            ".lock",
            "pages.part",
            "pages.part/request.json",
            "pages.part/000001.tsv.gz",
            "pages.part/000001.json",
        ],
    ),
    "restart": ([*FETCH, "--restart"], ["entries.tsv.gz", "manifest.json", "pages.part/request.json"]),
}


# With a lock of others the sweep goes on to its end.
LONG = ("study.lock", "trial-000/training.lock")


@pytest.mark.parametrize(
    ("verb", "name"),
    [
        pytest.param(verb, name, marks=[pytest.mark.slow] if name in LONG else [])
        for verb, (_, names) in TAKEN.items()
        for name in names
    ],
)
def test_a_file_of_another_program_under_a_name_of_our_own_stays(verb, name, tfclass, demo_table, tmp_path):
    words, path = TAKEN[verb][0], tmp_path / "made" / name
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    with UniProtServer(30) as server:
        end = ["--url", server.url] if words[0] == "data" else [f"corpus.path={demo_table}"]
        done = tfclass(*words, *end)
    assert path.read_text() == "mine"
    # A lock does not depend on what is in its file.
    if path.name.endswith("lock"):
        assert done.status == 0, done.err
    else:
        place = path.parent if path.name in ("run.json", "bundle.json") else path
        line = done.err.splitlines()[-1]
        named = line.split(": found")[0].replace(f"{tmp_path}/", "")
        assert (done.status, named) == (2, f"tfclass: {place.relative_to(tmp_path)}"), done.err
        assert "Traceback" not in done.err


def test_a_database_of_another_program_is_no_study(tfclass, demo_table, tmp_path):
    (tmp_path / "made").mkdir()
    path = tmp_path / "made" / "study.db"
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE studies (name TEXT)")
        database.commit()
    before = state([path])
    refused = tfclass(*SWEEP, f"corpus.path={demo_table}")
    assert (refused.status, refused.err) == (
        2,
        "tfclass: made/study.db: found a file that tfclass did not write, and that would be replaced; "
        "expected a free name; move it, or choose another run_dir\n",
    )
    assert state([path]) == before


@pytest.mark.parametrize(
    ("verb", "number"),
    [
        pytest.param("multirun", signal.SIGKILL, id="multirun-kill -9", marks=pytest.mark.slow),
        pytest.param("multirun", signal.SIGTERM, id="multirun-SIGTERM", marks=pytest.mark.slow),
        pytest.param("sweep", signal.SIGKILL, id="sweep-kill -9", marks=pytest.mark.slow),
        pytest.param("sweep", signal.SIGTERM, id="sweep-SIGTERM", marks=pytest.mark.slow),
        pytest.param("fetch", signal.SIGKILL, id="fetch-kill -9"),
        pytest.param("fetch", signal.SIGTERM, id="fetch-SIGTERM"),
    ],
)
def test_an_interrupted_command_leaves_them(verb, number, tfclass, start_tfclass, demo_table, tmp_path):
    with UniProtServer(1200) as server:
        server.hold = 2
        end = ["--url", server.url] if verb == "fetch" else [f"corpus.path={demo_table}"]
        words = [*TAKEN[verb][0], *end]
        longer = [] if verb == "fetch" else ["training.max_residues=256"]
        longer += ["study.heartbeat_seconds=1"] if verb == "sweep" else []
        started = "made/pages.part/000001.json" if verb == "fetch" else "made/*/run.json"
        process = start_tfclass(*words, *longer)
        wait_for(lambda: list(tmp_path.glob(started)), process)
        before = put(folders_of(tmp_path))
        process.send_signal(number)
        process.communicate(timeout=120)
        assert process.returncode != 0
        if verb == "sweep":
            # A trial that was killed counts as running until two heartbeats are missing.
            time.sleep(3)
        server.free.set()
        assert state(map(Path, before)) == before
        again = tfclass(*words, *longer)
        assert state(map(Path, before)) == before
        if verb != "fetch":
            # Where a bundle is to be written, there is something else.
            assert again.status == 2
            assert re.search("/bundle: found (something there that has )?no bundle.json", again.err), again.err
            for path in tmp_path.glob("made/*/bundle/mine.txt"):
                path.unlink()
                path.parent.rmdir()
                del before[str(path)]
            again = tfclass(*words, *longer)
    assert again.status == 0, again.err
    assert state(map(Path, before)) == before


@pytest.mark.slow
def test_profiles(check, demo_table):
    pytest.importorskip("pyfamsa", reason="the extra profiles is not installed")
    check("profiles", "build", demo_table, "-o", "made/profiles.h3m.zst", "--threads", 1)
