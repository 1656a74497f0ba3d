"""An executor on a Dask cluster, with a watch on it: nothing is waited for without a word, or for ever."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from tfclass.environment import at_most_cores
from tfclass.errors import MissingExtraError, WorkerError, escaped

if TYPE_CHECKING:
    from distributed import Client

# Seconds after which a message says what is waited for, and seconds between two checks of the cluster.
_PATIENCE, _INTERVAL = 10.0, 2.0
# Key of Dask's configuration (DASK_TFCLASS__WAIT): how long a cluster may be without an answer or a worker.
_WAIT, _DEFAULT_WAIT = "tfclass.wait", "10 minutes"
_WHERE = "--engine dask"
_NO_ANSWER, _NO_WORKER = "no answer from the scheduler", "no worker"
_MISSING = f"{_WHERE}: found no Dask in this installation; pip install 'tfclass[hpc]'"
_GOES_ON = "the same command goes on where this one stopped"

P = ParamSpec("P")
T = TypeVar("T")

# Loggers of Dask and of what it stands on.
_SILENT = ("distributed", "distributed.client", "asyncio", "tornado", "tornado.application")

_log = logging.getLogger(__name__)


def n_workers_of(n: int) -> int:
    """Return how many workers to keep busy: `n`, but on a cluster of this machine at most one per core.

    Raises
    ------
    MissingExtraError
        Dask is not installed.
    """
    return n if _scheduler_address() else at_most_cores(n)


@contextmanager
def dask_executor(n_workers: int) -> Iterator[Executor]:
    """Open an executor on the cluster that ``DASK_SCHEDULER_ADDRESS`` names, else on one of this machine.

    Parameters
    ----------
    n_workers : int
        Of a cluster on this machine; see `n_workers_of`.

    Raises
    ------
    MissingExtraError
        Dask is not installed.
    WorkerError
        The cluster cannot be reached, has had no worker for too long, or ended; or a chunk killed its workers.
    """
    remote = _scheduler_address()
    import dask.config

    # Before the import that reads it: nothing of what Dask logs goes to standard error.
    dask.config.set({"logging": dict.fromkeys(_SILENT, "critical")})
    try:
        from dask.utils import parse_timedelta
        from distributed import Client, KilledWorker, LocalCluster
        from distributed.comm.core import CommClosedError
    except ModuleNotFoundError as error:
        raise MissingExtraError(_MISSING) from error
    limit = float(parse_timedelta(dask.config.get(_WAIT, _DEFAULT_WAIT)))
    where = f"DASK_SCHEDULER_ADDRESS={remote}" if remote else _WHERE
    with ExitStack() as stack:
        try:
            if remote:
                asyncio.run(_reach(remote, where, limit))
            # Dask serves its pages in any case; on a port of its choosing it has nothing to warn of.
            cluster = remote or LocalCluster(
                n_workers=n_workers_of(n_workers),
                threads_per_worker=1,
                dashboard_address="127.0.0.1:0",
                silence_logs=logging.CRITICAL,
            )
            if not isinstance(cluster, str):
                stack.callback(cluster.close)
            client = Client(cluster, timeout=limit)
        except (OSError, ValueError, RuntimeError, asyncio.TimeoutError) as error:
            raise WorkerError(f"{where}: found no cluster ({error}); expected a scheduler that answers") from error
        stack.callback(client.close, timeout=_PATIENCE)
        executor = stack.enter_context(_WatchedExecutor(client, where, limit))
        try:
            yield executor
        except (CancelledError, CommClosedError) as error:
            problem = executor.problem or "a scheduler that ended"
            raise WorkerError(f"{where}: found {problem}; {_GOES_ON}") from error
        except KilledWorker as error:
            raise WorkerError(f"{_WHERE}: found a chunk whose workers died again and again; {_GOES_ON}") from error


def _scheduler_address() -> str | None:
    """Return the address of the scheduler in Dask's configuration (``DASK_SCHEDULER_ADDRESS``); None without one."""
    try:
        import dask.config
    except ModuleNotFoundError as error:
        raise MissingExtraError(_MISSING) from error
    return dask.config.get("scheduler-address", None)


async def _reach(address: str, where: str, limit: float) -> None:
    """Wait until a scheduler answers, which `Client` would do without end where one accepts calls and says nothing."""
    from distributed import Security
    from distributed.comm.core import connect

    arguments = Security().get_connection_args("client")
    answer = asyncio.ensure_future(connect(address, timeout=limit, **arguments))
    done, _ = await asyncio.wait({answer}, timeout=min(_PATIENCE, limit))
    if not done:
        _say_waiting(where, _NO_ANSWER, limit)
    try:
        comm = await asyncio.wait_for(answer, max(0.0, limit - _PATIENCE))
    except asyncio.TimeoutError as error:
        raise TimeoutError(f"no answer in {limit:.0f} s") from error
    comm.abort()


def _say_waiting(where: str, problem: str, limit: float) -> None:
    _log.warning("tfclass: %s: %s yet; waiting, at most %.0f s in all", escaped(where), problem, limit)


def _settle(future: "Future[Any]", task: Any) -> None:  # noqa: ANN401
    """Pass on the outcome of a task of Dask; runs in a thread of Dask."""
    try:
        result, error = task.result(timeout=_PATIENCE), None
    except Exception as raised:  # noqa: BLE001 - raised by `future.result()`
        result, error = None, raised
    if not future.set_running_or_notify_cancel():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


class _WatchedExecutor(Executor):
    """An executor of Dask that cancels its futures after `limit` seconds without an answer or a worker."""

    def __init__(self, client: "Client", where: str, limit: float) -> None:
        self._client, self._where, self._limit = client, where, limit
        self._tasks: WeakKeyDictionary[Future[Any], Any] = WeakKeyDictionary()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.problem = ""

    def __enter__(self) -> "_WatchedExecutor":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._thread.join()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":  # noqa: D102
        future: Future[T] = Future()
        try:
            task = self._client.submit(fn, *args, pure=False, **kwargs)
        except RuntimeError as error:
            # The client has given up its scheduler.
            raise CancelledError from error
        # Dask forgets a task that nothing refers to any more.
        self._tasks[future] = task
        task.add_done_callback(partial(_settle, future))
        return future

    def _watch(self) -> None:
        good, said = time.monotonic(), False
        while not self._closed.wait(_INTERVAL):
            problem = self._check()
            useless = time.monotonic() - good
            if not problem:
                good, said = time.monotonic(), False
            elif useless > self._limit:
                self.problem = f"{problem} for {self._limit:.0f} s"
                for future in list(self._tasks):
                    future.cancel()
            elif useless > _PATIENCE and not said:
                said = True
                _say_waiting(self._where, problem, self._limit)

    def _check(self) -> str:
        """Return what is wrong with the cluster; empty where nothing is."""
        try:
            scheduler: Any = self._client.scheduler
            cores = self._client.sync(scheduler.ncores, callback_timeout=_PATIENCE)
        # Whatever Dask makes of a scheduler that is slow, frozen or gone.
        except Exception:  # noqa: BLE001
            return _NO_ANSWER
        return "" if cores else _NO_WORKER
