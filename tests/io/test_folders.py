"""Folders that are replaced keep what is not of tfclass, whoever writes, reads or is killed meanwhile."""

import json
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest

from tfclass.bundle.bundle import load_bundle
from tfclass.bundle.save import save_bundle
from tfclass.errors import OutputError
from tfclass.io import folders
from tfclass.io.files import remove_abandoned
from tfclass.io.folders import FolderKind, check_replaceable, whole_folder
from tfclass.io.reading import read_again

KIND = FolderKind("marker.json", ("ours",), lambda content: content["ours"])


def write(path, names=("a", "figures/one.png"), content="new"):
    """Write a folder of these files."""
    with whole_folder(path, KIND) as building:
        for name in names:
            (building / name).parent.mkdir(exist_ok=True)
            (building / name).write_text(content)
        (building / KIND.marker).write_text(json.dumps({"ours": [*names]}))


def listing(folder):
    """All that is in a folder: paths and contents, or what a link points to."""
    found = {}
    for place, names, files in os.walk(folder):
        for name in (*names, *files):
            path = Path(place, name)
            inside = str(path.relative_to(folder))
            if path.is_symlink():
                found[inside] = f"-> {os.readlink(path)}"
            else:
                found[inside] = "folder" if path.is_dir() else path.read_text()
    return found


def fill_with_foreign_files(folder):
    """Put files of a user into a folder; gives what there is to keep."""
    before = set(listing(folder))
    names = "notes.md README.txt thesis/draft.tex thesis/deep/er/x figures/mine.png figures/deep/one.png"
    for name in (*names.split(), ".hidden", ".marker.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"mine: {name}")
    (folder / "empty" / "too").mkdir(parents=True)
    (folder / "link").symlink_to("notes.md")
    (folder / "nowhere").symlink_to("no such file")
    (folder / "up").symlink_to("..")
    return {name: content for name, content in listing(folder).items() if name not in before}


@pytest.mark.parametrize("exchange", [True, False], ids=["in one step", "in two steps"])
@pytest.mark.parametrize("links", [True, False], ids=["linked", "copied"])
def test_what_is_not_of_tfclass_is_kept(tmp_path, monkeypatch, exchange, links):
    if not exchange:
        monkeypatch.setattr(folders, "_renameat2", None)
    if not links:
        monkeypatch.setattr(os, "link", lambda *_, **__: (_ for _ in ()).throw(OSError(1, "no links")))
    path = tmp_path / "folder"
    write(path, ("a", "old", "figures/one.png", "figures/old.png"), "old")
    foreign = fill_with_foreign_files(path)
    for _ in range(3):
        write(path)
        found = listing(path)
        assert {name: found[name] for name in foreign} == foreign
        own = {name: content for name, content in found.items() if name not in foreign and content != "folder"}
        assert own == {"a": "new", "figures/one.png": "new", KIND.marker: '{"ours": ["a", "figures/one.png"]}'}
        assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]


def test_a_link_to_a_folder_is_followed(tmp_path):
    (tmp_path / "disk").mkdir()
    write(tmp_path / "disk" / "target", content="old")
    (tmp_path / "link").symlink_to("disk/target")
    (tmp_path / "disk" / "target" / "mine").write_text("mine")
    write(tmp_path / "link")
    assert os.readlink(tmp_path / "link") == "disk/target"
    assert listing(tmp_path / "disk" / "target")["a"] == "new"
    assert listing(tmp_path / "disk" / "target")["mine"] == "mine"
    (tmp_path / "dangling").symlink_to("disk/later")
    write(tmp_path / "dangling")
    assert (tmp_path / "disk" / "later" / "a").read_text() == "new"
    assert sorted(os.listdir(tmp_path / "disk")) == ["later", "target"]


@pytest.mark.parametrize("marker", ["", "{}", "[]", "not JSON", '{"other": 1}', "[" * 100_000, "null"], ids=range(7))
def test_a_marker_of_another_program_is_no_leave_to_replace(tmp_path, marker):
    path = tmp_path / "folder"
    path.mkdir()
    (path / KIND.marker).write_text(marker)
    (path / "thesis.tex").write_text("mine")
    before = listing(path)
    for attempt in (lambda: check_replaceable(path, KIND), lambda: write(path)):
        with pytest.raises(OutputError, match=r"found something there that has no marker.json of tfclass"):
            attempt()
    assert listing(path) == before


def test_a_marker_that_is_a_pipe_is_not_opened(tmp_path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "folder" / KIND.marker)
    with pytest.raises(OutputError, match=r"no marker.json of tfclass"):
        check_replaceable(tmp_path / "folder", KIND)


@pytest.mark.parametrize("where", [".", "..", "inner/../"])
def test_the_working_directory_is_not_replaced_under_a_shell(tmp_path, monkeypatch, where):
    write(tmp_path / "folder")
    (tmp_path / "folder" / "inner").mkdir()
    monkeypatch.chdir(tmp_path / "folder" / ("inner" if where == ".." else "."))
    with pytest.raises(OutputError, match="it is or holds the working directory"):
        write(Path(where))


def repeat(job, seconds, *arguments):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        job(*arguments)


def save(bundle, folder, names):
    # The parent of this process has looked there already.
    remove_abandoned.cache_clear()
    for name in names:
        save_bundle(bundle, folder, card=name)


def test_two_writers_and_a_reader_of_one_bundle_never_fail(small_bundle, tmp_path):
    context = multiprocessing.get_context("fork")
    path = tmp_path / "bundle"
    save_bundle(small_bundle, path, card="first")
    (path / "notes.md").write_text("mine")
    writers = [context.Process(target=repeat, args=(save, 3, small_bundle, path, [f"w{n}"])) for n in range(2)]
    for writer in writers:
        writer.start()
    n_read = 0
    while any(writer.is_alive() for writer in writers):
        assert load_bundle(path).name == "small"
        n_read += 1
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert n_read > 2
    assert (path / "notes.md").read_text() == "mine"
    assert os.listdir(tmp_path) == ["bundle"]


def test_killed_at_any_moment_there_is_a_bundle_of_that_name_and_nothing_is_left(small_bundle, tmp_path):
    context = multiprocessing.get_context("fork")
    path = tmp_path / "bundle"
    save_bundle(small_bundle, path, card="first")
    (path / "notes.md").write_text("mine")
    dice = random.Random(5)
    for _ in range(12):
        writer = context.Process(target=repeat, args=(save, 60, small_bundle, path, ["again"]))
        writer.start()
        time.sleep(dice.uniform(0.02, 0.3))
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        assert load_bundle(path).name == "small"
        assert (path / "notes.md").read_text() == "mine"
    last = context.Process(target=save, args=(small_bundle, path, ["last"]))
    last.start()
    last.join()
    assert os.listdir(tmp_path) == ["bundle"]


def test_a_folder_that_stays_the_same_is_read_once(tmp_path):
    write(tmp_path / "folder")
    seen = []

    def read(folder):
        seen.append(folder)
        raise OutputError("x: a fault")

    with pytest.raises(OutputError):
        read_again(tmp_path / "folder", read)
    assert len(seen) == 1
