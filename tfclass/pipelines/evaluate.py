"""Evaluate a bundle on a labelled table and write the report."""

import logging
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from tfclass.bundle.bundle import Bundle, find_bundle, load_bundle
from tfclass.bundle.scorer import Scorer
from tfclass.config import CorpusConfig, EvaluateConfig, to_mapping
from tfclass.data.split import assign_splits, select_split
from tfclass.data.table import LabelledProteins, read_table
from tfclass.environment import describe, prepare
from tfclass.evaluation.baselines import Baselines, all_baselines
from tfclass.evaluation.content import ReportContent
from tfclass.evaluation.homologues import Homologues, LeftOut, find_homologues
from tfclass.evaluation.mistakes import most_confident
from tfclass.evaluation.report import REPORT_FOLDER, Evaluation, Report, make_report, write_report
from tfclass.evaluation.scored import Scored
from tfclass.inference.predictor import Predictor
from tfclass.interpretation.explanation import check
from tfclass.io.folders import check_replaceable
from tfclass.pipelines.descriptions import command_of, describe_evaluation
from tfclass.pipelines.explain import Request, explain_records
from tfclass.pipelines.provenance import check_unseen, remembered_split
from tfclass.sequences.fasta import Record
from tfclass.tracking.experiment import SCORES, VALIDATION, group_of
from tfclass.tracking.log import tracked
from tfclass.tracking.record import RECORD, Facts, Scores, dataset, keep_untracked

_log = logging.getLogger(__name__)
_TRAINED_ON = "the proteins scored are those that are trained on"
# By which predictions are explained.
_METHODS = ("integrated_gradients",)
_SWITCHED_OFF = "evaluation.baselines is false; set it to true"


def evaluate_bundle(config: EvaluateConfig) -> Report:
    """Score a bundle on one split of a labelled table and write the report.

    Raises
    ------
    TfclassError
        The bundle, the corpus or the report folder is at fault, or MMseqs2 failed.
    """
    started = time.monotonic()
    device = prepare(config.runtime)
    folder = Path(config.report)
    check_replaceable(folder, REPORT_FOLDER)
    bundle = load_bundle(find_bundle(config.bundle))
    scorer = Scorer(bundle, config.channel)
    if config.evaluation.explain:
        check(scorer, _METHODS)
    channel, decision_rule = scorer.channel, scorer.decision_rule
    # The logits are in the bundle's order, whatever order a configuration names the classes in.
    corpus = CorpusConfig.default(**{**to_mapping(config.corpus), "classes": bundle.classes})
    table = read_table(corpus, bundle.alphabet)
    config = replace(config, split=remembered_split(bundle, table, config.split))
    proteins = assign_splits(table, config.split, corpus.path)
    test = select_split(proteins, config.evaluation.split, corpus.path)
    check_unseen(bundle, table, test, config.evaluation.split, config.split, corpus.path)
    bundle.model.to(device)
    scoring_started = time.monotonic()
    probability_NC = scorer.score(test.tokens).probability_NC
    speed = round(int(test.lengths.sum()) / max(time.monotonic() - scoring_started, 1e-9), 1)
    scored = Scored(probability_NC, test.labels, decision_rule.threshold)
    compared = _baselines(config, proteins, test)
    evaluation = Evaluation(config, bundle, channel, decision_rule, proteins, test, scored, *compared)
    report = make_report(
        evaluation, describe(device), command=command_of(config), residues_per_second=speed, started=started
    )
    keep_untracked(folder)
    write_report(report, folder, partial(_explain, evaluation) if config.evaluation.explain else None)
    _log_evaluation(evaluation, report.content)
    return report


def _baselines(
    config: EvaluateConfig, proteins: LabelledProteins, test: LabelledProteins
) -> tuple[LabelledProteins | None, Homologues, Baselines]:
    """Return the training split, the homologues of the test proteins in it, and the scores of the baselines."""
    splits = proteins.frame["split"]
    train, valid = (
        proteins.select((splits == n).to_numpy()) if (splits == n).any() else None for n in ("train", "valid")
    )
    # Thresholds may not be chosen on the proteins that are scored.
    if config.evaluation.split == "valid":
        valid = None
    if config.evaluation.split == "train":
        _log.warning("warning: %s: scores are too high", _TRAINED_ON)
        return None, Homologues(None, _TRAINED_ON), {"all": LeftOut(_TRAINED_ON, "any baseline")}
    if not config.evaluation.baselines:
        homologues = Homologues(None, _SWITCHED_OFF) if train else find_homologues(None, test)
        return train, homologues, {"all": LeftOut(_SWITCHED_OFF, "any baseline")}
    homologues = find_homologues(train, test, threads=torch.get_num_threads())
    return train, homologues, all_baselines(train, valid, test, homologues)


def _explain(evaluation: Evaluation, folder: Path) -> None:
    """Explain the surest right and wrong predictions, on the CPU."""
    test, bundle, config = evaluation.test, evaluation.bundle, evaluation.config
    rows = most_confident(evaluation.scored, config.evaluation.explain)
    ids = test.frame["id"].iloc[rows].tolist()
    records = [Record(i, i, bundle.alphabet.decode(test.tokens[row])) for i, row in zip(ids, rows, strict=True)]
    request = Request(
        _METHODS,
        figures=True,
        title=f"Surest predictions on {config.corpus.name}, {config.evaluation.split} split",
        known={"true_label": [test.classes[test.labels[row]] for row in rows]},
    )
    explain_records(Predictor(bundle, channel=evaluation.channel), records, folder, request)


def _log_evaluation(evaluation: Evaluation, content: ReportContent) -> None:
    config, bundle, channel = evaluation.config, evaluation.bundle, evaluation.channel
    split, folder = config.evaluation.split, Path(config.report)
    name = f"{bundle.name} on {config.corpus.name} {split}, {channel}"
    tags = {"job": "evaluate", "corpus": config.corpus.name, "network": bundle.network, "bundle": bundle.digest[:12]}
    tags |= {"model": bundle.name, "split": content.corpus.split_policy, "scored": split, "channel": channel}
    data = {"source": config.corpus.path, "name": f"{config.corpus.name} {split}", "digest": evaluation.corpus.digest}
    scores = {f"{group_of(split)}/{key}": value for key, value in content.numbers().items()}
    prevalence = {} if content.prevalence is None else {"prevalence": content.prevalence}
    facts = Facts(
        tags=tags,
        config=content.configuration | {"channel": channel},
        params={"n_proteins": content.n_proteins, **prevalence},
        datasets=[dataset(evaluation.test.frame, context=split, **data)],
        files={path.name: "report" for path in folder.iterdir() if path.name != RECORD},
        scores=[Scores(_chosen_on(bundle, channel)), Scores(scores, model=bundle.digest)],
        note=describe_evaluation(content),
    )
    with tracked(config.tracking, folder, name, facts, parent=str(bundle.provenance.get("mlflow_run_id", ""))):
        pass


def _chosen_on(bundle: Bundle, channel: str) -> dict[str, float]:
    """Return the validation scores of a network, so that its row in the table of runs has all scores."""
    scores = bundle.provenance.get("validation", {}) if channel == "network" else {}
    return {f"{VALIDATION}/{name}": scores[name] for name in SCORES if scores.get(name) is not None}
