"""The MLflow experiment: its description, the columns that its table of runs shows, and its runs."""

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from tfclass.tracking.connection import ARTIFACTS, sqlite_file

if TYPE_CHECKING:
    import mlflow
    from mlflow.entities import Experiment

_VIEW = "tfclass"
_VIEW_TAG = f"mlflow.sharedViewState.{_VIEW}"
VALIDATION, TEST = "validation", "test"
# What the table of runs shows of each split; the first one sorts it.
SCORES = ("average_precision", "mcc")
_NAME = "attributes.`Run Name`"
# Width in pixels of each column of the table of runs, in order.
_COLUMNS = {
    **{f"metrics.`{split}/{score}`": 60 + 6 * len(split + score) for score in SCORES for split in (VALIDATION, TEST)},
    "tags.`network`": 110,
    "tags.`corpus`": 110,
}
# Without it, the UI shows its pages for language-model traces.
_WORKFLOW = {"workflowType": "machine_learning"}
_DESCRIPTION = (
    "Trainings and evaluations of tfclass, the best validation score first; an evaluation has the validation score of "
    "its model beside its own. `validation/...` scores chose the epoch, the calibration and the threshold; `test/...` "
    "scores are the ones to quote.\n\n"
    "* Train: `tfclass train corpus=table corpus.path=TABLE`\n"
    "* Evaluate: `tfclass evaluate corpus=table corpus.path=TABLE bundle=BUNDLE`\n"
    "* Compare evaluations: `tfclass evaluate compare RUN_ID RUN_ID`\n"
    "* Predict with the champion: `tfclass predict FASTA --model models:/tfclass@champion`"
)


def group_of(split: str) -> str:
    """Return the first part of the names of metrics that are computed on a split."""
    return VALIDATION if split == "valid" else split


def experiment_tags() -> dict[str, str]:
    """Return the tags of an experiment: kind, description, and the view that `runs_address` opens."""
    view = {
        "orderByKey": next(iter(_COLUMNS)),
        "orderByAsc": False,
        "selectedColumns": list(_COLUMNS),
        "columnOrder": [_NAME, *_COLUMNS],
        "columnWidths": {_NAME: 300, **_COLUMNS},
    }
    return {
        # The UI opens an experiment without this on its pages for language-model traces.
        "mlflow.experimentKind": "custom_model_development",
        "mlflow.note.content": _DESCRIPTION,
        _VIEW_TAG: json.dumps(view),
    }


def runs_address(server: str, experiment_id: str = "") -> str:
    """Return the address of the table of runs on a server, or of the list of experiments without one."""
    if not experiment_id:
        return f"{server}/#/experiments?{urlencode(_WORKFLOW)}"
    return f"{server}/#/experiments/{experiment_id}/runs?{urlencode(_WORKFLOW | {'viewStateShareKey': _VIEW})}"


def open_experiment(client: "mlflow.MlflowClient", name: str, uri: str) -> str:
    """Return the id of an experiment, which is created where the store does not have it."""
    from mlflow.exceptions import MlflowException

    existing = client.get_experiment_by_name(name)
    if existing is None:
        # MLflow's own default is relative to wherever the UI is started; a server chooses for itself.
        database = sqlite_file(uri)
        location = (database.resolve().parent / ARTIFACTS).as_uri() if database else None
        try:
            return client.create_experiment(name, artifact_location=location, tags=experiment_tags())
        except MlflowException:
            # On a server, another process may have been faster.
            existing = client.get_experiment_by_name(name)
            if existing is None:
                raise
    update_view(client, existing)
    return existing.experiment_id


def update_view(client: "mlflow.MlflowClient", experiment: "Experiment") -> None:
    """Set the tags that an experiment lacks, and its view; a user may have edited the others."""
    for key, value in experiment_tags().items():
        if key not in experiment.tags or (key == _VIEW_TAG and experiment.tags[key] != value):
            client.set_experiment_tag(experiment.experiment_id, key, value)


def active_run(client: "mlflow.MlflowClient", run_id: str) -> Any:  # noqa: ANN401 - importing the type takes seconds
    """Return a run that the store has; None for one that it does not have, or that was deleted."""
    from mlflow.exceptions import MlflowException

    try:
        run = client.get_run(run_id) if run_id else None
        return run if run and run.info.lifecycle_stage == "active" else None
    except MlflowException as error:
        # Any other code means that the store does not answer, not that it knows no such run.
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise
