"""One row per record, in order, whatever the record, its neighbours and the batch they fall into."""

import copy
import gc
import io
import itertools
import re
import threading
from dataclasses import replace

import numpy as np
import psutil
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from scipy.stats import norm
from sklearn.metrics import matthews_corrcoef

from tests.conftest import bundle_of
from tests.models.test_forward import small_memory
from tfclass.bundle.scorer import Scorer
from tfclass.channels.calibration import Calibration, at_prevalence
from tfclass.channels.threshold_fit import expected_mcc_threshold, operating_points
from tfclass.channels.thresholds import OperatingPoint
from tfclass.errors import ConfigError
from tfclass.inference import windows as module
from tfclass.inference.predictor import Predictor
from tfclass.inference.rows import Prediction
from tfclass.inference.writers import write_tsv
from tfclass.models.factory import build
from tfclass.sequences.fasta import Record

LETTERS = "ACDEFGHIKLMNPQRSTVWYBJOUXZ"
# Two numbers rounded to six decimals may fall on either side of a half.
ROUNDING = 1.01e-6
sequences = st.text("ACDEFGHIKLMNPQRSTVWYXU*-1", max_size=40)
records_of_any_kind = st.lists(
    st.builds(lambda name, sequence: Record(name, name, sequence), st.sampled_from(["a", "b", ""]), sequences),
    max_size=12,
)


@pytest.fixture(scope="module")
def bundle(small_bundle):
    """The small bundle with its probabilities spread out, and a threshold in their middle."""
    spread = replace(small_bundle, calibration=Calibration(0.2, (0.0, 0.0)))
    proteins = Predictor(spread).predict(random_records(200, np.random.default_rng(0)))
    return replace(spread, threshold=float(np.median([row.probability for row in proteins])))


@pytest.fixture(scope="module")
def three_classes(small_bundle, alphabet):
    torch.manual_seed(1)
    model = build(small_bundle.config, alphabet, n_classes=3).eval()
    calibration = Calibration(0.1, (0.0, 0.1, -0.1))
    return bundle_of("three", model, small_bundle.config, calibration, ("zinc", "homeo", "other"), None)


def random_records(n, rng):
    lengths = rng.integers(1, 60, n)
    return [Record(f"p{i}", "", "".join(rng.choice(list(LETTERS), length))) for i, length in enumerate(lengths)]


def alone(bundle, sequence):
    """Probabilities of one residue sequence, with torch and SciPy only."""
    tokens = torch.tensor([[LETTERS.index(letter) + 1 for letter in sequence]])
    with torch.no_grad():
        logits = bundle.model.eval()(tokens, torch.tensor([len(sequence)]))[0].double().numpy()
    return softmax((logits - np.array(bundle.calibration.log_weight_C)) / bundle.calibration.temperature)


def assert_same_rows(rows, expected):
    def but_probability(row):
        return row._replace(probability=None)

    # A label may differ where the probability is the threshold.
    assert [but_probability(row)._replace(label="") for row in rows] == [
        but_probability(row)._replace(label="") for row in expected
    ]
    ours, theirs = ([np.nan if r.probability is None else r.probability for r in rs] for rs in (rows, expected))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=ROUNDING)


