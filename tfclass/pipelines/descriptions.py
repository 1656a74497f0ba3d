"""Descriptions of runs for MLflow: scores, their meaning, and the command that repeats the run."""

import re
from collections.abc import Mapping
from typing import Any

from tfclass.evaluation.content import ReportContent
from tfclass.evaluation.formats import interval

_WIDTH = 100
# A word of a shell command, which may have blanks between quotes.
_WORD = re.compile(r"(?:'[^']*'|\"[^\"]*\"|\S)+")
_SCORES = {"average_precision": "average precision", "mcc": "MCC", "balanced_accuracy": "balanced accuracy"}


def describe_training(provenance: Mapping[str, Any], command: str) -> str:
    """Describe a finished training.

    Parameters
    ----------
    provenance : mapping
        Of its bundle.

    Returns
    -------
    str
        Markdown.
    """
    facts = provenance
    scores = ", ".join(f"{name} {value:.3f}" for name, value in _defined(facts["validation"]).items())
    lines = [
        f"**Validation: {scores or 'no score is defined'}**",
        f"{facts['network']}, trained on {facts['n_train']:,} proteins of {facts['corpus']['name']}; epoch "
        f"{facts['best_epoch']} of {facts['epochs_run']} was the best on {facts['n_valid']:,} validation proteins. "
        "These scores chose the epoch, the calibration and the threshold; an evaluation on the test split gives the "
        "scores to quote.",
        _as_code(command),
    ]
    return "\n\n".join(lines)


def describe_evaluation(content: ReportContent) -> str:
    """Describe an evaluation, in Markdown."""
    estimates = {name: e for name, e in content.metrics.items() if e.value is not None}
    scores = ", ".join(
        f"{words} {estimates[name].value:.3f} {interval(estimates[name])}".rstrip()
        for name, words in _SCORES.items()
        if name in estimates
    )
    corpus = content.corpus
    share = "" if content.prevalence is None else f", {content.prevalence:.1%} of them positive"
    lines = [
        f"**{corpus.split.capitalize()}: {scores or 'no score is defined'}**",
        f"{content.bundle.name} ({content.bundle.network}, channel {content.bundle.channel}) on "
        f"{content.n_proteins:,} proteins of {corpus.name}{share}; intervals at {content.confidence:.0%}.",
        corpus.note or "",
        "\n".join(f"* {conclusion.text}" for conclusion in content.conclusions),
        _as_code(content.command),
    ]
    return "\n\n".join(line for line in lines if line)


def _defined(scores: Mapping[str, float | None]) -> dict[str, float]:
    return {words: value for name, words in _SCORES.items() if (value := scores.get(name)) is not None}


def _as_code(command: str) -> str:
    # A long line would make the whole page wide; the shell reads these lines as one.
    lines = [""]
    for word in _WORD.findall(command):
        if lines[-1] and len(lines[-1]) + len(word) > _WIDTH:
            lines.append("   ")
        lines[-1] += f" {word}" if lines[-1] else word
    return "```bash\n" + " \\\n".join(lines) + "\n```"
