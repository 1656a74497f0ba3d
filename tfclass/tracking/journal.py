"""What MLflow could not take, kept in a folder until it can: one JSON object per line, files beside them.

The list is only ever appended to, so that a crash costs at most its last line, or replaced as a whole.
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfclass.files import make_folder, whole_file

FOLDER = "mlflow-journal"
_LINES, _FILES, _RUN = "journal.jsonl", "files", "run_id"

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
        """Add an entry; a file that it names is copied, since the original may not be there for long.

        Raises
        ------
        OSError, OutputError
            The folder cannot be written to.
        """
        make_folder(self.folder)
        if entry["kind"] == "file":
            entry = {**entry, "path": str(self._copy(Path(entry["path"])))}
        with (self.folder / _LINES).open("ab") as stream:
            stream.write(json.dumps(entry).encode() + b"\n")

    def entries(self) -> list[Entry]:
        """Read what is there; a last line that was cut off is left out."""
        try:
            lines = (self.folder / _LINES).read_bytes().split(b"\n")
        except FileNotFoundError:
            return []
        # What follows the last line break is empty, or was being written when the process died.
        return [json.loads(line) for line in lines[:-1]]

    def replace(self, entries: Sequence[Entry]) -> None:
        """Keep these only."""
        if entries:
            with whole_file(self.folder / _LINES) as stream:
                stream.write(b"".join(json.dumps(entry).encode() + b"\n" for entry in entries))
        else:
            (self.folder / _LINES).unlink(missing_ok=True)
            shutil.rmtree(self.folder / _FILES, ignore_errors=True)

    @property
    def run_id(self) -> str:
        """Id of the MLflow run that entries from here were delivered to; empty before."""
        try:
            return (self.folder / _RUN).read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""

    @run_id.setter
    def run_id(self, value: str) -> None:
        with whole_file(self.folder / _RUN) as stream:
            stream.write(value.encode())

    def _copy(self, path: Path) -> Path:
        # A folder for each, since MLflow shows a file under its own name.
        number = sum(1 for _ in (self.folder / _FILES).glob("*"))
        copy = (self.folder / _FILES / str(number) / path.name).resolve()
        make_folder(copy.parent)
        shutil.copyfile(path, copy)
        return copy
