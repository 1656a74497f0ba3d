"""Figures as files, and the colors that they share."""

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, ORANGE, GREY = "#1f5fa8", "#d9822b", "#7a7a7a"


def png(figure: "Figure") -> bytes:
    """Draw a figure as PNG, on white."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()


def svg(figure: "Figure") -> bytes:
    """Draw a figure as SVG without a background; letters are outlines, so that it looks the same everywhere."""
    import matplotlib

    stream = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "path", "svg.hashsalt": "tfclass"}):
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    return stream.getvalue()


def verbatim(text: str) -> str:
    """Return a text as matplotlib shows it letter by letter: between dollar signs it expects a formula."""
    return text.replace("$", r"\$")
