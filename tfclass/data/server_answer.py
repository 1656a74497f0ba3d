"""What a server answers, of which nothing is believed: unpacked, read and made fit to be shown."""

import email.utils
import gzip
import io
import re
import textwrap
import time
import zlib
from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit

from tfclass.errors import escaped
from tfclass.io.http import MIB

# A page of 500 entries has about one MiB, unpacked.
LARGEST_PAGE = 64 * MIB
# Entries unpack to four or five times their size; a few bytes that unpack to gigabytes are no entries.
_MOST_UNPACKED = 20
_GZIP = b"\x1f\x8b"
_LONGEST_SHOWN = 200


class NotAPageError(Exception):
    """An answer that is not the page that was asked for; the page is asked for again.

    Parameters
    ----------
    retry_after : str, optional
        What the server says about when to come back.
    """

    def __init__(self, reason: str, retry_after: str = "") -> None:
        super().__init__(reason)
        self.reason, self.retry_after = shown(reason), retry_after


def unpacked(body: bytes) -> str:
    """Unpack a page and decode it; `NotAPageError` where it is damaged, or has a size that no page has."""
    most = max(LARGEST_PAGE, _MOST_UNPACKED * len(body))
    try:
        # Packed twice where a server also compresses what it sends.
        for _ in range(2):
            if body.startswith(_GZIP):
                body = gzip.GzipFile(fileobj=io.BytesIO(body)).read(most + 1)
            if len(body) > most:
                raise NotAPageError(f"a page that unpacks to more than {most // MIB} MiB")
        return body.decode("utf-8")
    except (EOFError, OSError, zlib.error, UnicodeDecodeError) as error:
        raise NotAPageError(f"a damaged page ({error})") from error


def cursor_of(links: Mapping[str, Mapping[str, str]]) -> str:
    """Return what leads to the next page, as the links of an answer have it; empty where nothing does."""
    try:
        query = urlsplit(links.get("next", {}).get("url", "")).query
    except ValueError as error:
        raise NotAPageError(f"a link that is no address ({error})") from error
    return parse_qs(query).get("cursor", [""])[0]


def seconds_asked_for(retry_after: str) -> float:
    """Return for how many seconds a server wants to be left alone; 0 where it says nothing that can be understood."""
    if re.fullmatch(r"\s*[0-9]{1,9}\s*", retry_after):
        return float(retry_after)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0.0


def shown(text: str) -> str:
    """Return what a server says as part of a line for a terminal."""
    return escaped(textwrap.shorten(text[: 2 * _LONGEST_SHOWN], _LONGEST_SHOWN, placeholder=" ..."))


def innermost(error: BaseException) -> str:
    """Return the cause at the bottom of a failed call in a line; what requests says is a paragraph."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return " ".join(str(getattr(error, "strerror", None) or error or type(error).__name__).split())
