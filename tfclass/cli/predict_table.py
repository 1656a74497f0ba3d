"""Rows of ``tfclass predict`` on a terminal: a table that fits its width, and appears while it is computed."""

from collections.abc import Iterable, Mapping
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from tfclass.channels.base import Column
from tfclass.errors import escaped

if TYPE_CHECKING:
    from tfclass.inference.predictor import Predictor
    from tfclass.inference.rows import Prediction

# Rows whose cells decide the widths; those that follow are cut to them.
_FIRST = 500
# What is shown as long as there is room, the first before the others, and the greatest width of some.
_ORDER = ("id", "label", "probability", "family", "domain", "length", "notes")
_WIDEST = {"family": 22, "domain": 24, "profile": 24, "homologue": 20}
_GAP = "  "
_STYLES = {"id": "", "label": "bold green", "probability": "bold", "family": "cyan", "domain": "cyan"}
# The same in every row, or told by another column.
_LEFT_OUT = ("threshold", "status", "family_source", "domain_source", "family_probability")


def print_table(rows: "Iterable[Prediction]", console: Console, predictor: "Predictor") -> None:
    """Print rows of a predictor as they come; columns that have no room are named at the end."""
    rows, columns = iter(rows), predictor.columns
    first = list(islice(rows, _FIRST))
    if not first:
        return
    widths = _widths(first, columns, console.width)
    console.print(_line(((name, name, "bold") for name in widths), widths, columns), no_wrap=True)
    for row in chain(first, rows):
        positive = predictor.is_positive(row)
        cells = ((name, _text(name, columns[name], row), _style(name, row, positive=positive)) for name in widths)
        console.print(_line(cells, widths, columns), no_wrap=True)
    hidden = [name for name in columns if name not in (*widths, *_LEFT_OUT)]
    if hidden:
        console.print(Text(f"{', '.join(hidden)}: no room here; see -o FILE or --format tsv", style="dim"))


def _widths(rows: "list[Prediction]", columns: Mapping[str, Column], width: int) -> dict[str, int]:
    """Choose the columns that are shown, in their order, and the width of each."""
    natural = {}
    for name, column in columns.items():
        cells = [cell_len(_text(name, column, row)) for row in rows]
        if name not in _LEFT_OUT:
            natural[name] = min(max(cell_len(name), *cells), _WIDEST.get(name, width))
    chosen: dict[str, int] = {}
    for name in [*_ORDER, *(each for each in natural if each not in _ORDER)]:
        room = width - sum(chosen.values()) - len(_GAP) * len(chosen)
        if name == "id":
            # Long ids leave room for what is said of them.
            room = max(12, min(room // 2, room - 40))
        least = cell_len(name) if name in _WIDEST or name == "notes" else natural.get(name, 0)
        if name in natural and (name == "id" or room >= least):
            chosen[name] = min(natural[name], room)
    ordered = [name for name in natural if name in chosen and name != "notes"]
    return {name: chosen[name] for name in (*ordered, *(("notes",) if "notes" in chosen else ()))}


def _style(name: str, row: "Prediction", *, positive: bool) -> str:
    if row.status == "skipped" and name in ("label", "notes"):
        return "yellow"
    return _STYLES.get(name, "dim") if positive else "dim"


def _line(cells: Iterable[tuple[str, str, str]], widths: Mapping[str, int], columns: Mapping[str, Column]) -> Text:
    line = Text()
    for name, text, style in cells:
        width = widths[name]
        shown = text if cell_len(text) <= width else set_cell_size(text, width - 1) + "…"
        pad = " " * (width - cell_len(shown))
        right = columns[name].kind in ("integer", "number")
        line.append(pad + shown if right else shown + pad, style).append(_GAP)
    line.rstrip()
    return line


def _text(name: str, column: Column, row: "Prediction") -> str:
    value: Any = getattr(row, name)
    if name == "label" and row.status == "skipped":
        return "skipped"
    if value is None:
        return ""
    if name == "probability":
        return np.format_float_positional(value, min_digits=6)
    return f"{value:.{column.decimals}f}" if column.decimals is not None else escaped(str(value))
