"""Programs that end when the process that started them does."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

# Ends once the other end of its standard input is closed, which the system does when the parent dies.
_WATCHER = ("/bin/sh", "-c", 'read -r line; kill -s KILL -- "-$0"')


@contextmanager
def ends_with_parent(group: int) -> Iterator[None]:
    """Kill a group of processes if this process dies within the block, however it dies.

    Parameters
    ----------
    group : int
        Id of the group; a program started with ``start_new_session=True`` leads one of its own.
    """
    reading, writing = os.pipe()
    try:
        watcher = subprocess.Popen([*_WATCHER, str(group)], stdin=reading, start_new_session=True)
    finally:
        os.close(reading)
    try:
        yield
    finally:
        # Before the pipe is closed: the group is no longer there, and another may get its number.
        watcher.kill()
        watcher.wait()
        os.close(writing)
