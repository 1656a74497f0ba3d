"""Signals: a training stops after its batch, a prediction at once."""

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress

import typer

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
    """End the process without the finalization of the interpreter, if a signal has ended the command.

    Finalization takes a second after PyTorch was imported, and several on a busy machine, while threads that cannot be
    interrupted go on with their work: those of a profile search, for instance.

    Parameters
    ----------
    status : sequence of int or None
        Exit status of the command; empty where it raised an error. More than 128 stands for a signal.
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
    ignored = {getattr(signal, "SIGHUP", None)} if _hang_up_is_ignored() else set()
    previous = {number: signal.signal(number, handler) for number in numbers if number not in ignored}
    try:
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, before)


def _hang_up_is_ignored() -> bool:
    return hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
