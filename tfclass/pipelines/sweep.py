"""Search for the options of a training with the best validation average precision, by Optuna.

The study is kept in a storage of Optuna's, so several processes may work on it. A trial whose process was interrupted
or died is queued again, and goes on from its checkpoint.
"""

import contextlib
import json
import sqlite3
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from filelock import FileLock

from tfclass.config import StudyConfig, SweepConfig, TrainConfig, from_mapping, to_mapping
from tfclass.data.neighbours import check_neighbour, starts_with
from tfclass.data.table import read_table
from tfclass.errors import CheckpointError, ConfigError, MemoryLimitError, MissingExtraError, NonFiniteLossError
from tfclass.io.files import make_folder, whole_file
from tfclass.models.factory import check_size
from tfclass.pipelines.run_folder import RUN_FILE
from tfclass.pipelines.train import train_and_package
from tfclass.sequences.alphabet import Alphabet
from tfclass.tracking.log import Run, tracked
from tfclass.tracking.record import Facts
from tfclass.training.checkpoint import NAME as CHECKPOINT
from tfclass.training.trainer import Callbacks, Interrupted

try:
    import optuna
    from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
    from optuna.trial import FrozenTrial, Trial, TrialState
    from sqlalchemy.exc import SQLAlchemyError
except ModuleNotFoundError as error:
    raise MissingExtraError("tfclass sweep needs Optuna; pip install 'tfclass[sweep]'") from error

TABLE = "trials.tsv"
Space = Mapping[str, Any]
# What says how an option is drawn; other keys of a space are names of options.
_DISTRIBUTION = {"low", "high", "step", "log", "choices"}


class Pruned(Interrupted):
    """A trial is not worth going on with."""


class SweepResult(NamedTuple):
    """The result of a sweep.

    Attributes
    ----------
    trials : DataFrame
        One row per trial, best first: ``trial, state, valid_ap, epochs``, and a column for each option searched.
    best : dict
        The options of the best trial; empty when none was finished.
    """

    trials: pd.DataFrame
    best: dict[str, Any]


def run_sweep(config: SweepConfig, callbacks_of: Callable[[str], Callbacks] = lambda _: Callbacks()) -> SweepResult:
    """Train until the study has its trials, those of earlier calls included, and write ``trials.tsv``.

    In MLflow one run is the parent of all trials.

    Parameters
    ----------
    callbacks_of : callable, optional
        Title of a trial -> callbacks of its training.

    Raises
    ------
    TfclassError
        As `train_and_package`; or the space is at fault, or ``run_dir`` holds a training or another sweep.
    Interrupted
        A training was stopped; calling again goes on.
    """
    # Failed trials are in the table; Optuna would print their tracebacks.
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space = _check_space(config)
    folder, digest = Path(config.run_dir), read_table(config.corpus, Alphabet()).digest
    if (folder / RUN_FILE).exists():
        raise CheckpointError(f"{folder}: found the folder of a training; expected a sweep's; choose another run_dir")
    make_folder(folder)
    check_neighbour(folder / TABLE, starts_with("trial", "state", "valid_ap", "epochs"), "run_dir")
    tags = {"job": "sweep", "corpus": config.corpus.name, "network": config.network or config.model.encoder}
    tags["split"] = config.split.policy
    title = f"sweep {config.corpus.name} {config.study.name}"
    with warnings.catch_warnings():
        # Optuna says at each step that its heartbeat may change.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study = _open_study(config.study, folder)
        _check_same(study, config, digest)
        facts = Facts(tags, documents={"config.yaml": study.user_attrs["config"]})
        with tracked(config.tracking, folder, title, facts, resume=True) as run:
            # One by one, since other processes make trials too.
            while _has_more(study, config.study.n_trials):
                study.optimize(
                    lambda trial: _train_trial(trial, config, space, callbacks_of, run),
                    n_trials=1,
                    catch=(NonFiniteLossError, MemoryLimitError),
                )
                _remove_checkpoints(study, folder)
            return _write_result(study, folder, run)