class TestRows:
    @given(records_of_any_kind)
    @settings(deadline=None)
    def test_every_record_has_one_row_in_its_place(self, bundle, records):
        rows = list(Predictor(bundle).predict(iter(records)))
        assert [row.id for row in rows] == [record.id for record in records]
        for record, row in zip(records, rows, strict=True):
            usable = "1" not in record.sequence and record.sequence.strip("*-")
            assert row.status == ("ok" if usable else "skipped")
            assert (row.probability is None) == (row.label == "") == (not usable)

    def test_no_records_give_no_rows(self, bundle):
        assert list(Predictor(bundle).predict([])) == []

    def test_only_bad_records_give_only_skipped_rows(self, bundle):
        rows = list(Predictor(bundle, threshold=0.25).predict([Record("a", "a", ""), Record("b", "b", "*M1")]))
        assert rows == [
            Prediction("a", 0, "", None, 0.25, "skipped", "empty"),
            Prediction("b", 3, "", None, 0.25, "skipped", "illegal '1' at 3"),
        ]

    def test_the_notes_tell_what_was_done_and_the_length_what_was_scored(self, bundle):
        [row] = Predictor(bundle).predict([Record("a", "a", "MU--K*V*")])
        assert row.length == 5
        assert row.notes == "stop_removed;internal_stops=1;gaps_removed=2;nonstandard=1"

    def test_a_protein_too_long_for_the_memory_is_skipped_and_all_others_are_scored(self, bundle):
        lengths = [7, 90, 40, 55, 7, 90, 41]
        records = [Record(f"p{i}", "", "M" * length + ("*" if i == 3 else "")) for i, length in enumerate(lengths)]
        expected = list(Predictor(bundle).predict(records))
        short_of_memory = replace(bundle, model=copy.deepcopy(bundle.model))
        small_memory(short_of_memory.model, 40, RuntimeError("DefaultCPUAllocator: can't allocate memory"))
        rows = list(Predictor(short_of_memory).predict(records))
        given_up = {i: row for i, row in enumerate(rows) if row.status == "skipped"}
        assert {i: (row.length, row.notes) for i, row in given_up.items()} == {
            1: (90, "too_long_for_memory"),
            3: (56, "stop_removed;too_long_for_memory"),
            5: (90, "too_long_for_memory"),
            6: (41, "too_long_for_memory"),
        }
        assert_same_rows([rows[i] for i in (0, 2, 4)], [expected[i] for i in (0, 2, 4)])

    def test_they_are_scored_on_the_cpu_on_request(self, bundle):
        records = [Record(f"p{i}", "", "M" * length) for i, length in enumerate((20, 90, 30))]
        expected = list(Predictor(bundle).predict(records))
        short_of_memory = replace(bundle, model=copy.deepcopy(bundle.model))
        small_memory(short_of_memory.model, 40, torch.OutOfMemoryError("CUDA out of memory"))
        rows = list(Predictor(short_of_memory, cpu_fallback=True).predict(records))
        assert [row.status for row in rows] == ["ok", "ok", "ok"]
        assert_same_rows(rows, expected)

    def test_the_notes_of_a_skipped_record_end_with_the_reason(self, bundle):
        [row] = Predictor(bundle).predict([Record("a", "a", "--*")])
        assert (row.length, row.notes) == (3, "stop_removed;gaps_removed=2;empty")

    def test_probabilities_are_those_of_torch_and_scipy_for_each_sequence_alone(self, bundle):
        records = random_records(40, np.random.default_rng(2))
        rows = list(Predictor(bundle).predict(records))
        expected = [alone(bundle, record.sequence)[1] for record in records]
        np.testing.assert_allclose([row.probability for row in rows], expected, rtol=0, atol=ROUNDING)
        assert {row.label for row in rows} == {"TF", "nonTF"}

    def test_lower_case_and_repaired_sequences_score_as_what_they_are_repaired_to(self, bundle):
        odd, plain = ["mkvlag", "MKVLAG*", "MK-VL.AG"], "MKVLAG"
        rows = list(Predictor(bundle).predict([Record("a", "a", sequence) for sequence in [*odd, plain]]))
        assert len({(row.length, row.label, row.probability) for row in rows}) == 1

    @given(st.lists(st.sampled_from("abcdefgh"), max_size=60), st.integers(1, 7))
    @settings(deadline=None)
    def test_an_id_that_came_before_is_noted_and_kept(self, bundle, ids, window):
        records = [Record(i, i, "") for i in ids]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "_WINDOW_RECORDS", window)
            rows = list(Predictor(bundle).predict(records))
        assert [row.id for row in rows] == ids
        for place, row in enumerate(rows):
            assert row.notes == ("duplicate_id;empty" if row.id in ids[:place] else "empty")

    def test_what_is_the_same_is_scored_once(self, bundle, monkeypatch):
        scored, score = [], Scorer.score
        monkeypatch.setattr(Scorer, "score", lambda self, tokens, _: scored.append(len(tokens)) or score(self, tokens))
        records = [Record(str(i), "", sequence) for i, sequence in enumerate(["MKV", "mkv*", "MKL", "M-KV", "", "MKL"])]
        rows = list(Predictor(bundle).predict(records))
        assert scored == [2]
        assert rows[0].probability == rows[1].probability == rows[3].probability != rows[2].probability
        assert rows[2].probability == rows[5].probability

    @pytest.mark.parametrize(
        ("rule", "expected"),
        [
            ("max-mcc", 0.5),
            ("0.25", 0.25),
            ("recall=0.8", 0.6),
            ("recall=0.81", 0.2),
        ],
    )
    def test_a_rule_chooses_among_the_operating_points(self, bundle, rule, expected):
        points = (OperatingPoint(0.2, 0.3, 1.0), OperatingPoint(0.6, 0.1, 0.8))
        chosen = Predictor(replace(bundle, threshold=0.5, operating_points=points), threshold=rule)
        assert chosen.threshold == expected

    @pytest.mark.parametrize(
        ("rule", "message"),
        [
            ("recall=0.9", "threshold recall=0.9: the model reaches at most recall=0.8 on validation"),
            ("fdr=2", "threshold: found 'fdr=2'; expected a probability between 0 and 1, max-mcc, fdr=X or recall=X"),
            ("best", "threshold: found 'best'; expected a probability between 0 and 1, max-mcc, fdr=X or recall=X"),
            ("", "threshold: found ''; expected a probability between 0 and 1, max-mcc, fdr=X or recall=X"),
        ],
    )
    def test_a_rule_that_cannot_be_kept_is_refused(self, bundle, rule, message):
        with pytest.raises(ConfigError) as caught:
            Predictor(replace(bundle, operating_points=(OperatingPoint(0.6, 0.1, 0.8),)), threshold=rule)
        assert str(caught.value).startswith(message)


