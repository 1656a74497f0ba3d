"""Many trainings in search of the options with the best validation average precision, by Optuna.

Every trial draws from a sampler seeded by its own number, and one that was interrupted goes on from its checkpoint; so
a sweep that was killed and run again makes the very trials of one that was not.
"""

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd
from filelock import FileLock

from tfclass.config import TrainConfig, from_mapping, to_mapping
from tfclass.data.neighbours import check_neighbour, starts_with
from tfclass.data.table import read_table
from tfclass.errors import ConfigError, MemoryLimitError, MissingExtraError, NonFiniteLossError
from tfclass.io.files import make_folder, try_lock, whole_file
from tfclass.models.factory import check_size
from tfclass.pipelines.run_folder import read_record, save_record
from tfclass.pipelines.search import (
    DistributionConfig,
    StudyConfig,
    SweepConfig,
    is_study,
    read_space,
    sampler_of,
    suggest,
    with_values,
)
from tfclass.pipelines.train import train_and_package
from tfclass.sequences.alphabet import Alphabet
from tfclass.tracking.tracker import Tracker, tracked
from tfclass.training.checkpoint import NAME as CHECKPOINT
from tfclass.training.trainer import Hooks, Interrupted

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial, Trial

TABLE = "trials.tsv"


class Pruned(Interrupted):
    """A trial is not worth going on with."""


class Swept(NamedTuple):
    """What `run_sweep` found.

    Attributes
    ----------
    trials : DataFrame
        One row per trial, best first: ``trial, state, valid_ap, epochs``, and a column for each option searched.
    best : dict
        The options of the best trial; empty when none was finished.
    """

    trials: pd.DataFrame
    best: dict[str, Any]


def run_sweep(config: SweepConfig, hooks_of: Callable[[str], Hooks] = lambda _: Hooks()) -> Swept:
    """Train until the study has its trials; those of earlier calls count.

    In MLflow one run is the parent of all trials. Several processes may work on one sweep.

    Parameters
    ----------
    hooks_of : callable, optional
        Title of a trial -> hooks of its training.

    Returns
    -------
    Swept
        Its table is in ``trials.tsv`` too.

    Raises
    ------
    TfclassError
        As `train_and_package`; or the space is at fault, or ``run_dir`` holds a sweep of another kind.
    MissingExtraError
        Optuna is not installed.
    Interrupted
        A training was stopped; calling again goes on.
    """
    space = read_space(config.study.space)
    # A name or value that no training takes is refused before anything starts.
    for name, distribution in space.items():
        for value in distribution.choices or (distribution.low, distribution.high):
            check_size(_train_config(config, {name: value}, Path(config.run_dir), "").model, Alphabet(), 2)
    folder = Path(config.run_dir)
    make_folder(folder)
    check_neighbour(folder / TABLE, starts_with("trial", "state", "valid_ap", "epochs"), "run_dir")
    digest = read_table(config.corpus, Alphabet()).digest
    previous = _check_same(folder, config, digest)
    study = _open_study(config.study, folder)
    title = f"sweep {config.corpus.name} {config.study.name}"
    tags = {"job": "sweep", "corpus": config.corpus.name, "network": config.network or config.model.encoder}
    tags["split"] = config.split.policy
    with tracked(config.tracking, title, tags, resume=previous, journal=folder) as tracker:
        _write_record(folder, config, digest, tracker)
        while (claimed := _claimed(study, config, folder)) is not None:
            with claimed as (trial, place):
                _run_trial(study, trial, config, place, space, hooks_of, tracker)
        swept = _summary(study)
        with whole_file(folder / TABLE) as stream:
            stream.write(swept.trials.to_csv(sep="\t", index=False, float_format="%.6g").encode())
        tracker.facts("trials.json", {"trials": swept.trials.to_dict("records")})
        tracker.tags({f"best.{name}": str(value) for name, value in swept.best.items()})
    return swept


def _train_config(config: SweepConfig, values: dict[str, Any], folder: Path, title: str) -> TrainConfig:
    base = {key: value for key, value in to_mapping(config).items() if key != "study"}
    base |= {"name": f"{config.corpus.name}-{config.study.name}", "run_dir": str(folder)}
    base["network"] = values.get("model.encoder", config.network)
    try:
        changed = from_mapping(TrainConfig, with_values(base, values))
    except ConfigError as error:
        where = f"study.space.{error.where}"
        raise ConfigError(where, error.found, error.expected, error.action, **error.facts) from None
    # Trials are not meant for use; registering them would crowd out the models that are.
    return replace(changed, tracking=replace(config.tracking, run_name=title, register=""))


def _check_same(folder: Path, config: SweepConfig, digest: str) -> str:
    """Make sure that a sweep that was here before is this one; give its MLflow run."""
    before = read_record(folder, "sweep")
    if not before:
        return ""
    now = _plain(config, digest)
    for key in ("corpus", "split", "model", "training", "study"):
        if before["config"].get(key) != now[key]:
            action = "choose another run_dir or study.name, or remove this folder"
            raise ConfigError("run_dir", f"{folder}, a sweep with other {key} options", "the same", action, key=key)
    return before.get("mlflow_run_id", "")


def _plain(config: SweepConfig, digest: str) -> dict[str, Any]:
    # JSON knows no tuples; and a sweep may be made longer.
    values = json.loads(json.dumps(to_mapping(config)))
    del values["study"]["n_trials"], values["tracking"]
    values["corpus"]["sha256"] = digest
    return values


def _write_record(folder: Path, config: SweepConfig, digest: str, tracker: Tracker) -> None:
    save_record(folder, {"mlflow_run_id": tracker.run_id, "config": _plain(config, digest)})
    tracker.facts("config.yaml", {key: value for key, value in to_mapping(config).items() if key != "tracking"})


