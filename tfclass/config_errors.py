"""What is wrong with a configuration, in one line each."""

import re
import types
import typing
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from pydantic import ValidationError

from tfclass.errors import ConfigError

_UNKNOWN = ("unexpected_keyword_argument", "extra_forbidden")


def unknown_key(kind: type, path: str, where: str = "") -> ConfigError:
    """Make the error for a dotted `path` that `kind` does not have, or has with other keys in it; it lists the keys."""
    _, owner = _keys_of(kind, path.split("."))
    hint, _ = type_of_key(kind, path)
    found = "an unknown key in its value" if is_dataclass(hint) else "an unknown key"
    expected = "one of " + ", ".join(f.name for f in fields(hint if is_dataclass(hint) else owner))
    key = f"{where}.{path}" if where else path
    return ConfigError(key, found, expected, key=key)


def first_problem(kind: type, error: ValidationError, where: str) -> ConfigError:
    """Make the error for the first thing that pydantic found wrong; `where` is ahead of the key."""
    problems = error.errors(include_url=False)
    # A key that is not known is likely the one that is missing, misspelt.
    problem = next((p for p in problems if p["type"] in _UNKNOWN), problems[0])
    keys, _ = _keys_of(kind, problem["loc"])
    path = ".".join(keys)
    key = f"{where}.{path}" if where else path
    if problem["type"] in _UNKNOWN:
        return unknown_key(kind, path, where)
    if problem["type"].startswith("missing"):
        return ConfigError(key, "no value", "one to be given", f"add {key}=VALUE", key=key)
    expected = re.sub(r"^\w+ should (be|have) |, not \d+$| after validation", "", problem["msg"])
    return ConfigError(key, repr(problem["input"]), expected, key=key, value=problem["input"])


def type_of_key(kind: type, path: str) -> tuple[Any, bool]:
    """Find the type of what a dotted key holds.

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
    """Follow the parts of a place from class to class; give those that are keys, and the last class.

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
