"""What is wrong with a configuration, in one line each."""

import re
import types
import typing
from collections.abc import Sequence
from dataclasses import fields, is_dataclass

from pydantic import ValidationError

from tfclass.errors import ConfigError

_UNKNOWN = ("unexpected_keyword_argument", "extra_forbidden")


def unknown_key(kind: type, path: str, where: str = "") -> ConfigError:
    """Make the error for a dotted `path` that `kind` does not have; it lists the keys that are there."""
    _, owner = _keys_of(kind, path.split("."))
    expected = "one of " + ", ".join(f.name for f in fields(owner))
    key = f"{where}.{path}" if where else path
    return ConfigError(key, "an unknown key", expected, key=key)


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
