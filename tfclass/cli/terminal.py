"""The standard streams: whether somebody watches them, and characters that they cannot show."""

import codecs
import sys
from io import TextIOWrapper

import typer

from tfclass.errors import escaped

# What stands for a typographic character where the encoding has none.
_PLAIN = {"\N{MINUS SIGN}": "-", "\N{EN DASH}": "-", "\N{NO-BREAK SPACE}": " "}
_HANDLER = "tfclass.plain"


def has_terminal() -> bool:
    """Tell whether stderr is a terminal; it may be closed, and is None then."""
    return sys.stderr is not None and sys.stderr.isatty()


def say(text: str = "", *, err: bool = False) -> None:
    """Print text that may hold names from a file: what a terminal would obey is escaped, line ends excepted."""
    typer.echo(escaped(text, keep="\n\t"), err=err)


def accept_all_characters() -> None:
    """Let the standard output streams write text of any kind, whatever their encoding is.

    A character that the encoding does not have becomes a plain one of the same meaning, or else a backslash escape.
    """
    codecs.register_error(_HANDLER, _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=_HANDLER)


def _plain(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    character = error.object[error.start]
    if character in _PLAIN:
        return _PLAIN[character], error.start + 1
    one = UnicodeEncodeError(error.encoding, error.object, error.start, error.start + 1, error.reason)
    return codecs.backslashreplace_errors(one)
