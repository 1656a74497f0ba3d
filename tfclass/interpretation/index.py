"""The page over all proteins: a table that can be sorted and filtered, written row by row."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
from markupsafe import Markup

from tfclass.errors import escaped
from tfclass.interpretation.explanation import Explanation
from tfclass.interpretation.page import ModelFacts, signed, template, title_of
from tfclass.typing import FloatArray

# The start of the names of columns with what each channel adds to the log-odds.
CONTRIBUTION = "contribution_"
# Bars of the small picture of the attributions, and its size.
_N_BARS, _WIDTH, _HEIGHT = 60, 120, 24


class Index:
    """The rows of the page, which wait in a temporary file for the numbers at its top.

    Parameters
    ----------
    columns : mapping of str to bool
        Columns of the rows that are shown, and whether they hold text.
    """

    def __init__(self, columns: Mapping[str, bool]) -> None:
        self.columns = {"number": False, "protein": True, **columns}
        self.n_rows = self.n_positive = self.n_skipped = 0
        # Closed with the process or the object; nothing has its name.
        self._rows = TemporaryFile("w+", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115

    def add(
        self, number: int, row: Mapping[str, Any], page: str, explanation: Explanation | None, *, positive: bool
    ) -> None:
        """Add a protein; without an explanation it has no page."""
        self.n_rows, self.n_positive = self.n_rows + 1, self.n_positive + positive
        self.n_skipped += explanation is None
        title = title_of(number, row)
        link = Markup('<a href="{}">{}</a>').format(page, title) if page else title
        cells = [Markup("<td>{}</td>").format(number), Markup('<td class="text">{}</td>').format(link)]
        for name, is_text in list(self.columns.items())[2:]:
            cell = Markup('<td class="text">{}</td>') if is_text else Markup("<td>{}</td>")
            cells.append(cell.format(_shown(name, row.get(name))))
        picture = spark(next(iter(explanation.attributions.values())).value_L) if explanation else Markup()
        notes = escaped(str(row["notes"]))
        cells.append(Markup('<td>{}</td><td class="text notes">{}</td>').format(picture, notes))
        self._rows.write(f"<tr>{Markup().join(cells)}</tr>\n")

    def write(self, path: Path, title: str, class_name: str, facts: ModelFacts) -> None:
        """Write the page, and forget the rows."""
        self._rows.seek(0)
        stream = template("index.html").stream(
            title=title,
            n_proteins=self.n_rows,
            n_positive=self.n_positive,
            n_skipped=self.n_skipped,
            class_name=class_name,
            facts=facts,
            columns=[(_heading(name), is_text) for name, is_text in self.columns.items()],
            contributions=[_heading(name) for name in self.columns if name.startswith(CONTRIBUTION)],
            rows=self._rows,
        )
        with path.open("wb") as file:
            stream.dump(file, encoding="utf-8", errors="backslashreplace")
        self._rows.close()


def spark(value_L: FloatArray) -> Markup:
    """Draw attributions as a small picture: the strongest of each of 60 stretches of the protein."""
    edges = np.linspace(0, len(value_L), min(_N_BARS, len(value_L)) + 1).astype(int)
    highs = np.maximum.reduceat(value_L, edges[:-1]).clip(min=0)
    lows = np.minimum.reduceat(value_L, edges[:-1]).clip(max=0)
    reach = float(highs.max() - lows.min()) or 1.0
    zero, width = _HEIGHT * float(highs.max()) / reach, _WIDTH / len(highs)
    paths = []
    for kind, values in (("for", highs), ("against", lows)):
        shown = [(n * width, -value / reach * _HEIGHT) for n, value in enumerate(values.tolist()) if value]
        path = "".join(f"M{x:.0f} {zero:.1f}v{height:.1f}h{width:.1f}v{-height:.1f}z" for x, height in shown)
        paths.append(Markup('<path class="{}" d="{}"/>').format(kind, path))
    size = f"0 0 {_WIDTH} {_HEIGHT}"
    return Markup('<svg class="spark" viewBox="{}" aria-hidden="true">{}</svg>').format(size, Markup().join(paths))


def _heading(name: str) -> str:
    return name.removeprefix(CONTRIBUTION).replace("_", " ")


def _shown(name: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return signed(value) if name.startswith(CONTRIBUTION) else f"{value:.4f}"
    return escaped(str(value))
