"""The mean of two networks against NumPy's, and what it is calibrated on."""

import subprocess
import sys
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from tests.channels.test_threshold_fit import expected_mcc
from tfclass.bundle.bundle import load_bundle
from tfclass.bundle.save import save_bundle
from tfclass.errors import BundleError
from tfclass.inference.predictor import Predictor
from tfclass.sequences.fasta import Record

RECIPE = Path(__file__).parents[2] / "recipes" / "tf-bilstm"
sys.path.insert(0, str(RECIPE))
from average_weights import average  # noqa: E402

TRAINED = {
    "tfclass_version": "0",
    "created": "2026",
    "network": "bilstm",
    "corpus": {"name": "demo", "sha256": "0" * 64, "split": "column"},
    "class_counts_train": {"nonTF": 2, "TF": 1},
    "n_train": 3,
    "n_valid": 1,
    "best_epoch": 1,
    "epochs_run": 1,
}


@pytest.fixture
def other(small_bundle):
    model = deepcopy(small_bundle.model)
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.01 * torch.randn_like(weight)
    return replace(small_bundle, model=model)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_weights_are_the_mean_and_validation_decides_the_rest(small_bundle, other, demo_table, share):
    first, second = (
        {key: value.numpy().copy() for key, value in each.model.state_dict().items()} for each in (small_bundle, other)
    )
    mean = average(small_bundle, other, share, demo_table)
    for key, value in mean.model.state_dict().items():
        expected = (1 - share) * first[key].astype(np.float64) + share * second[key].astype(np.float64)
        np.testing.assert_allclose(value.numpy(), expected, rtol=0, atol=1e-6)
    frame = pd.read_csv(demo_table, sep="\t", keep_default_na=False)
    valid = frame[frame["split"] == "valid"]
    rows = list(Predictor(mean).predict(Record(i, "", s) for i, s in zip(valid["id"], valid["sequence"], strict=True)))
    stated_N = np.array([row.probability for row in rows])
    ours = expected_mcc(stated_N, np.array([row.label == "TF" for row in rows]))
    assert ours == pytest.approx(max(expected_mcc(stated_N, stated_N >= cut) for cut in stated_N), abs=1e-9)


def test_a_weight_of_another_shape_is_that_of_the_second(small_bundle, other, demo_table):
    bias = next(key for key in other.model.state_dict() if key.endswith("bias"))
    first = deepcopy(small_bundle.model)
    owner, _, name = bias.rpartition(".")
    setattr(first.get_submodule(owner), name, torch.nn.Parameter(torch.zeros(1)))
    kept = other.model.state_dict()[bias].clone()
    mean = average(replace(small_bundle, model=first), other, 0.5, demo_table)
    assert torch.equal(mean.model.state_dict()[bias], kept)


def test_networks_of_other_classes_have_no_mean(small_bundle, other, demo_table):
    with pytest.raises(BundleError, match="other classes or letters"):
        average(replace(small_bundle, classes=("a", "b")), other, 0.5, demo_table)


@pytest.mark.slow
def test_the_script_writes_a_bundle_and_refuses_in_one_line(small_bundle_folder, other, demo_table, tmp_path):
    save_bundle(replace(other, provenance=TRAINED), tmp_path / "other", card="")
    command = [sys.executable, RECIPE / "average_weights.py", small_bundle_folder, tmp_path / "other", demo_table]
    done = subprocess.run([*command, "-o", tmp_path / "mean"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert load_bundle(tmp_path / "mean").threshold is not None
    refused = subprocess.run([*command[:2], "missing", *command[3:], "-o", "x"], capture_output=True, text=True)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
