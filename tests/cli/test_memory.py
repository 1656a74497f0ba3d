"""Out of memory is one line that says so."""

import subprocess
import sys

import pytest

from tfclass.environment import MIN_ADDRESS_SPACE, memory_error
from tfclass.errors import FetchError, MissingExtraError, ProfileError

resource = pytest.importorskip("resource")
MB = 1 << 20


def run(folder, limit, *arguments):
    code = "from tfclass.cli.app import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        capture_output=True,
        timeout=120,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )


@pytest.mark.parametrize("limit", [300, 586, 700, 899])
def test_too_little_address_space_is_found_before_a_library_is_loaded(tmp_path, limit):
    (tmp_path / "in.fasta").write_text(">a\nMKV\n")
    finished = run(tmp_path, limit * MB, "predict", "in.fasta")
    assert (finished.returncode, finished.stdout) == (1, b"")
    assert finished.stderr.decode() == (
        f"tfclass: memory: found an address space limited to {limit} MB; expected at least 900 MB; "
        "raise the limit (ulimit -v, or that of the batch system)\n"
    )


@pytest.mark.slow
def test_an_allocation_that_fails_is_one_line(tmp_path):
    (tmp_path / "in.fasta").write_text(">a\nMKV\n>long\n" + "MKVLAGHWMK" * 20_000_000)
    words = ("predict", "in.fasta", "--channel", "network", "--max-length", "300000000")
    finished = run(tmp_path, MIN_ADDRESS_SPACE + 100 * MB, *words)
    assert finished.returncode in (1, 2)
    assert finished.stderr.startswith(b"tfclass: memory: found not enough for this command (the address space is")
    assert finished.stderr.count(b"\n") == 1


def test_help_needs_little(tmp_path):
    assert run(tmp_path, 300 * MB, "predict", "--help").returncode == 0


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(12, "Cannot allocate memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("can't start new thread"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
    ],
    ids=repr,
)
def test_every_form_of_it_is_recognised_also_as_the_cause_of_another(error):
    outer = ProfileError("profiles", "no profiles that can be read")
    outer.__cause__ = error
    for raised in (error, outer):
        found = memory_error(raised)
        assert found is not None
        assert str(found).startswith("memory: found not enough for this command")


@pytest.mark.parametrize(
    "error",
    [ValueError("a fault"), FetchError("server", "an answer that is out of memory"), MissingExtraError("x", "no Dask")],
    ids=repr,
)
def test_other_errors_are_raised_unchanged(error):
    error.__cause__ = ModuleNotFoundError("No module named 'distributed'")
    assert memory_error(error) is None
