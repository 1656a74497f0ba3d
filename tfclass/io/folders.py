"""Folders that appear whole or not at all, and keep whatever other programs and people put into them."""

import contextlib
import ctypes
import errno
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from tfclass.errors import OutputError
from tfclass.io.files import cannot_write, temporary_folder, temporary_name

# Bytes of a marker that are read; none of ours comes near.
_MAX_MARKER_BYTES = 256 << 20
# Attempts to take a place that other writers take at the same time.
_ATTEMPTS = 20
_AT_WORKING_DIRECTORY, _RENAME_EXCHANGE = -100, 2


class FolderKind(NamedTuple):
    """A kind of folder that tfclass writes.

    Attributes
    ----------
    marker : str
        The JSON file that every folder of the kind has.
    keys : tuple of str
        Keys of the object in it; a file of that name without them is another program's.
    owned : callable
        That object -> paths, relative to the folder, of what tfclass wrote there: files, or folders with all in them.
        They are removed with an older folder; all others are kept.
    """

    marker: str
    keys: tuple[str, ...]
    owned: Callable[[dict[str, Any]], Iterable[str]]


@contextlib.contextmanager
def whole_folder(path: Path, kind: FolderKind) -> Iterator[Path]:
    """Make a folder that replaces `path` in one step when the block ends without an error.

    Parameters
    ----------
    path : Path
        Missing parents are made; a link is followed. What an older folder of the same kind has and the kind does not
        own is kept, unless the new folder has it too.

    Yields
    ------
    Path
        The folder to fill, beside `path`.

    Raises
    ------
    OutputError
        As `check_replaceable`.
    """
    check_replaceable(path, kind)
    try:
        target = _target(path)
        with temporary_folder(target) as building:
            yield building
            os.umask(mask := os.umask(0))
            building.chmod(0o777 & ~mask)
            _take_place(building, target, kind)
    except OSError as error:
        raise cannot_write(path, error) from error


def check_replaceable(path: Path, kind: FolderKind) -> None:
    """Make sure that writing `path` destroys nothing of another kind.

    Raises
    ------
    OutputError
        `path` is a file, or a folder with content but without a marker of this kind, or cannot be written beside.
    """
    try:
        target = _target(path)
        if Path.cwd().is_relative_to(target.resolve()):
            found = "a place that cannot be written (it is or holds the working directory)"
            raise OutputError(f"{path}: found {found}; choose another folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(target):
            pass
        taken = target.exists() and (not target.is_dir() or any(target.iterdir()))
        if taken and _content(target, kind) is None:
            found = f"something there that has no {kind.marker} of tfclass, and would be lost"
            raise OutputError(f"{path}: found {found}; expected an empty or missing folder; choose another")
    except OSError as error:
        raise cannot_write(path, error) from error


def _target(path: Path) -> Path:
    return Path(os.path.realpath(path)) if path.is_symlink() or not path.name else path


def _content(folder: Path, kind: FolderKind) -> dict[str, Any] | None:
    """Read the marker of a folder; None where there is none that tfclass wrote."""
    marker = folder / kind.marker
    if not marker.is_file() or marker.stat().st_size > _MAX_MARKER_BYTES:
        return None
    try:
        content = json.loads(marker.read_bytes())
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) and all(key in content for key in kind.keys) else None


def _take_place(building: Path, path: Path, kind: FolderKind) -> None:
    for _ in range(_ATTEMPTS):
        try:
            if not path.exists():
                # Fails where another writer was first, but for an empty folder.
                os.rename(building, path)
                return
            _carry_over(path, building, kind)
            _exchange(building, path)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
                raise
            continue
        # What was put into the older one in the meantime; another process may be removing it as abandoned by now.
        with contextlib.suppress(FileNotFoundError):
            _carry_over(building, path, kind)
        return
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))


def _carry_over(old: Path, new: Path, kind: FolderKind) -> None:
    """Link into `new` what is in `old` and not of tfclass; copy it where the file system has no links."""
    content = _content(old, kind)
    owned = [] if content is None else [PurePath(name) for name in (kind.marker, *kind.owned(content))]

    def is_kept(path: Path) -> bool:
        return not any(path.is_relative_to(one) for one in owned)

    for place, folders, names in os.walk(old):
        inside = Path(place).relative_to(old)
        links = [name for name in folders if Path(place, name).is_symlink()]
        folders[:] = [name for name in folders if name not in links and is_kept(inside / name)]
        others = [inside / name for name in (*names, *links) if is_kept(inside / name)]
        if others or not (folders or names or links):
            (new / inside).mkdir(parents=True, exist_ok=True)
        for other in others:
            if not os.path.lexists(new / other):
                _link(old / other, new / other)


def _link(source: Path, copy: Path) -> None:
    try:
        os.link(source, copy, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, copy, follow_symlinks=False)


def _exchange(building: Path, path: Path) -> None:
    """Exchange the names of two folders in one step, or in two where the system cannot do better."""
    if _renameat2 is not None:
        names = (os.fsencode(building), os.fsencode(path))
        arguments = (_AT_WORKING_DIRECTORY, names[0], _AT_WORKING_DIRECTORY, names[1], _RENAME_EXCHANGE)
        if _renameat2(*arguments) == 0:
            return
        number = ctypes.get_errno()
        if number not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise OSError(number, os.strerror(number))
    aside = path.with_name(temporary_name(path.name) + ".old")
    os.rename(path, aside)
    try:
        os.rename(building, path)
    except BaseException:
        if not path.exists():
            os.rename(aside, path)
        raise
    os.rename(aside, building)


try:
    _renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
except (OSError, AttributeError, TypeError):
    # Not Linux, or a C library before 2018.
    _renameat2 = None
