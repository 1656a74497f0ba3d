"""A program ends with the process that started it, however that one ends."""

import contextlib
import subprocess
import sys
import time

import psutil
import pytest

from tfclass.search.mmseqs import _ends_with_parent

# A program that starts another one, as MMseqs2 does, and neither of them ends by itself.
PARENT = """
import subprocess
from tfclass.search.mmseqs import _ends_with_parent
process = subprocess.Popen(["/bin/sh", "-c", "sleep 600 & sleep 601"], start_new_session=True)
with _ends_with_parent(process.pid):
    print(process.pid, flush=True)
    process.wait()
"""


def test_a_killed_parent_takes_its_programs_along():
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    leader = psutil.Process(int(parent.stdout.readline()))
    while len(leader.children()) < 2:
        time.sleep(0.02)
    family = psutil.Process(parent.pid).children(recursive=True)
    assert len(family) >= 4
    parent.kill()
    parent.wait()
    parent.stdout.close()
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize("error", [None, KeyboardInterrupt, ValueError])
def test_nothing_else_ends_and_nothing_stays_when_the_block_does(error):
    other = subprocess.Popen(["sleep", "600"], start_new_session=True)
    with contextlib.suppress(KeyboardInterrupt, ValueError), _ends_with_parent(other.pid):
        watchers = [child for child in psutil.Process().children() if child.name() == "sh"]
        assert len(watchers) == 1
        if error is not None:
            raise error
    time.sleep(0.3)
    assert other.poll() is None
    assert not watchers[0].is_running()
    other.kill()
    other.wait()
