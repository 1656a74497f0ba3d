"""Options that several verbs have, and their names in messages."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import Annotated

import typer

from tfclass.errors import ConfigError

Inputs = Annotated[
    list[str] | None,
    typer.Argument(metavar="FASTA", help="Plain or compressed; - is standard input.", show_default=False),
]
Example = Annotated[bool, typer.Option("--example", help="Read eight well-known proteins, in place of FASTA.")]
Threads = Annotated[int, typer.Option(min=0, help="CPU threads; 0 takes all. They change nothing in the result.")]


def thread_count(threads: int) -> int:
    """Return the number of threads asked for, at most one per core; for 0 all that this process may use."""
    from tfclass.environment import at_most_cores, available_cores

    return at_most_cores(threads or available_cores())


def chosen_inputs(fasta: list[str] | None, example: bool) -> list[str]:
    """Return the FASTA files that were named, or the examples that the package brings."""
    if example:
        if fasta:
            raise typer.BadParameter("stands in place of files; name files, or give --example", param_hint="--example")
        return [str(files("tfclass.examples") / "proteins.fasta")]
    if not fasta:
        raise typer.BadParameter("name at least one file, - for standard input, or give --example", param_hint="FASTA")
    return fasta


@contextmanager
def named_as_options(part: str, options: Iterable[str]) -> Iterator[None]:
    """Replace keys of a part of a configuration, such as ``split.max_members``, in errors by the options given here."""
    known = tuple(options)

    def option(match: re.Match[str]) -> str:
        return f"--{match[1].replace('_', '-')}" if match[1] in known else match[0]

    try:
        yield
    except ConfigError as error:
        raise ConfigError(re.sub(rf"\b{re.escape(part)}\.(\w+)", option, str(error))) from None
