"""Figures as files, and the colors that they share."""

import io
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, ORANGE, GREY = "#1f5fa8", "#d9822b", "#7a7a7a"


def png(figure: "Figure") -> bytes:
    """Draw a figure as PNG, on white."""
    return _drawn(figure, format="png")


def svg(figure: "Figure") -> bytes:
    """Draw a figure as SVG without a background; letters are outlines, so that it looks the same everywhere."""
    return _drawn(figure, format="svg", transparent=True, metadata={"Date": None})


def _drawn(figure: "Figure", **options: Any) -> bytes:  # noqa: ANN401
    import matplotlib

    stream = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "path", "svg.hashsalt": "tfclass"}), warnings.catch_warnings():
        # A name may have characters that the font lacks: they are boxes.
        warnings.filterwarnings("ignore", r"Glyph \d+")
        figure.savefig(stream, **options)
    # The places stay for the next format: to find them takes as long as to draw.
    figure.set_layout_engine("none")
    return stream.getvalue()


def verbatim(text: str) -> str:
    """Return a text as matplotlib shows it letter by letter: between dollar signs it expects a formula."""
    return text.replace("$", r"\$")