def test_what_is_asked_for_at_loading_is_what_predicts(small_bundle_folder, with_homology_folder):
    assert Predictor.load(small_bundle_folder, threshold=0.2).threshold == 0.2
    assert {Predictor.load(with_homology_folder, channel=channel).channel for channel in ("network", "combined")} == {
        "network",
        "combined",
    }


def test_the_precision_that_is_asked_for_is_that_of_the_network(bundle):
    records = random_records(50, np.random.default_rng(7))
    exact, reduced = (
        np.array([row.probability for row in Predictor(bundle, precision=precision).predict(records)])
        for precision in ("float32", "bf16")
    )
    assert 0 < np.abs(exact - reduced).max() < 0.05


def test_the_model_is_put_on_the_device_that_is_asked_for(small_bundle):
    # A device that every machine has.
    there = replace(small_bundle, model=copy.deepcopy(small_bundle.model))
    Predictor(there, device=torch.device("meta"))
    assert {parameter.device.type for parameter in there.model.parameters()} == {"meta"}


class TestPrevalence:
    @pytest.fixture
    def validated(self, bundle):
        """A bundle with the operating points of 20,000 validation scores, 30 % of them of positives."""
        rng = np.random.default_rng(0)
        positive_N = rng.random(20_000) < 0.3
        # By Bayes' rule, from two normal distributions.
        score_N = rng.normal(np.where(positive_N, 1.5, -2.0), 1.5)
        likelihood_NC = norm.pdf(score_N[:, None], [-2.0, 1.5], 1.5) * [0.7, 0.3]
        probability_N = likelihood_NC[:, 1] / likelihood_NC.sum(axis=1)
        points = operating_points(probability_N)
        calibration = replace(bundle.calibration, prevalence=0.3)
        own = {"threshold": expected_mcc_threshold(probability_N), "operating_points": points}
        return replace(bundle, calibration=calibration, **own), probability_N, positive_N

    @pytest.mark.parametrize("prevalence", [0.1, 1e-3, 1e-5, 1e-9])
    def test_a_cut_calls_the_same_proteins_however_rare_positives_are(self, validated, prevalence):
        bundle, _, _ = validated
        records = random_records(200, np.random.default_rng(1))
        middle = float(np.median([row.probability for row in Predictor(bundle).predict(records)]))
        cut = OperatingPoint(middle + 5e-7, 0.4, 0.9)
        bundle = replace(bundle, operating_points=(cut,))
        expected = [row.probability > middle for row in Predictor(bundle).predict(records)]
        rows = list(Predictor(bundle, prevalence=prevalence, threshold="recall=0.9").predict(records))
        assert 50 < sum(expected) < 150
        assert [row.label == "TF" for row in rows] == expected
        # Whoever reads the table makes the same calls.
        stream = io.BytesIO()
        write_tsv(rows, stream)
        cells = [line.split("\t") for line in stream.getvalue().decode().splitlines()[1:]]
        assert [float(cell[3]) >= float(cell[4]) for cell in cells] == expected

    def test_the_odds_of_every_probability_change_by_one_factor(self, validated):
        bundle, _, _ = validated
        records = random_records(50, np.random.default_rng(0))
        before, after = (
            np.array([row.probability for row in Predictor(bundle, prevalence=share).predict(records)])
            for share in (None, 0.05)
        )
        factor = (after / (1 - after)) / (before / (1 - before))
        np.testing.assert_allclose(factor, (0.05 / 0.95) / (0.3 / 0.7), rtol=1e-3)

    @pytest.mark.parametrize("prevalence", [0.1, 0.3, 0.7])
    def test_the_threshold_is_the_one_that_suits_the_stated_share_best(self, validated, prevalence):
        bundle, probability_N, positive_N = validated
        # Weights make the validation proteins a sample of that share.
        weight_N = np.where(positive_N, prevalence / positive_N.mean(), (1 - prevalence) / (1 - positive_N.mean()))
        cuts = [point.threshold for point in bundle.operating_points]
        mcc = [matthews_corrcoef(positive_N, probability_N >= cut, sample_weight=weight_N) for cut in cuts]
        share = float(positive_N.mean())
        bundle = replace(bundle, calibration=replace(bundle.calibration, prevalence=share))
        threshold = Predictor(bundle, prevalence=prevalence).threshold
        kept = at_prevalence(np.array([threshold]), prevalence, share)[0]
        # Short of it at most by what keeps the threshold from jumping as the share changes.
        assert matthews_corrcoef(positive_N, probability_N >= kept, sample_weight=weight_N) > max(mcc) - 0.02

    def test_without_operating_points_the_threshold_moves_with_the_probabilities(self, validated):
        bundle = replace(validated[0], threshold=0.5, operating_points=())
        assert Predictor(bundle, prevalence=0.1).threshold == pytest.approx((1 / 9) / (1 / 9 + 3 / 7), abs=1e-6)

    def test_it_is_known_at_once_where_it_is_stated_and_else_after_the_last_record(self, bundle):
        bundle = replace(bundle, calibration=replace(bundle.calibration, prevalence=0.3))
        assert Predictor(bundle, prevalence=0.1).prevalence == 0.1
        predictor = Predictor(bundle, prevalence="auto")
        assert (predictor.prevalence, predictor.threshold) == (None, None)
        assert "prevalence='auto'" in repr(predictor)
        rows = list(predictor.predict(["MKV", "MKVLAGHW"]))
        assert 0 < predictor.prevalence < 1
        assert predictor.threshold == rows[0].threshold
        assert f"prevalence={predictor.prevalence}" in repr(predictor)

    @pytest.mark.parametrize("share", [0.0, 1.0, -1.0, 2.0, float("nan")])
    def test_a_share_that_is_none_is_refused(self, validated, share):
        with pytest.raises(
            ConfigError, match="prevalence: found .*; expected a share between 0 and 1, such as 0.06 for 6 %"
        ):
            Predictor(validated[0], prevalence=share)

    def test_a_model_that_does_not_know_its_own_share_is_refused(self, bundle):
        bundle = replace(bundle, calibration=replace(bundle.calibration, prevalence=None))
        with pytest.raises(ConfigError, match="the model does not record the prevalence it was calibrated at"):
            Predictor(bundle, prevalence=0.1)