def _open_study(config: StudyConfig, folder: Path) -> "Study":
    try:
        import optuna
        from sqlalchemy.exc import SQLAlchemyError
    except ModuleNotFoundError as error:
        action = "pip install 'tfclass[sweep]'"
        raise MissingExtraError("tfclass sweep", "no Optuna in this installation", action=action) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pruner = {
        "median": optuna.pruners.MedianPruner(config.startup_trials, config.warmup_epochs),
        "hyperband": optuna.pruners.HyperbandPruner(min_resource=max(config.warmup_epochs, 1)),
        "none": optuna.pruners.NopPruner(),
    }[config.pruner]
    url = config.storage or f"sqlite:///{(folder / 'study.db').resolve()}"
    # Others may be writing to the file.
    wait = {"connect_args": {"timeout": 60}} if url.startswith("sqlite:") else {}
    with FileLock(folder / "study.lock"):
        if not config.storage:
            check_neighbour(folder / "study.db", is_study, "run_dir")
        try:
            storage = optuna.storages.RDBStorage(url, engine_kwargs=wait)
            return optuna.create_study(
                study_name=config.name, storage=storage, direction="maximize", pruner=pruner, load_if_exists=True
            )
        except (SQLAlchemyError, optuna.exceptions.OptunaError, RuntimeError, ValueError, ImportError) as error:
            # An address may hold a password.
            where = "study.storage" if config.storage else str(folder / "study.db")
            reason = str(getattr(error, "orig", None) or error).split("\n")[0]
            action = "mend or remove it, or choose another study.storage"
            raise ConfigError(where, f"no readable study ({reason})", action=action, key="study.storage") from error


def _claimed(
    study: "Study", config: SweepConfig, folder: Path
) -> "contextlib.AbstractContextManager[tuple[Trial, Path]] | None":
    """Take an interrupted trial that no process is working on, or else a new one; None when there are enough."""
    from optuna.trial import Trial, TrialState

    with FileLock(folder / "study.lock"):
        trials = study.get_trials(deepcopy=False)
        for frozen in trials:
            place = folder / f"trial-{frozen.number:03d}"
            if frozen.state == TrialState.RUNNING and (lock := _try_lock(place)):
                study.sampler = sampler_of(config.study, frozen.number)
                return _held(lock, Trial(study, frozen._trial_id), place)
        number = len(trials)
        if number >= config.study.n_trials:
            return None
        study.sampler = sampler_of(config.study, number)
        trial = study.ask()
        place = folder / f"trial-{trial.number:03d}"
        lock = _try_lock(place)
        assert lock is not None, "a new trial is nobody's"
        return _held(lock, trial, place)


def _try_lock(place: Path) -> FileLock | None:
    make_folder(place)
    return try_lock(place / "lock")


@contextlib.contextmanager
def _held(lock: FileLock, trial: "Trial", place: Path) -> "Iterator[tuple[Trial, Path]]":
    try:
        yield trial, place
    finally:
        lock.release()


def _run_trial(
    study: "Study",
    trial: "Trial",
    config: SweepConfig,
    place: Path,
    space: dict[str, DistributionConfig],
    hooks_of: Callable[[str], Hooks],
    tracker: Tracker,
) -> None:
    from optuna.trial import TrialState

    values = {name: suggest(trial, name, distribution) for name, distribution in space.items()}
    words = " ".join(f"{name.rpartition('.')[2]}={_short(value)}" for name, value in values.items())
    title = f"trial {trial.number}: {words}"
    train = _train_config(config, values, place, title)
    if (place / CHECKPOINT).exists():
        train = replace(train, resume=str(place))
    hooks = hooks_of(title)

    def on_epoch(entry: dict[str, float]) -> None:
        hooks.on_epoch(entry)
        trial.report(entry["valid_ap"], int(entry["epoch"]))
        if trial.should_prune():
            raise Pruned

    try:
        trained = train_and_package(train, hooks._replace(on_epoch=on_epoch), parent=tracker.run_id)
    except Pruned:
        study.tell(trial, state=TrialState.PRUNED)
    except (NonFiniteLossError, MemoryLimitError):
        # These options cannot be trained with; others can.
        study.tell(trial, state=TrialState.FAIL)
    except ConfigError:
        # Options that do not go together: said now, and not tried again by the next call.
        study.tell(trial, state=TrialState.FAIL)
        raise
    else:
        score = max(entry["valid_ap"] for entry in trained.history)
        study.tell(trial, score)
        tracker.metrics({"valid_ap": score, "best_valid_ap": study.best_value}, step=trial.number)
    # It is large, and of no more use.
    (place / CHECKPOINT).unlink(missing_ok=True)


def _summary(study: "Study") -> Swept:
    from optuna.trial import TrialState

    trials = study.get_trials(deepcopy=False)
    rows = [_row(trial) for trial in trials]
    table = pd.DataFrame(rows)
    # Finished ones first: a pruned trial's value is that of an early epoch.
    order = table.assign(finished=table["state"] == "complete")
    order = order.sort_values(["finished", "valid_ap"], ascending=False, kind="stable")
    complete = any(trial.state == TrialState.COMPLETE for trial in trials)
    return Swept(order.drop(columns="finished").reset_index(drop=True), dict(study.best_params) if complete else {})


def _row(trial: "FrozenTrial") -> dict[str, Any]:
    reported = trial.intermediate_values
    return {
        "trial": trial.number,
        "state": trial.state.name.lower(),
        "valid_ap": max(reported.values(), default=float("nan")),
        "epochs": len(reported),
        **trial.params,
    }


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
