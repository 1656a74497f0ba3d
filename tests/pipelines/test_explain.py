"""The explanations of an evaluation: the surest right and wrong predictions, in the report's folder."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.pipelines.test_pipelines import evaluate_config
from tfclass.bundle.save import save_bundle
from tfclass.config import EvaluationConfig
from tfclass.errors import ConfigError
from tfclass.evaluation.mistakes import most_confident
from tfclass.evaluation.scored import Scored
from tfclass.pipelines.evaluate import evaluate_bundle

QUICK = EvaluationConfig.default(n_bootstrap=5, baselines=False, explain=2)


def test_the_surest_right_and_wrong_predictions_are_explained(demo_table, folder, with_profiles_folder):
    config = evaluate_config(demo_table, with_profiles_folder, folder, evaluation=QUICK)
    evaluate_bundle(config)
    report = folder / "report"
    predictions = pd.read_csv(report / "predictions.tsv", sep="\t", keep_default_na=False)
    explained = pd.read_csv(report / "explain" / "proteins.tsv", sep="\t", keep_default_na=False)
    predictions["confidence"] = np.maximum(predictions["probability"], 1 - predictions["probability"])
    predictions.loc[predictions["call"] == "TF", "confidence"] = predictions["probability"]
    predictions.loc[predictions["call"] != "TF", "confidence"] = 1 - predictions["probability"]
    ordered = predictions.sort_values("confidence", ascending=False, kind="stable")
    right = ordered[(ordered["call"] == "TF") & (ordered["label"] == "TF")].head(2)
    wrong = ordered[ordered["call"] != ordered["label"]].head(2)
    assert explained["id"].tolist() == [*right["id"], *wrong["id"]]
    assert explained["true_label"].tolist() == [*right["label"], *wrong["label"]]
    assert explained["label"].tolist() == [*right["call"], *wrong["call"]]
    np.testing.assert_allclose(explained["probability"], [*right["probability"], *wrong["probability"]], atol=1e-6)
    assert len(list((report / "explain" / "figures").glob("*.png"))) == 4
    assert 'href="explain/index.html"' in (report / "report.html").read_text()
    # They are of the report, and go with it; what others put beside them stays.
    (report / "mine.txt").write_text("mine")
    evaluate_bundle(replace(config, evaluation=replace(QUICK, explain=0)))
    assert not (report / "explain").exists()
    assert (report / "mine.txt").exists()


def test_a_folder_of_another_program_is_kept(demo_table, folder, with_profiles_folder):
    config = evaluate_config(
        demo_table, with_profiles_folder, folder, evaluation=replace(QUICK, explain=0), channel="network"
    )
    evaluate_bundle(config)
    (folder / "report" / "explain").mkdir()
    (folder / "report" / "explain" / "mine.txt").write_text("mine")
    evaluate_bundle(config)
    assert (folder / "report" / "explain" / "mine.txt").exists()


def test_a_channel_without_the_network_is_refused_before_the_work(demo_table, folder, with_profiles):
    save_bundle(with_profiles, folder / "bundle", card="# x\n")
    config = evaluate_config(demo_table, folder / "bundle", folder, evaluation=QUICK, channel="profile")
    with pytest.raises(ConfigError, match="expected one with the network, which is explained"):
        evaluate_bundle(config)
    assert not (folder / "report").exists()


def test_of_several_classes_every_right_prediction_counts():
    probability_NC = np.array([[0.9, 0.05, 0.05], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6], [0.0, 0.3, 0.7], [0.4, 0.3, 0.3]])
    scored = Scored(probability_NC, np.array([0, 2, 2, 1, 1]), None)
    assert most_confident(scored, 1) == [0, 1]
    assert most_confident(scored, 9) == [0, 2, 1, 3, 4]
