"""What MLflow could not take, on disk: kills, later changes, moves."""

from pathlib import Path

import pytest

from tfclass.config import TrackingConfig
from tfclass.errors import TrackingError
from tfclass.tracking.delivery import replay
from tfclass.tracking.journal import FOLDER, Journal
from tfclass.tracking.origin import without_password
from tfclass.tracking.tracker import tracked


def metrics(step):
    return {"kind": "metrics", "time": step, "values": {"loss": 0.5}, "step": step}


def test_a_line_that_was_cut_off_costs_itself_alone(tmp_path):
    journal = Journal(tmp_path)
    journal.append(metrics(1))
    journal.append(metrics(2))
    lines = tmp_path / FOLDER / "journal.jsonl"
    lines.write_bytes(lines.read_bytes()[:-7])
    assert journal.entries() == [metrics(1)]
    journal.append(metrics(3))
    assert journal.entries() == [metrics(1), metrics(3)]


def test_files_and_folders_stay_as_they_were_when_they_were_recorded(tmp_path):
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "weights").write_text("first")
    journal = Journal(tmp_path / "run")
    journal.append({"kind": "folder", "path": str(tmp_path / "bundle"), "name": "bundle"})
    journal.append({"kind": "model", "bundle": str(tmp_path / "bundle")})
    (tmp_path / "bundle" / "weights").write_text("second")
    kept = [Path(entry.get("path") or entry["bundle"]) for entry in journal.entries()]
    assert [(path.name, (path / "weights").read_text()) for path in kept] == [("bundle", "first")] * 2


def test_what_is_dropped_leaves_the_first_entry_until_all_are_delivered(tmp_path):
    journal = Journal(tmp_path)
    for step in range(4):
        journal.append(metrics(step))
    journal.drop(0)
    assert journal.entries() == [metrics(step) for step in range(4)]
    journal.drop(3)
    assert journal.entries() == [metrics(0), metrics(3)]
    journal.drop(2)
    assert journal.entries() == []


def test_a_damaged_line_is_named_and_can_be_set_aside_with_the_rest(tmp_path):
    journal = Journal(tmp_path / "report")
    for step in (1, 2, 3):
        journal.append(metrics(step))
    lines = journal.folder / "journal.jsonl"
    lines.write_bytes(lines.read_bytes().replace(b'"time": 2', b'"ti\x00e": \xff2'))
    damaged = rf"{lines}, line 2: found a damaged line; expected a JSON object; mend or remove the line"
    with pytest.raises(TrackingError, match=damaged):
        journal.entries()
    with pytest.raises(TrackingError, match=damaged):
        replay(tmp_path / "report")
    place = journal.set_aside()
    assert place is not None
    assert len((place / FOLDER / "journal.jsonl").read_bytes().splitlines()) == 3


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 10**5,
        b"[]",
        b"3",
        b"null",
        b"{}",
        b'{"kind": 3}',
        b'{"kind": ["file"]}',
        b'{"kind": "file", "path": 3, "folder": ""}',
        b'{"kind": "file", "path": "/etc/hostname", "folder": ""}',
        b'{"kind": "folder", "path": "files/../../..", "name": "x"}',
        b'{"kind": "model", "bundle": null, "register": "", "validation": ""}',
        bytes(range(1, 10)),
        b"9" * 5000,
    ],
    ids=lambda line: line[:30],
)
def test_a_line_that_was_made_up_is_named(line, tmp_path):
    journal = Journal(tmp_path / "run")
    journal.append(metrics(1))
    lines = journal.folder / "journal.jsonl"
    lines.write_bytes(lines.read_bytes() + line + b"\n")
    for read in (journal.entries, lambda: replay(tmp_path / "run")):
        with pytest.raises(TrackingError, match=f"{lines}, line 2: found a damaged line; expected a JSON object"):
            read()


def test_a_journal_without_its_first_line_is_named(tmp_path):
    journal = Journal(tmp_path / "run")
    journal.append(metrics(1))
    with pytest.raises(TrackingError, match=f"{journal.folder}: found a journal that lacks its first line; remove"):
        replay(tmp_path / "run")


def test_a_run_goes_on_beside_a_damaged_journal(tmp_path, caplog):
    Journal(tmp_path / "run").append(metrics(1))
    lines = tmp_path / "run" / FOLDER / "journal.jsonl"
    lines.write_bytes(b"{\n")
    with tracked(TrackingConfig(uri=f"sqlite:///{tmp_path}/mlflow.db"), "run", {}, journal=tmp_path / "run") as tracker:
        tracker.metrics({"loss": 1.0})
    assert "found a damaged line" in caplog.text
    assert len(lines.read_bytes().splitlines()) > 1


def test_it_can_be_set_aside_with_all_that_it_holds(tmp_path):
    report = tmp_path / "report"
    report.mkdir()
    (report / "report.json").write_text("{}")
    assert Journal(report).set_aside() is None
    for number in (1, 2):
        Journal(report).append({"kind": "folder", "path": str(report), "name": "report"})
        place = Journal(report).set_aside()
        assert place == tmp_path / f"report.unrecorded-{number}"
        assert Journal(report).entries() == []
        (entry,) = Journal(place).entries()
        assert [path.name for path in Path(entry["path"]).iterdir()] == ["report.json"]


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
