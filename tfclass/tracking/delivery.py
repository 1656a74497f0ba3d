"""Entries on their way to MLflow: one at a time, or all that a journal holds."""

import logging
import re
import textwrap
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from tfclass.config import TrackingConfig, from_mapping
from tfclass.errors import TrackingError, escaped
from tfclass.tracking.connection import short_waits, wait_for_sqlite
from tfclass.tracking.journal import Entry, Journal
from tfclass.tracking.origin import tracking_uri, without_password
from tfclass.tracking.store import Store

# Codes with which a store that works says that it does not want an entry, now or ever.
_REFUSALS = ("INVALID_PARAMETER_VALUE", "RESOURCE_ALREADY_EXISTS", "BAD_REQUEST", "INVALID_STATE")
# What says it all, wherever it stands in a message.
_TELLING = re.compile(
    "connection refused|timed out|name or service not known|database is locked|disk is full"
    "|too many \\d+ error responses|error code \\d+|not in a valid JSON format"
    "|an answer of more than \\d+ MiB|exceeded \\d+ redirects",
    re.IGNORECASE,
)
# What MLflow says ahead of the reason.
_CALL = re.compile(r"API request to \S+ failed with exception ")
# What SQLAlchemy says behind the reason: the statement with its values, and a link.
_STATEMENT = re.compile(r"\s*(\[SQL: |\(Background on this error).*", re.DOTALL)
# Characters of a message that are searched: a server's answer, which can be long, stands in some of them.
_LOOKED_AT = 10_000
_logger = logging.getLogger(__name__)


class Replayed(NamedTuple):
    """What `replay` did.

    Attributes
    ----------
    said : str
        What registering the model came to, in words.
    """

    run_id: str
    n_entries: int
    said: str


def replay(folder: Path) -> Replayed:
    """Deliver what MLflow could not take when it was recorded.

    Parameters
    ----------
    folder : Path
        Of the training or the report.

    Raises
    ------
    TrackingError
        There is nothing to deliver, or MLflow still cannot take it; what it took is not sent again.
    """
    journal = Journal(folder)
    entries = journal.entries()
    if not entries:
        action = "name a folder that the warning named"
        raise TrackingError(str(folder), "nothing that MLflow has missed", action=action, path=str(folder))
    if entries[0]["kind"] != "start" or "config" not in entries[0]:
        where, action = str(journal.folder), f"remove {journal.folder}"
        raise TrackingError(where, "a journal that lacks its first line", action=action, path=where)
    saved = from_mapping(TrackingConfig, entries[0]["config"])
    config = replace(saved, uri=tracking_uri(saved))
    with short_waits(config.timeout):
        store = Store(config, config.uri)
        error = send(store, journal)
    if error:
        where, action = without_password(config.uri), "start it, or name another with MLFLOW_TRACKING_URI"
        raise TrackingError(f"MLflow at {where}", reason_of(error), "a usable store", action, uri=where)
    return Replayed(store.run_id, len(entries), store.said)


def is_refusal(error: Exception) -> bool:
    """Tell whether the store works and does not want the entry."""
    return getattr(error, "error_code", "") in _REFUSALS


def send(store: Store, journal: Journal) -> Exception | None:
    """Deliver what a journal holds until the store fails; give the error. What was taken leaves the journal."""
    store.run_id = store.run_id or journal.run_id
    done = 0
    failure = None
    try:
        entries = journal.entries()
        for done, entry in enumerate(entries):  # noqa: B007 - used behind the loop
            try:
                deliver(store, entry)
            except Exception as error:
                if not (is_refusal(error) and store.run_id):
                    raise
                kind, where = entry["kind"], without_password(store.uri)
                _logger.warning("tfclass: MLflow at %s refuses %s: %s", where, kind, reason_of(error))
            if entry["kind"] == "start":
                journal.run_id = store.run_id
        done = len(entries)
    except Exception as error:  # noqa: BLE001 - the caller decides what it means
        failure = error
    if done:
        journal.drop(done)
    return failure


def deliver(store: Store, entry: Entry) -> None:
    """Deliver one entry; waits its turn at a SQLite store, at most `TrackingConfig.timeout` seconds.

    Raises
    ------
    Exception
        Whatever MLflow and its parts raise.
    """
    deadline = time.monotonic() + store.config.timeout
    if entry["kind"] == "start":
        wait_for_sqlite(store.uri, store.config.timeout)
    while True:
        try:
            store.deliver(entry)
            return
        except Exception as error:
            # Others that write to a SQLite store take turns; everything else is not better a moment later.
            if "database is locked" not in str(error) or time.monotonic() > deadline:
                raise


def reason_of(error: BaseException) -> str:
    """Say in a few words what an exception of MLflow, which can fill a page, is about."""
    text = str(error)[:_LOOKED_AT]
    if match := _TELLING.search(text):
        return match[0]
    words = " ".join(_STATEMENT.sub("", _CALL.sub("", text)).split()) or type(error).__name__
    return escaped(textwrap.shorten(words, 160, placeholder=" ...") if " " in words[:160] else words[:160])
