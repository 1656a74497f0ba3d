"""Names and paths from outside: what may stand in one, as types for pydantic."""

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


def is_name(text: str) -> bool:
    """Return whether a text may be a `Name`."""
    return 0 < len(text) <= MAX_NAME_CHARACTERS and not UNSAFE.search(text)


Text = Annotated[str, Field(max_length=MAX_NAME_CHARACTERS), AfterValidator(_printable)]
Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARACTERS), AfterValidator(_printable)]
Names = Annotated[tuple[Name, ...], AfterValidator(_different)]
# A path or an address; an empty one stands for none, or for a default. A folder that is written to is never empty.
PathText = Annotated[str, AfterValidator(_path)]
FolderText = Annotated[PathText, AfterValidator(_folder)]
