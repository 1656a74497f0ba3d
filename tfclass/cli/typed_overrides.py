"""Read overrides as they were typed: text stays text, new keys of mappings need no plus, no option is deleted."""

import re
import typing
from collections.abc import Iterator, Sequence
from dataclasses import is_dataclass

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from tfclass.config_errors import type_of_key
from tfclass.errors import ConfigError
from tfclass.overrides import for_hydra, override

_OVERRIDE = re.compile(r"(?P<sign>~|\+\+|\+|)(?P<key>[^-=~+][^=]*)(?:=(?P<value>.*))?", re.DOTALL)
_NUMBER = r"[+-]?(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:e[+-]?\d[\d_]*)?|[+-]?inf|nan|true|false"
# Quoted text, which is skipped, or an element that Hydra would not take for text.
_ELEMENT = re.compile(
    rf"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|(?<![^\[,])(?P<space>\s*)(?P<element>{_NUMBER})(?=\s*(?:[\],]|$))""",
    re.IGNORECASE | re.DOTALL,
)
_PAIR = r"\s*[\w-]+\s*:[^][{}:,'\"]+"
_PAIRS = re.compile(rf"\{{{_PAIR}(?:,{_PAIR})*\}}", re.ASCII)


def typed(arguments: Sequence[str], kind: type) -> list[str]:
    """Check overrides, and write them as Hydra needs them.

    Parameters
    ----------
    arguments : sequence of str
        The command line behind the verb: overrides and Hydra's own flags.
    kind : type
        The configuration's dataclass.

    Returns
    -------
    list of str
        Numbers and ``true`` are quoted where text is expected, such as in ``corpus.classes=[0,1]``; a key of the user's
        own, such as in ``corpus.aliases``, is added where it is missing. Reading the result again does not change it.

    Raises
    ------
    ConfigError
        A value needs quotes (the action shows the override with them), a key is deleted that has to be there, or there
        are several values without ``-m``.
    """
    many = any(a in ("-m", "--multirun") for a in arguments)
    return [word for argument in arguments for word in _typed(argument, kind, many)]


def _typed(argument: str, kind: type, many: bool) -> Iterator[str]:
    match = _OVERRIDE.fullmatch(argument)
    if match is None or (match["value"] is None and match["sign"] != "~"):
        if argument.startswith("="):
            raise ConfigError(f"{argument!r}: found no key; expected KEY=VALUE")
        yield argument
        return
    sign, key, value = match["sign"], match["key"], match["value"]
    hint, is_own = type_of_key(kind, key)
    if sign == "~":
        if hint is not None and not is_own:
            raise ConfigError(
                f"{key}: found a deletion ({argument}); expected {key}=VALUE; leave {argument} out to keep the default"
            )
        yield argument
        return
    if typing.get_origin(hint) is dict or is_own:
        # Hydra takes a key that its files do not have only with this sign.
        sign = "++"
    if typing.get_origin(hint) is dict and _PAIRS.fullmatch(value):
        # Hydra cannot quote the keys of a mapping.
        for pair in value[1:-1].split(","):
            name, _, each = pair.partition(":")
            yield from _typed(f"++{key}.{name.strip()}={each.strip()}", kind, many)
        return
    yield _readable(sign, key, value, hint, many)


def _is_text(hint: object) -> bool:
    return hint is str or (typing.get_origin(hint) is tuple and typing.get_args(hint)[0] is str)


def _quoted(value: str) -> str:
    """Quote the elements of a value that Hydra would not take for text, but for null."""
    return _ELEMENT.sub(lambda match: f"{match['space']}'{match['element']}'" if match["element"] else match[0], value)


def _readable(sign: str, key: str, value: str, hint: object, many: bool) -> str:
    """Write an override that Hydra can read, as one value unless there may be `many`."""
    word = f"{sign}{key}={_quoted(value) if _is_text(hint) else value}"
    parsed, advice = _parsed(word), _advice(key, value, hint)
    if parsed is None:
        if _parsed(f"{sign}{key}=x") is None:
            raise ConfigError(f"{key}: found a key that Hydra cannot read; expected letters, digits, _, - and dots")
        if advice:
            raise ConfigError(f"{key}: found {value!r}, which Hydra cannot read as it is; {advice}")
        # Whatever it is: it is refused where it is used, and the message says there what is allowed.
        return f"{sign}{key}={for_hydra(value)}"
    if is_dataclass(hint) and isinstance(parsed.value(), list | int | float):
        raise ConfigError(f"{key}: found {value}; expected one name of a file in conf/{key}")
    if parsed.is_sweep_override() and not many:
        action = f"{advice}, or add -m to run once for each" if advice else "add -m to run once for each"
        raise ConfigError(f"{key}: found several values ({value}); expected one; {action}")
    return word


def _parsed(argument: str) -> Override | None:
    try:
        return OverridesParser.create().parse_override(argument)
    except (HydraException, RecursionError):
        return None


def _advice(key: str, value: str, hint: object) -> str:
    """Show the override with the quotes that it needs, if text is expected there."""
    if hint is str:
        return f"write {override(key, value)}"
    if _is_text(hint):
        parts = (part.strip().strip("'\"") for part in value.strip("[](){} ").split(","))
        return f"write {override(key, list(parts))}"
    if typing.get_origin(hint) is dict:
        return f"write {key}={{KEY:VALUE,...}}; a KEY has ASCII letters, digits, _ and - only"
    return ""
