"""Messages about wrong configurations, one line each."""

import difflib
import re
import types
import typing
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from pydantic import ValidationError

# Of a value that is not allowed.
_SHOWN_CHARACTERS = 200
_UNKNOWN = ("unexpected_keyword_argument", "extra_forbidden")


def unknown_option(kind: type, path: str, where: str = "") -> str:
    """Return the message for a dotted `path` that `kind` does not have, or that has other options below it."""
    keys, owner = _keys_of(kind, path.split("."))
    hint, _ = type_of_key(kind, path)
    names = [each.name for each in fields(hint if is_dataclass(hint) else owner)]
    key = f"{where}.{path}" if where else path
    if is_dataclass(hint):
        return f"{key}: unknown option in its value; expected {', '.join(names)}"
    near = difflib.get_close_matches(keys[-1], names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(names)}"
    return f"{key}: unknown option; {hint}"


def first_problem(kind: type, error: ValidationError, where: str) -> str:
    """Return the message for the first thing that pydantic found wrong; `where` is ahead of the key."""
    problems = error.errors(include_url=False)
    # An option that is not known is likely the one that is missing, misspelt.
    problem = next((p for p in problems if p["type"] in _UNKNOWN), None)
    # A wrong value tells more than the options that are missing beside it.
    problem = problem or next((p for p in problems if not p["type"].startswith("missing")), problems[0])
    keys, _ = _keys_of(kind, problem["loc"])
    path = ".".join(keys)
    key = f"{where}.{path}" if where else path
    if problem["type"] in _UNKNOWN:
        return unknown_option(kind, path, where)
    if problem["type"].startswith("missing"):
        return f"{key}: found no value; expected one to be given; add {key}=VALUE"
    expected = re.sub(r"^\w+ should (be|have) |, not \d+$| after validation", "", problem["msg"])
    return f"{key}: found {_shown(problem['input'])}; expected {expected}"


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:
        return "a number with more digits than Python writes"
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


def type_of_key(kind: type, path: str) -> tuple[Any, bool]:
    """Return the type of the value of a dotted key.

    Returns
    -------
    type or None
        Without its None; None where `kind` has no such key.
    bool
        Whether the key is one of a mapping, so that its name is the user's own.
    """
    hint, is_own = kind, False
    for part in path.split("."):
        origin = typing.get_origin(hint)
        if origin is dict:
            hint, is_own = typing.get_args(hint)[1], True
        elif isinstance(hint, type) and is_dataclass(hint):
            hint = _without_none(typing.get_type_hints(hint).get(part))
        elif hint is not Any:
            return None, is_own
    return hint, is_own


def _without_none(hint: Any) -> Any:  # noqa: ANN401
    inside = [member for member in typing.get_args(hint) if member is not types.NoneType]
    is_union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return inside[0] if is_union and len(inside) == 1 else hint


def _keys_of(kind: type, parts: Sequence[str | int]) -> tuple[list[str], type]:
    """Follow the parts of a path from class to class; return those that are keys, and the last class.

    To what a user wrote, pydantic adds which type of a union it tried.
    """
    keys, owner, hint = [], kind, kind
    for part in parts:
        origin, inside = typing.get_origin(hint), typing.get_args(hint)
        if origin in (typing.Union, types.UnionType):
            inside = [member for member in inside if member is not types.NoneType]
            hint = next((member for member in inside if getattr(member, "__name__", "") == part), inside[0])
            if len(inside) > 1:
                continue
            origin, inside = typing.get_origin(hint), typing.get_args(hint)
        if isinstance(hint, type) and is_dataclass(hint):
            owner, hint = hint, typing.get_type_hints(hint).get(str(part))
        elif origin is dict:
            # Its keys are anybody's; what they lead to is not.
            hint = inside[1]
        elif origin in (tuple, list):
            hint = inside[0]
        else:
            break
        keys.append(str(part))
    return keys, owner
