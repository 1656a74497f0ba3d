"""The terminal: signals that end a command, the standard streams, and the progress bar."""

import codecs
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from typing import TYPE_CHECKING, TypeVar

import typer

from tfclass.errors import escaped

if TYPE_CHECKING:
    from rich.progress import Progress

# Windows has no SIGHUP.
_ENDINGS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


@contextmanager
def stop_on_signal() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C, SIGTERM or SIGHUP into a request to stop after the batch; a second one stops at once."""
    asked: list[int] = []

    def ask(number: int, _: object) -> None:
        asked.append(number)
        signal.signal(number, signal.default_int_handler)
        if number != getattr(signal, "SIGHUP", None):
            # After a hang-up there is no terminal to write to.
            typer.echo("stopping after this batch; once more to stop at once", err=True)

    with _handled((signal.SIGINT, *_ENDINGS), ask):
        yield lambda: bool(asked)


@contextmanager
def stop_at_once(*, goes_on: bool) -> Iterator[None]:
    """End in one line, and with everything cleaned up, on Ctrl-C, SIGTERM and SIGHUP alike."""
    received = [signal.SIGINT]

    def stop(number: int, _: object) -> None:
        received[0] = signal.Signals(number)
        raise KeyboardInterrupt

    with _handled(_ENDINGS, stop):
        try:
            yield
        except KeyboardInterrupt:
            typer.echo("tfclass: interrupted" + ("; the same command goes on" if goes_on else ""), err=True)
            raise typer.Exit(128 + received[0]) from None


def end_if_interrupted(status: Sequence[int | None]) -> None:
    """End the process without the finalization of the interpreter, if a signal has ended the command (status over 128).

    Finalization takes a second after PyTorch was imported, and several on a busy machine, while threads that cannot be
    interrupted go on with their work: those of a profile search, for instance. Where an error was raised, `status` is
    empty.
    """
    if not status or (status[0] or 0) <= 128:
        return
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        # A stream may be closed, or a pipe without a reader.
        with suppress(OSError, ValueError):
            if stream is not None:
                stream.flush()
    os._exit(status[0] or 0)


@contextmanager
def _handled(numbers: Iterable[signal.Signals], handler: Callable[[int, object], None]) -> Iterator[None]:
    # What `nohup` started goes on after a hang-up.
    hang_up = getattr(signal, "SIGHUP", None)
    ignored = hang_up if hang_up and signal.getsignal(hang_up) is signal.SIG_IGN else None
    previous = {number: signal.signal(number, handler) for number in numbers if number != ignored}
    try:
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, before)


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


T = TypeVar("T")


class Bar:
    """A line that shows a task and how much of it is done; without a terminal, nothing but the notes is shown."""

    def __init__(self, shown: "Progress | None" = None) -> None:
        self._shown = shown

    def update(self, text: str, done: float | None = None, total: float | None = None) -> None:
        """Show another text, and that `done` of `total` are done."""
        if self._shown is not None:
            self._shown.update(self._shown.task_ids[0], description=text, completed=done, total=total)

    def note(self, text: str) -> None:
        """Print a line on stderr, above the bar."""
        if self._shown is None:
            typer.echo(escaped(text), err=True)
        else:
            self._shown.console.print(escaped(text))

    def count(self, items: Iterable[T], unit: str) -> Iterator[T]:
        """Pass items on, and show their number."""
        for number, item in enumerate(items, start=1):
            if self._shown is not None:
                self.update(f"{number:,} {unit}")
            yield item


@contextmanager
def progress(text: str, *, is_quiet: bool = False) -> Iterator[Bar]:
    """Show a bar for a task while the block runs; see `Bar`."""
    if is_quiet or not has_terminal():
        yield Bar()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as shown:
        shown.add_task(text, total=None)
        yield Bar(shown)


@contextmanager
def at_work(task: str) -> Iterator[Callable[[str, float], None]]:
    """Show a task while the block runs; signals end it.

    Yields
    ------
    callable
        Takes the name of the present step, and the fraction of it that is done.
    """
    with stop_at_once(goes_on=False), progress(task) as bar:
        yield lambda step, fraction: bar.update(step, fraction, 1.0)


@contextmanager
def counted(unit: str, *, goes_on: bool) -> Iterator[tuple[Callable[[int, int], None], Callable[[str], None]]]:
    """Show how many of all units, named in the plural, are done; signals end it.

    Yields
    ------
    advance : callable
        Takes the number of units that are done, and of all.
    note : callable
        Prints a line above the bar.
    """
    with stop_at_once(goes_on=goes_on), progress(unit) as bar:
        yield lambda done, total: bar.update(f"{done:,}/{total:,} {unit}", done, total), bar.note
