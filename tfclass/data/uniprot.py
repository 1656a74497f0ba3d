"""A client of UniProtKB's REST API: one page of a search at a time, requested again until it is valid [1]_.

A search is read page by page with a cursor, which each page gives for the next one. Only the cursor is taken from the
server's link: address and query stay those of the configuration. Retries are made here, not by the adapter of
urllib3, since most faults show only when a page is read: damaged gzip, HTML, missing rows.

References
----------
.. [1] The UniProt Consortium, Nucleic Acids Research 53 (2025), 10.1093/nar/gkae1010.
"""

import gzip
import io
import json
import re
import textwrap
import time
import zlib
from collections.abc import Callable, Mapping
from importlib.metadata import metadata
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

import requests
import urllib3
from urllib3.util import Retry

from tfclass.data.curation import FetchConfig
from tfclass.errors import FetchError, escaped
from tfclass.io.http import MIB, LimitedSession, LimitError

# Called with the reason and the seconds before a page is requested again.
OnWait = Callable[[str, float], None]

# What `requests` and its parts raise where no answer came, or one that they cannot read: a length beyond the memory,
# a redirect to an invalid address.
_NO_ANSWER = (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError, MemoryError, OverflowError)
_BUSY = (408, 429)
_MAX_BACKOFF = 120.0
_CONNECT_SECONDS = 10.0
# Without any answer so far there is no network, most likely, and the user should know at once.
_FIRST_RETRIES = 2
# A page of 500 entries has about one MiB, unpacked.
_MAX_PAGE = 64 * MIB
_MAX_SHOWN = 200
_COUNT = re.compile(r"[0-9]{1,12}")
# The cells of some fields, whatever the title of the column.
_CELLS = {
    "accession": re.compile(r"[A-Z0-9]{6,10}"),
    "organism_id": re.compile(r"[0-9]+"),
    "sequence": re.compile(r"[A-Z]+"),
    "go_id": re.compile(r"(GO:[0-9]{7}(; ?|$))*"),
    "keywordid": re.compile(r"(KW-[0-9]{4}(; ?|$))*"),
}
_RESTART = "start again with --restart"


class Edition(NamedTuple):
    """Properties that all pages of a download share.

    Attributes
    ----------
    release, date : str
        Of UniProt, such as ``2026_03`` and ``02-September-2026``; empty where the server does not say.
    total : int
        Entries that the search finds.
    titles : tuple of str
        Of the columns, one for each requested field, in that order.
    """

    release: str
    date: str
    total: int
    titles: tuple[str, ...]


class Page(NamedTuple):
    """Part of the result of a search: a line per entry, and the cursor of the next page, empty on the last one."""

    rows: list[str]
    cursor: str
    edition: Edition


class _InvalidPageError(Exception):
    """An answer that is not the requested page; the page is requested again, after the server's ``Retry-After``."""

    def __init__(self, reason: str, retry_after: str = "") -> None:
        super().__init__(reason)
        self.reason, self.retry_after = _shown(reason), retry_after


