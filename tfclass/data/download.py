"""A UniProt download as a folder: it grows page by page, survives being killed, and is whole or not there.

While it grows, ``pages.part/`` holds ``request.json`` and, for each page, ``000001.tsv.gz`` and ``000001.json``. The
second is written once the first is on the disk, so a page without it is fetched again. At the end the pages are
concatenated as they are (gzip files may be) into ``entries.tsv.gz``; ``manifest.json`` records where they come from.
An older download in the same folder stays until that moment. ``request.json`` is the first file written and the last
one removed: without it, nothing in ``pages.part/`` is read as a page.
"""

import contextlib
import gzip
import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from tfclass.data.neighbours import check_neighbour, holds
from tfclass.data.uniprot import Edition, Page, UniProt
from tfclass.errors import FetchError, OutputError, TableError
from tfclass.io.files import make_folder, sha256_of, try_lock, whole_file

ENTRIES = "entries.tsv.gz"
MANIFEST = "manifest.json"

_PAGES = "pages.part"
_REQUEST = "request.json"
_LOCK = ".lock"
# Only files of this module are ever removed: the pages, their records, and the request.
_OWN = re.compile(r"\d{6}\.(tsv\.gz|json)|request\.json")

# Called after each page with the number of entries that are there and of those that the search finds.
OnPage = Callable[[int, int], None]


class Download(NamedTuple):
    """The content of ``manifest.json``, and the number of pages that were fetched by this call."""

    manifest: dict[str, Any]
    fetched: int


def download(folder: Path, uniprot: UniProt, *, restart: bool = False, on_page: OnPage | None = None) -> Download:
    """Fetch all entries of a search, or those that are missing; with `restart`, all.

    Raises
    ------
    FetchError
        From `UniProt.page`; or the folder has the download of another search.
    OutputError
        The folder cannot be written to, or another process writes to it, or a file that tfclass did not write has the
        name of one to be written.
    """
    with _locked(folder):
        pages = folder / _PAGES
        fetched = 0
        if not restart and (folder / MANIFEST).exists() and not (pages / _REQUEST).exists():
            return Download(_same_search(check_download(folder), uniprot, folder), 0)
        _check_replaceable(folder)
        if restart or not (pages / f"{1:06}.json").exists():
            _begin(pages, uniprot)
            fetched = 1
        with _readable(pages / _REQUEST):
            _same_search(json.loads((pages / _REQUEST).read_bytes()), uniprot, folder)
        fetched += _fetch(pages, uniprot, on_page)
        manifest = _concatenate(folder, uniprot)
        _remove_pages(pages)
        return Download(manifest, fetched)


