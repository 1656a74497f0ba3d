"""tfclass: which proteins are transcription factors."""

from importlib.metadata import version

__version__ = version("tfclass")
