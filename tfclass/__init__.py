"""Tell which proteins are transcription factors.

Importing this loads nothing heavy; `Predictor` brings torch in when it is first asked for.
"""

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfclass.inference.predictor import Predictor

__all__ = ["Predictor", "__version__"]

__version__ = version("tfclass")


def __getattr__(name: str) -> Any:  # noqa: ANN401 - as the language defines it
    if name == "Predictor":
        from tfclass.inference.predictor import Predictor

        return Predictor
    raise AttributeError(f"module 'tfclass' has no attribute {name!r}")
