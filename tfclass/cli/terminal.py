"""The standard streams: terminals, and characters that a stream cannot show."""

import codecs
import sys
from io import TextIOWrapper

import typer

from tfclass.errors import escaped

# What stands for a typographic character where the encoding has none.
_PLAIN = {"\N{MINUS SIGN}": "-", "\N{EN DASH}": "-", "\N{NO-BREAK SPACE}": " "}
_HANDLER = "tfclass.plain"


def has_terminal() -> bool:
    """Return whether stderr is a terminal; it is None where it is closed."""
    return sys.stderr is not None and sys.stderr.isatty()


def say(text: str = "", *, err: bool = False) -> None:
    """Print text, with all that a terminal would obey but line ends and tabs as escapes."""
    typer.echo(escaped(text, keep="\n\t"), err=err)


def accept_all_characters() -> None:
    """Let the standard output streams write any text, whatever their encoding is.

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
