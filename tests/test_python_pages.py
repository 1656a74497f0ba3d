"""The pages about Python are true: the examples run and print what they say, and the tutorial runs to its end."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score

from tests.conftest import SMALL
from tfclass.evaluation import metrics
from tfclass.evaluation.scored import Scored
from tfclass.models import factory
from tfclass.models.forward import logits_of

ROOT = Path(__file__).parents[1]
EXAMPLE = re.compile(r"^```python\n(.*?)^```$(?:\n\n^```text\n(.*?)^```$)?", re.M | re.S)


def test_the_examples_of_the_page_run_and_print_what_it_says(tmp_path, monkeypatch, capsys):
    page = (ROOT / "docs" / "how-to" / "python.md").read_text(encoding="utf-8")
    shutil.copy(ROOT / "data" / "examples" / "proteins.fasta", tmp_path)
    monkeypatch.chdir(tmp_path)
    names = {}
    for code, printed in EXAMPLE.findall(page):
        exec(compile(code, "python.md", "exec"), names)
        assert capsys.readouterr().out == printed


@pytest.fixture
def cells():
    notebook = json.loads((ROOT / "docs" / "tutorials" / "notebook.ipynb").read_text(encoding="utf-8"))
    return notebook["cells"]


def test_the_tutorial_is_kept_without_outputs(cells):
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


def test_the_tutorial_runs(cells, monkeypatch, capsys):
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    for whole, less in (("n_clusters=900", "n_clusters=150"), ("epochs=8", "epochs=1"), ("+ 1, 3)", "+ 1, 30)")):
        # It is trained in full when the documentation is built.
        assert whole in code
        code = code.replace(whole, less)
    monkeypatch.chdir(ROOT / "docs" / "tutorials")
    matplotlib.use("agg")
    names = {}
    exec(compile(code, "notebook.ipynb", "exec"), names)
    said = capsys.readouterr().out
    assert re.match(r"accuracy on \d+ test proteins: 0\.\d\d\nTrue\nPredictor\(model='python-bilstm'", said)
    # What the text says of the figures.
    assert names["predictions"]["domain"][0] == "229-281"
    assert names["log_odds"][0] - names["log_odds"][1:].min() > 2
    false = (names["proteome"]["label"] == "nonTF") & (names["found"]["label"] == "TF")
    assert not false.any()
    names["plt"].close("all")


def page_code(name):
    page = (ROOT / "docs" / "how-to" / f"{name}.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S)
    return code


def test_the_network_that_the_page_adds_is_built_and_scores(monkeypatch, alphabet):
    monkeypatch.setattr(factory, "ENCODERS", dict(factory.ENCODERS))
    exec(page_code("add-a-network"), {"ENCODERS": factory.ENCODERS, "nn": torch.nn})
    network = factory.build(replace(SMALL, encoder="rnn_relu", layers=2), alphabet, 2).eval()
    scores = logits_of(network, [alphabet.encode("MKV"), alphabet.encode("MKVLAAGIVG")], 64)
    assert scores.shape == (2, 2)
    assert isinstance(next(m for m in network.encoder.modules() if isinstance(m, torch.nn.RNN)), torch.nn.RNN)


def test_the_metric_that_the_page_adds_is_that_of_scikit_learn(monkeypatch):
    monkeypatch.setattr(metrics, "METRICS", dict(metrics.METRICS))
    exec(page_code("add-a-metric"), vars(metrics))
    rng = np.random.default_rng(0)
    labels_N, probability_N = rng.integers(0, 2, 60), rng.random(60)
    scored = Scored(np.stack([1 - probability_N, probability_N], axis=1), labels_N, 0.4)
    found = metrics.metrics_at(scored, 10, np.ones((60, 1)))["informedness"][0]
    assert found == pytest.approx(balanced_accuracy_score(labels_N, probability_N >= 0.4, adjusted=True))
