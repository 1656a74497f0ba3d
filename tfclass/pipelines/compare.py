"""Reports to comparison."""

import json
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfclass.config import CompareConfig, to_mapping
from tfclass.errors import ReportError
from tfclass.evaluation.compare import compare, comparison_table
from tfclass.evaluation.figures import differences_figure, png
from tfclass.evaluation.reading import Run, read_run
from tfclass.evaluation.report import CONTENT as REPORT
from tfclass.io.folders import FolderKind, check_replaceable, whole_folder
from tfclass.tracking.journal import FOLDER
from tfclass.tracking.reports import report_of_run, set_aside
from tfclass.tracking.tracker import tracked

CONTENT, TABLE, FIGURE = "compare.json", "compare.tsv", "differences.png"
COMPARISON_FOLDER = FolderKind(CONTENT, ("runs", "pairs"), lambda _: (TABLE, FIGURE, FOLDER))
_RUN_ID = re.compile(r"(?:runs:/)?([0-9a-f]{32})")


def compare_runs(config: CompareConfig, runs: Sequence[str]) -> dict[str, Any]:
    """Hold reports against the first of them, and write what comes of it.

    Parameters
    ----------
    runs : sequence of str
        Report folders, or ids of MLflow runs of evaluations.

    Returns
    -------
    dict
        The content of ``compare.json``.

    Raises
    ------
    TfclassError
        A report cannot be found, read or compared, or the folder not be written.
    """
    folder = Path(config.report)
    check_replaceable(folder, COMPARISON_FOLDER)
    content = compare([_read(name, config) for name in runs], config.evaluation)
    figure = differences_figure(content)
    set_aside(folder)
    with whole_folder(folder, COMPARISON_FOLDER) as building:
        (building / CONTENT).write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        comparison_table(content).to_csv(building / TABLE, sep="\t", index=False, float_format="%.6g")
        (building / FIGURE).write_bytes(png(figure))
    models = " and ".join(dict.fromkeys(run["model"] for run in content["runs"]))
    with tracked(config.tracking, f"compare {models}", {"job": "compare"}, journal=folder) as tracker:
        options = {key: value for key, value in to_mapping(config).items() if key != "tracking"}
        tracker.configuration({"runs": dict(enumerate(runs)), **options})
        tracker.parameters({k: content[k] for k in ("n_proteins", "prevalence") if content[k] is not None})
        tracker.metrics(_numbers(content))
        for name in (CONTENT, TABLE, FIGURE):
            tracker.file(folder / name)
    return content


def _read(name: str, config: CompareConfig) -> Run:
    path = Path(name)
    if path.is_dir():
        return read_run(path, name)
    match = _RUN_ID.fullmatch(name)
    if match is None:
        action = f"name the folder that holds {REPORT}" if path.exists() else ""
        found = "a file" if path.exists() else "no such folder"
        raise ReportError(name, found, "a report folder or the id of an MLflow run", action, path=name)
    with tempfile.TemporaryDirectory() as folder:
        return read_run(report_of_run(match[1], config.tracking, Path(folder)), name)


def _numbers(content: dict[str, Any]) -> dict[str, float]:
    """Return the differences of each run to the first one; their intervals are in the files."""
    numbers: dict[str, float] = {}
    for place, pair in enumerate(content["pairs"], start=1):
        values = {"mcnemar_p": pair["mcnemar"]["p_value"], "kappa": pair["kappa"]["value"]}
        values |= {f"difference_in_{name}": estimate["value"] for name, estimate in pair["difference"].items()}
        numbers |= {f"run_{place}/{name}": value for name, value in values.items() if value is not None}
    return numbers
