"""Bundle and table to report."""

import time
from pathlib import Path

from tfclass.bundle.bundle import Bundle, find_bundle, load_bundle
from tfclass.config import CorpusConfig, EvaluateConfig, to_mapping
from tfclass.corpus.split import assign_splits, select_split
from tfclass.corpus.table import LabelledProteins, read_table
from tfclass.environment import describe, prepare
from tfclass.evaluation.metrics import Scored
from tfclass.evaluation.report import CONTENT, Report, write_report
from tfclass.files import check_replaceable
from tfclass.networks.scoring import MAX_RESIDUES, logits_of
from tfclass.training.tracking import tracked


def evaluate_bundle(config: EvaluateConfig) -> Report:
    """Score a bundle on one split of a labelled table and write the report.

    Parameters
    ----------
    config : EvaluateConfig

    Returns
    -------
    Report

    Raises
    ------
    TfclassError
        The bundle, the corpus or the report folder is at fault.
    """
    started = time.monotonic()
    device = prepare(config.runtime)
    check_replaceable(Path(config.report), CONTENT)
    bundle = load_bundle(find_bundle(config.bundle))
    corpus = _with_classes(config.corpus, bundle)
    proteins = assign_splits(read_table(corpus, bundle.vocabulary), config.split, corpus.path)
    test = select_split(proteins, config.evaluation.split, corpus.path)
    model = bundle.model.to(device)
    scoring_started = time.monotonic()
    probability_NC = bundle.calibration.probability(logits_of(model, test.tokens, MAX_RESIDUES))
    scoring_seconds = time.monotonic() - scoring_started
    scored = Scored(probability_NC, test.labels, bundle.threshold)
    train_rows = (proteins.frame["split"] == "train").to_numpy()
    train = proteins.select(train_rows) if config.evaluation.baselines and train_rows.any() else None
    report = Report.make(config, bundle, proteins, test, scored, train, describe(device))
    report.content["residues_per_second"] = round(int(test.lengths.sum()) / max(scoring_seconds, 1e-9), 1)
    report.content["seconds"] = round(time.monotonic() - started, 1)
    write_report(report, Path(config.report))
    _record_evaluation(config, bundle, test, proteins.digest, report)
    return report


def _record_evaluation(
    config: EvaluateConfig, bundle: Bundle, test: LabelledProteins, digest: str, report: Report
) -> None:
    name = f"evaluate {config.corpus.name} {config.evaluation.split}"
    tags = {"job": "evaluate", "corpus": config.corpus.name, "model": bundle.config.name, "bundle": bundle.digest[:12]}
    parent = str(bundle.provenance.get("mlflow_run_id", ""))
    with tracked(config.tracking, name, tags, parent=parent) as tracker:
        tracker.configuration({key: value for key, value in to_mapping(config).items() if key != "tracking"})
        tracker.dataset(
            test.frame,
            source=config.corpus.path,
            name=f"{config.corpus.name} {config.evaluation.split}",
            context=config.evaluation.split,
            digest=digest,
        )
        tracker.metrics(report.numbers())
        for figure_name, figure in report.figures.items():
            tracker.figure(figure, figure_name)
        tracker.facts("report.json", report.content)


def _with_classes(corpus: CorpusConfig, bundle: Bundle) -> CorpusConfig:
    # The logits are in the bundle's order, whatever order a configuration names the classes in.
    return CorpusConfig(**{**to_mapping(corpus), "classes": bundle.classes})
