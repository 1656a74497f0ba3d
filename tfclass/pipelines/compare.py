"""Compare reports and write the comparison."""

import json
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tfclass.config import CompareConfig, to_mapping
from tfclass.errors import ReportError
from tfclass.evaluation.compare import Comparison, compare
from tfclass.evaluation.figures import differences_figure
from tfclass.evaluation.report_reader import Run, read_run
from tfclass.io.drawing import png
from tfclass.io.folders import FolderKind, check_replaceable, whole_folder
from tfclass.tracking.connection import download
from tfclass.tracking.log import tracked
from tfclass.tracking.record import RECORD, Facts, Scores, keep_untracked

CONTENT, TABLE, FIGURE = "compare.json", "compare.tsv", "differences.png"
COMPARISON_FOLDER = FolderKind(CONTENT, ("runs", "pairs"), lambda _: (TABLE, FIGURE, RECORD))
_RUN_ID = re.compile(r"(?:runs:/)?([0-9a-f]{32})")


def compare_runs(config: CompareConfig, runs: Sequence[str]) -> Comparison:
    """Compare reports with the first of them, and write the comparison.

    Parameters
    ----------
    config : CompareConfig
        How to resample, and where to write.
    runs : sequence of str
        Report folders, or ids of MLflow runs of evaluations.

    Raises
    ------
    TfclassError
        A report cannot be found, read or compared, or the folder not be written.
    """
    folder = Path(config.report)
    check_replaceable(folder, COMPARISON_FOLDER)
    content = compare([_read(name, config) for name in runs], config.evaluation)
    differences = {pair.run: pair.difference for pair in content.pairs}
    figure = differences_figure(differences, content.reference, content.n_proteins)
    keep_untracked(folder)
    with whole_folder(folder, COMPARISON_FOLDER) as building:
        text = json.dumps(content.to_json(), indent=1, allow_nan=False)
        (building / CONTENT).write_text(text + "\n", encoding="utf-8")
        content.table().to_csv(building / TABLE, sep="\t", index=False, float_format="%.6g")
        (building / FIGURE).write_bytes(png(figure))
    models = " and ".join(dict.fromkeys(run.model for run in content.runs))
    options = {key: value for key, value in to_mapping(config).items() if key != "tracking"}
    prevalence = {} if content.prevalence is None else {"prevalence": content.prevalence}
    facts = Facts(
        tags={"job": "compare"},
        config={"runs": dict(enumerate(runs)), **options},
        params={"n_proteins": content.n_proteins, **prevalence},
        files=dict.fromkeys((CONTENT, TABLE, FIGURE), ""),
        scores=[Scores(content.numbers())],
    )
    with tracked(config.tracking, folder, f"compare {models}", facts):
        pass
    return content


def _read(name: str, config: CompareConfig) -> Run:
    path = Path(name)
    if path.is_dir():
        return read_run(path, name)
    match = _RUN_ID.fullmatch(name)
    if match is None:
        found = "not a folder" if path.exists() else "no such folder"
        raise ReportError(f"{name}: {found}; expected a report folder or the id of an MLflow run")
    with tempfile.TemporaryDirectory() as folder:
        address = f"runs:/{match[1]}/report"
        return read_run(download(address, Path(folder), config.tracking, ReportError), name)
