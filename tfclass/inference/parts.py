"""A folder of parts: which of its files are parts, one run at a time, and nothing else in it ever touched."""

import contextlib
import os
import re
import stat
from collections.abc import Collection, Iterator
from pathlib import Path

from tfclass.errors import OutputError
from tfclass.io.files import try_lock

# Key of the metadata that every part has.
MARK = "tfclass_part"
_NAME = re.compile(r"part-[0-9]{5,}\.parquet")
_DIGEST = re.compile(rb"[0-9a-f]{64}")
_LOCK = ".tfclass.lock"


@contextlib.contextmanager
def held_alone(folder: Path) -> Iterator[None]:
    """Keep other runs out of a folder; `OutputError` where one is at work there."""
    lock = try_lock(folder / _LOCK)
    if lock is None:
        action = "wait for it, or name another folder; shards need one each"
        raise OutputError(str(folder), "another run that uses it", "a folder of its own", action)
    try:
        yield
    finally:
        lock.release()


def refuse_foreign(path: Path) -> None:
    """Make sure that a part replaces nothing but a part; `OutputError`."""
    if os.path.lexists(path) and not _is_part(path):
        found = "a file that is no part, or is damaged beyond recognition"
        raise OutputError(str(path), found, "a part that tfclass wrote", "move it away, or name another folder")


def remove_parts(folder: Path, keep: Collection[str] = ()) -> None:
    """Remove parts, whatever run they are of, but for those of some names."""
    for path in folder.glob("part-*"):
        if path.name not in keep and _is_part(path):
            path.unlink()


def remove_folder(folder: Path) -> None:
    """Remove the parts, and the folder if nothing else is in it."""
    remove_parts(folder)
    (folder / _LOCK).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()


def _is_part(path: Path) -> bool:
    """Return whether a file is a part: by its name, a plain file and no link, with the metadata of one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not _NAME.fullmatch(path.name) or not stat.S_ISREG(path.lstat().st_mode):
        return False
    try:
        metadata = pq.read_schema(path).metadata or {}
    except (OSError, ValueError, TypeError, pa.ArrowException):
        return False
    digests = (metadata.get(b"chunk", b""), metadata.get(b"job", b""))
    return MARK.encode() in metadata and all(_DIGEST.fullmatch(digest) for digest in digests)
