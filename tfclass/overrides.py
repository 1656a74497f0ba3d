"""Write values and overrides as Hydra reads them on a command line."""

import re
import shlex
from typing import Any

# Text that Hydra reads as that text without quotes.
_PLAIN = re.compile(r"[A-Za-z_/][\w./-]*", re.ASCII)
_NO_WORDS = ("true", "false", "null", "nan", "inf")
# Backslashes count only ahead of a quote, of an interpolation, and at the end.
_ESCAPED = re.compile(r'(\\*)("|\$\{|\Z)')


def for_hydra(value: Any) -> str:  # noqa: ANN401
    r"""Write a value as Hydra reads it.

    Returns
    -------
    str
        Text is quoted where it needs to be.

    Examples
    --------
    >>> print(for_hydra('a=1 "b".tsv'))
    "a=1 \"b\".tsv"
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(for_hydra, value)) + "]"
    if _PLAIN.fullmatch(str(value)) and str(value).lower() not in _NO_WORDS:
        return str(value)
    # A shell's own quotes are most often the other ones.
    return '"' + _ESCAPED.sub(_escape, str(value)) + '"'


def _escape(match: re.Match[str]) -> str:
    backslashes, special = match.groups()
    return 2 * backslashes + ("\\" + special if special else "")


def override(key: str, value: Any) -> str:  # noqa: ANN401
    """Write the override that sets `key` to `value`, quoted for Hydra and for a shell.

    Examples
    --------
    >>> print(override("corpus.path", "my table.tsv"))
    'corpus.path="my table.tsv"'
    >>> print(override("training.epochs", 3))
    training.epochs=3
    """
    return shlex.quote(f"{key}={for_hydra(value)}")