def check_download(folder: Path) -> dict[str, Any]:
    """Read the manifest of a download; TableError where the download is incomplete or has another checksum."""
    place = folder / MANIFEST
    try:
        manifest = json.loads(place.read_bytes())
        expected = manifest["files"][ENTRIES]["sha256"]
        found = _sha256(folder / ENTRIES)
    except FileNotFoundError as error:
        missing = Path(str(error.filename)).name
        action = "tfclass data fetch makes one, or goes on with one that was interrupted"
        raise TableError(f"{folder}: found no {missing}; expected a complete download; {action}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TableError(f"{place}: found something that is no manifest ({error})") from error
    if found != expected:
        action = "tfclass data fetch --restart fetches it again"
        raise TableError(f"{folder / ENTRIES}: checksum mismatch with {MANIFEST}; {action}")
    return manifest


def _check_replaceable(folder: Path) -> None:
    """Refuse to replace or remove a file that tfclass did not write; `OutputError`."""
    pages = folder / _PAGES
    is_download = holds("source", "query", "files")(folder / MANIFEST)
    is_begun = holds("query", "fields")(pages / _REQUEST)
    check_neighbour(folder / MANIFEST, lambda _: is_download)
    # A process that is killed before it writes the manifest leaves the pages and their concatenation.
    check_neighbour(folder / ENTRIES, lambda path: is_download or (is_begun and _sha256(path) == _sha256_joined(pages)))
    for path in _own_files(pages):
        check_neighbour(path, lambda _: is_begun)


def _own_files(pages: Path) -> list[Path]:
    """List the pages and their records, the last first, and then the request."""
    found = [path for path in pages.iterdir() if _OWN.fullmatch(path.name)] if pages.is_dir() else []
    return sorted(found, key=lambda path: (path.name != _REQUEST, path.name), reverse=True)


def _begin(pages: Path, uniprot: UniProt) -> None:
    # Before anything is written or removed: without a network everything stays as it is.
    first = uniprot.page("", 0, None)
    _remove_pages(pages)
    make_folder(pages)
    _write_json(pages / _REQUEST, _search_of(uniprot))
    _write_page(pages, 1, first)


def _fetch(pages: Path, uniprot: UniProt, on_page: OnPage | None) -> int:
    records = _valid_pages(pages)
    edition = None
    if records:
        first = records[0]["edition"]
        edition = Edition(first["release"], first["date"], first["total"], tuple(first["titles"]))
    done, cursors = sum(record["rows"] for record in records), [record["cursor"] for record in records]
    while edition is None or done < edition.total:
        if on_page is not None and edition is not None:
            on_page(done, edition.total)
        page = uniprot.page(cursors[-1] if cursors else "", done, edition)
        if page.cursor in cursors:
            raise FetchError(f"{uniprot.config.url}: found page {len(cursors) + 1} leading back to a page before it")
        cursors.append(page.cursor)
        _write_page(pages, len(cursors), page)
        edition, done = page.edition, done + len(page.rows)
    return len(cursors) - len(records)


def _write_page(pages: Path, number: int, page: Page) -> None:
    lines = ["\t".join(page.edition.titles)] * (number == 1) + page.rows
    # Without the time of day, so the same entries are the same bytes.
    content = gzip.compress(("\n".join(lines) + "\n").encode(), 6, mtime=0)
    with whole_file(pages / f"{number:06}.tsv.gz") as stream:
        stream.write(content)
    record = {"rows": len(page.rows), "cursor": page.cursor, "sha256": hashlib.sha256(content).hexdigest()}
    _write_json(pages / f"{number:06}.json", record | {"edition": page.edition._asdict()})


def _valid_pages(pages: Path) -> list[dict[str, Any]]:
    """Return the records of the pages from the first on, up to one that is missing, damaged or of another edition."""
    records: list[dict[str, Any]] = []
    while (place := pages / f"{len(records) + 1:06}.json").exists():
        with _readable(place):
            record = json.loads(place.read_bytes())
            content = place.with_suffix(".tsv.gz")
            if not content.exists() or _sha256(content) != record["sha256"]:
                break
            if records and record["edition"] != records[0]["edition"]:
                break
        records.append(record)
    return records


def _concatenate(folder: Path, uniprot: UniProt) -> dict[str, Any]:
    pages = folder / _PAGES
    records = _valid_pages(pages)
    edition, n_entries = records[0]["edition"], sum(record["rows"] for record in records)
    if n_entries != edition["total"]:
        raise OutputError(f"{pages}: found pages that changed while they were put together; run the command again")
    place = folder / ENTRIES
    with whole_file(place) as whole:
        for number in range(1, len(records) + 1):
            with (pages / f"{number:06}.tsv.gz").open("rb") as part:
                shutil.copyfileobj(part, whole)
    digests = {"sha256": _sha256(place), "sha256_unpacked": _sha256(place, gzip.open)}
    manifest = {
        "source": "UniProtKB",
        "licence": "CC BY 4.0",
        "release": edition["release"],
        "release_date": edition["date"],
        "url": uniprot.config.url,
        **_search_of(uniprot),
        "titles": list(edition["titles"]),
        "entries": n_entries,
        "pages": len(records),
        "files": {ENTRIES: {"bytes": place.stat().st_size, **digests}},
        "tfclass": version("tfclass"),
    }
    _write_json(folder / MANIFEST, manifest)
    return manifest


def _search_of(uniprot: UniProt) -> dict[str, Any]:
    return {"query": uniprot.config.query, "fields": list(uniprot.config.fields)}


def _same_search(there: dict[str, Any], uniprot: UniProt, folder: Path) -> dict[str, Any]:
    for key, wanted in _search_of(uniprot).items():
        if there.get(key) != wanted:
            raise FetchError(
                f"{folder}: found a download with {key} {there.get(key)!r}; expected {wanted!r}; "
                "name another folder, or start again with --restart"
            )
    return there


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    make_folder(folder)
    lock = try_lock(folder / _LOCK)
    if lock is None:
        raise OutputError(f"{folder}: found another download at work there; wait for it, or name another folder")
    try:
        yield
    finally:
        lock.release()
        # Remove folders that were made for nothing.
        if new and [path.name for path in folder.iterdir()] == [_LOCK]:
            (folder / _LOCK).unlink()
            for path in new:
                path.rmdir()


def _remove_pages(pages: Path) -> None:
    # In an order in which the rest is an interrupted download, wherever a kill may interrupt this.
    for path in _own_files(pages):
        if path.is_file():
            path.unlink()
    with contextlib.suppress(OSError):
        pages.rmdir()


def _write_json(path: Path, content: dict[str, Any]) -> None:
    with whole_file(path) as stream:
        stream.write((json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise FetchError(f"{path}: found a record that cannot be read ({error}); start again with --restart") from error


def _sha256(path: Path, opener: Callable[[Path, str], Any] = open) -> str:
    with opener(path, "rb") as stream:
        return sha256_of(stream)


def _sha256_joined(pages: Path) -> str:
    digest = hashlib.sha256()
    for number in range(1, len(_valid_pages(pages)) + 1):
        digest.update((pages / f"{number:06}.tsv.gz").read_bytes())
    return digest.hexdigest()
