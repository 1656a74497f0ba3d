"""Parts: the rows of an undisturbed run, whatever the engine, the chunks, and what was killed on the way."""

import os
import random
import resource
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from tfclass.bundle.bundle import load_bundle
from tfclass.bundle.save import save_bundle
from tfclass.errors import BundleError, MissingExtraError, OutputError
from tfclass.inference import dask_engine, jobs, windows
from tfclass.inference.dask_engine import dask_executor
from tfclass.inference.jobs import Job, chunks, is_finished, predict_in_parts, remove_folder
from tfclass.inference.predictor import Predictor
from tfclass.inference.rows import COLUMNS
from tfclass.sequences.fasta import Record


@pytest.fixture(scope="module")
def records():
    rng = np.random.default_rng(0)
    letters = np.array(list("ACDEFGHIKLMNPQRSTVWYX*-1"))
    odds = np.array([1.0] * 21 + [0.01, 0.01, 0.005])
    lengths = rng.integers(0, 120, 300)
    sequences = ["".join(rng.choice(letters, n, p=odds / odds.sum())) for n in lengths]
    return [Record(f"p{i % 290}", f"p{i % 290}", sequence) for i, sequence in enumerate(sequences)]


@pytest.fixture
def job(small_bundle_folder):
    return Job(str(small_bundle_folder), load_bundle(small_bundle_folder).digest, 0.5)


@pytest.fixture(autouse=True)
def _small_windows(monkeypatch):
    # Chunks are whole windows; with the real ones a test would need millions of residues.
    monkeypatch.setattr("tfclass.inference.windows._WINDOW_RECORDS", 7)


def in_parts(records, job, folder, **options):
    options = {"in_flight": 1, "chunk_residues": 1500, **options}
    return list(predict_in_parts(iter(records), job, folder, **options))


def parts_of(folder):
    return sorted(path.name for path in folder.iterdir())


def test_rows_and_parts_hold_what_the_predictor_says(records, job, small_bundle_folder, tmp_path):
    expected = list(Predictor.load(small_bundle_folder, threshold=0.5).predict(records))
    assert in_parts(records, job, tmp_path / "parts") == expected
    stored = pq.read_table(tmp_path / "parts").to_pylist()
    assert stored == [{name: getattr(row, name) for name in COLUMNS} for row in expected]
    assert len(parts_of(tmp_path / "parts")) > 5


@pytest.mark.parametrize("in_flight", [0, 1, 5])
def test_workers_that_finish_in_any_order_change_nothing(records, job, tmp_path, in_flight):
    with ThreadPoolExecutor(3) as pool:
        rows = in_parts(records, job, tmp_path / "a", executor=pool, in_flight=in_flight)
    assert rows == in_parts(records, job, tmp_path / "b")


def test_what_is_finished_is_not_done_again(records, job, tmp_path, monkeypatch):
    expected = in_parts(records, job, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("part-*")}
    damaged = tmp_path / "part-00002.parquet"
    damaged.write_bytes(damaged.read_bytes()[100:])
    assert in_parts(records, job, tmp_path) == expected
    assert [path for path in before if path.stat().st_mtime_ns != before[path]] == [damaged]


@pytest.mark.parametrize(
    "change",
    [
        *({"threshold": 0.4}, {"digest": "another"}, {"precision": "bf16"}),
        *({"cpu_fallback": True}, {"prevalence": 0.1}, {"channel": "network"}),
    ],
    ids=lambda change: f"another {next(iter(change))}",
)
def test_parts_of_another_job_are_not_taken_for_this_one(records, job, tmp_path, change):
    in_parts(records, job, tmp_path)
    first = next(chunks(iter(records), 1500))
    part = tmp_path / "part-00000.parquet"
    assert is_finished(part, first.digest, job)
    assert not is_finished(part, first.digest, replace(job, **change))
    assert not is_finished(part, "another", job)
    assert not is_finished(tmp_path / "part-00001.parquet", first.digest, job)


