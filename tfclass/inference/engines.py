"""Where parts are computed: in this process, in processes of this machine, or on a Dask cluster."""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process

from tfclass.environment import at_most_cores
from tfclass.errors import WorkerError
from tfclass.inference.dask_engine import dask_executor, scheduler_address
from tfclass.inference.jobs import InProcess


def workers_of(engine: str, asked: int) -> int:
    """Return how many workers to keep busy: as many as asked for, on this machine no more than it has cores."""
    return asked if engine == "dask" and scheduler_address() else at_most_cores(asked)


@contextmanager
def executor_of(engine: str, workers: int) -> Iterator[Executor]:
    """Open an executor.

    Parameters
    ----------
    engine : str
        ``none``, ``process`` or ``dask``. Dask uses the cluster that ``DASK_SCHEDULER_ADDRESS`` names, else one of its
        own on this machine.

    Raises
    ------
    MissingExtraError
        Dask is not installed.
    WorkerError
        A worker died, or the cluster is of no use; see `dask_executor`.
    """
    if engine == "none":
        yield InProcess()
    elif engine == "dask":
        with dask_executor(workers) as executor:
            yield executor
    else:
        with _processes(at_most_cores(workers)) as executor:
            yield executor


@contextmanager
def _processes(workers: int) -> Iterator[Executor]:
    others = active_children()
    # A forked torch may wait for threads that were not copied with it.
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_leave_with_parent)
    try:
        # A worker that dies while work is handed out leaves Python's own thread a dictionary that changes as it is
        # read, hence a traceback; most of that time is their start.
        pool.submit(os.getpid).result()
        yield pool
    except BaseException as error:
        # Nobody waits for the chunks in hand; and the pool, having found one worker dead, would wait without end for
        # another that was just being started.
        for process in active_children():
            if process not in others:
                process.terminate()
        if not isinstance(error, BrokenProcessPool):
            raise
        action = "the same command goes on where this one stopped; fewer --workers need less memory"
        found = "a worker that died, perhaps for lack of memory"
        raise WorkerError("--engine process", found, action=action) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _leave_with_parent() -> None:
    """End this worker when the process that started it is gone, however it went."""
    parent = parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
