"""What a killed process leaves under construction is removed by the next one, and nothing else is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfclass.io.files import is_temporary, remove_abandoned, temporary_file, temporary_folder, temporary_name

HANG = """
import sys, time
from pathlib import Path
from tfclass.io.files import temporary_file, temporary_folder
files = temporary_file(Path("rows.tsv"))
with files as stream, temporary_folder(Path("bundle")) as folder, temporary_folder() as spare:
    stream.write(b"half")
    stream.flush()
    (folder / "deep").mkdir()
    (folder / "deep" / "file").write_text("half")
    print(stream.name, folder, spare, flush=True)
    time.sleep(600)
"""
FOREIGN = [
    ".rows.tsv.1a2b3c4d",
    ".rows.tsv.0123456789abcdef01234567",
    ".bundle.old",
    "..swp",
    ".rows.tsv.swp",
    "rows.tsv~",
]


@pytest.fixture
def hanging(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tmp").mkdir()
    environment = {**os.environ, "TMPDIR": str(tmp_path / "tmp")}
    process = subprocess.Popen([sys.executable, "-c", HANG], stdout=subprocess.PIPE, env=environment, text=True)
    places = [Path(name) for name in process.stdout.readline().split()]
    yield process, places
    process.kill()
    process.wait()
    process.stdout.close()


def clean(*folders):
    for folder in folders:
        remove_abandoned.cache_clear()
        remove_abandoned(str(folder))


def test_only_what_a_killed_process_left_is_removed(hanging, tmp_path):
    process, places = hanging
    for name in FOREIGN:
        Path(name).write_text("mine")
    Path(temporary_name("link")).symlink_to("rows")
    link = next(path for path in tmp_path.iterdir() if path.is_symlink())
    clean(tmp_path, tmp_path / "tmp")
    assert all(place.exists() for place in places)
    assert is_temporary(places[0].name)
    process.kill()
    process.wait()
    clean(tmp_path, tmp_path / "tmp")
    assert not any(place.exists() for place in places)
    assert sorted(os.listdir(tmp_path)) == sorted([*FOREIGN, link.name, "tmp"])
    assert {Path(name).read_text() for name in FOREIGN} == {"mine"}


def test_the_next_writer_in_the_folder_cleans_up(hanging):
    process, places = hanging
    process.kill()
    process.wait()
    code = "from pathlib import Path; from tfclass.io.files import whole_file\nwith whole_file(Path('other.tsv')): pass"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert not places[0].exists()
    assert not places[1].exists()
    assert Path("other.tsv").exists()


@pytest.mark.parametrize("seconds", [1, pytest.param(5, marks=pytest.mark.slow)])
def test_writers_are_not_disturbed_by_those_who_clean_up(tmp_path, seconds):
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom tfclass.io.files import remove_abandoned\n"
        "from tfclass.io.files import whole_file\nend = time.monotonic() + int(sys.argv[2])\n"
        "while time.monotonic() < end:\n"
        "    remove_abandoned.cache_clear()\n"
        "    with whole_file(Path(sys.argv[1])) as stream:\n        stream.write(b'x' * 100)\n"
    )
    command = [sys.executable, "-c", code]
    writers = [
        subprocess.Popen([*command, f"out{n % 2}", str(seconds)], cwd=tmp_path, stderr=subprocess.PIPE)
        for n in range(4)
    ]
    assert [writer.communicate(timeout=60)[1] for writer in writers] == [b""] * 4
    assert sorted(os.listdir(tmp_path)) == ["out0", "out1"]


@given(st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=255))
def test_names_are_recognised_and_short(name):
    made = temporary_name(name)
    assert is_temporary(made)
    assert len(os.fsencode(made.encode("utf-8", "replace").decode())) <= 190
    assert not is_temporary(name)
    for place in (-1, -17, -25):
        other = "0" if made[place] != "0" else "1"
        assert not is_temporary(made[:place] + other + made[len(made) + place + 1 :])


def test_a_renamed_file_stays_and_its_block_ends_cleanly(tmp_path):
    with temporary_file(tmp_path / "a") as stream:
        os.replace(stream.name, tmp_path / "a")
    assert os.listdir(tmp_path) == ["a"]
    with temporary_folder(tmp_path / "b") as folder:
        os.rename(folder, tmp_path / "b")
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_other_files_are_not_touched_however_many(tmp_path, monkeypatch):
    for number in range(200):
        (tmp_path / f"part-{number:05}.parquet").touch()
    # Where a file system answers slowly, a call for each file would take minutes.
    asked = []
    with monkeypatch.context() as patch:
        for call in ("lstat", "open"):
            patch.setattr(os, call, lambda *arguments: asked.append(arguments))
        clean(tmp_path)
    assert asked == []