class TestIndependence:
    @given(records_of_any_kind, st.randoms(), st.integers(1, 400), st.integers(1, 5))
    @settings(deadline=None, max_examples=50)
    def test_batch_order_window_and_neighbours_change_nothing(self, bundle, records, random, max_residues, window):
        expected = [row for record in records for row in Predictor(bundle).predict([record])]
        order = random.sample(range(len(records)), len(records))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "_WINDOW_RECORDS", window)
            shuffled = list(Predictor(bundle, max_residues=max_residues).predict(records[i] for i in order))
        # Which of two records with one id came first does depend on the order.
        alone = [row._replace(notes=re.sub("^duplicate_id;?", "", row.notes)) for row in shuffled]
        assert_same_rows(alone, [expected[i] for i in order])

    def test_a_window_bounded_by_residues_changes_nothing(self, bundle, monkeypatch):
        records = random_records(60, np.random.default_rng(3))
        expected = list(Predictor(bundle).predict(records))
        monkeypatch.setattr(module, "_WINDOW_RESIDUES", 100)
        assert_same_rows(list(Predictor(bundle).predict(records)), expected)

    def test_a_short_protein_beside_a_long_one_scores_as_alone(self, bundle):
        short, long = Record("s", "s", "MKV"), Record("l", "l", "MKVLAGHW" * 500)
        beside = list(Predictor(bundle, max_residues=10**6).predict([short, long]))
        assert_same_rows(beside, [row for r in (short, long) for row in Predictor(bundle).predict([r])])


