"""The terminal: signals that end a command, the standard streams, and the progress bar."""

import codecs
import logging
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from typing import TYPE_CHECKING, TypeVar

import typer

from tfclass.errors import escaped

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

# Windows has no SIGHUP.
_ENDINGS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


@contextmanager
def stop_on_signal() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C, SIGTERM or SIGHUP into a request to stop after the batch; a second one stops at once."""
    asked: list[int] = []

    def ask(number: int, _: object) -> None:
        asked.append(number)
        if "TORCHELASTIC_RUN_ID" in os.environ:
            # torchrun passes on what a terminal or a batch system may have sent already, and kills what does not end.
            return
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

    def stop(self) -> None:
        """Remove the line for good."""
        if self._shown is not None:
            self._shown.stop()


class InputBar:
    """Show how much of the input is done: bytes of the files, where all are regular ones, and records per second.

    Records are done when they are scored; the bytes that they take are known from what was read before each of them.

    Parameters
    ----------
    sources : sequence of str
        As of `tfclass.sequences.fasta.read_inputs`.
    """

    def __init__(self, bar: Bar, sources: Sequence[str]) -> None:
        self.bar, self._started = bar, 0.0
        # Another input has no size.
        self._total = sum(os.path.getsize(each) for each in sources) if all(map(os.path.isfile, sources)) else None
        self._read_of: dict[int, int] = {}
        # Records, and the bytes that they took: each time that another block was read.
        self._marks: deque[tuple[int, int]] = deque([(0, 0)])
        self._n_bytes = 0
        self._n_read = self._n_out = self._n_before = 0
        self._share, self._n_window = 0.0, 0

    def on_read(self, place: int, n_bytes: int) -> None:
        """Take how many bytes of an input are read."""
        self._read_of[place] = n_bytes

    def read(self, records: Iterable[T]) -> Iterator[T]:
        """Pass on records as they are read."""
        for record in records:
            if not self._n_read:
                # The beginnings of later inputs were read, to find bad ones early.
                self._read_of = {0: self._read_of.get(0, 0)}
            if (n_bytes := sum(self._read_of.values())) != self._n_bytes:
                self._marks.append((self._n_read, self._n_bytes))
                self._n_bytes = n_bytes
            self._n_read += 1
            yield record
        self._marks.append((self._n_read, self._total or 0))

    def scored(self, rows: Iterable[T]) -> Iterator[T]:
        """Pass on rows as they come."""
        for row in rows:
            self._n_out += 1
            if self._n_out > self._n_before + self._share * self._n_window:
                self._show(self._n_out)
            yield row

    def on_window(self, share: float, n_window: int) -> None:
        """Take the share of the present window that is scored, and the number of its records."""
        self._started = self._started or time.monotonic()
        if share < self._share or not self._n_window:
            self._n_before = max(self._n_out, self._n_before + self._n_window)
        self._share, self._n_window = share, n_window
        self._show(self._n_before + share * n_window)

    def _show(self, n_done: float) -> None:
        while len(self._marks) > 1 and self._marks[1][0] <= n_done:
            self._marks.popleft()
        # Between two marks, by the number of records.
        (first, low), (last, high) = self._marks[0], self._marks[min(1, len(self._marks) - 1)]
        done = low + (high - low) * min(1.0, (n_done - first) / max(1, last - first))
        rate = n_done / max(time.monotonic() - (self._started or time.monotonic()), 1e-3)
        text = f"{n_done:,.0f} proteins" + (f", {rate:,.0f}/s" if self._started else "")
        if self._total is not None:
            text += f", {done / 1e6:,.1f} of {self._total / 1e6:,.1f} MB"
        self.bar.update(text, done if self._total else None, self._total)


@contextmanager
def progress(text: str, *, is_quiet: bool = False, console: "Console | None" = None) -> Iterator[Bar]:
    """Show a bar for a task while the block runs; see `Bar`.

    Parameters
    ----------
    console : Console, optional
        Of what else is printed on the same terminal meanwhile; by default the bar is on stderr, if that is a terminal.
    """
    if is_quiet or (console is None and not has_terminal()):
        yield Bar()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    console = console or Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    bar = BarColumn(bar_width=max(5, min(40, console.width - 65)))
    columns = (TextColumn("{task.description}", markup=False), bar, TimeElapsedColumn(), TimeRemainingColumn())
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
