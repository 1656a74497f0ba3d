"""``tfclass predict --summary``: the files of a summary of the whole input, and the facts about the run in it."""

import contextlib
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tfclass.cli.predict_output import keep_apart, opened, path_of
from tfclass.errors import OutputError
from tfclass.inference.summary import Run, Summary, write_json

Write = Callable[[Summary, Mapping[str, Any], float], None]


def summaries(
    places: list[str], output: str | None, fasta: list[str], parts: Path | None
) -> contextlib.AbstractContextManager[Write]:
    """Check the places of a summary, and return a context that opens them; they appear whole when it ends.

    The context gives a function that writes to all of them. It takes the summary, the options that were given, and the
    seconds that the prediction took.

    Raises
    ------
    OutputError
        A place has another ending, or would replace an input, the rows or another summary.
    """
    taken = [] if output is None else [output]
    for place in places:
        if not place.lower().endswith((".html", ".json")):
            raise OutputError(f"{place}: found a summary of another kind; expected a name ending in .html or .json")
        keep_apart(place, fasta, parts, "--summary")
        if any(place == other or _is_same(place, other) for other in taken):
            raise OutputError(f"{place}: found the name of another output; choose another name for --summary")
        taken.append(place)
    return _opened(places, output, fasta)


@contextlib.contextmanager
def _opened(places: list[str], output: str | None, fasta: list[str]) -> Iterator[Write]:
    with contextlib.ExitStack() as stack:
        streams = {place: stack.enter_context(opened(place)) for place in places}

        def write(summary: Summary, options: Mapping[str, Any], seconds: float) -> None:
            inputs = ["standard input" if each == "-" else each for each in fasta]
            given = {name: value for name, value in options.items() if value not in (None, False, "1/1")}
            command = shlex.join(["tfclass", *sys.argv[1:]])
            content = summary.content(Run(command, inputs, output or "standard output", given, seconds))
            for place, stream in streams.items():
                if place.lower().endswith(".json"):
                    write_json(content, stream)
                else:
                    from tfclass.inference.page import write_page

                    write_page(content, stream)

        yield write


def _is_same(place: str, other: str) -> bool:
    first, second = path_of(place), path_of(other)
    return first is not None and second is not None and os.path.realpath(first) == os.path.realpath(second)
