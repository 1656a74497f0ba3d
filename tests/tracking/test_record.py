"""The record of a run: kills, damage, moves."""

import json

import mlflow
import pytest

from tfclass.config import TrackingConfig
from tfclass.errors import TrackingError
from tfclass.tracking.connection import without_password
from tfclass.tracking.log import track, tracked
from tfclass.tracking.record import HISTORY, RECORD, Facts, Record, Scores, append_step, keep_untracked, read_history

OFF = TrackingConfig.default(enabled=False)


def values(folder):
    return [(scores.step, scores.values) for scores in read_history(folder)]


def test_a_line_that_was_cut_off_costs_itself_alone(tmp_path):
    for step in (1, 2):
        append_step(tmp_path, Scores({"loss": 0.5}, step=step))
    lines = tmp_path / HISTORY
    lines.write_bytes(lines.read_bytes()[:-7])
    assert values(tmp_path) == [(1, {"loss": 0.5})]
    append_step(tmp_path, Scores({"loss": 0.25}, step=3))
    assert values(tmp_path) == [(1, {"loss": 0.5}), (3, {"loss": 0.25})]


def test_a_step_that_was_repeated_is_there_once(tmp_path):
    for loss in (0.5, 0.25):
        append_step(tmp_path, Scores({"loss": loss, "undefined": float("nan")}, step=1))
    assert values(tmp_path) == [(1, {"loss": 0.25})]


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 10**5,
        b"[]",
        b"3",
        b"null",
        b"{}",
        b'{"step": 1}',
        b'{"step": 1, "time": 1, "loss": "low"}',
        b'{"step": 1, "time": 1, "loss": [1]}',
        b'{"step": 1e999, "time": 1}',
        bytes(range(1, 10)),
        b"9" * 5000,
    ],
    ids=lambda line: line[:30],
)
def test_a_line_of_the_history_that_was_made_up_is_named(line, folder):
    with tracked(OFF, folder / "run", "training", Facts()) as run:
        run.log_step({"loss": 0.5}, 1)
    lines = folder / "run" / HISTORY
    lines.write_bytes(lines.read_bytes() + line + b"\n")
    for read in (read_history, track):
        with pytest.raises(TrackingError, match=f"{lines}, line 2: damaged"):
            read(folder / "run")


def changed(**changes):
    def change(text):
        content = json.loads(text)
        content["facts"] |= changes
        return json.dumps(content)

    return change


MADE_UP = {
    "nested": lambda _: "[" * 10**5,
    "a list": lambda _: "[]",
    "a number": lambda _: "3",
    "null": lambda _: "null",
    "nothing": lambda _: "",
    "half": lambda text: text[: len(text) // 2],
    "no facts": lambda _: '{"config": {}, "name": "x"}',
    "more": lambda text: text.replace('"name"', '"more": 1, "name"', 1),
    "a number as a tag": changed(tags={"a": [1]}),
    "a file elsewhere": changed(files={"/etc/hostname": ""}),
    "a file above": changed(files={"../x": ""}),
    "no scores": changed(scores=[3]),
}


@pytest.mark.parametrize("change", MADE_UP.values(), ids=MADE_UP.keys())
def test_a_record_that_was_made_up_is_named(change, folder):
    with tracked(OFF, folder / "run", "training", Facts()):
        pass
    path = folder / "run" / RECORD
    path.write_text(change(path.read_text()))
    with pytest.raises(TrackingError, match=f"{path}: damaged; restore or remove it"):
        track(folder / "run")


def test_a_folder_without_a_record_is_named(tmp_path):
    with pytest.raises(TrackingError, match=f"{tmp_path}: no tracking.json in it; name the folder of a training"):
        track(tmp_path)


def test_a_run_goes_on_beside_a_damaged_record(folder, caplog):
    (folder / "run").mkdir()
    (folder / "run" / RECORD).write_text("{")
    with tracked(TrackingConfig.default(), folder / "run", "run", Facts(), resume=True) as run:
        run.log_step({"loss": 1.0}, 1)
    (line,) = caplog.messages
    assert "tracking.json: damaged" in line
    assert track(folder / "run")[1] is False


def test_a_run_that_was_killed_by_force_and_moved_is_logged_with_what_lies_in_its_folder(folder, small_bundle_folder):
    bundle = folder / "run" / "bundle"
    bundle.parent.mkdir()
    bundle.symlink_to(small_bundle_folder)
    (folder / "run" / "note.txt").write_text("kept")
    with tracked(OFF, folder / "run", "training", Facts(files={"note.txt": "extra"})) as run:
        run.log_step({"loss": 1.0}, 1)
    run.record.status = ""
    run.record.save(folder / "run")
    (folder / "run").rename(folder / "moved")
    record, _ = track(folder / "moved")
    client = mlflow.MlflowClient(f"sqlite:///{folder}/mlflow.db")
    found = client.get_run(record.run_id)
    assert (found.info.status, found.data.metrics) == ("KILLED", {"loss": 1.0})
    assert [file.path for file in client.list_artifacts(record.run_id, "extra")] == ["extra/note.txt"]


def test_a_report_that_mlflow_lacks_is_kept(tmp_path, caplog):
    report = tmp_path / "report"
    keep_untracked(report)
    for number, is_tracked in enumerate((False, True, False), start=1):
        Record(TrackingConfig.default(), "evaluation", Facts(), is_tracked=is_tracked).save(report)
        (report / "report.json").write_text(str(number))
        keep_untracked(report)
    kept = {path.name: (path / "report.json").read_text() for path in tmp_path.glob("report.untracked-*")}
    assert kept == {"report.untracked-1": "1", "report.untracked-2": "3"}
    assert len(caplog.messages) == 2


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://me:secret@host:80/x", "http://me@host:80/x"),
        ("http://me:se/cret@host", "http://me@host"),
        ("http://me:p@ss@host", "http://me@host"),
        ("http://host:9/x is down, http://a:b@c too", "http://host:9/x is down, http://a@c too"),
    ],
)
def test_a_password_is_never_shown(text, shown):
    assert without_password(text) == shown
