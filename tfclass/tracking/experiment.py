"""The MLflow experiment: its description, and the columns that its table of runs shows."""

import json
from collections.abc import Mapping
from urllib.parse import urlencode

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


def outdated_tags(present: Mapping[str, str]) -> dict[str, str]:
    """Return the tags that an experiment lacks; the view is ours, the others may have been edited by a user."""
    return {
        key: value
        for key, value in experiment_tags().items()
        if key not in present or (key == _VIEW_TAG and present[key] != value)
    }


def experiments_address(server: str) -> str:
    """Return the address of the list of experiments on a server."""
    return f"{server}/#/experiments?{urlencode(_WORKFLOW)}"


def runs_address(server: str, experiment_id: str) -> str:
    """Return the address of the table of runs on a server."""
    query = urlencode(_WORKFLOW | {"viewStateShareKey": _VIEW})
    return f"{server}/#/experiments/{experiment_id}/runs?{query}"
