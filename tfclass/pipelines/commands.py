"""Command lines that repeat a training or an evaluation."""

import shlex
from typing import Any

from tfclass.config import CorpusConfig, EvaluateConfig, SplitConfig, TrainConfig, to_mapping
from tfclass.overrides import for_hydra
from tfclass.tracking.record import flatten


def command_of(config: EvaluateConfig | TrainConfig) -> str:
    """Write the command that evaluates or trains with this configuration, whatever it came from.

    Parameters
    ----------
    config : EvaluateConfig or TrainConfig
        Of a training, neither its own folder nor whether it was resumed are in the command.

    Returns
    -------
    str
        For a shell. Of the options, only those that differ from their defaults are named.
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
