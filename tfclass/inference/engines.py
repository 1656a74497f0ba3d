"""Where parts are computed: in this process, in processes of this machine, or on a Dask cluster."""

import logging
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process

from tfclass.errors import MissingExtraError, WorkerError
from tfclass.inference.bulk import InProcess


@contextmanager
def executor_of(engine: str, workers: int) -> Iterator[Executor]:
    """Open an executor.

    Parameters
    ----------
    engine : str
        ``none``, ``process`` or ``dask``. Dask uses the cluster that ``DASK_SCHEDULER_ADDRESS`` names, else one of its
        own on this machine.
    workers : int

    Yields
    ------
    Executor

    Raises
    ------
    MissingExtraError
        Dask is not installed.
    WorkerError
        A worker died.
    """
    if engine == "none":
        yield InProcess()
    elif engine == "dask":
        with _dask(workers) as executor:
            yield executor
    else:
        with _processes(workers) as executor:
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


@contextmanager
def _dask(workers: int) -> Iterator[Executor]:
    try:
        import dask.config

        # Before the import that reads it; what Dask has to say is no business of standard error.
        dask.config.set({"logging.distributed": "critical"})
        from distributed import Client, KilledWorker, LocalCluster
    except ModuleNotFoundError as error:
        action = "pip install 'tfclass[hpc]'"
        raise MissingExtraError("--engine dask", "no Dask in this installation", action=action) from error
    remote = dask.config.get("scheduler-address", None)
    try:
        # Dask serves its pages in any case; on a port of its choosing it has nothing to warn of.
        cluster = remote or LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
        )
        client = Client(cluster)
    except (OSError, ValueError, RuntimeError) as error:
        where = f"DASK_SCHEDULER_ADDRESS={remote}" if remote else "--engine dask"
        raise WorkerError(where, f"no cluster ({error})", "a scheduler that answers") from error
    try:
        yield client.get_executor()
    except KilledWorker as error:
        action = "the same command goes on where this one stopped"
        raise WorkerError("--engine dask", "a chunk whose workers died again and again", action=action) from error
    finally:
        client.close()
        if not remote:
            cluster.close()
