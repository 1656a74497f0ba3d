"""The folder of an explanation: pages, tables, segments and figures, written protein by protein."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tfclass.interpretation.explanation import Explanation
from tfclass.interpretation.index import Index
from tfclass.interpretation.page import ModelFacts, render_page, title_of
from tfclass.interpretation.segments import gff3_lines
from tfclass.interpretation.tables import Add, growing_table, mutation_columns, residue_columns
from tfclass.io.drawing import png, svg
from tfclass.io.folders import FolderKind

INDEX, SEGMENTS = "index.html", "segments.gff3"
# The start of an id in the name of a file.
_MAX_NAME = 60
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def _written(content: Mapping[str, Any]) -> Iterable[str]:
    return [str(name) for name in content["files"] if isinstance(name, str)]


EXPLANATION_FOLDER = FolderKind("explain.json", ("tfclass", "model", "files"), _written)


class Outputs(NamedTuple):
    """Outputs besides pages and segments: the format of the tables, and whether there are mutations and figures."""

    format: str = "tsv"
    mutations: bool = False
    figures: bool = False


def file_name(number: int, record_id: str) -> str:
    """Return the name of a protein's files, without an ending: its number, and what of the id is safe in any name.

    Examples
    --------
    >>> file_name(7, "sp|P03023|LACI_ECOLI"), file_name(8, "../../x"), file_name(9, "")
    ('0007-sp_P03023_LACI_ECOLI', '0008-x', '0009')
    """
    safe = _UNSAFE.sub("_", record_id)[:_MAX_NAME].strip("._-")
    return f"{number:04d}-{safe}" if safe else f"{number:04d}"


class ExplanationWriter:
    """Write the files of a folder while proteins come; see `explanation_writer`."""

    def __init__(self, folder: Path, facts: ModelFacts, outputs: Outputs, index: Index, tables: dict[str, Add]) -> None:
        self._folder, self._facts, self._outputs = folder, facts, outputs
        self._index, self._tables = index, tables
        self._segments = (folder / SEGMENTS).open("w", encoding="utf-8", errors="backslashreplace", newline="\n")
        self._marker = (folder / EXPLANATION_FOLDER.marker).open("w", encoding="utf-8")
        self._segments.write("##gff-version 3\n")
        start = json.dumps({"tfclass": facts.version, "model": facts.model, "sha256": facts.digest})
        # The names of files are written as they come: there may be many.
        self._marker.write(f'{start[:-1]}, "files": [{json.dumps(SEGMENTS)}')
        self.own(INDEX)

    def own(self, name: str) -> Path:
        """Return the path of a file, and note that it is of tfclass."""
        self._marker.write(f",\n{json.dumps(name)}")
        return self._folder / name

    def add(self, number: int, row: Mapping[str, Any], explanation: Explanation | None, *, positive: bool) -> str:
        """Write what belongs to one protein; a skipped one stands in the index alone.

        Parameters
        ----------
        number : int
            Of the record in the input, counted from 1.
        row : mapping
            The columns of the prediction.

        Returns
        -------
        str
            Path of the page within the folder; empty without one.
        """
        page = ""
        if explanation is not None:
            name = file_name(number, str(row["id"]))
            page = f"pages/{name}.html"
            html = render_page(number, row, explanation, self._facts)
            self.own(page).write_text(html, encoding="utf-8", errors="backslashreplace")
            self._segments.writelines(gff3_lines(number, row, explanation, f"tfclass_v{self._facts.version}"))
            self._tables["residues"](number, str(row["id"]), residue_columns(explanation))
            if "mutations" in self._tables:
                self._tables["mutations"](number, str(row["id"]), mutation_columns(explanation))
            if self._outputs.figures:
                self._draw(name, title_of(number, row), explanation)
        self._index.add(number, row, page, explanation, positive=positive)
        return page

    def close(self) -> None:
        """End the files that are open."""
        self._marker.write("]}\n")
        self._marker.close()
        self._segments.close()

    def _draw(self, name: str, title: str, explanation: Explanation) -> None:
        from tfclass.interpretation.figures import explanation_figure

        figure = explanation_figure(title, explanation)
        self.own(f"figures/{name}.png").write_bytes(png(figure))
        self.own(f"figures/{name}.svg").write_bytes(svg(figure))


@contextmanager
def explanation_writer(
    folder: Path,
    facts: ModelFacts,
    columns: Mapping[str, bool],
    methods: Sequence[str],
    outputs: Outputs,
    title: str,
    class_name: str,
) -> Iterator[ExplanationWriter]:
    """Fill a folder under construction while the block runs.

    Parameters
    ----------
    folder : Path
        Empty.
    columns : mapping of str to bool
        Columns of the rows that the index shows, and whether they hold text.
    methods : sequence of str
        Of attribution.
    title, class_name : str
        Of the index, and of its column for predicted positives.
    """
    (folder / "pages").mkdir()
    if outputs.figures:
        (folder / "figures").mkdir()
    index = Index(columns)
    kinds = {"residues": ("position", "residue", *methods)}
    if outputs.mutations:
        kinds["mutations"] = ("position", "from", "to", "change")
    with ExitStack() as stack:
        names = {kind: f"{kind}.{outputs.format}" for kind in kinds}
        tables = {
            kind: stack.enter_context(growing_table(folder / names[kind], columns)) for kind, columns in kinds.items()
        }
        writer = ExplanationWriter(folder, facts, outputs, index, tables)
        stack.callback(writer.close)
        for name in names.values():
            writer.own(name)
        yield writer
        index.write(folder / INDEX, title, class_name, facts)
