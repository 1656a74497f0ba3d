"""What the machine is asked for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tfclass.cli.options import thread_count
from tfclass.config import RuntimeConfig
from tfclass.environment import at_most_cores, available_cores, describe, prepare

PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


@pytest.mark.parametrize("asked", [1, 2, 100_000, 2**31 - 1])
def test_no_more_threads_than_cores(asked):
    try:
        prepare(RuntimeConfig.default(device="cpu", threads=asked))
        assert torch.get_num_threads() == min(asked, os.cpu_count())
        assert at_most_cores(asked) == min(asked, os.cpu_count())
        assert thread_count(asked) == min(asked, os.cpu_count())
    finally:
        torch.set_num_threads(1)
    assert thread_count(0) == available_cores() <= os.cpu_count()


def test_a_package_that_is_not_there_is_left_out_of_the_description(monkeypatch):
    monkeypatch.setattr("tfclass.environment._REPORTED", ("torch", "no-such-package"))
    assert describe(torch.device("cpu"))["packages"] == {"torch": torch.__version__}


LARGE_TENSOR = """
import torch
from tfclass.config import RuntimeConfig
from tfclass.environment import prepare
prepare(RuntimeConfig.default(device="cpu"))
tensor = torch.ones(1 << 24)
print(open("/proc/self/smaps").read())
"""


@pytest.mark.parametrize("asked", [[True, False], [False, True, False]])
def test_a_training_is_deterministic_when_it_asks_for_it_whatever_came_before(asked, monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    for deterministic in asked:
        prepare(RuntimeConfig.default(device="cpu", deterministic=deterministic))
        assert torch.are_deterministic_algorithms_enabled() == deterministic


@pytest.mark.skipif(not PAGES.exists(), reason="huge pages are Linux's")
@pytest.mark.parametrize(
    ("asked", "huge"), [({}, True), pytest.param({"THP_MEM_ALLOC_ENABLE": "0"}, False, marks=pytest.mark.slow)]
)
def test_large_tensors_ask_for_huge_pages_unless_the_user_says_no(asked, huge, monkeypatch):
    monkeypatch.delenv("THP_MEM_ALLOC_ENABLE", raising=False)
    for name, value in asked.items():
        monkeypatch.setenv(name, value)
    done = subprocess.run([sys.executable, "-c", LARGE_TENSOR], capture_output=True, text=True, timeout=120)
    flags = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("VmFlags:")]
    assert flags, done.stderr
    assert any("hg" in of_a_range for of_a_range in flags) == huge
