"""Types of values from outside, for pydantic: names, paths, and numbers that the libraries below take."""

from itertools import pairwise
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from tfclass.errors import UNSAFE
from tfclass.limits import MAX_NAME_CHARACTERS


def _printable(name: str) -> str:
    if UNSAFE.search(name):
        raise PydanticCustomError("printable", "a text without control characters, on one line")
    return name


def _path(text: str) -> str:
    if "\0" in text:
        raise PydanticCustomError("path", "a path without null characters")
    return text


def _folder(text: str) -> str:
    if not text:
        raise PydanticCustomError("folder", "the name of a folder")
    return text


def _different(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise PydanticCustomError("different", "each name once")
    return names


def _rising(edges: tuple[float, ...]) -> tuple[float, ...]:
    if any(low >= high for low, high in pairwise(edges)):
        raise PydanticCustomError("rising", "rising numbers")
    return edges


def is_name(text: str) -> bool:
    """Return whether a text may be a `Name`."""
    return 0 < len(text) <= MAX_NAME_CHARACTERS and not UNSAFE.search(text)


Text = Annotated[str, Field(max_length=MAX_NAME_CHARACTERS), AfterValidator(_printable)]
Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARACTERS), AfterValidator(_printable)]
Names = Annotated[tuple[Name, ...], AfterValidator(_different)]
# A path or an address; an empty one stands for none, or for a default. A folder that is written to is never empty.
PathText = Annotated[str, AfterValidator(_path)]
FolderText = Annotated[PathText, AfterValidator(_folder)]

# Whole numbers that 32 bits hold, seeds that 63 hold, and real numbers that 32 hold.
Positive = Annotated[int, Field(ge=1, le=2**31 - 1)]
Natural = Annotated[int, Field(ge=0, le=2**31 - 1)]
Seed = Annotated[int, Field(ge=0, le=2**63 - 1)]
NonNegative = Annotated[float, Field(ge=0.0, le=1e38, allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0.0, le=1e38, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
Share = Annotated[float, Field(gt=0.0, lt=1.0)]
# Residues that a kernel or a pooling spans.
Span = Annotated[int, Field(ge=1, le=10_000)]
Stack = Annotated[tuple[Span, ...], Field(max_length=100)]
# Edges between groups of values.
CountEdges = Annotated[tuple[Positive, ...], Field(min_length=1), AfterValidator(_rising)]
ShareEdges = Annotated[tuple[Share, ...], Field(min_length=1), AfterValidator(_rising)]
