"""The command line that repeats a run, and the description of a run for MLflow."""

import re
import shlex
from collections.abc import Mapping
from typing import Any

from tfclass.config import CorpusConfig, EvaluateConfig, SplitConfig, TrainConfig, to_mapping
from tfclass.evaluation.content import ReportContent
from tfclass.evaluation.formats import interval
from tfclass.overrides import for_hydra
from tfclass.tracking.record import flatten


def model_name(config: TrainConfig) -> str:
    """Return what a model is called."""
    return config.name or f"{config.corpus.name}-{config.network or config.model.encoder}"


def command_of(config: EvaluateConfig | TrainConfig) -> str:
    """Write the command that evaluates or trains with this configuration, whatever it came from; for a shell.

    Only options that differ from their defaults are named; of a training, neither its own folder nor whether it was
    resumed.
    """
    corpus = CorpusConfig.default(path="", name="table")
    verb, default = "evaluate", EvaluateConfig.default(corpus=corpus, bundle="", report="")
    if isinstance(config, TrainConfig):
        verb, default = "train", TrainConfig.default(corpus=corpus, run_dir=".")
    usual, own = (_options(each) for each in (default, config))
    words = [f"{key}={for_hydra(value)}" for key, value in own.items() if key not in usual or usual[key] != value]
    words += [f"~{key.removeprefix('++')}" for key in usual if key not in own]
    off = [] if config.tracking.enabled else ["tracking=off"]
    return shlex.join(["tfclass", verb, "corpus=table", *split_overrides(config.split), *words, *off])


def _options(config: EvaluateConfig | TrainConfig) -> dict[str, Any]:
    values = {key: value for key, value in to_mapping(config).items() if key not in ("run_dir", "resume")}
    # Groups that are chosen as a whole.
    del values["tracking"], values["split"]
    aliases = values["corpus"].pop("aliases")
    # Hydra takes a key that its files do not have only with these signs ahead of it.
    return flatten(values) | {f"++corpus.aliases.{label}": name for label, name in aliases.items()}


def split_overrides(split: SplitConfig) -> list[str]:
    """Write the words that say so on a command line; none for a table's own column as it is."""
    usual = to_mapping(SplitConfig.default(policy=split.policy))
    changed = {key: value for key, value in to_mapping(split).items() if value != usual[key]}
    group = [] if split.policy == "column" else [f"split={split.policy}"]
    return [*group, *(f"split.{key}={value}" for key, value in changed.items())]


_WIDTH = 100
# A word of a shell command, which may have blanks between quotes.
_WORD = re.compile(r"(?:'[^']*'|\"[^\"]*\"|\S)+")
_SCORES = {"average_precision": "average precision", "mcc": "MCC", "balanced_accuracy": "balanced accuracy"}


def describe_training(provenance: Mapping[str, Any], command: str) -> str:
    """Describe a finished training by the provenance of its bundle, in Markdown."""
    facts = provenance
    values = {words: facts["validation"].get(name) for name, words in _SCORES.items()}
    scores = ", ".join(f"{words} {value:.3f}" for words, value in values.items() if value is not None)
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


def _as_code(command: str) -> str:
    # A long line would make the whole page wide; the shell reads these lines as one.
    lines = [""]
    for word in _WORD.findall(command):
        if lines[-1] and len(lines[-1]) + len(word) > _WIDTH:
            lines.append("   ")
        lines[-1] += f" {word}" if lines[-1] else word
    return "```bash\n" + " \\\n".join(lines) + "\n```"