def _check_space(config: SweepConfig) -> Space:
    """Return the options to search; refuse names and values that no training takes before anything starts."""
    space, trial = dict(_flat(config.study.space)), optuna.create_study().ask()
    for name, options in space.items():
        where = f"study.space.{name}"
        if not isinstance(options, Mapping):
            raise ConfigError(f"{where}: found {options!r}; expected low and high, or choices")
        try:
            _suggest(trial, name, options)
        except (TypeError, ValueError, OverflowError) as error:
            raise ConfigError(f"{where}: {error}; expected low and high (log, step), or choices") from None
        for value in options.get("choices") or (options["low"], options["high"]):
            check_size(_train_config(config, {name: value}, Path(config.run_dir)).model, Alphabet(), 2)
    return space


def _flat(space: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, options in space.items():
        if isinstance(options, Mapping) and not _DISTRIBUTION.intersection(options):
            yield from _flat(options, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", options


def _suggest(trial: Trial, name: str, options: Mapping[str, Any]) -> Any:  # noqa: ANN401
    if "choices" in options:
        return trial.suggest_categorical(name, **options)
    is_integer = all(isinstance(options.get(key, 1), int) for key in ("low", "high", "step"))
    return (trial.suggest_int if is_integer else trial.suggest_float)(name, **options)


def _train_config(config: SweepConfig, values: Mapping[str, Any], folder: Path, title: str = "") -> TrainConfig:
    """Return the configuration of a training with other values of the options, by dotted names."""
    changed = {key: value for key, value in to_mapping(config).items() if key != "study"}
    changed |= {"name": f"{config.corpus.name}-{config.study.name}", "run_dir": str(folder), "bundle": ""}
    changed["network"] = values.get("model.encoder", config.network)
    changed["resume"] = str(folder) if (folder / CHECKPOINT).exists() else ""
    # Trials are not registered: they would crowd out the models that are meant for use.
    changed["tracking"] |= {"run_name": title, "register": ""}
    for name, value in values.items():
        *groups, key = name.split(".")
        owner = changed
        for group in groups:
            owner = owner.setdefault(group, {})
        owner[key] = value
    try:
        return from_mapping(TrainConfig, changed)
    except ConfigError as error:
        raise ConfigError(f"study.space.{error}") from None


def _open_study(config: StudyConfig, folder: Path) -> optuna.Study:
    pruner = {
        "median": optuna.pruners.MedianPruner(config.startup_trials, config.warmup_epochs),
        "hyperband": optuna.pruners.HyperbandPruner(min_resource=max(config.warmup_epochs, 1)),
        "none": optuna.pruners.NopPruner(),
    }[config.pruner]
    url = config.storage or f"sqlite:///{(folder / 'study.db').resolve()}"
    try:
        with FileLock(folder / "study.lock"):
            # Under the lock: a database that another process is creating has only some of its tables.
            if not config.storage:
                check_neighbour(folder / "study.db", _is_study, "run_dir")
            storage = RDBStorage(
                url,
                # Others may be writing to the file.
                engine_kwargs={"connect_args": {"timeout": 60}} if url.startswith("sqlite:") else {},
                heartbeat_interval=config.heartbeat_seconds,
                heartbeat_stale_trial_callback=_queue_again,
            )
            return optuna.create_study(
                study_name=config.name, storage=storage, direction="maximize", pruner=pruner, load_if_exists=True
            )
    except (SQLAlchemyError, optuna.exceptions.OptunaError, RuntimeError, ValueError, ImportError) as error:
        # An address may hold a password.
        where = "study.storage" if config.storage else str(folder / "study.db")
        reason = str(getattr(error, "orig", None) or error).split("\n")[0]
        action = "mend or remove it, or choose another study.storage"
        raise ConfigError(f"{where}: found no readable study ({reason}); {action}") from error


def _is_study(path: Path) -> bool:
    """Return whether a file is an SQLite database of Optuna, or none that can be read: Optuna says why."""
    try:
        with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error:
        return True
    return not tables or tables >= {"studies", "trials", "version_info"}


def _check_same(study: optuna.Study, config: SweepConfig, digest: str) -> None:
    """Refuse a study that was begun with other options; more trials may be asked for."""
    now = json.loads(json.dumps(to_mapping(config)))
    now["corpus"]["sha256"] = digest
    del now["study"]["n_trials"], now["tracking"]
    before = study.user_attrs.get("config", now)
    for key in ("corpus", "split", "model", "training", "study"):
        if before.get(key) != now[key]:
            found = f"run_dir: {config.run_dir} has a sweep with other {key} options"
            raise ConfigError(f"{found}; choose another run_dir or study.name, or remove this folder")
    study.set_user_attr("config", now)


def _queue_again(study: optuna.Study, trial: FrozenTrial) -> None:
    """Queue a trial once more, with its options and the scores of its epochs so far."""
    RetryHeartbeatStaleTrialCallback(inherit_intermediate_values=True)(study, trial)


def _trials(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials; one that was queued again is in the place of the one that it repeats."""
    newest = {}
    for trial in study.get_trials(deepcopy=False):
        repeated = RetryHeartbeatStaleTrialCallback.retried_trial_number(trial)
        newest[trial.number if repeated is None else repeated] = trial
    return list(newest.values())


def _has_more(study: optuna.Study, n_trials: int) -> bool:
    optuna.storages.fail_stale_trials(study)
    trials = _trials(study)
    return len(trials) < n_trials or any(trial.state == TrialState.WAITING for trial in trials)


def _train_trial(
    trial: Trial, config: SweepConfig, space: Space, callbacks_of: Callable[[str], Callbacks], run: Run
) -> float:
    """Train with the options that the trial draws; return the best validation average precision."""
    study = trial.study
    number = [each.number for each in _trials(study)].index(trial.number)
    # A seed for each trial: it draws the same values after an interruption, and others than those of another process.
    seed, samplers = config.study.seed * 1_000_003 + number, optuna.samplers
    tpe = samplers.TPESampler(seed=seed, n_startup_trials=config.study.startup_trials)
    study.sampler = tpe if config.study.sampler == "tpe" else samplers.RandomSampler(seed=seed)
    values = {name: _suggest(trial, name, options) for name, options in space.items()}
    shown = {name.rpartition(".")[2]: f"{v:.3g}" if isinstance(v, float) else v for name, v in values.items()}
    title = f"trial {number}: {' '.join(f'{name}={value}' for name, value in shown.items())}"
    callbacks = callbacks_of(title)

    def on_epoch(entry: dict[str, float]) -> None:
        callbacks.on_epoch(entry)
        trial.report(entry["valid_ap"], int(entry["epoch"]))
        if trial.should_prune():
            raise Pruned

    try:
        train = _train_config(config, values, Path(config.run_dir) / f"trial-{number:03d}", title)
        history = train_and_package(train, callbacks._replace(on_epoch=on_epoch), parent=run.run_id).history
    except Pruned:
        raise optuna.TrialPruned from None
    except (NonFiniteLossError, MemoryLimitError, ConfigError):
        # These options cannot be trained with.
        raise
    except BaseException:
        _queue_again(study, study.get_trials(deepcopy=False)[trial.number])
        raise
    score = max(entry["valid_ap"] for entry in history)
    best = max([score, *(each.value for each in _trials(study) if each.state == TrialState.COMPLETE and each.value)])
    run.log_step({"valid_ap": score, "best_valid_ap": best}, step=number)
    return score


def _remove_checkpoints(study: optuna.Study, folder: Path) -> None:
    """Remove the checkpoints of finished trials, which are large."""
    for number, trial in enumerate(_trials(study)):
        if trial.state.is_finished():
            (folder / f"trial-{number:03d}" / CHECKPOINT).unlink(missing_ok=True)


def _write_result(study: optuna.Study, folder: Path, run: Run) -> SweepResult:
    rows = [
        {
            "trial": number,
            "state": trial.state.name.lower(),
            "valid_ap": max(trial.intermediate_values.values(), default=float("nan")),
            "epochs": len(trial.intermediate_values),
            **trial.params,
        }
        for number, trial in enumerate(_trials(study))
    ]
    # Finished ones first: a pruned trial's value is that of an early epoch.
    table = pd.DataFrame(rows).assign(finished=lambda table: table["state"] == "complete")
    table = table.sort_values(["finished", "valid_ap"], ascending=False, kind="stable", ignore_index=True)
    best = dict(study.best_params) if table["finished"].any() else {}
    table = table.drop(columns="finished")
    with whole_file(folder / TABLE) as stream:
        stream.write(table.to_csv(sep="\t", index=False, float_format="%.6g").encode())
    tags = {f"best.{name}": str(value) for name, value in best.items()}
    run.log(Facts(tags, documents={"trials.json": {"trials": table.to_dict("records")}}))
    return SweepResult(table, best)
