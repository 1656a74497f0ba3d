"""The shipped model on real proteins, where they are at hand."""

import csv
import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, matthews_corrcoef

from tfclass.bundle.bundle import shipped
from tfclass.config import CorpusConfig
from tfclass.data.table import read_table
from tfclass.inference.predictor import Predictor
from tfclass.sequences.fasta import Record

FOLDER = os.environ.get("TFCLASS_REAL_DATA")
pytestmark = pytest.mark.skipif(not FOLDER, reason="TFCLASS_REAL_DATA does not name a folder of real proteins")


def rows(name):
    with gzip.open(Path(FOLDER or "") / name, "rt", encoding="utf-8") as stream:
        yield from csv.DictReader(stream, delimiter="\t")


def test_the_shipped_model_finds_the_transcription_factors_of_e_coli():
    proteins = list(rows("ecoli_proteome.tsv.gz"))
    records = [Record(row["id"], row["id"], row["sequence"]) for row in proteins]
    predictions = list(Predictor.load().predict(records))
    assert [p.id for p in predictions] == [row["id"] for row in proteins]
    truth = np.array([row["label"] == "TF" for row in proteins])
    probability = np.array([p.probability for p in predictions])
    # Prevalence 6.4 %: chance is an average precision of 0.064.
    assert average_precision_score(truth, probability) > 0.92
    assert matthews_corrcoef(truth, [p.label == "TF" for p in predictions]) > 0.87


def test_the_labelled_table_is_read(alphabet):
    proteins = read_table(CorpusConfig.default(path=str(Path(FOLDER or "") / "corpus.tsv.gz")), alphabet)
    assert np.bincount(proteins.labels).tolist() == [34_509, 14_910]
    assert int(proteins.lengths.sum()) > 21_000_000
    assert proteins.frame["split"].value_counts().to_dict() == {"train": 39_990, "test": 5_264, "valid": 4_165}


def test_every_shipped_model_is_whole():
    assert "tf-bilstm" in shipped()
    for folder in shipped().values():
        assert Predictor.load(folder).bundle.threshold is not None


@pytest.mark.parametrize("every", [3, pytest.param(1, marks=pytest.mark.slow)])
def test_few_predictions_of_a_proteome_are_false_under_a_rule_that_says_so(every):
    proteins = list(rows("ecoli_proteome.tsv.gz"))[::every]
    records = [Record(row["id"], row["id"], row["sequence"]) for row in proteins]
    predictor = Predictor.load(threshold="fdr=0.05")
    predicted = np.array([row.label == "TF" for row in predictor.predict(records)])
    truth = np.array([row["label"] == "TF" for row in proteins])
    # 6.4 % are TFs.
    assert 0.03 < predictor.prevalence < 0.09
    assert 1 - truth[predicted].mean() < 0.08
    assert predicted[truth].mean() > 0.6
