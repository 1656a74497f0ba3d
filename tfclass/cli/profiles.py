"""``tfclass profiles``: profile hidden Markov models from a table."""

from pathlib import Path
from typing import Annotated

import typer

from tfclass.cli.options import Threads, thread_count
from tfclass.cli.terminal import at_work

app = typer.Typer(help="Make profiles of known transcription factors.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep `build` a verb of its own, though it is the only one."""


@app.command()
def build(
    table: Annotated[Path, typer.Argument(help="A labelled table with the columns cluster and split.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The profiles to write, such as profiles.h3m.zst.")],
    domains: Annotated[
        Path | None, typer.Option(help="Known DNA-binding domains: a table of domain, start, end and sequence.")
    ] = None,
    threads: Threads = 0,
) -> None:
    """Make profiles of the transcription factors in the split 'train'."""
    from tfclass.pipelines.profiles import build_profiles

    with at_work("reading") as on_progress:
        library = build_profiles(table, output, domains, threads=thread_count(threads), on_progress=on_progress)
    typer.echo(f"{output}: {len(library.profiles):,} profiles of {library.states:,} states", err=True)
