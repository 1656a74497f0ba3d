"""UniProtKB through its REST API: one page of a search, asked for until it comes whole [1]_.

A search is walked from page to page with a cursor, which each page gives for the next one. Only the cursor is taken
from the server's link: address and query stay those that were asked for. The stream gives all of it as a single page.

References
----------
.. [1] The UniProt Consortium, Nucleic Acids Research 53 (2025), 10.1093/nar/gkae1010.
"""

import json
import re
import time
from collections.abc import Callable
from importlib.metadata import metadata
from typing import NamedTuple
from urllib.parse import urljoin

import requests
import urllib3
from urllib3.util import Retry

from tfclass.data.query import FetchConfig
from tfclass.data.server_answer import (
    LARGEST_PAGE,
    NotAPageError,
    cursor_of,
    innermost,
    seconds_asked_for,
    shown,
    unpacked,
)
from tfclass.errors import FetchError
from tfclass.io.http import MIB, LimitedSession, LimitError

# What `requests` and its parts raise where no answer came, or one that they cannot read: a length that no memory
# holds, a redirect to what is no address.
_NO_ANSWER = (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError, MemoryError, OverflowError)
_COUNT = re.compile(r"[0-9]{1,12}")
# Called with the reason and the seconds before the page is asked for again.
OnWait = Callable[[str, float], None]

_BUSY = (408, 429)
_LONGEST_BACKOFF = 120.0
_CONNECT_SECONDS = 10.0
# Whole Swiss-Prot has about 300 MiB, packed.
_LARGEST_STREAM = 512 * MIB
# Where no answer ever came there is no network, most likely; nobody should wait minutes to learn that.
_FIRST_RETRIES = 2
# What a cell of a field looks like, whatever the title of its column.
_SHAPES = {
    "accession": re.compile(r"[A-Z0-9]{6,10}"),
    "organism_id": re.compile(r"[0-9]+"),
    "sequence": re.compile(r"[A-Z]+"),
    "go_id": re.compile(r"(GO:[0-9]{7}(; ?|$))*"),
    "keywordid": re.compile(r"(KW-[0-9]{4}(; ?|$))*"),
}
_OFFLINE = "without one use the generated corpus (tfclass data demo) or files of your own (tfclass data import)"


class Edition(NamedTuple):
    """What all pages of one download have in common.

    Attributes
    ----------
    release, date : str
        Of UniProt, such as ``2026_03`` and ``02-September-2026``; empty where the server does not say.
    total : int
        Entries that the search finds.
    titles : tuple of str
        Of the columns, one for each field asked for, in that order.
    """

    release: str
    date: str
    total: int
    titles: tuple[str, ...]


class Page(NamedTuple):
    """Part of what a search found.

    Attributes
    ----------
    rows : list of str
        A line per entry, cells separated by tabs, without line ends.
    cursor : str
        Leads to the next page; empty on the last one.
    """

    rows: list[str]
    cursor: str
    edition: Edition


