"""Names from outside: what may stand in one, and how any text is shown on a terminal."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from tfclass.limits import MAX_NAME_CHARACTERS

# What a terminal obeys or cannot show: control characters, line and paragraph separators, marks that turn the direction
# of writing, and lone surrogates.
_UNSAFE = "\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_UNSAFE_ANYWHERE = re.compile(f"[{_UNSAFE}]")
_UNSAFE_BUT_LINES = re.compile(f"(?![\n\t])[{_UNSAFE}]")


def printable(name: str) -> str:
    """Return the name, or raise what pydantic reports where it cannot be shown on one line."""
    if _UNSAFE_ANYWHERE.search(name):
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


def is_name(text: str) -> bool:
    """Return whether a text may be a `Name`."""
    return 0 < len(text) <= MAX_NAME_CHARACTERS and not _UNSAFE_ANYWHERE.search(text)


def escaped_lines(text: str) -> str:
    r"""Escape what a terminal would obey, line ends and tabs excepted.

    Examples
    --------
    >>> escaped_lines("# card\n\x1b[31mred \ud800")
    '# card\n\\x1b[31mred \\ud800'
    """
    return _UNSAFE_BUT_LINES.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


Text = Annotated[str, Field(max_length=MAX_NAME_CHARACTERS), AfterValidator(printable)]
Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARACTERS), AfterValidator(printable)]
Names = Annotated[tuple[Name, ...], AfterValidator(_different)]
# A path or an address; an empty one stands for none, or for a default. A folder that is written to is never empty.
PathText = Annotated[str, AfterValidator(_path)]
FolderText = Annotated[PathText, AfterValidator(_folder)]
