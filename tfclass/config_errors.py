"""What is wrong with a configuration, in one line each."""

import typing
from dataclasses import fields, is_dataclass

from pydantic import ValidationError

from tfclass.errors import ConfigError


def unknown_key(kind: type, path: str, where: str = "") -> ConfigError:
    """Make the error for a dotted `path` that `kind` does not have; it lists the keys that are there."""
    names = iter(path.split("."))
    for name in names:
        hint = typing.get_type_hints(kind).get(name)
        if typing.get_origin(hint) is dict:
            # Its keys are anybody's; what they lead to is not.
            next(names, "")
            hint = typing.get_args(hint)[1]
        if not (isinstance(hint, type) and is_dataclass(hint)):
            break
        kind = hint
    expected = "one of " + ", ".join(f.name for f in fields(kind))
    key = f"{where}.{path}" if where else path
    return ConfigError(key, "an unknown key", expected, key=key)


def first_problem(kind: type, error: ValidationError, where: str) -> ConfigError:
    """Make the error for the first thing that pydantic found wrong; `where` is ahead of the key."""
    problem = error.errors(include_url=False)[0]
    path = ".".join(str(part) for part in problem["loc"])
    key = f"{where}.{path}" if where else path
    if problem["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        return unknown_key(kind, path, where)
    if problem["type"].startswith("missing"):
        return ConfigError(key, "no value", "one to be given", f"add {key}=VALUE", key=key)
    expected = problem["msg"].removeprefix("Input should be ")
    return ConfigError(key, repr(problem["input"]), expected, key=key, value=problem["input"])
