"""Types of arrays, and of values from outside, for pydantic: names, paths, numbers that the libraries below take."""

from collections.abc import Callable
from itertools import pairwise
from typing import Annotated, Any, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from tfclass.errors import UNSAFE
from tfclass.limits import MAX_NAME_CHARACTERS

FloatArray: TypeAlias = npt.NDArray[np.float64]
Float32Array: TypeAlias = npt.NDArray[np.float32]
IntArray: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
# Residues of a sequence as `tfclass.sequences.alphabet.Alphabet` numbers them.
TokenArray: TypeAlias = npt.NDArray[np.uint8]
# Takes the share of a task that is done, from 0 to 1.
OnProgress: TypeAlias = Callable[[float], None] | None


def must(holds: Callable[[Any], bool], expected: str) -> AfterValidator:
    """Return the check of a type of pydantic: an error names what is expected where something does not hold."""

    def check(value: Any) -> Any:  # noqa: ANN401 - of the annotated type
        if not holds(value):
            raise PydanticCustomError("not_allowed", expected)  # type: ignore[arg-type]
        return value

    return AfterValidator(check)


def is_distinct(values: str | tuple[str, ...]) -> bool:
    """Return whether each letter or name is there once."""
    return len(set(values)) == len(values)


def is_name(text: str) -> bool:
    """Return whether a text may be a `Name`."""
    return 0 < len(text) <= MAX_NAME_CHARACTERS and not UNSAFE.search(text)


_PRINTABLE = must(lambda text: not UNSAFE.search(text), "a text without control characters, on one line")
Text = Annotated[str, Field(max_length=MAX_NAME_CHARACTERS), _PRINTABLE]
Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARACTERS), _PRINTABLE]
Names = Annotated[tuple[Name, ...], must(is_distinct, "each name once")]
# A path or an address; an empty one stands for none, or for a default. A folder that is written to is never empty.
PathText = Annotated[str, must(lambda text: "\0" not in text, "a path without null characters")]
FolderText = Annotated[PathText, must(bool, "the name of a folder")]

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
_RISING = must(lambda edges: all(low < high for low, high in pairwise(edges)), "rising numbers")
CountEdges = Annotated[tuple[Positive, ...], Field(min_length=1), _RISING]
ShareEdges = Annotated[tuple[Share, ...], Field(min_length=1), _RISING]
