"""What MLflow could not take, kept in a folder until it can: one JSON object per line, files beside them.

The list is only ever appended to, so that a crash costs at most its last line, or replaced as a whole. What it holds
does not change with what is written later, and it can be moved.
"""

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

from tfclass.errors import TrackingError
from tfclass.io.files import make_folder, whole_file

FOLDER = "mlflow-journal"
_LINES, _FILES, _RUN = "journal.jsonl", "files", "run_id"
# What an entry calls the file or folder that it is about.
_PLACES = {"file": "path", "folder": "path", "model": "bundle"}

Entry = dict[str, Any]


class Journal:
    """Entries in the order in which they were made.

    Parameters
    ----------
    parent : Path
        The folder is ``mlflow-journal`` in it, and is made with the first entry.
    """

    def __init__(self, parent: Path) -> None:
        self.folder = parent / FOLDER

    def append(self, entry: Entry) -> None:
        """Add an entry; a file or folder that it names is copied, since the original may be another one soon.

        Raises
        ------
        OSError, OutputError
            The folder cannot be written to.
        """
        make_folder(self.folder)
        if key := _PLACES.get(entry["kind"]):
            entry = {**entry, key: str(self._copy(Path(entry[key])).relative_to(self.folder))}
        with (self.folder / _LINES).open("a+b") as stream:
            # A line that was being written when a process died must not swallow this one.
            stream.seek(0)
            stream.truncate(stream.read().rfind(b"\n") + 1)
            stream.write(json.dumps(entry).encode() + b"\n")

    def entries(self) -> list[Entry]:
        """Read what is there; a last line that was cut off is left out.

        Raises
        ------
        TrackingError
            Another line is damaged.
        """
        entries = []
        for entry in self._read():
            key = _PLACES.get(entry["kind"])
            entries.append({**entry, key: str((self.folder / entry[key]).resolve())} if key else entry)
        return entries

    def drop(self, n_delivered: int) -> None:
        """Take out so many from the front, but for the first one: it says what the others are to be delivered to."""
        entries = self._read()
        if n_delivered < len(entries):
            left = [entries[0], *entries[max(n_delivered, 1) :]]
            with whole_file(self.folder / _LINES) as stream:
                stream.write(b"".join(json.dumps(entry).encode() + b"\n" for entry in left))
        else:
            (self.folder / _LINES).unlink(missing_ok=True)
            shutil.rmtree(self.folder / _FILES, ignore_errors=True)

    def set_aside(self) -> Path | None:
        """Move what was not delivered out of a folder that is about to be replaced.

        Returns
        -------
        Path or None
            The folder that has it now, for `tfclass.tracking.delivery.replay`; None where nothing was left.
        """
        if not self._lines():
            return None
        parent = self.folder.parent
        taken = (parent.with_name(f"{parent.name}.unrecorded-{number}") for number in itertools.count(1))
        place = next(path for path in taken if not path.exists())
        make_folder(place)
        self.folder.rename(place / FOLDER)
        return place

    @property
    def run_id(self) -> str:
        """Id of the MLflow run that entries from here were delivered to; empty before."""
        try:
            # One that was damaged is an id that no store knows.
            return (self.folder / _RUN).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    @run_id.setter
    def run_id(self, value: str) -> None:
        with whole_file(self.folder / _RUN) as stream:
            stream.write(value.encode())

    def _read(self) -> list[Entry]:
        entries = []
        for number, line in enumerate(self._lines(), start=1):
            try:
                entries.append(_checked(json.loads(line)))
            except (ValueError, RecursionError) as error:
                path = self.folder / _LINES
                where, action = f"{path}, line {number}", f"mend or remove the line, or remove {self.folder}"
                raise TrackingError(where, "a damaged line", "a JSON object", action, path=str(path)) from error
        return entries

    def _lines(self) -> list[bytes]:
        try:
            # What follows the last line break is empty, or was being written when the process died.
            return (self.folder / _LINES).read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return []

    def _copy(self, path: Path) -> Path:
        # A folder for each, since MLflow shows a file under its own name.
        number = sum(1 for _ in (self.folder / _FILES).glob("*"))
        copy = self.folder / _FILES / str(number) / path.name
        make_folder(copy.parent)
        if path.is_dir():
            # A journal is about the run, and no part of it.
            shutil.copytree(path, copy, ignore=shutil.ignore_patterns(FOLDER))
        else:
            shutil.copyfile(path, copy)
        return copy


def _checked(entry: Any) -> Entry:  # noqa: ANN401 - whatever JSON holds
    """Return an entry; `ValueError` where it has no kind, or names a file outside the journal's folder."""
    if not isinstance(entry, dict) or not isinstance(entry.get("kind"), str):
        raise ValueError("no entry")
    place = entry.get(_PLACES.get(entry["kind"], ""), "")
    if not isinstance(place, str) or Path(place).is_absolute() or ".." in Path(place).parts:
        raise ValueError("a place outside the folder")
    return entry
