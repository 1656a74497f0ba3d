"""A figure of an explanation for a paper: attributions, attention, domains, gates and mutations along a protein."""

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from tfclass.interpretation.explanation import Explanation
from tfclass.interpretation.segments import domains_of
from tfclass.interpretation.tables import BY_CHEMISTRY, mean_gates
from tfclass.io.drawing import BLUE, GREY, ORANGE, verbatim
from tfclass.sequences.alphabet import AMINO_ACIDS
from tfclass.typing import FloatArray

_GREEN = "#2f8f6b"
_DIVERGING = LinearSegmentedColormap.from_list("", ["#7a3f06", ORANGE, "#ffffff", BLUE, "#0c2c50"])
# In inches, the width of a page; characters that fit on it.
_WIDTH, _LONGEST_TITLE = 7.2, 90

Panel = tuple[float, Callable[[Axes], None]]


def explanation_figure(title: str, explanation: Explanation) -> Figure:
    """Draw one panel for each part that the explanation has, above each other along the protein."""
    panels: list[Panel] = [
        (1.0, lambda axes, name=name, each=each: _bars(axes, name.replace("_", " "), each.value_L))
        for name, each in explanation.attributions.items()
    ]
    if explanation.attention_L is not None or explanation.domain_L is not None:
        panels.append((0.8, lambda axes: _lines(axes, explanation)))
    if domains_of(explanation):
        panels.append((0.35, lambda axes: _domains(axes, explanation)))
    if gates := mean_gates(explanation):
        panels.append((0.17 * len(gates), lambda axes: _gates(axes, gates)))
    if explanation.mutations_LA is not None:
        panels.append((1.9, lambda axes: _mutations(axes, explanation.mutations_LA)))
    heights = [height for height, _ in panels]
    figure = Figure(figsize=(_WIDTH, 0.8 + 1.15 * sum(heights)), dpi=200, layout="constrained")
    figure.suptitle(verbatim(title if len(title) <= _LONGEST_TITLE else f"{title[:_LONGEST_TITLE]}…"), fontsize=9)
    every_axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (_, draw) in zip(every_axes, panels, strict=True):
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
        draw(axes)
    last: Any = every_axes[-1]
    last.set_xlim(0.5, len(explanation.residues) + 0.5)
    last.set_xlabel("residue", fontsize=8)
    return figure


def _bars(axes: Axes, name: str, value_L: FloatArray) -> None:
    position_L = np.arange(1, len(value_L) + 1)
    # One path for each color; a bar for each residue would make files of megabytes.
    for color, part_L in ((BLUE, np.maximum(value_L, 0)), (ORANGE, np.minimum(value_L, 0))):
        axes.fill_between(position_L, part_L, step="mid", color=color, linewidth=0)
    axes.axhline(0, color=GREY, linewidth=0.6)
    axes.set_ylabel(f"{name}\n(logits)", fontsize=7)


def _lines(axes: Axes, explanation: Explanation) -> None:
    position_L = np.arange(1, len(explanation.residues) + 1)
    if explanation.attention_L is not None:
        relative_L = explanation.attention_L / explanation.attention_L.max()
        axes.step(position_L, relative_L, where="mid", color=GREY, linewidth=0.9, label="attention (relative)")
    if explanation.domain_L is not None:
        axes.step(position_L, explanation.domain_L, where="mid", color=_GREEN, linewidth=0.9, label="P(domain)")
    axes.set_ylim(0, 1.03)
    # Above the panel, where no value can lie.
    axes.legend(loc="lower left", bbox_to_anchor=(0, 0.94), ncols=2, frameon=False, fontsize=6)


def _domains(axes: Axes, explanation: Explanation) -> None:
    colors = {"network": _GREEN, "profile": ORANGE}
    for each in domains_of(explanation):
        bar = (each.start - 0.5, each.end - each.start + 1)
        axes.broken_barh([bar], (0.55 if each.kind == "network" else 0.05, 0.4), color=colors[each.kind], linewidth=0)
    axes.set(ylim=(0, 1), yticks=(0.25, 0.75))
    axes.set_yticklabels(("profile", "network"), fontsize=6)


def _gates(axes: Axes, gates: dict[str, FloatArray]) -> None:
    # A mean over units moves little; each row has its own scale.
    rows = np.array([(row - row.min()) / max(np.ptp(row), 1e-9) for row in gates.values()])
    axes.imshow(rows, aspect="auto", cmap="Greys", extent=_extent(rows), interpolation="nearest")
    axes.set_yticks(np.arange(len(gates)) + 0.5, [name.replace("_", " ") for name in gates], fontsize=6)


def _mutations(axes: Axes, change_LA: FloatArray | None) -> None:
    assert change_LA is not None  # noqa: S101 - for the type checker: the panel is drawn only where there are some
    rows = change_LA[:, [AMINO_ACIDS.index(letter) for letter in BY_CHEMISTRY]].T
    most = max(float(np.abs(rows).max()), 1e-9)
    image = axes.imshow(
        rows, aspect="auto", cmap=_DIVERGING, vmin=-most, vmax=most, extent=_extent(rows), interpolation="nearest"
    )
    axes.set_yticks(np.arange(len(BY_CHEMISTRY)) + 0.5, list(BY_CHEMISTRY), fontsize=5)
    axes.figure.colorbar(image, ax=axes, pad=0.01, fraction=0.02).ax.tick_params(labelsize=6)
    axes.set_ylabel("substituted by\n(change of logits)", fontsize=7)


def _extent(rows: FloatArray) -> tuple[float, float, float, float]:
    """Return the edges of an image whose first row is on top, and whose first column is residue 1."""
    return 0.5, rows.shape[1] + 0.5, rows.shape[0], 0
