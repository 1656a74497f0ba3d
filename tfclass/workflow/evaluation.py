"""Bundle and table to report."""

import logging
import re
import shlex
import time
from pathlib import Path
from typing import Any

import torch

from tfclass.bundle.bundle import Bundle, find_bundle, load_bundle
from tfclass.bundle.channels import answer, calling_of, choose_channel
from tfclass.config import CorpusConfig, EvaluateConfig, to_mapping
from tfclass.corpus.split import assign_splits, select_split
from tfclass.corpus.table import LabelledProteins, read_table
from tfclass.environment import describe, prepare
from tfclass.evaluation.baselines import Homologues, LeftOut, all_baselines, find_homologues
from tfclass.evaluation.scored import Scored
from tfclass.files import check_replaceable
from tfclass.reporting.report import CONTENT, Report, Rivals, write_report
from tfclass.tracking.tracker import flatten, tracked
from tfclass.workflow.provenance import check_unseen, split_overrides

# What Hydra takes for text as it stands.
_PLAIN = re.compile(r"[A-Za-z_/][\w./-]*", re.ASCII)
_NO_WORDS = ("true", "false", "null", "nan", "inf")
_log = logging.getLogger(__name__)
_TRAINED_ON = "the proteins scored are those that are trained on"
_SWITCHED_OFF = "evaluation.baselines is false; set it to true"


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
        The bundle, the corpus or the report folder is at fault, or MMseqs2 failed.
    """
    started = time.monotonic()
    device = prepare(config.runtime)
    check_replaceable(Path(config.report), CONTENT)
    bundle = load_bundle(find_bundle(config.bundle))
    channel = choose_channel(bundle, config.evidence)
    calling = calling_of(bundle, channel)
    corpus = _with_classes(config.corpus, bundle)
    table = read_table(corpus, bundle.vocabulary)
    proteins = assign_splits(table, config.split, corpus.path)
    test = select_split(proteins, config.evaluation.split, corpus.path)
    check_unseen(bundle, table, test, config.evaluation.split, config.split, corpus.path)
    bundle.model.to(device)
    scoring_started = time.monotonic()
    answers = answer(bundle, test.tokens, channel)
    scoring_seconds = time.monotonic() - scoring_started
    scored = Scored(answers.probability_NC, test.labels, calling.threshold)
    rivals = _rivals(config, proteins, test)
    report = Report.make(config, bundle, channel, calling, proteins, test, scored, rivals, describe(device))
    report.content["command"] = command_of(config)
    report.content["residues_per_second"] = round(int(test.lengths.sum()) / max(scoring_seconds, 1e-9), 1)
    report.content["seconds"] = round(time.monotonic() - started, 1)
    write_report(report, Path(config.report))
    _record_evaluation(config, bundle, test, proteins.digest, report)
    return report


def command_of(config: EvaluateConfig) -> str:
    """Write the command that evaluates with this configuration, whatever it came from.

    Parameters
    ----------
    config : EvaluateConfig

    Returns
    -------
    str
        For a shell. Of the options, only those that differ from their defaults are named.
    """
    default = EvaluateConfig(corpus=CorpusConfig(path="", name="table"), bundle="", report="")
    usual, own = (_options(each) for each in (default, config))
    words = [f"{key}={_for_hydra(value)}" for key, value in own.items() if key not in usual or usual[key] != value]
    words += [f"~{key.removeprefix('++')}" for key in usual if key not in own]
    off = [] if config.tracking.enabled else ["tracking=off"]
    return shlex.join(["tfclass", "evaluate", "corpus=table", *split_overrides(config.split), *words, *off])


def _options(config: EvaluateConfig) -> dict[str, Any]:
    values = to_mapping(config)
    # Groups that are chosen as a whole.
    del values["tracking"], values["split"]
    aliases = values["corpus"].pop("aliases")
    # Hydra takes a key that its files do not have only with these signs ahead of it.
    return flatten(values) | {f"++corpus.aliases.{label}": name for label, name in aliases.items()}


def _rivals(config: EvaluateConfig, proteins: LabelledProteins, test: LabelledProteins) -> Rivals:
    splits = proteins.frame["split"]
    train, valid = (
        proteins.select((splits == n).to_numpy()) if (splits == n).any() else None for n in ("train", "valid")
    )
    # What is scored cannot be held against itself.
    if config.evaluation.split == "valid":
        valid = None
    if config.evaluation.split == "train":
        _log.warning("warning: %s: scores are too high", _TRAINED_ON)
        return Rivals(None, Homologues(None, _TRAINED_ON), {"all": LeftOut("all", "any baseline", _TRAINED_ON)})
    if not config.evaluation.baselines:
        unsought = Homologues(None, _SWITCHED_OFF) if train else find_homologues(None, test)
        return Rivals(train, unsought, {"all": LeftOut("all", "any baseline", _SWITCHED_OFF)})
    homologues = find_homologues(train, test, threads=torch.get_num_threads())
    return Rivals(train, homologues, all_baselines(train, valid, test, homologues))


def _record_evaluation(
    config: EvaluateConfig, bundle: Bundle, test: LabelledProteins, digest: str, report: Report
) -> None:
    name = f"evaluate {config.corpus.name} {config.evaluation.split}"
    tags = {"job": "evaluate", "corpus": config.corpus.name, "model": bundle.config.name, "bundle": bundle.digest[:12]}
    tags["split"] = report.content["corpus"]["split_policy"]
    parent = str(bundle.provenance.get("mlflow_run_id", ""))
    with tracked(config.tracking, name, tags, parent=parent, journal=Path(config.report)) as tracker:
        facts = {key: value for key, value in to_mapping(config).items() if key != "tracking"}
        tracker.configuration(facts | {"evidence": report.content["bundle"]["evidence"]})
        tracker.dataset(
            test.frame,
            source=config.corpus.path,
            name=f"{config.corpus.name} {config.evaluation.split}",
            context=config.evaluation.split,
            digest=digest,
        )
        tracker.metrics(report.numbers())
        tracker.folder(Path(config.report), "report")


def _with_classes(corpus: CorpusConfig, bundle: Bundle) -> CorpusConfig:
    # The logits are in the bundle's order, whatever order a configuration names the classes in.
    return CorpusConfig(**{**to_mapping(corpus), "classes": bundle.classes})


def _for_hydra(value: Any) -> str:  # noqa: ANN401
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_for_hydra, value)) + "]"
    if _PLAIN.fullmatch(str(value)) and str(value).lower() not in _NO_WORDS:
        return str(value)
    return "'" + str(value).replace("\\", "\\\\").replace("'", "\\'") + "'"