class UniProt:
    """A polite client: one connection, a limited rate, patience with a server that is busy or broken."""

    def __init__(self, config: FetchConfig, on_wait: OnWait | None = None) -> None:
        self.config = config
        self._on_wait = on_wait
        # Compression is asked for in the query instead; its checksum tells whether a body is whole.
        self._session = LimitedSession(config.timeout, LARGEST_PAGE, _LARGEST_STREAM)
        self._session.headers["User-Agent"] = _user_agent()
        self._answered = False
        self._earliest = 0.0

    def page(self, cursor: str, done: int, edition: Edition | None) -> Page:
        """Get one page; ask again, ever more slowly, while what comes is not a whole page.

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
        return self._insist(_Ask(self.config.size, cursor, done, edition))

    def stream(self) -> Page:
        """Get all entries in one answer, which is held against the number that the search finds.

        Returns
        -------
        Page
            Without a cursor.

        Raises
        ------
        FetchError
            As `page`.
        """
        # The stream does not say how many there are.
        return self._insist(_Ask(0, known=self._insist(_Ask(1)).edition))

    def _insist(self, ask: "_Ask") -> Page:
        config = self.config
        retry = Retry(total=config.retries, backoff_factor=config.backoff, backoff_max=_LONGEST_BACKOFF)
        while True:
            try:
                return self._read(self._get(ask), ask)
            except NotAPageError as fault:
                retry = self._wait(retry, fault)

    def _get(self, ask: "_Ask") -> tuple[requests.Response, bytes]:
        config = self.config
        asked = {"query": config.query, "fields": ",".join(config.fields), "format": "tsv", "compressed": "true"}
        url = config.url if ask.size else urljoin(config.url, "stream")
        asked |= ({"size": str(ask.size)} if ask.size else {}) | ({"cursor": ask.cursor} if ask.cursor else {})
        timeouts = (min(_CONNECT_SECONDS, config.timeout), config.timeout)
        time.sleep(max(0.0, self._earliest - time.monotonic()))
        self._earliest = time.monotonic() + 1 / config.rate
        try:
            with self._session.get(url, params=asked, timeout=timeouts, stream=not ask.size) as response:
                self._answered = True
                return response, b"".join(response.iter_content(MIB))
        except LimitError as error:
            raise NotAPageError(str(error)) from error
        except _NO_ANSWER as error:
            raise NotAPageError(innermost(error)) from error

    def _read(self, answer: tuple[requests.Response, bytes], ask: "_Ask") -> Page:
        (response, body), known = answer, ask.known
        if response.status_code in _BUSY or response.status_code >= 500:
            raise NotAPageError(f"HTTP status {response.status_code}", response.headers.get("Retry-After", ""))
        text = unpacked(body)
        if response.status_code != requests.codes.ok:
            raise self._refused(response.status_code, text, ask.cursor)
        counted = response.headers.get("X-Total-Results", "") if ask.size or known is None else str(known.total)
        if not _COUNT.fullmatch(counted) or text.lstrip()[:1] == "<":
            raise NotAPageError("a page of something else (HTML, maybe)")
        header, *rows = text.removesuffix("\n").split("\n")
        edition = self._edition(response, header, counted)
        if known is not None and edition[:-1] != known[:-1]:
            raise _changed(self.config.url, known, edition)
        if known is not None and edition.titles != known.titles:
            raise NotAPageError(f"columns {', '.join(edition.titles)}")
        if not edition.total:
            raise FetchError(self.config.url, f"no entry for the query {self.config.query!r}", action="check the query")
        following = cursor_of(response.links)
        left = edition.total - ask.done
        if len(rows) != min(ask.size or left, left) or bool(following) != (len(rows) < left):
            raise NotAPageError(f"{len(rows)} rows where {left} of {edition.total} were left")
        self._check_rows(rows)
        return Page(rows, following, edition)

    def _edition(self, response: requests.Response, header: str, total: str) -> Edition:
        titles = tuple(header.split("\t"))
        if len(titles) != len(self.config.fields):
            raise NotAPageError(f"{len(titles)} columns where {len(self.config.fields)} were asked for")
        release, date = (shown(response.headers.get(f"X-UniProt-Release{part}", "")) for part in ("", "-Date"))
        return Edition(release, date, int(total), titles)

    def _check_rows(self, rows: list[str]) -> None:
        fields = self.config.fields
        shapes = [(fields.index(name), shape) for name, shape in _SHAPES.items() if name in fields]
        for row in rows:
            cells = row.split("\t")
            if len(cells) != len(fields):
                raise NotAPageError(f"a row with {len(cells)} cells where {len(fields)} fields were asked for")
            for column, shape in shapes:
                if not shape.fullmatch(cells[column]):
                    raise NotAPageError(f"{cells[column][:30]!r} for {fields[column]}")

    def _wait(self, retry: Retry, fault: "NotAPageError") -> Retry:
        url, longest = self.config.url, self.config.longest_wait
        if not self._answered and len(retry.history) >= _FIRST_RETRIES:
            raise FetchError(url, f"no connection ({fault.reason})", "one to the network", _OFFLINE) from fault
        later = "run the same command later; the pages that are there are kept"
        try:
            retry = retry.increment("GET", url, error=fault)
            seconds = seconds_asked_for(fault.retry_after)
        except urllib3.exceptions.MaxRetryError:
            times = f"{fault.reason}, {self.config.retries + 1} times in a row"
            raise FetchError(url, times, "a page of entries", later) from fault
        if seconds > longest:
            found = f"{fault.reason} with a wish to be left alone for {seconds:.0f} s"
            raise FetchError(url, found, f"at most {longest:.0f} s", later) from fault
        seconds = seconds or retry.get_backoff_time()
        if self._on_wait is not None:
            self._on_wait(fault.reason, seconds)
        time.sleep(seconds)
        return retry

    def _refused(self, status: int, text: str, cursor: str) -> FetchError:
        try:
            said = shown("; ".join(map(str, json.loads(text)["messages"])))
        except (ValueError, KeyError, TypeError, RecursionError):
            said = ""
        found = f"HTTP status {status}" + (f" ({said})" if said else "")
        if cursor:
            action = "the cursor of a download does not live for ever; start again with --restart"
            return FetchError(self.config.url, found, "the next page", action, status=status)
        return FetchError(self.config.url, found, "a page of entries", "check query and address", status=status)


class _Ask(NamedTuple):
    """One request: rows at most (0: all of them, from the stream), from where on, and what the pages before told."""

    size: int
    cursor: str = ""
    done: int = 0
    known: Edition | None = None


def _changed(url: str, known: Edition, edition: Edition) -> FetchError:
    before, now = (f"release {e.release or 'unknown'} with {e.total:,} entries" for e in (known, edition))
    action = "two releases do not go into one table; start again with --restart"
    return FetchError(url, now, f"{before}, as on the pages that are there", action, release=edition.release)


def _user_agent() -> str:
    about = metadata("tfclass")
    links = [entry.split(",", 1)[-1].strip() for entry in about.get_all("Project-URL") or []]
    return f"tfclass/{about['Version']}" + (f" (+{links[0]})" if links else "")