class TestLengths:
    def test_one_residue_is_scored(self, bundle):
        [row] = Predictor(bundle).predict([Record("a", "a", "M")])
        assert row.length == 1
        assert row.probability == pytest.approx(alone(bundle, "M")[1], abs=ROUNDING)

    def test_35000_residues_are_all_scored(self, bundle):
        rng = np.random.default_rng(4)
        sequence = "".join(rng.choice(list(LETTERS[:20]), 35_000))
        changed_at_the_end = sequence[:-1] + ("A" if sequence[-1] != "A" else "W")
        logits = []
        with torch.no_grad():
            for text in (sequence, changed_at_the_end):
                tokens = torch.tensor([[LETTERS.index(letter) + 1 for letter in text]])
                logits.append(bundle.model(tokens, torch.tensor([35_000])))
        [row] = Predictor(bundle).predict([Record("titin", "titin", sequence)])
        assert (row.length, row.status) == (35_000, "ok")
        assert row.probability == pytest.approx(softmax(logits[0][0].double().numpy() / 0.2)[1], abs=ROUNDING)
        assert not torch.equal(logits[0], logits[1])


class TestModelIsLeftAlone:
    @pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
    def test_every_module_keeps_its_mode(self, bundle, training):
        mine = replace(bundle, model=copy.deepcopy(bundle.model).train(training))
        mine.model.head.train(not training)
        before = [m.training for m in mine.model.modules()]
        list(Predictor(mine).predict([Record("a", "a", "MKV")]))
        assert [m.training for m in mine.model.modules()] == before

    def test_a_model_in_training_mode_is_scored_without_dropout(self, bundle):
        mine = replace(bundle, model=copy.deepcopy(bundle.model).train())
        records = random_records(5, np.random.default_rng(5))
        assert_same_rows(list(Predictor(mine).predict(records)), list(Predictor(bundle).predict(records)))

    def test_weights_device_and_gradients_are_untouched(self, bundle):
        mine = replace(bundle, model=copy.deepcopy(bundle.model))
        list(Predictor(mine).predict([Record("a", "a", "MKV")]))
        for ours, before in zip(mine.model.parameters(), bundle.model.parameters(), strict=True):
            assert ours.device.type == "cpu"
            assert ours.grad is None
            assert torch.equal(ours, before)


