"""What a sweep searches: options of a training by name, and what values they may take."""

import contextlib
import math
import sqlite3
from collections.abc import Mapping
from dataclasses import field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from tfclass.config import (
    CorpusConfig,
    EvaluationConfig,
    ModelConfig,
    Positive,
    RuntimeConfig,
    Seed,
    SplitConfig,
    TrackingConfig,
    TrainingConfig,
    from_mapping,
)
from tfclass.errors import ConfigError
from tfclass.names import FolderText, PathText

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.trial import Trial

_WHERE = "study.space"
_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class DistributionConfig:
    """What values an option may take in a sweep: numbers from `low` to `high`, integers if both are, or `choices`."""

    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    step: int | float | None = None
    choices: tuple[int | float | bool | str | None, ...] | None = None


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class StudyConfig:
    """How a sweep searches; an empty `storage` means ``study.db`` in the sweep's folder."""

    name: str = "study"
    storage: PathText = ""
    n_trials: Positive = 20
    sampler: Literal["tpe", "random"] = "tpe"
    seed: Seed = 0
    startup_trials: Positive = 5
    pruner: Literal["median", "hyperband", "none"] = "median"
    warmup_epochs: Annotated[int, Field(ge=0)] = 2
    space: dict[str, Any]


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class SweepConfig:
    """All of ``conf/sweep.yaml``."""

    corpus: CorpusConfig
    split: SplitConfig = field(default_factory=SplitConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)
    study: StudyConfig
    network: str = ""
    run_dir: FolderText


_KEYS = {field.name for field in fields(DistributionConfig)}


def read_space(space: Mapping[str, Any], prefix: str = "") -> dict[str, DistributionConfig]:
    """Flatten a nested space to dotted names, and check each distribution.

    Raises
    ------
    ConfigError
        A distribution has neither `low` and `high` nor `choices`, or ones that do not go together.

    Examples
    --------
    >>> read_space({"model": {"hidden": {"choices": [64, 128]}}})["model.hidden"].choices
    (64, 128)
    """
    found: dict[str, DistributionConfig] = {}
    for key, value in space.items():
        name = f"{prefix}{key}"
        where = f"{_WHERE}.{name}"
        if not isinstance(value, Mapping):
            raise ConfigError(where, repr(value), "low and high, or choices", key=where)
        if _KEYS.intersection(value) and not any(isinstance(inner, Mapping) for inner in value.values()):
            found[name] = _checked(from_mapping(DistributionConfig, value, where), where)
        else:
            found |= read_space(value, f"{name}.")
    return found


def is_study(path: Path) -> bool:
    """Return whether a file is an SQLite database of Optuna, or none that can be read: Optuna says why."""
    try:
        with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error:
        return True
    return not tables or tables >= {"studies", "trials", "version_info"}


def sampler_of(config: StudyConfig, number: int) -> "BaseSampler":
    """Make the sampler of one trial."""
    from optuna.samplers import RandomSampler, TPESampler

    seed = config.seed * 1_000_003 + number
    tpe = TPESampler(seed=seed, n_startup_trials=config.startup_trials)
    return tpe if config.sampler == "tpe" else RandomSampler(seed=seed)


def suggest(trial: "Trial", name: str, distribution: DistributionConfig) -> Any:  # noqa: ANN401
    """Draw a value; a trial that has one already gives that."""
    low, high, step = distribution.low, distribution.high, distribution.step
    if distribution.choices is not None:
        return trial.suggest_categorical(name, distribution.choices)
    # `read_space` has seen to it that there is a range.
    assert low is not None
    assert high is not None
    if isinstance(low, int) and isinstance(high, int) and isinstance(step or 1, int):
        return trial.suggest_int(name, low, high, step=int(step or 1), log=distribution.log)
    return trial.suggest_float(name, low, high, step=step, log=distribution.log)


def with_values(config: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Give a nested configuration with other values at dotted names."""
    changed = dict(config)
    for name, value in values.items():
        first, _, rest = name.partition(".")
        changed[first] = with_values(changed.get(first, {}), {rest: value}) if rest else value
    return changed


def _checked(distribution: DistributionConfig, where: str) -> DistributionConfig:
    low, high = distribution.low, distribution.high
    if distribution.choices is not None:
        if low is None and high is None and distribution.choices:
            return distribution
        raise ConfigError(where, "choices that are empty, or with low or high", "low and high, or choices", key=where)
    if low is None or high is None:
        raise ConfigError(where, "no range", "low and high, or choices", key=where)
    if not (math.isfinite(low) and math.isfinite(high)) or low >= high or (distribution.log and low <= 0):
        expected = "low below high, and above 0 where log is true"
        raise ConfigError(where, f"low {low}, high {high}", expected, key=where)
    if distribution.step is not None and not 0 < distribution.step <= high - low:
        raise ConfigError(where, f"step {distribution.step}", "one above 0 that fits between low and high", key=where)
    if distribution.log and distribution.step is not None:
        raise ConfigError(where, "both log and step", "one of them", key=where)
    return distribution
