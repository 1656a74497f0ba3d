"""Where parts are computed: in this process, in processes of this machine, or on a Dask cluster."""

from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context

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
        # A forked torch may wait for threads that were not copied with it.
        pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
        try:
            yield pool
        except BrokenProcessPool as error:
            action = "the same command goes on where this one stopped; fewer --workers need less memory"
            raise WorkerError(
                f"--engine {engine}", "a worker that died, perhaps for lack of memory", action=action
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def _dask(workers: int) -> Iterator[Executor]:
    try:
        import dask.config
        from distributed import Client, KilledWorker, LocalCluster
    except ModuleNotFoundError as error:
        action = "pip install 'tfclass[hpc]'"
        raise MissingExtraError("--engine dask", "no Dask in this installation", action=action) from error
    remote = dask.config.get("scheduler-address", None)
    cluster = remote or LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address="")
    try:
        with Client(cluster) as client:
            yield client.get_executor()
    except KilledWorker as error:
        action = "the same command goes on where this one stopped"
        raise WorkerError("--engine dask", "a chunk whose workers died again and again", action=action) from error
    finally:
        if not isinstance(cluster, str):
            cluster.close()
