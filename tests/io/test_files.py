"""Files and folders appear whole or not at all."""

import contextlib
import errno
import os
import stat
import tempfile
from pathlib import Path

import pytest

from tfclass.errors import OutputError
from tfclass.io import folders
from tfclass.io.files import make_folder, try_lock, whole_file
from tfclass.io.folders import FolderKind, whole_folder

# A kind of folder whose marker lists what belongs to it.
KIND = FolderKind("part", ("ours",), lambda content: content["ours"])
MARKER = '{"ours": ["old", "deep/old"]}'

FAILURES = [ValueError("a fault"), KeyboardInterrupt(), SystemExit(1), GeneratorExit()]
FAILURE_IDS = ["an exception", "an interrupt from the keyboard", "an exit", "a closed generator"]
FULL_DISK = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def umask():
    """Set the umask for one test."""
    before = os.umask(0)
    yield os.umask
    os.umask(before)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def fill(path, error=None):
    """Write a file and fail half way."""
    with whole_file(path) as stream:
        stream.write(b"half")
        stream.flush()
        if error is not None:
            raise error


def fill_folder(path, error=None):
    """Write a folder and fail half way."""
    with whole_folder(path, KIND) as building:
        (building / "part").write_text(MARKER)
        if error is not None:
            raise error


def test_a_file_is_not_there_before_the_block_ends_and_whole_afterwards(tmp_path):
    path = tmp_path / "out.tsv"
    with whole_file(path) as stream:
        stream.write(b"content")
        assert not path.exists()
    assert path.read_bytes() == b"content"
    assert names(tmp_path) == ["out.tsv"]


def test_a_file_is_replaced_only_at_the_end(tmp_path):
    path = tmp_path / "out.tsv"
    path.write_bytes(b"old")
    with whole_file(path) as stream:
        stream.write(b"new")
        stream.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("old", [True, False], ids=["with a file there before", "with nothing there before"])
@pytest.mark.parametrize("error", FAILURES, ids=FAILURE_IDS)
def test_no_half_file_is_left_by(error, old, tmp_path):
    path = tmp_path / "out.tsv"
    if old:
        path.write_bytes(b"old")
    with pytest.raises(type(error)) as caught:
        fill(path, error)
    assert caught.value is error
    assert names(tmp_path) == ["out.tsv"] * old
    assert not old or path.read_bytes() == b"old"


@pytest.mark.parametrize("write", [fill, fill_folder], ids=["file", "folder"])
def test_a_full_disk_is_one_line_and_leaves_nothing_of_the(write, tmp_path):
    path = tmp_path / "out"
    with pytest.raises(OutputError) as caught:
        write(path, FULL_DISK)
    assert (
        str(caught.value) == f"{path}: found a place that cannot be written (No space left on device); check the folder"
    )
    assert caught.value.__cause__ is FULL_DISK
    assert names(tmp_path) == []


def test_a_file_in_a_missing_folder_is_one_line(tmp_path):
    path = tmp_path / "missing" / "out.tsv"
    with pytest.raises(OutputError) as caught:
        fill(path)
    assert (
        str(caught.value)
        == f"{path}: found a place that cannot be written (No such file or directory); check the folder"
    )
    assert names(tmp_path) == []


def test_a_file_cannot_take_the_place_of_a_folder(tmp_path):
    path = tmp_path / "out"
    path.mkdir()
    with pytest.raises(OutputError, match=r"out: found a place that cannot be written \(Is a directory\)"):
        fill(path)
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("mask", [0o022, 0o002, 0o077], ids=oct)
def test_permissions_follow_the_umask(mask, umask, tmp_path):
    umask(mask)
    fill(tmp_path / "file")
    fill_folder(tmp_path / "folder")
    assert mode(tmp_path / "file") == 0o666 & ~mask
    assert mode(tmp_path / "folder") == 0o777 & ~mask
    assert mode(tmp_path / "folder" / "part") == 0o666 & ~mask


@pytest.mark.parametrize("name", ["a {brace}.tsv", "späť.tsv", "-o", ".hidden", "two  spaces"])
def test_any_file_name_will_do(name, tmp_path):
    fill(tmp_path / name)
    fill_folder(tmp_path / "folder of" / name)
    assert names(tmp_path) == sorted([name, "folder of"])
    assert names(tmp_path / "folder of") == [name]


def test_a_folder_appears_whole_with_its_parents(tmp_path):
    path = tmp_path / "a" / "b" / "bundle"
    with whole_folder(path, KIND) as building:
        (building / "x").write_text("1")
        assert not path.exists()
    assert names(path) == ["x"]
    assert names(path.parent) == ["bundle"]


def test_a_folder_is_replaced_whole_and_keeps_nothing_of_the_old_one(tmp_path):
    path = tmp_path / "bundle"
    (path / "deep").mkdir(parents=True)
    (path / "deep" / "old").write_text("old")
    (path / "part").write_text(MARKER)
    fill_folder(path)
    assert names(path) == ["part"]
    assert names(tmp_path) == ["bundle"]


