"""Whatever befalls a command, what was there stays, and what it makes is what it would have made: over and over."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import pytest

from tfclass.io.files import is_temporary

QUICK = (
    *("training.epochs=3", "training.max_residues=1024", "training.checkpoint_minutes=0", "model.hidden=6"),
    *("model.embedding_dim=8", "model.stem.channels=8", "runtime.device=cpu", "runtime.threads=1"),
)
# By hand, on a busy machine too.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]
WEIGHTS = "model.safetensors"


@pytest.fixture
def training(demo_table):
    return ("train", f"corpus.path={demo_table}", *QUICK)


@pytest.fixture
def fasta(tmp_path_factory, demo_proteins):
    """The first proteins of the demo corpus."""
    path = tmp_path_factory.mktemp("proteins") / "in.fasta"
    rows = demo_proteins.frame.head(120).itertuples()
    path.write_text("".join(f">{row.id}\n{row.sequence}\n" for row in rows))
    return path


def contents(folder):
    """The bytes of every file, by its place; what is under construction is none of them."""
    return {
        path.relative_to(folder): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not is_temporary(path.name)
    }


def hidden(folder):
    return [path for path in folder.rglob("*") if is_temporary(path.name)]


def done(process):
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors.decode()


def test_a_training_killed_at_twenty_random_moments_resumes_to_the_same_weights(
    start_tfclass, tfclass, training, tmp_path
):
    begun = time.monotonic()
    done(start_tfclass(*training, "run_dir=whole", "tracking=off"))
    seconds, weights = time.monotonic() - begun, (tmp_path / "whole" / "bundle" / WEIGHTS).read_bytes()
    dice, with_checkpoint = random.Random(7), 0
    for number in range(20):
        run, moment = f"run_dir={number}", dice.uniform(0, seconds)
        process = start_tfclass(*training, run, "tracking=off")
        time.sleep(moment)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        folder = tmp_path / str(number)
        with_checkpoint += (folder / "checkpoint.pt").exists()
        # Killed before there was a record, it is started anew.
        again = ["train", f"resume={number}"] if (folder / "run.json").exists() else [*training, run, "tracking=off"]
        resumed = tfclass(*again)
        assert resumed.status == 0, (number, moment, resumed.err)
        assert (folder / "bundle" / WEIGHTS).read_bytes() == weights, (number, moment)
        assert sorted(path.name for path in folder.iterdir()) == sorted(os.listdir(tmp_path / "whole"))
    assert hidden(tmp_path) == []
    assert with_checkpoint >= 5


def test_three_trainings_and_four_predictions_in_one_folder_do_not_disturb_each_other(
    start_tfclass, tfclass, training, small_bundle_folder, fasta, tmp_path, tmp_path_factory
):
    predict = ("predict", fasta, "--model", small_bundle_folder)
    # A busy MLflow is waited for; without, a run would go on without it.
    training = (*training, "tracking.timeout=600")
    commands = {
        "default place": training,
        "the same command": training,
        "another seed": (*training, "runtime.seed=1", "bundle=model"),
        "rows": (*predict, "-o", "rows.tsv"),
        "the same rows": (*predict, "-o", "rows.tsv"),
        "resumable": (*predict, "-o", "rows.parquet", "--resume"),
        "parts and a page": (*predict, "-o", "out.tsv", "--parts", "parts", "--summary", "page.html"),
    }
    alone = tmp_path_factory.mktemp("alone")
    for name, command in commands.items():
        finished = tfclass(*command, cwd=alone)
        assert finished.status == 0, (name, finished.err)
    together = {name: start_tfclass(*command) for name, command in commands.items()}
    for process in together.values():
        done(process)
    for name in ("rows.tsv", "rows.parquet", "out.tsv"):
        assert (tmp_path / name).read_bytes() == (alone / name).read_bytes(), name
    assert sorted(os.listdir(tmp_path)) == sorted(os.listdir(alone))
    assert hidden(tmp_path) == []
    weights, same = (sorted(path.read_bytes() for path in place.rglob(WEIGHTS)) for place in (tmp_path, alone))
    assert (weights == same, len(weights), len(set(weights))) == (True, 9, 2)
    store = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    runs = store.search_runs([store.get_experiment_by_name("tfclass").experiment_id])
    assert [run.info.status for run in runs] == ["FINISHED"] * 3
    assert sorted(int(version.version) for version in store.search_model_versions("name = 'tfclass'")) == [1, 2, 3]


@pytest.fixture
def disk(tmp_path):
    """A small disk, in memory."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", folder], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip(f"no disk can be mounted: {mounted.stderr.decode()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def used(disk):
    status = os.statvfs(disk)
    return (status.f_blocks - status.f_bfree) * status.f_frsize


def leave(disk, room):
    """Fill the disk so that this many bytes are left."""
    status = os.statvfs(disk)
    (disk / "filler").write_bytes(bytes(status.f_bfree * status.f_frsize - room))


def writers(disk, table, fasta, bundle):
    """Commands that write to the disk."""
    predict = ("predict", fasta, "--model", bundle, "-o")
    quick = ("tracking=off", "evaluation.n_bootstrap=10", "evaluation.baselines=false", "evaluation.explain=0")
    corpus = f"corpus.path={table}"
    return {
        "train": ("train", corpus, *QUICK, "tracking=off", "run_dir=run", f"bundle={disk}/model"),
        "predict": (*predict, f"{disk}/rows.tsv"),
        "predict, Parquet": (*predict, f"{disk}/rows.parquet"),
        "predict, GFF3": (*predict, f"{disk}/rows.gff3"),
        "predict, page": (*predict, os.devnull, "--summary", f"{disk}/page.html"),
        "explain": ("explain", fasta, "--model", bundle, "-o", f"{disk}/explained"),
        "export": ("model", "export", bundle, f"{disk}/copy"),
        "attach": ("model", "attach", bundle, table, "-o", f"{disk}/more", "--homology"),
        "evaluate": ("evaluate", "corpus=table", corpus, f"bundle={bundle}", f"report={disk}/report", *quick),
        "demo corpus": ("data", "demo", "--clusters", 60, "-o", f"{disk}/demo.tsv"),
        "import": ("data", "import", table, "-o", f"{disk}/table.tsv"),
        "split": ("data", "split", table, "-o", f"{disk}/table.tsv", "--policy", "random"),
    }


@pytest.mark.parametrize("name", writers("", "", "", ""))
def test_on_a_full_disk_what_was_there_stays_and_the_command_works_once_there_is_room(
    name, disk, tfclass, demo_table, fasta, with_profiles_folder
):
    command = writers(disk, demo_table, fasta, with_profiles_folder)[name]
    first = tfclass(*command)
    assert first.status == 0, first.err
    before, needed = contents(disk), used(disk)
    assert before
    for part in range(8):
        leave(disk, needed * part // 8)
        shutil.rmtree(disk.parent / "run", ignore_errors=True)
        refused = tfclass(*command)
        (disk / "filler").unlink()
        said = [line for line in refused.err.splitlines() if line.startswith("tfclass: ")]
        assert (refused.status, len(said)) == (2, 1), refused.err
        assert "(No space left on device)" in said[0]
        assert "Traceback" not in refused.err
        assert contents(disk) == before
        assert hidden(disk) == []
    shutil.rmtree(disk.parent / "run", ignore_errors=True)
    assert tfclass(*command).status == 0
    assert contents(disk).keys() == before.keys()


def test_a_training_whose_disk_fills_up_goes_on_once_there_is_room(disk, tfclass, training, tmp_path):
    training, run = (*training, "tracking=off"), disk / "run"
    assert tfclass(*training, "run_dir=whole").status == 0
    whole = contents(tmp_path / "whole")
    stopped = 0
    for room in range(0, 2 * sum(map(len, whole.values())), 20_000):
        leave(disk, room)
        failed = tfclass(*training, f"run_dir={run}")
        (disk / "filler").unlink()
        if failed.status:
            stopped += 1
            assert "(No space left on device)" in failed.err.splitlines()[-1]
        again = ("train", f"resume={run}") if (run / "run.json").exists() else (*training, f"run_dir={run}")
        finished = tfclass(*again)
        assert finished.status == 0, finished.err
        assert (run / "bundle" / WEIGHTS).read_bytes() == whole[Path("bundle", WEIGHTS)]
        shutil.rmtree(run)
    assert stopped > 5


MANY = """
import gc, sys
import psutil
from pathlib import Path
from tfclass import Predictor
folder, anew = Path(sys.argv[1]), sys.argv[2] == "anew"
proteins = {f"p{n}": "MKRKYCPECGKSFSRSDHLARHIRTHTGEKPYKCPECGKSFSRSDHLARHIRTH"[n:] * (n + 1) for n in range(5)}
predictor = Predictor.load(folder)
for call in range(1, 2001):
    predictor = Predictor.load(folder) if anew else predictor
    assert len(predictor.predict_frame(proteins)) == 5
    if call in (200, 2000):
        gc.collect()
        print(psutil.Process().memory_info().rss)
"""


@pytest.mark.parametrize("how", ["once", "anew"])
def test_two_thousand_predictions_in_one_process_take_no_more_memory(how, with_profiles_folder):
    # Without the spread of memory over the arenas of threads.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
    command = [sys.executable, "-c", MANY, str(with_profiles_folder), how]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    early, late = (int(rss) / 2**20 for rss in done.stdout.split())
    print(f"loaded {how}: {early:.1f} MiB after 200 calls, {late:.1f} MiB after 2,000")
    # The allocator settles within 2,000 calls: 6 MiB more, and then none in 2,000 others.
    assert late - early < 12
