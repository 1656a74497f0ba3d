"""Explanations of records: as of one protein alone, in order, each beside its row."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from tests.conftest import SMALL, bundle_of
from tfclass.bundle.scorer import Scorer
from tfclass.channels.calibration import Calibration
from tfclass.errors import ConfigError
from tfclass.inference.explanations import explanations
from tfclass.inference.predictor import Predictor
from tfclass.interpretation.explanation import explain
from tfclass.models.factory import build
from tfclass.sequences.fasta import Record

ODD = [
    Record("a", "a", "MKVLAGHWMKVLAGHWRRKK"),
    Record("b", "b", "MK1"),
    Record("a", "a", "mk-VLA..GH*WMK**"),
    Record("", "", ""),
    Record("c", "c", "M"),
    *(Record(f"d{n}", "", "MKVLAGHW" * n) for n in range(1, 9)),
]


@pytest.fixture(params=[1, 3])
def threads(request):
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(1)


def test_records_are_explained_as_each_alone_and_in_order(with_profiles, threads):
    predictor = Predictor(with_profiles)
    found = list(predictor.explain(iter(ODD), ["gradient_x_input", "occlusion"]))
    assert torch.get_num_threads() == threads
    assert [row for row, _ in found] == list(predictor.predict(ODD))
    assert [row.status for row, explanation in found if explanation is None] == ["skipped"] * 2
    for record, (row, explanation) in zip(ODD, found, strict=True):
        if explanation is None:
            continue
        alone = explain(Scorer(with_profiles), with_profiles.alphabet.encode(explanation.residues), ["occlusion"])
        for position, residue in zip(explanation.position_L, explanation.residues, strict=True):
            assert residue == record.sequence[position - 1].upper().replace("*", "X")
        assert len(explanation.residues) == row.length
        np.testing.assert_allclose(
            explanation.attributions["occlusion"].value_L, alone.attributions["occlusion"].value_L, atol=1e-5
        )
        for gates, expected in zip(explanation.gates[0], alone.gates[0], strict=True):
            torch.testing.assert_close(gates.f, expected.f)


@pytest.mark.parametrize("prevalence", [None, 0.06])
def test_contributions_add_up_to_the_probability_that_is_shown(with_profiles, prevalence):
    predictor = Predictor(with_profiles, prevalence=prevalence)
    for row, explanation in predictor.explain(ODD):
        if explanation is not None:
            assert ("prevalence" in explanation.contributions) == (prevalence is not None)
            log_odds = sum(explanation.contributions.values())
            assert row.probability == pytest.approx(1 / (1 + np.exp(-log_odds)), abs=1e-6)


@pytest.mark.parametrize(
    ("options", "methods", "message"),
    [
        ({"threshold": "fdr=0.05"}, ["occlusion"], "threshold fdr=0.05: this needs all proteins before the first"),
        ({"prevalence": "auto"}, ["occlusion"], "prevalence auto: this needs all proteins before the first"),
        ({"channel": "profile"}, ["occlusion"], "channel: found 'profile'; expected one with the network"),
        ({}, ["lime"], "method: found 'lime'; expected integrated_gradients, "),
    ],
)
def test_what_cannot_be_explained_is_refused_before_a_record_is_read(with_profiles, options, methods, message):
    def records():
        raise AssertionError("a record was read")
        yield

    with pytest.raises(ConfigError, match=message):
        Predictor(with_profiles, **options).explain(records(), methods)


def test_two_proteins_are_read_ahead_and_no_more(with_profiles, monkeypatch):
    monkeypatch.setattr("tfclass.inference.windows._WINDOW_RECORDS", 1)
    read = []
    records = (read.append(n) or Record(str(n), "", "MKVLAGHW") for n in range(9))
    for number, _ in enumerate(explanations(Predictor(with_profiles), records, ["gradient_x_input"]), start=1):
        assert len(read) == min(number + 2, 9)


def test_progress_reaches_the_whole_of_every_protein(with_profiles):
    seen = []
    records = [Record(str(n), "", "MKVLAGHW" * 5) for n in range(3)]
    methods = ["occlusion", "mutagenesis"]
    found = explanations(Predictor(with_profiles), records, methods, lambda *each: seen.append(each))
    assert len(list(found)) == 3
    assert {number for number, fraction in seen if fraction == 1} == {1, 2, 3}


def test_an_error_in_a_protein_reaches_the_caller(with_profiles):
    model = build(SMALL, with_profiles.alphabet, n_classes=2)
    with torch.no_grad():
        model.head.bias += float("inf")
    broken = bundle_of("broken", model.eval(), SMALL, Calibration(1.0, (0.0, 0.0)))
    with pytest.raises(Exception, match="not a number"):
        list(Predictor(broken).explain([ODD[0]]))


LEAVES_EARLY = """
import sys, threading, torch
from tfclass import Predictor
torch.set_num_threads(2)
predictor = Predictor.load(sys.argv[1])
proteins = {str(n): "MKRKYCPECGKSFSRSDHLARHIRTHTGEKPYKC" * 100 for n in range(20)}
for row, _ in predictor.explain(proteins, ["integrated_gradients"]):
    break
print(row.id, threading.active_count(), torch.get_num_threads())
"""


@pytest.mark.slow
def test_a_program_may_leave_early_and_end_at_once(small_bundle_folder):
    command = [sys.executable, "-c", LEAVES_EARLY, str(small_bundle_folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "0 1 2\n")