@pytest.mark.parametrize("old", [True, False], ids=["with a folder there before", "with nothing there before"])
@pytest.mark.parametrize("error", [*FAILURES, FULL_DISK], ids=[*FAILURE_IDS, "a full disk"])
def test_no_half_folder_is_left_by(error, old, tmp_path):
    path = tmp_path / "bundle"
    if old:
        path.mkdir()
        (path / "old").write_text("old")
        (path / "part").write_text(MARKER)
    with pytest.raises(OutputError if isinstance(error, OSError) else type(error)):
        fill_folder(path, error)
    assert names(tmp_path) == ["bundle"] * old
    assert not old or names(path) == ["old", "part"]


def test_the_old_folder_comes_back_when_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    path = tmp_path / "bundle"
    path.mkdir()
    (path / "old").write_text("old")
    (path / "part").write_text(MARKER)
    rename = os.rename

    def second_fails(source, target):
        if target == path and not (source / "old").exists():
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        rename(source, target)

    # As on a system that cannot exchange two folders in one step.
    monkeypatch.setattr(folders, "_renameat2", None)
    monkeypatch.setattr(os, "rename", second_fails)
    with pytest.raises(OutputError, match="cannot be written"):
        fill_folder(path)
    assert names(tmp_path) == ["bundle"]
    assert names(path) == ["old", "part"]


def test_the_working_directory_itself_cannot_be_replaced_and_stays_as_it_was(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "part").write_text("mine")
    with pytest.raises(OutputError, match="cannot be written"):
        fill_folder(type(tmp_path)("."))
    assert names(tmp_path) == ["part"]
    assert (tmp_path / "part").read_text() == "mine"


@pytest.mark.parametrize("kind", ["a folder of something else", "a file"])
def test_a_folder_never_replaces(kind, tmp_path):
    path = tmp_path / "results"
    if kind == "a file":
        path.write_text("precious")
    else:
        path.mkdir()
        (path / "thesis.tex").write_text("precious")
    with pytest.raises(OutputError) as raised:
        fill_folder(path)
    assert str(raised.value) == (
        f"{path}: found something there that has no part of tfclass, and would be lost; "
        "expected an empty or missing folder; choose another"
    )
    assert (path if path.is_file() else path / "thesis.tex").read_text() == "precious"


def test_what_a_link_points_to_is_replaced_and_not_the_link(tmp_path):
    (tmp_path / "link").symlink_to("target")
    for content in (b"first", b"second"):
        with whole_file(tmp_path / "link") as stream:
            stream.write(content)
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "target").read_bytes() == content


@pytest.mark.parametrize("name", ["x" * 246 + ".tsv", "x" * 255, "\N{LATIN SMALL LETTER A WITH DIAERESIS}" * 127, ".y"])
def test_the_longest_names_that_a_system_takes_will_do(name, tmp_path):
    fill(tmp_path / name)
    fill_folder(tmp_path / "deep" / name)
    assert names(tmp_path) == sorted([name, "deep"])
    assert names(tmp_path / "deep") == [name]


def test_a_name_that_is_too_long_is_named_itself(tmp_path):
    path = tmp_path / ("x" * 252 + ".tsv")
    for write in (fill, fill_folder):
        with pytest.raises(OutputError) as caught:
            write(path)
        assert str(caught.value) == (
            f"{path}: found a place that cannot be written (File name too long); check the folder"
        )


@pytest.mark.parametrize("number", [errno.EROFS, errno.EPERM, errno.EACCES])
def test_a_place_that_is_read_only_is_named_and_not_the_temporary_file(number, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(number, os.strerror(number), "/other/name")

    monkeypatch.setattr("builtins.open", refuse)
    monkeypatch.setattr(os, "unlink", refuse)
    monkeypatch.setattr(os, "mkdir", refuse)
    for write in (fill, fill_folder):
        with pytest.raises(OutputError) as caught:
            write(tmp_path / "out")
        assert str(caught.value) == (
            f"{tmp_path}/out: found a place that cannot be written ({os.strerror(number)}); check the folder"
        )


def test_a_named_pipe_is_written_to_as_it_is(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    with whole_file(tmp_path / "pipe") as stream:
        stream.write(b"content")
    assert os.read(reader, 100) == b"content"
    os.close(reader)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no file system in memory")
def test_a_file_in_memory_is_a_file_though_it_lies_below_dev():
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        path = Path(folder, "out")
        for content in (b"first", b"second"):
            with whole_file(path) as stream:
                stream.write(content)
            assert path.read_bytes() == content
        with contextlib.suppress(KeyError), whole_file(path) as stream:
            stream.write(b"half")
            raise KeyError
        assert names(Path(folder)) == ["out"]
        assert path.read_bytes() == b"second"


def test_a_lock_is_held_by_one_and_what_cannot_be_locked_is_one_line(tmp_path):
    first = try_lock(tmp_path / "lock")
    assert first is not None
    assert try_lock(tmp_path / "lock") is None
    first.release()
    assert try_lock(tmp_path / "lock") is not None
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match=r"folder: found a place that cannot be written \(Is a directory\)"):
        try_lock(tmp_path / "folder")


@pytest.mark.parametrize("write", [make_folder, fill_folder], ids=["made", "written"])
def test_a_folder_under_a_file_cannot_be(write, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        OutputError, match=r"file/folder: found a place that cannot be written \((Not a directory|File exists)\)"
    ):
        write(tmp_path / "file" / "folder")


def test_making_a_folder_that_is_there_is_no_error(tmp_path):
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
