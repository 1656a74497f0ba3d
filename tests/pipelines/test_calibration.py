"""Calibration on its way from training through the bundle to a prediction."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss

from tests.conftest import SMALL
from tfclass.bundle.bundle import load_bundle
from tfclass.config import CalibrationConfig, CorpusConfig, RuntimeConfig, TrackingConfig, TrainConfig, TrainingConfig
from tfclass.errors import ConfigError
from tfclass.inference.predictor import Predictor
from tfclass.pipelines.train import train_and_package
from tfclass.sequences.fasta import Record

TRAINING = TrainingConfig.default(epochs=2, max_residues=2048, learning_rate=0.01, class_weight="balanced")


def config(table, folder, method, **corpus) -> TrainConfig:
    return TrainConfig.default(
        corpus=CorpusConfig.default(path=str(table), name="demo", **corpus),
        model=SMALL,
        training=replace(TRAINING, calibration=CalibrationConfig.default(method=method)),
        tracking=TrackingConfig.default(enabled=False),
        runtime=RuntimeConfig.default(device="cpu", threads=1),
        run_dir=str(folder / "run"),
    )


@pytest.mark.parametrize("method", ["auto", "isotonic"])
def test_the_bundle_has_the_calibration_and_says_how_it_was_chosen(method, demo_table, tmp_path):
    trained = train_and_package(config(demo_table, tmp_path, method))
    bundle = load_bundle(trained.bundle)
    frame = pd.read_csv(demo_table, sep="\t")
    valid = frame[frame["split"] == "valid"]
    positive = (valid["label"] == "TF").to_numpy()
    facts = bundle.provenance["calibration"]
    assert facts["method"] == bundle.calibration.method
    assert method in ("auto", facts["method"])
    assert facts["candidates"].keys() == {"none", "temperature", "platt", "isotonic"}
    assert all(c["cross_validated"] > 0 for c in facts["candidates"].values())
    assert facts["prevalence"] == bundle.calibration.prevalence == pytest.approx(positive.mean())
    assert bundle.provenance["class_counts_valid"] == {"nonTF": int((~positive).sum()), "TF": int(positive.sum())}
    # The class weights are part of the formula: TF is the rarer class.
    assert bundle.calibration.log_weight_C[1] > 0 > bundle.calibration.log_weight_C[0]
    records = [Record(i, i, s) for i, s in zip(valid["id"], valid["sequence"], strict=True)]
    p_N = np.array([row.probability for row in Predictor(bundle).predict(records)])
    stated = facts["candidates"][facts["method"]]["log_loss"]
    assert log_loss(positive, p_N) == pytest.approx(stated, abs=1e-4)
    assert trained.validation["log_loss"] == pytest.approx(stated, abs=1e-9)
    assert f"| calibration | {bundle.calibration.in_words()}, fitted" in (trained.bundle / "MODEL_CARD.md").read_text()
    assert json.loads((trained.bundle / "bundle.json").read_text())["calibration"]["method"] == facts["method"]


def test_a_method_for_two_classes_is_refused_before_several_are_trained(demo_table, tmp_path):
    frame = pd.read_csv(demo_table, sep="\t")
    frame["label"] = frame["family"].where(frame["family"].isin(["C2H2", "bZIP"]), "other")
    frame.to_csv(tmp_path / "families.tsv", sep="\t", index=False)
    with pytest.raises(ConfigError, match=r"training\.calibration\.method: found isotonic for 3 classes"):
        train_and_package(config(tmp_path / "families.tsv", tmp_path, "isotonic", classes=None))
    assert not (tmp_path / "run").exists()