class TestThreshold:
    @given(st.floats(0.0, 1.0))
    @settings(deadline=None)
    def test_a_threshold_of_the_users_decides_the_label(self, bundle, threshold):
        [row] = Predictor(bundle, threshold=threshold).predict([Record("a", "a", "MKV")])
        assert row.threshold == threshold
        assert row.label == ("TF" if row.probability >= threshold else "nonTF")

    @given(st.integers(-20, 20))
    @settings(deadline=None)
    def test_the_printed_label_agrees_with_the_printed_probability_and_threshold(self, bundle, tenths):
        record = Record("a", "a", "MKVLAG")
        [own] = Predictor(bundle).predict([record])
        close = Predictor(bundle, threshold=own.probability + tenths * 1e-7)
        written = io.BytesIO()
        write_tsv(close.predict([record]), written)
        _, _, label, probability, threshold, *_ = written.getvalue().decode().splitlines()[1].split("\t")
        assert label == ("TF" if float(probability) >= float(threshold) else "nonTF")

    @pytest.mark.parametrize("threshold", [-0.1, 1.5, float("nan")])
    def test_a_threshold_that_is_no_probability_is_refused(self, bundle, threshold):
        with pytest.raises(ConfigError) as caught:
            Predictor(bundle, threshold=threshold)
        expected = "a probability between 0 and 1, max-mcc, fdr=X or recall=X, such as fdr=0.05"
        assert str(caught.value) == f"threshold: found '{threshold}'; expected {expected}"


class TestSeveralClasses:
    def test_the_likeliest_class_is_called_without_a_threshold(self, three_classes):
        records = random_records(60, np.random.default_rng(6))
        rows = list(Predictor(three_classes).predict(records))
        expected_NC = np.array([alone(three_classes, record.sequence) for record in records])
        assert [row.label for row in rows] == [three_classes.classes[i] for i in expected_NC.argmax(axis=1)]
        np.testing.assert_allclose([r.probability for r in rows], expected_NC.max(axis=1), rtol=0, atol=ROUNDING)
        assert {row.threshold for row in rows} == {None}
        assert len({row.label for row in rows}) > 1

    def test_a_threshold_is_refused(self, three_classes):
        with pytest.raises(ConfigError) as caught:
            Predictor(three_classes, threshold=0.5)
        expected = "threshold 0.5: a model of several classes predicts the likeliest and has none"
        assert str(caught.value) == expected


class TestLaziness:
    def test_an_endless_input_gives_rows(self, bundle):
        read = itertools.count()
        endless = (Record(str(next(read)), "", "MKVLAGHWMK") for _ in itertools.repeat(None))
        rows = list(itertools.islice(Predictor(bundle).predict(endless), 3))
        assert [row.id for row in rows] == ["0", "1", "2"]
        assert next(read) <= module._WINDOW_RECORDS

    def test_no_record_is_read_before_the_first_row_is_asked_for(self, bundle):
        read = []
        records = (read.append(r) or r for r in [Record("a", "a", "MKV")])
        rows = Predictor(bundle).predict(records)
        assert read == []
        assert next(rows).id == "a"

    def test_a_window_closes_at_its_number_of_residues(self, bundle, monkeypatch):
        monkeypatch.setattr(module, "_WINDOW_RESIDUES", 25)
        read = itertools.count()
        endless = (Record(str(next(read)), "", "MKVLAGHWMK") for _ in itertools.repeat(None))
        next(Predictor(bundle).predict(endless))
        assert next(read) == 3


def test_calls_leave_no_objects_threads_or_open_files_behind(with_profiles):
    def left():
        gc.collect()
        return len(gc.get_objects()), threading.active_count(), len(psutil.Process().open_files())

    def call():
        list(Predictor(with_profiles).predict({"a": "MKRKYCPECGKSFSRSDHLARHIRTHTGEKPYKC", "b": "", "c": "MKV" * 30}))

    call()
    call()
    objects, *others = left()
    for _ in range(10):
        call()
    after, *others_after = left()
    # One object lost in each call would be 10.
    assert after - objects < 10
    assert others_after == others
