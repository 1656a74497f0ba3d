"""UniProtKB through its REST API: one page of a search, asked for until it comes whole [1]_.

A search is walked from page to page with a cursor, which each page gives for the next one. Only the cursor is taken
from the server's link: address and query stay those that were asked for. The stream gives all of it as a single page.

References
----------
.. [1] The UniProt Consortium, Nucleic Acids Research 53 (2025), 10.1093/nar/gkae1010.
"""

import gzip
import json
import re
import time
import zlib
from collections.abc import Callable
from importlib.metadata import metadata
from typing import NamedTuple
from urllib.parse import parse_qs, urljoin, urlsplit

import requests
import urllib3
from urllib3.util import Retry

from tfclass.corpus.query import FetchConfig
from tfclass.errors import FetchError

# Called with the reason and the seconds before the page is asked for again.
OnWait = Callable[[str, float], None]

_BUSY = (408, 429)
_GZIP = b"\x1f\x8b"
_LONGEST_BACKOFF = 120.0
_CONNECT_SECONDS = 10.0
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
    edition : Edition
    """

    rows: list[str]
    cursor: str
    edition: Edition


class UniProt:
    """A polite client: one connection, a limited rate, patience with a server that is busy or broken.

    Parameters
    ----------
    config : FetchConfig
    on_wait : callable, optional
    """

    def __init__(self, config: FetchConfig, on_wait: OnWait | None = None) -> None:
        self.config = config
        self._on_wait = on_wait
        self._session = requests.Session()
        # Compression is asked for in the query instead; its checksum tells whether a body is whole.
        self._session.headers.update({"User-Agent": _user_agent(), "Accept-Encoding": "identity"})
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

        Returns
        -------
        Page

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
            except _NotAPageError as fault:
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
            with self._session.get(url, params=asked, timeout=timeouts, stream=True) as response:
                self._answered = True
                return response, response.raw.read(decode_content=False)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise _NotAPageError(_innermost(error)) from error

    def _read(self, answer: tuple[requests.Response, bytes], ask: "_Ask") -> Page:
        (response, body), known = answer, ask.known
        if response.status_code in _BUSY or response.status_code >= 500:
            raise _NotAPageError(f"HTTP status {response.status_code}", response.headers.get("Retry-After", ""))
        text = _unpacked(body)
        if response.status_code != requests.codes.ok:
            raise self._refused(response.status_code, text, ask.cursor)
        counted = response.headers.get("X-Total-Results") if ask.size or known is None else str(known.total)
        if text.lstrip()[:1] == "<" or counted is None:
            raise _NotAPageError("a page of something else (HTML, maybe)")
        header, *rows = text.removesuffix("\n").split("\n")
        edition = self._edition(response, header, counted)
        if known is not None and edition[:-1] != known[:-1]:
            raise _changed(self.config.url, known, edition)
        if known is not None and edition.titles != known.titles:
            raise _NotAPageError(f"columns {', '.join(edition.titles)}")
        if not edition.total:
            raise FetchError(self.config.url, f"no entry for the query {self.config.query!r}", action="check the query")
        following = parse_qs(urlsplit(response.links.get("next", {}).get("url", "")).query).get("cursor", [""])[0]
        left = edition.total - ask.done
        if len(rows) != min(ask.size or left, left) or bool(following) != (len(rows) < left):
            raise _NotAPageError(f"{len(rows)} rows where {left} of {edition.total} were left")
        self._check_rows(rows)
        return Page(rows, following, edition)

    def _edition(self, response: requests.Response, header: str, total: str) -> Edition:
        titles = tuple(header.split("\t"))
        if len(titles) != len(self.config.fields) or not total.isdecimal():
            raise _NotAPageError(f"{len(titles)} columns where {len(self.config.fields)} were asked for")
        release, date = (response.headers.get(f"X-UniProt-Release{part}", "") for part in ("", "-Date"))
        return Edition(release, date, int(total), titles)

    def _check_rows(self, rows: list[str]) -> None:
        fields = self.config.fields
        shapes = [(fields.index(name), shape) for name, shape in _SHAPES.items() if name in fields]
        for row in rows:
            cells = row.split("\t")
            if len(cells) != len(fields):
                raise _NotAPageError(f"a row with {len(cells)} cells where {len(fields)} fields were asked for")
            for column, shape in shapes:
                if not shape.fullmatch(cells[column]):
                    raise _NotAPageError(f"{cells[column][:30]!r} for {fields[column]}")

    def _wait(self, retry: Retry, fault: "_NotAPageError") -> Retry:
        url, longest = self.config.url, self.config.longest_wait
        if not self._answered and len(retry.history) >= _FIRST_RETRIES:
            raise FetchError(url, f"no connection ({fault.reason})", "one to the network", _OFFLINE) from fault
        later = "run the same command later; the pages that are there are kept"
        try:
            retry = retry.increment("GET", url, error=fault)
            seconds = retry.parse_retry_after(fault.retry_after) if fault.retry_after else 0.0
        except urllib3.exceptions.MaxRetryError:
            times = f"{fault.reason}, {self.config.retries + 1} times in a row"
            raise FetchError(url, times, "a page of entries", later) from fault
        except urllib3.exceptions.InvalidHeader:
            seconds = 0.0
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
            said = "; ".join(map(str, json.loads(text)["messages"]))
        except (ValueError, KeyError, TypeError):
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


class _NotAPageError(Exception):
    def __init__(self, reason: str, retry_after: str = "") -> None:
        super().__init__(reason)
        self.reason, self.retry_after = reason, retry_after


def _unpacked(body: bytes) -> str:
    try:
        # Packed twice where a server also compresses what it sends.
        while body.startswith(_GZIP):
            body = gzip.decompress(body)
        return body.decode("utf-8")
    except (EOFError, OSError, zlib.error, UnicodeDecodeError) as error:
        raise _NotAPageError(f"a damaged page ({error})") from error


def _changed(url: str, known: Edition, edition: Edition) -> FetchError:
    before, now = (f"release {e.release or 'unknown'} with {e.total:,} entries" for e in (known, edition))
    action = "two releases do not go into one table; start again with --restart"
    return FetchError(url, now, f"{before}, as on the pages that are there", action, release=edition.release)


def _innermost(error: BaseException) -> str:
    # What requests says of a failed connection is a paragraph; the cause at the bottom of it is a line.
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return " ".join(str(getattr(error, "strerror", None) or error or type(error).__name__).split())


def _user_agent() -> str:
    about = metadata("tfclass")
    links = [entry.split(",", 1)[-1].strip() for entry in about.get_all("Project-URL") or []]
    return f"tfclass/{about['Version']}" + (f" (+{links[0]})" if links else "")
