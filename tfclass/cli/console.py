"""Output of training and evaluation: a progress bar on a terminal, a line per epoch, tables of scores."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tfclass.cli.terminal import has_terminal, progress, stop_on_signal
from tfclass.training.trainer import Callbacks, Interrupted

if TYPE_CHECKING:
    from tfclass.evaluation.bootstrap import Estimate
    from tfclass.evaluation.compare import Comparison
    from tfclass.evaluation.content import ReportContent
    from tfclass.evaluation.formats import Footnotes

# By the outcome of a comparison with a baseline.
_STYLES = {"loses": "bold red", "behind": "red", "undecided": "yellow", "ahead": "yellow", "wins": ""}


@contextmanager
def training_display(epochs: int) -> Iterator[Callbacks]:
    """Show training on stderr: a bar where that is a terminal, and a line per epoch everywhere.

    Yields
    ------
    Callbacks
        Without `should_stop`.
    """
    with progress("epoch 1") as bar:
        tenths = -1

        def on_pretraining(done: float, seconds: float) -> None:
            nonlocal tenths
            bar.update("k-mer vectors", done, 1.0)
            # Where there is no bar, a line for every tenth.
            if int(10 * done) > tenths and (done >= 1 or not has_terminal()):
                tenths = int(10 * done)
                bar.note(f"k-mer vectors {done:4.0%}  {seconds:.0f} s")

        def on_step(epoch: int, done: float, loss: float) -> None:
            bar.update(f"epoch {epoch + 1}/{epochs}  loss {loss:.4f}", done, 1.0)

        def on_epoch(entry: dict[str, float]) -> None:
            bar.note(
                f"epoch {int(entry['epoch']) + 1:>3}  loss {entry['train_loss']:.4f}  "
                f"validation: loss {entry['valid_loss']:.4f}, average precision {entry['valid_ap']:.4f}  "
                f"{entry['train_seconds']:.0f} s"
            )

        yield Callbacks(on_pretraining=on_pretraining, on_step=on_step, on_epoch=on_epoch)


@contextmanager
def trainings_display(epochs: int) -> Iterator[Callable[[str], Callbacks]]:
    """Show one training after another; after Ctrl-C the block ends in one line, with status 130.

    Yields
    ------
    callable
        Title of the next training -> its callbacks.
    """
    with stop_on_signal() as should_stop, ExitStack() as displays:

        def callbacks_of(title: str) -> Callbacks:
            displays.close()
            typer.echo(title, err=True)
            return displays.enter_context(training_display(epochs))._replace(should_stop=should_stop)

        try:
            yield callbacks_of
        except Interrupted:
            typer.echo("tfclass: interrupted; the same command goes on", err=True)
            raise typer.Exit(130) from None


def print_report(content: "ReportContent") -> None:
    """Print the scores of a report on stdout, and how the model compares with the baselines."""
    from tfclass.evaluation.formats import Footnotes, display_name, percent, shares
    from tfclass.evaluation.metrics import METRICS

    corpus, compared, notes = content.corpus, content.compared, Footnotes()
    title = f"{content.bundle.name} on {corpus.name} {corpus.split}: {shares(content.class_counts)}"
    table = _table("metric", content.bundle.name, *map(display_name, compared))
    for name, own in content.metrics.items():
        others = (baseline.metrics[name] for baseline in compared.values())
        table.add_row(METRICS[name].title, *(_estimate(each, notes) for each in (own, *others)))
    for name in next((baseline.difference for baseline in compared.values()), ()):
        leads = (_estimate(baseline.difference[name], notes, sign=True) for baseline in compared.values())
        table.add_row(f"lead in {METRICS[name].title}", "", *leads)
    if content.prevalence is not None:
        table.add_row("prevalence", *[percent(content.prevalence)] * (1 + len(compared)))
    _show(table, title, notes)
    if corpus.note:
        _print(corpus.note, "bold")
    for conclusion in content.conclusions:
        _print(conclusion.text, _STYLES[conclusion.outcome])
    for baseline in content.not_compared:
        _print(f"Not compared with {baseline.title}: {baseline.left_out}.")


def print_comparison(content: "Comparison") -> None:
    """Print a comparison on stdout: the runs with their scores, then each run's lead over the first."""
    from tfclass.evaluation.formats import Footnotes, percent, three
    from tfclass.evaluation.metrics import METRICS

    titles = [METRICS[name].title for name in content.runs[0].metrics]
    known, positives = content.prevalence is not None, percent(content.prevalence)
    table, notes = _table("run", "model", *titles, *(["prevalence"] if known else []), n_texts=2), Footnotes()
    for run in content.runs:
        estimates = (_estimate(estimate, notes) for estimate in run.metrics.values())
        table.add_row(Text(run.name), Text(run.model), *estimates, *([positives] if known else []))
    positive = f", {positives} {list(content.class_counts)[1]}" if known else ""
    _show(table, f"{content.n_proteins:,} proteins in {content.n_clusters:,} clusters{positive}", notes)
    table, notes = _table("run", *titles, "correct alone", "McNemar p", "kappa"), Footnotes()
    for pair in content.pairs:
        leads = (_estimate(estimate, notes, sign=True) for estimate in pair.difference.values())
        test, value = pair.mcnemar, pair.kappa.value
        kappa = f"– [{notes.number(pair.kappa.reason)}]" if value is None else three(value)
        alone = f"{test.run_only:,} : {test.reference_only:,}"
        table.add_row(Text(pair.run), *leads, alone, f"{test.p_value:.2g}", kappa)
    level = f"{100 * content.confidence:g}\u00a0%"
    caption = f"Less {content.reference}, with {level} intervals of the paired differences over clusters; "
    _show(table, f"{caption}proteins that only one of the two predicts correctly, run : reference", notes)


def _table(*heads: str, n_texts: int = 1) -> Table:
    table = Table()
    for column, head in enumerate(heads):
        table.add_column(Text(head), justify="left" if column < n_texts else "right")
    return table


def _estimate(estimate: "Estimate", notes: "Footnotes", *, sign: bool = False) -> Text:
    from tfclass.evaluation.formats import UNDEFINED, interval, signed, three

    text = UNDEFINED if estimate.value is None else (signed if sign else three)(estimate.value)
    note = f" [{notes.number(estimate.reason)}]" if estimate.reason else ""
    return Text(f"{text}{note}").append(f" {interval(estimate, sign=sign)}".rstrip(), style="dim")


def _show(table: Table, title: str, notes: "Footnotes") -> None:
    _print(title, "bold")
    _console().print(table)
    for number, text in enumerate(notes.texts, start=1):
        _print(f"[{number}] {text}")


def _print(text: str, style: str = "") -> None:
    _console().print(Text(text, style=style), soft_wrap=True)


def _console() -> Console:
    # A pipe has no width of its own; a table may not be cut there.
    return Console(width=None if sys.stdout.isatty() else 140, highlight=False)