class UniProt:
    """A polite client: one connection, a limited rate, retries for a server that is busy or broken."""

    def __init__(self, config: FetchConfig, on_wait: OnWait | None = None) -> None:
        self.config = config
        self._on_wait = on_wait
        # Compression is requested in the query; its checksum tells whether a body is complete.
        self._session = LimitedSession(config.timeout, _MAX_PAGE, _MAX_PAGE)
        self._session.headers["User-Agent"] = _user_agent()
        self._is_connected = False
        self._earliest = 0.0

    def page(self, cursor: str, done: int, edition: Edition | None) -> Page:
        """Get one page; request it again, with growing pauses, until it is valid.

        Parameters
        ----------
        cursor : str
            From the page before; empty for the first page.
        done : int
            Entries on the pages before.
        edition : Edition or None
            That of the pages before.

        Raises
        ------
        FetchError
            The server cannot be reached, refuses the query or the cursor, keeps failing, or has a new release.
        """
        n_faults = 0
        while True:
            try:
                return self._read(self._get(cursor), cursor, done, edition)
            except _InvalidPageError as fault:
                n_faults += 1
                self._wait(fault, n_faults)

    def _get(self, cursor: str) -> requests.Response:
        config = self.config
        parameters = {"query": config.query, "fields": ",".join(config.fields), "format": "tsv", "compressed": "true"}
        parameters |= {"size": str(config.size)} | ({"cursor": cursor} if cursor else {})
        timeouts = (min(_CONNECT_SECONDS, config.timeout), config.timeout)
        time.sleep(max(0.0, self._earliest - time.monotonic()))
        self._earliest = time.monotonic() + 1 / config.rate
        try:
            response = self._session.get(config.url, params=parameters, timeout=timeouts)
        except LimitError as error:
            raise _InvalidPageError(str(error)) from error
        except _NO_ANSWER as error:
            raise _InvalidPageError(_innermost(error)) from error
        self._is_connected = True
        return response

    def _read(self, response: requests.Response, cursor: str, done: int, known: Edition | None) -> Page:
        if response.status_code in _BUSY or response.status_code >= 500:
            retry_after = response.headers.get("Retry-After", "")
            raise _InvalidPageError(f"HTTP status {response.status_code}", retry_after)
        text = _unpacked(response.content)
        if response.status_code != requests.codes.ok:
            raise self._refused(response.status_code, text, cursor)
        total = response.headers.get("X-Total-Results", "")
        if not _COUNT.fullmatch(total) or text.lstrip()[:1] == "<":
            raise _InvalidPageError("a page of something else (HTML, maybe)")
        header, *rows = text.removesuffix("\n").split("\n")
        edition = self._edition(response, header, int(total))
        if known is not None and edition[:-1] != known[:-1]:
            raise self._changed(known, edition)
        if known is not None and edition.titles != known.titles:
            raise _InvalidPageError(f"columns {', '.join(edition.titles)}")
        if not edition.total:
            raise FetchError(f"{self.config.url}: found no entry for the query {self.config.query!r}; check the query")
        following = _cursor_of(response.links)
        left = edition.total - done
        if len(rows) != min(self.config.size, left) or bool(following) != (len(rows) < left):
            raise _InvalidPageError(f"{len(rows)} rows where {left} of {edition.total} were left")
        self._check_rows(rows)
        return Page(rows, following, edition)

    def _edition(self, response: requests.Response, header: str, total: int) -> Edition:
        titles = tuple(header.split("\t"))
        if len(titles) != len(self.config.fields):
            raise _InvalidPageError(f"{len(titles)} columns where {len(self.config.fields)} were requested")
        release, date = (_shown(response.headers.get(f"X-UniProt-Release{part}", "")) for part in ("", "-Date"))
        return Edition(release, date, total, titles)

    def _check_rows(self, rows: list[str]) -> None:
        fields = self.config.fields
        patterns = [(fields.index(name), pattern) for name, pattern in _CELLS.items() if name in fields]
        for row in rows:
            cells = row.split("\t")
            if len(cells) != len(fields):
                raise _InvalidPageError(f"a row with {len(cells)} cells where {len(fields)} fields were requested")
            for column, pattern in patterns:
                if not pattern.fullmatch(cells[column]):
                    raise _InvalidPageError(f"{cells[column][:30]!r} for {fields[column]}")

    def _wait(self, fault: _InvalidPageError, n_faults: int) -> None:
        """Wait before the next try; raise FetchError where there is none."""
        config = self.config
        if not self._is_connected and n_faults > _FIRST_RETRIES:
            raise FetchError(
                f"{config.url}: found no connection ({fault.reason}); expected one to the network; without one use the "
                "generated corpus (tfclass data demo) or files of your own (tfclass data import)"
            ) from fault
        later = "run the same command later; the pages that are there are kept"
        if n_faults > config.retries:
            raise FetchError(
                f"{config.url}: found {fault.reason}, {n_faults} times in a row; expected a page of entries; {later}"
            ) from fault
        seconds = _seconds_of(fault.retry_after)
        if seconds > config.longest_wait:
            raise FetchError(
                f"{config.url}: found {fault.reason} with Retry-After {seconds:.0f} s; "
                f"expected at most {config.longest_wait:.0f} s; {later}"
            ) from fault
        # The first retry follows at once: most faults are gone by then.
        backoff = config.backoff * 2.0 ** min(n_faults - 1, 30) if n_faults > 1 else 0.0
        seconds = seconds or min(_MAX_BACKOFF, backoff)
        if self._on_wait is not None:
            self._on_wait(fault.reason, seconds)
        time.sleep(seconds)

    def _refused(self, status: int, text: str, cursor: str) -> FetchError:
        try:
            message = _shown("; ".join(map(str, json.loads(text)["messages"])))
        except (ValueError, KeyError, TypeError, RecursionError):
            message = ""
        found = f"{self.config.url}: found HTTP status {status}" + (f" ({message})" if message else "")
        if cursor:
            return FetchError(f"{found}; expected the next page; the cursor of a download expires; {_RESTART}")
        return FetchError(f"{found}; expected a page of entries; check query and address")

    def _changed(self, known: Edition, edition: Edition) -> FetchError:
        before, now = (f"release {e.release or 'unknown'} with {e.total:,} entries" for e in (known, edition))
        return FetchError(
            f"{self.config.url}: found {now}; expected {before}, as on the pages that are there; "
            f"two releases do not go into one table; {_RESTART}"
        )


def _unpacked(body: bytes) -> str:
    try:
        # Packed twice where a server also compresses what it sends.
        for _ in range(2):
            if body.startswith(b"\x1f\x8b"):
                body = gzip.GzipFile(fileobj=io.BytesIO(body)).read(_MAX_PAGE + 1)
            if len(body) > _MAX_PAGE:
                raise _InvalidPageError(f"a page that unpacks to more than {_MAX_PAGE // MIB} MiB")
        return body.decode("utf-8")
    except (EOFError, OSError, zlib.error, UnicodeDecodeError) as error:
        raise _InvalidPageError(f"a damaged page ({error})") from error


def _cursor_of(links: Mapping[str, Mapping[str, str]]) -> str:
    """Return the cursor in the link to the next page; empty without one."""
    try:
        query = urlsplit(links.get("next", {}).get("url", "")).query
    except ValueError as error:
        raise _InvalidPageError(f"a link that is no address ({error})") from error
    return parse_qs(query).get("cursor", [""])[0]


def _seconds_of(retry_after: str) -> float:
    """Return the seconds until the time in a ``Retry-After``; 0 where it cannot be read."""
    try:
        return float(Retry().parse_retry_after(retry_after))
    except (urllib3.exceptions.InvalidHeader, ValueError, TypeError, IndexError, OverflowError):
        return 0.0


def _shown(text: str) -> str:
    """Return a server's text as part of a line for a terminal."""
    return escaped(textwrap.shorten(text[: 2 * _MAX_SHOWN], _MAX_SHOWN, placeholder=" ..."))


def _innermost(error: BaseException) -> str:
    """Return the cause at the bottom of a failed call in a line; the message of requests is a paragraph."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return " ".join(str(getattr(error, "strerror", None) or error or type(error).__name__).split())


def _user_agent() -> str:
    about = metadata("tfclass")
    links = [entry.split(",", 1)[-1].strip() for entry in about.get_all("Project-URL") or []]
    return f"tfclass/{about['Version']}" + (f" (+{links[0]})" if links else "")