def test_parts_of_another_version_of_tfclass_are_not_taken_for_this_ones(job, monkeypatch):
    key = job.key
    monkeypatch.setattr(jobs, "__version__", "0.0.0")
    assert job.key != key


def test_what_does_not_decide_the_rows_does_not_tell_jobs_apart(job):
    assert replace(job, device="cuda", threads=7, folder="elsewhere").key == job.key


@pytest.mark.parametrize(
    "others",
    [
        [("a", "MKV"), ("b", "MKW")],
        [("a", "MKV"), ("c", "MKL")],
        [("a", "MKV"), ("a", "MKL")],
        [("b", "MKL"), ("a", "MKV")],
        [("a", "MKV")],
    ],
    ids=["another residue", "another id", "an id again", "another order", "fewer"],
)
def test_a_chunk_of_other_records_has_another_digest(others):
    first, second = (
        [chunk.digest for chunk in chunks(iter([Record(name, name, sequence) for name, sequence in pairs]), 1500)]
        for pairs in ([("a", "MKV"), ("b", "MKL")], others)
    )
    assert len(first) == len(second) == 1
    assert first != second


def test_whether_an_id_came_before_is_part_of_a_chunk():
    twice, once = [Record("a", "a", "M" * 1500)] * 2, [Record("b", "b", "M" * 1500), Record("a", "a", "M" * 1500)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tfclass.inference.windows._WINDOW_RECORDS", 1)
        again, first = (list(chunks(iter(records), 1500))[1] for records in (twice, once))
    assert (again.records, again.repeated, first.repeated) == (first.records, [True], [False])
    assert again.digest != first.digest


def test_a_worker_predicts_as_the_job_says(small_bundle, tmp_path):
    calibration = replace(small_bundle.calibration, prevalence=0.3)
    save_bundle(replace(small_bundle, calibration=calibration), tmp_path / "b", card="")
    bundle = load_bundle(tmp_path / "b")
    job = Job(str(tmp_path / "b"), bundle.digest, 0.2, threads=2, precision="bf16", cpu_fallback=True, prevalence=0.01)
    try:
        predictor = jobs._predictor(job)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    told = (predictor.threshold, predictor.precision, predictor.cpu_fallback, predictor.prevalence)
    assert told == (0.2, "bf16", True, 0.01)


def test_a_part_with_fewer_rows_than_its_chunk_is_not_taken(records, job, tmp_path, monkeypatch):
    def lose_one(job, chunk, path, *_):
        score_chunk(job, chunk._replace(records=chunk.records[:-1], repeated=chunk.repeated[:-1]), path)

    score_chunk = jobs.score_chunk
    monkeypatch.setattr(jobs, "score_chunk", lose_one)
    with pytest.raises(OutputError, match="part-00000.parquet: found another run's part; expected that of this run"):
        in_parts(records, job, tmp_path)


def test_a_folder_named_from_here_is_found_from_elsewhere(records, job, tmp_path, monkeypatch):
    expected = in_parts(records, job, tmp_path / "whole")
    monkeypatch.chdir(tmp_path)
    rows = predict_in_parts(iter(records), job, Path("parts"), chunk_residues=1500)
    first = next(rows)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert [first, *rows] == expected
    assert parts_of(tmp_path / "parts") == parts_of(tmp_path / "whole")
    assert parts_of(tmp_path / "elsewhere") == []


def test_parts_of_a_longer_input_do_not_stay_behind(records, job, tmp_path):
    in_parts(records, job, tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    rows = in_parts(records[:50], job, tmp_path)
    stored = [name for name in parts_of(tmp_path) if name.startswith("part-")]
    assert sum(pq.read_metadata(tmp_path / name).num_rows for name in stored) == len(rows) == 50
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_another_run_in_the_same_folder_is_refused(records, job, tmp_path):
    first = predict_in_parts(iter(records), job, tmp_path, chunk_residues=1500)
    next(first)
    with pytest.raises(OutputError, match="found another run that uses it; expected a folder of its own"):
        in_parts(records[:50], job, tmp_path)
    assert len(list(first)) == len(records) - 1


def test_a_part_that_was_exchanged_on_the_way_is_not_taken(records, job, tmp_path, monkeypatch):
    def meddle(job, chunk, path, *_):
        score_chunk(job, chunk._replace(digest="another"), path)

    score_chunk = jobs.score_chunk
    monkeypatch.setattr(jobs, "score_chunk", meddle)
    with pytest.raises(OutputError, match="found another run's part; expected that of this run"):
        in_parts(records, job, tmp_path)


def test_a_damaged_part_is_made_again(records, job, tmp_path):
    expected = in_parts(records, job, tmp_path)
    part = tmp_path / "part-00001.parquet"
    content = part.read_bytes()
    dice = random.Random(1)
    for _ in range(40):
        at = dice.randrange(len(content))
        part.write_bytes(content[:at] + bytes([content[at] ^ dice.randrange(1, 256)]) + content[at + 1 :])
        # Where the metadata cannot be read any more, nobody knows whose file it is.
        try:
            known = {b"chunk", b"job", b"tfclass_part"} <= set(pq.read_schema(part).metadata or {})
        except (OSError, ValueError):
            known = False
        if known:
            assert in_parts(records, job, tmp_path) == expected
        else:
            with pytest.raises(OutputError, match=r"part-00001\.parquet: found a file that is no part, or is damaged"):
                in_parts(records, job, tmp_path)


def test_ids_come_out_as_the_bytes_they_were(job, tmp_path):
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    rows = in_parts([Record(name, name, "MKV"), Record("b", "b", "MK")], job, tmp_path)
    assert [row.id for row in rows] == [name, "b"]


def test_only_parts_are_removed(records, job, tmp_path):
    folder = tmp_path / "parts"
    in_parts(records, job, folder)
    (folder / "mine.txt").write_text("precious")
    remove_folder(folder)
    assert parts_of(folder) == ["mine.txt"]
    (folder / "mine.txt").unlink()
    (tmp_path / "link").symlink_to(folder)
    in_parts(records, job, tmp_path / "link")
    remove_folder(tmp_path / "link")
    assert parts_of(folder) == []


FOREIGN = ["part-mythesis.parquet", "part-00000-1a2b.snappy.parquet", "part-99999.parquet", ".lock", "part-00000.tsv"]


def test_a_folder_without_a_lock_is_removed_too(tmp_path):
    (tmp_path / "parts").mkdir()
    remove_folder(tmp_path / "parts")
    assert not (tmp_path / "parts").exists()


def test_parquet_of_other_programs_is_never_touched(records, job, tmp_path):
    folder = tmp_path / "parts"
    folder.mkdir()
    for name in FOREIGN:
        pq.write_table(pa.table({"chunk": ["mine"]}), folder / name)
    before = {name: (folder / name).read_bytes() for name in FOREIGN}
    rows = in_parts(records, job, folder)
    assert len(in_parts(records[:50], job, folder)) == 50 < len(rows)
    remove_folder(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_what_a_user_made_of_a_part_is_never_removed(records, job, tmp_path):
    folder = tmp_path / "parts"
    in_parts(records, job, folder)
    made = pq.read_table(folder / "part-00001.parquet")
    pq.write_table(made.slice(0, 2), folder / "part-my-selection.parquet")
    pq.write_table(made.slice(0, 2), folder / "part-00001.copy.parquet")
    pq.write_table(made.slice(0, 2), tmp_path / "precious.parquet")
    (folder / "part-notes.parquet").write_text("tfclass_part, chunk and job are keys of the metadata")
    (folder / "part-00098.parquet").write_text("tfclass_part")
    pq.write_table(
        made.replace_schema_metadata({"tfclass_part": "1", "chunk": "a", "job": "b"}), folder / "part-00099.parquet"
    )
    (folder / "part-00097.parquet").symlink_to("../precious.parquet")
    theirs = [
        "part-00001.copy.parquet",
        *(f"part-{n}.parquet" for n in ("00097", "00098", "00099", "my-selection", "notes")),
    ]
    before = [(folder / name).read_bytes() for name in theirs]
    in_parts(records[:50], job, folder)
    remove_folder(folder)
    assert parts_of(folder) == theirs
    assert [(folder / name).read_bytes() for name in theirs] == before
    assert (folder / "part-00097.parquet").is_symlink()


def identity(path):
    status = os.lstat(path)
    return status.st_ino, status.st_mode, status.st_size, status.st_mtime_ns


@pytest.mark.parametrize("kind", ["parquet", "marked text", "text", "folder", "pipe", "link", "link to a part"])
def test_a_file_that_has_the_name_of_a_part_is_refused_and_stays(records, job, tmp_path, kind):
    path = tmp_path / "part-00001.parquet"

    def link_to_a_part():
        in_parts(records, job, tmp_path)
        path.rename(tmp_path / "precious.parquet")
        path.symlink_to("precious.parquet")

    make = {
        "parquet": lambda: pq.write_table(pa.table({"chunk": ["mine"], "job": ["mine"]}), path),
        "text": lambda: path.write_text("mine"),
        "marked text": lambda: path.write_text("tfclass_part"),
        "folder": path.mkdir,
        "pipe": lambda: os.mkfifo(path),
        "link": lambda: path.symlink_to("nowhere"),
        "link to a part": link_to_a_part,
    }
    make[kind]()
    before = identity(path)
    with pytest.raises(OutputError) as caught:
        in_parts(records, job, tmp_path)
    assert str(caught.value) == (
        f"{path}: found a file that is no part, or is damaged beyond recognition; expected a part that tfclass wrote; "
        "move it away, or name another folder"
    )
    remove_folder(tmp_path)
    assert identity(path) == before


def test_many_empty_records_make_chunks_too(job, monkeypatch):
    monkeypatch.setattr(jobs, "_CHUNK_RECORDS", 20)
    made = list(chunks((Record(str(i), "", "") for i in range(100)), 1500))
    assert [len(chunk.records) for chunk in made] == [21, 21, 21, 21, 16]


def test_no_more_than_asked_is_read_ahead(records, job, tmp_path):
    read = []
    rows = predict_in_parts(
        (read.append(record) or record for record in records),
        job,
        tmp_path,
        chunk_residues=1500,
    )
    next(rows)
    first = next(chunks(iter(records), 1500))
    assert len(read) == len(first.records)


def test_a_model_that_changes_on_the_way_is_refused(records, job, tmp_path):
    other = Job(job.folder, "0" * 64)
    with pytest.raises(BundleError, match="another model than the one this prediction began with"):
        in_parts(records, other, tmp_path)


def test_a_folder_that_cannot_be_made_is_one_line(records, job, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        in_parts(records, job, tmp_path / "file" / "parts")


def test_dask_that_is_not_installed_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'tfclass\[hpc\]'"), dask_executor(1):
        pass


def small_chunks():
    """Set the tests' small windows and chunks, in the process of a command."""
    jobs.CHUNK_RESIDUES = jobs.predict_in_parts.__kwdefaults__["chunk_residues"] = 4000
    windows._WINDOW_RECORDS = 20


def small_chunks_and_little_room():
    small_chunks()
    # What a write meets beyond the limit is what it meets on a full disk: an error in the middle of a file.
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, resource.RLIM_INFINITY))


def small_chunks_and_little_patience():
    small_chunks()
    dask_engine._PATIENCE, dask_engine._INTERVAL = 3.0, 0.5


@pytest.fixture
def command(tmp_path, records, small_bundle_folder, start_tfclass):
    (tmp_path / "in.fasta").write_text("".join(f">{record.id}\n{record.sequence}\n" for record in records * 3))

    def start(*arguments, **options):
        options = {"first": small_chunks, **options}
        return start_tfclass("predict", tmp_path / "in.fasta", "--model", small_bundle_folder, *arguments, **options)

    return start


def finish(process):
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err.decode()


def wait_for_parts(process, folder):
    """Wait until the first part is there; gives the processes that the command has started."""
    import psutil

    for _ in range(15_000):
        if list(folder.glob("part-*")) or process.poll() is not None:
            break
        time.sleep(0.02)
    else:
        raise TimeoutError("no part after five minutes")
    return psutil.Process(process.pid).children(recursive=True)


@pytest.mark.parametrize("times", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_at_random_moments_it_goes_on_and_ends_with_the_same_file(command, tmp_path, times):
    assert finish(command("-o", "whole.tsv"))[0] == 0
    dice = random.Random(3)
    for _ in range(times):
        process = command("-o", "out.tsv", "--resume")
        time.sleep(dice.uniform(0.05, 0.6))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if (tmp_path / "out.tsv").exists():
            # It was done before it could be killed: once more from the start.
            assert (tmp_path / "out.tsv").read_bytes() == (tmp_path / "whole.tsv").read_bytes()
            (tmp_path / "out.tsv").unlink()
        for part in (tmp_path / "out.tsv.parts").glob("part-*.parquet"):
            pq.read_table(part)
    status, _, err = finish(command("-o", "out.tsv", "--resume"))
    assert (status, err.split(" of ", 1)[1].split("\n")[0]) == (0, "900 records predicted TF (28.9 %), 18 skipped")
    assert (tmp_path / "out.tsv").read_bytes() == (tmp_path / "whole.tsv").read_bytes()
    assert not (tmp_path / "out.tsv.parts").exists()


@pytest.mark.parametrize(
    ("number", "status"),
    [
        pytest.param(signal.SIGTERM, 143, id="SIGTERM", marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, 130, id="Ctrl-C", marks=pytest.mark.slow),
    ],
)
def test_stopped_it_leaves_no_worker_and_nothing_half_written(command, tmp_path, number, status):
    import psutil

    process = command("-o", "out.tsv", "--engine", "dask", "--workers", "2", "--parts", "parts")
    children = wait_for_parts(process, tmp_path / "parts")
    process.send_signal(number)
    found, _, err = finish(process)
    assert (found, err) == (status, "tfclass: interrupted; the same command goes on\n")
    psutil.wait_procs(children, timeout=20)
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.fasta", "parts"]
    assert finish(command("-o", "out.tsv", "--parts", "parts"))[0] == 0


@pytest.mark.slow
def test_workers_do_not_outlive_a_parent_that_was_killed(command, tmp_path):
    import psutil

    process = command("-o", "out.tsv", "--engine", "dask", "--workers", "2", "--parts", "parts")
    children = wait_for_parts(process, tmp_path / "parts")
    process.kill()
    process.communicate()
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not [child for child in alive if child.status() != psutil.STATUS_ZOMBIE]


def test_dask_gives_the_same_rows(command, tmp_path):
    pytest.importorskip("distributed", reason="the extra hpc is not installed")
    assert finish(command("-o", "whole.tsv"))[0] == 0
    status, out, err = finish(command("--engine", "dask", "--workers", "2", "--parts", "parts"))
    assert (status, " of 900 records predicted TF" in err) == (0, True), err
    assert out == (tmp_path / "whole.tsv").read_bytes()


@pytest.mark.slow
def test_a_dask_worker_that_is_killed_is_replaced(command, tmp_path):
    pytest.importorskip("distributed", reason="the extra hpc is not installed")
    import psutil

    assert finish(command("-o", "whole.tsv"))[0] == 0
    process = command("--engine", "dask", "--workers", "2", "--parts", "parts", "-o", "out.tsv")
    started = wait_for_parts(process, tmp_path / "parts")
    workers = [child for child in started if "spawn_main" in " ".join(child.cmdline())]
    workers[0].kill()
    psutil.wait_procs(workers[:1], timeout=20)
    status, _, err = finish(process)
    assert status == 0, err
    assert (tmp_path / "out.tsv").read_bytes() == (tmp_path / "whole.tsv").read_bytes()


@pytest.fixture
def scheduler(tmp_path):
    """Start a Dask scheduler without workers; gives its address and process."""
    pytest.importorskip("distributed", reason="the extra hpc is not installed")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    line = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(port)]
    with open(os.devnull, "w") as nowhere:
        process = subprocess.Popen([*line, "--no-dashboard"], cwd=tmp_path, stdout=nowhere, stderr=nowhere)
    yield f"tcp://127.0.0.1:{port}", process
    process.kill()
    process.wait()


def dask(command, address, **options):
    options = {"DASK_SCHEDULER_ADDRESS": address, **options}
    return command("-o", "out.tsv", "--parts", "parts", "--engine", "dask", **options)


def hopeless(command, address):
    return dask(command, address, first=small_chunks_and_little_patience, DASK_TFCLASS__WAIT="5s")


@pytest.mark.slow
def test_a_scheduler_without_workers_is_waited_for_aloud_and_not_for_ever(command, scheduler):
    where = f"tfclass: DASK_SCHEDULER_ADDRESS={scheduler[0]}: "
    assert finish(hopeless(command, scheduler[0])) == (
        1,
        b"",
        f"{where}no worker yet; waiting, at most 5 s in all\n"
        f"{where}found no worker for 5 s; the same command goes on where this one stopped\n",
    )


def test_a_scheduler_that_never_answers_is_given_up(command):
    pytest.importorskip("distributed", reason="the extra hpc is not installed")
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        where = f"tfclass: DASK_SCHEDULER_ADDRESS={address}: "
        assert finish(hopeless(command, address)) == (
            1,
            b"",
            f"{where}no answer from the scheduler yet; waiting, at most 5 s in all\n"
            f"{where}found no cluster (no answer in 5 s); expected a scheduler that answers\n",
        )


@pytest.mark.slow
def test_a_scheduler_that_dies_is_one_line_and_the_parts_stay(command, scheduler, tmp_path):
    address, process = scheduler
    line = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-nanny"]
    with open(os.devnull, "w") as nowhere:
        worker = subprocess.Popen([*line, "--no-dashboard"], cwd=tmp_path, stdout=nowhere, stderr=nowhere)
    try:
        prediction = dask(command, address)
        wait_for_parts(prediction, tmp_path / "parts")
        process.kill()
        status, out, err = finish(prediction)
    finally:
        worker.kill()
        worker.wait()
    where = f"tfclass: DASK_SCHEDULER_ADDRESS={address}: "
    assert (status, out) == (1, b"")
    assert err == f"{where}found a scheduler that ended; the same command goes on where this one stopped\n"
    kept = {part.name: part.stat().st_mtime_ns for part in (tmp_path / "parts").glob("part-*")}
    assert kept
    assert finish(command("-o", "out.tsv", "--parts", "parts"))[0] == 0
    assert {name: (tmp_path / "parts" / name).stat().st_mtime_ns for name in kept} == kept
    assert finish(command("-o", "whole.tsv"))[0] == 0
    assert (tmp_path / "out.tsv").read_bytes() == (tmp_path / "whole.tsv").read_bytes()


@pytest.mark.parametrize(
    "engine",
    [
        pytest.param(["none"], id="none"),
        pytest.param(["dask", "--workers", "1"], id="dask", marks=pytest.mark.slow),
    ],
)
def test_on_a_full_disk_it_is_one_line_and_goes_on_once_there_is_room(command, tmp_path, engine):
    assert finish(command("-o", "whole.tsv"))[0] == 0
    arguments = ("-o", "out.tsv", "--parts", "parts", "--engine", *engine)
    status, out, err = finish(command(*arguments, first=small_chunks_and_little_room))
    assert (status, out, err.count("\n")) == (2, b"", 1)
    assert "found a place that cannot be written (File too large)" in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.fasta", "parts", "whole.tsv"]
    for part in (tmp_path / "parts").glob("part-*"):
        pq.read_table(part)
    assert finish(command(*arguments))[0] == 0
    assert (tmp_path / "out.tsv").read_bytes() == (tmp_path / "whole.tsv").read_bytes()
