"""HTTP calls that end: each within a time and a size, its retries and redirects included.

The timeout of `requests` is the longest silence of a server, so an answer that comes a byte at a time, or without end,
is waited for without end. Here, one limit holds for a whole call, from the connection to the last byte of the answer.
"""

import functools
import http.client
import io
import socket
import time
from contextvars import ContextVar
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util import Retry

MIB = 1 << 20
# http.client reads a hundred headers, but any number of preliminary answers and trailers.
_MOST_LINES = 500


class LimitError(Exception):
    """A call took longer, or its answer is larger, than it may; not an `OSError`, since urllib3 retries after those."""


class _Limit:
    """The time and the size that one call may take.

    Parameters
    ----------
    seconds : float
        Of the whole call; of a file, for each mebibyte, since a file takes long on a slow network.
    max_bytes : int
        Of the answer, headers included.
    """

    def __init__(self, seconds: float, max_bytes: int, *, is_file: bool) -> None:
        self.seconds, self.max_bytes, self.is_file = seconds, max_bytes, is_file
        self._deadline = time.monotonic() + seconds
        self._received = self._moved = 0

    def remaining(self) -> float:
        """Return the seconds that are left; `LimitError` where none is."""
        seconds = self._deadline - time.monotonic()
        if seconds <= 0:
            raise self.passed()
        return seconds

    def passed(self) -> LimitError:
        """Return the error of a time that is over."""
        what = "no further MiB" if self.is_file else "no whole answer"
        return LimitError(f"timed out: {what} within {self.seconds:g} s")

    def sent(self, n_bytes: int) -> None:
        """Count bytes that were sent; what is sent has an end, so that it may take long."""
        self._moved += n_bytes
        if self._moved >= MIB:
            self._moved, self._deadline = 0, time.monotonic() + self.seconds

    def received(self, n_bytes: int) -> None:
        """Count bytes of the answer; `LimitError` where there are too many."""
        self._received += n_bytes
        self.check_size(self._received)
        if self.is_file:
            self.sent(n_bytes)

    def check_size(self, n_bytes: int) -> None:
        """Raise `LimitError` for an answer of this size if it is too large."""
        if n_bytes > self.max_bytes:
            raise LimitError(f"an answer of more than {self.max_bytes // MIB} MiB")


class LimitedSession(requests.Session):
    """A session whose calls have a limit.

    No compressed answer is asked for, since a few bytes can unpack to any size; the body of one that is compressed all
    the same stays as it is.

    Parameters
    ----------
    seconds : float
        Of a call with its retries and redirects; with ``stream=True``, for each mebibyte of the answer.
    max_bytes, max_file_bytes : int
        Size of an answer, and of one with ``stream=True``.
    retries : Retry, optional
        None by default; ``Retry-After`` is not followed.
    """

    def __init__(self, seconds: float, max_bytes: int, max_file_bytes: int, retries: Retry | None = None) -> None:
        super().__init__()
        self.seconds, self.max_bytes, self.max_file_bytes = seconds, max_bytes, max_file_bytes
        if retries is not None:
            longest = min(retries.backoff_max, seconds / 4)
            retries = retries.new(respect_retry_after_header=False, backoff_max=longest)
        for scheme in ("http://", "https://"):
            self.mount(scheme, _Adapter(max_retries=retries or 0))

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:  # noqa: ANN401
        """Send a request; `LimitError` where it takes too long or the answer is too large."""
        # A redirect comes here again, in the time of the call that led to it.
        if _LIMIT.get() is not None:
            return super().send(request, **kwargs)
        is_file = bool(kwargs.get("stream"))
        request.headers["Accept-Encoding"] = "identity"
        most = self.max_file_bytes if is_file else self.max_bytes
        token = _LIMIT.set(_Limit(self.seconds, most, is_file=is_file))
        try:
            return super().send(request, **kwargs)
        finally:
            _LIMIT.reset(token)


_LIMIT: ContextVar[_Limit | None] = ContextVar("limit", default=None)


class _PacedReader(io.RawIOBase):
    """A reader of a socket, under a limit."""

    def __init__(self, raw: Any, sock: socket.socket, limit: _Limit) -> None:  # noqa: ANN401 - a `socket.SocketIO`
        self._raw, self._sock, self._limit = raw, sock, limit
        self._silence = sock.gettimeout()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - inherited
        remaining = self._limit.remaining()
        is_last = self._silence is None or remaining <= self._silence
        self._sock.settimeout(remaining if is_last else self._silence)
        try:
            n_bytes = self._raw.readinto(buffer)
        except TimeoutError as error:
            # A silence of the server may be worth another try; the end of the time is not.
            if not is_last:
                raise
            raise self._limit.passed() from error
        self._limit.received(n_bytes)
        return n_bytes

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Lines(io.BufferedReader):
    """An answer whose lines have an end: those of its head, of its trailer, and between chunks."""

    _n_lines = 0

    def readline(self, size: int | None = -1) -> bytes:
        self._n_lines += 1
        if self._n_lines > _MOST_LINES:
            raise LimitError(f"headers of more than {_MOST_LINES} lines")
        return super().readline(size)

    def read(self, size: int | None = -1) -> bytes:
        self._n_lines = 0
        return super().read(size)

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - inherited
        self._n_lines = 0
        return super().readinto(buffer)


class _Answer(http.client.HTTPResponse):
    """The answer of a server, under a limit from its first line on."""

    def __init__(self, limit: _Limit, sock: socket.socket, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(sock, *args, **kwargs)
        self._limit = limit
        self.fp = _Lines(_PacedReader(self.fp.detach(), sock, limit), 1 << 16)  # type: ignore[attr-defined]

    def begin(self) -> None:
        super().begin()
        del self.headers["Content-Encoding"]
        # A size that is too large is refused before memory is taken for it.
        self._limit.check_size(self.length or 0)


class _LimitedConnection:
    """Base of the connections of both schemes."""

    sock: socket.socket | None

    @property
    def response_class(self) -> Any:  # noqa: ANN401 - how `http.client` is told what an answer is
        limit = _LIMIT.get()
        return http.client.HTTPResponse if limit is None else functools.partial(_Answer, limit)

    def send(self, data: Any) -> None:  # noqa: ANN401 - inherited
        limit = _LIMIT.get()
        if limit is not None and self.sock is not None:
            self.sock.settimeout(limit.remaining())
        super().send(data)  # type: ignore[misc]
        if limit is not None:
            limit.sent(len(data))


class _HTTP(_LimitedConnection, HTTPConnection):  # type: ignore[misc]
    pass


class _HTTPS(_LimitedConnection, HTTPSConnection):  # type: ignore[misc]
    pass


class _HTTPPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _HTTP  # type: ignore[assignment]


class _HTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HTTPS  # type: ignore[assignment]


_POOLS = {"http": _HTTPPool, "https": _HTTPSPool}


class _Adapter(HTTPAdapter):
    """An adapter that sends requests over connections with a limit."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - inherited
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:  # noqa: ANN401 - inherited
        manager = super().proxy_manager_for(proxy, **kwargs)
        # Those of a SOCKS proxy make its own kind of connection.
        if not proxy.lower().startswith("socks"):
            manager.pool_classes_by_scheme = _POOLS
        return manager
