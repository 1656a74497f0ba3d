"""Rows from every channel: what stands in them, where it comes from, and what does not change it."""

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.channels.test_domains import by_letters
from tests.conftest import log_bundle
from tfclass.bundle.bundle import load_bundle
from tfclass.bundle.scorer import Scorer
from tfclass.channels.calibration import at_prevalence
from tfclass.channels.network import MIN_FAMILY_PROBABILITY, SURE_FAMILY
from tfclass.channels.thresholds import DecisionRule
from tfclass.errors import ConfigError
from tfclass.inference.jobs import Job, chunks, is_finished, predict_in_parts
from tfclass.inference.predictor import Predictor
from tfclass.inference.rows import COLUMNS, Prediction
from tfclass.models.factory import build
from tfclass.sequences.alphabet import clean, merged
from tfclass.sequences.fasta import Record

CHANNELS = ("network", "profile", "combined")
FIRST, LAST = tuple(COLUMNS)[:5], tuple(COLUMNS)[5:]
HEADS = ("family", "family_probability", "domain")
FITS = ("profile", "profile_bits")
SHARED = ("family", "domain")
SOURCES = ("family_source", "domain_source")
GIVEN = {"network": HEADS, "profile": (*SHARED, *FITS), "combined": (*HEADS, "network", *FITS, *SOURCES)}
ROUNDING = 1.01e-6


@pytest.fixture(scope="module")
def records(demo_table):
    """Generated proteins, some of them with gaps and stops, and records that are skipped between them."""
    frame = pd.read_csv(demo_table, sep="\t", keep_default_na=False).iloc[::4]
    records = []
    for number, (name, sequence) in enumerate(zip(frame["id"], frame["sequence"], strict=True)):
        odd = f"--{sequence[:20]}-.-{sequence[20:]}**" if number % 4 == 1 else sequence
        records.append(Record(name, name, odd))
        if number % 7 == 3:
            records.append(Record(f"bad{number}", "", "MK1V" if number % 2 else ""))
    return records


@pytest.fixture(scope="module")
def sound(records):
    return [record.sequence.replace("-", "").replace(".", "").rstrip("*") for record in records if usable(record)]


def usable(record):
    return record.sequence not in ("", "MK1V")


def changed(row, **values):
    """The row with other values in some columns."""
    flat = {name: getattr(row, name) for name in (*COLUMNS, *row.details)}
    return Prediction.of(flat | values)


def without_profiles(bundle):
    """The bundle with its other channels only; its regressions are not for them."""
    return replace(bundle, channels={name: each for name, each in bundle.channels.items() if name != "profile"})


@pytest.fixture(scope="module", params=CHANNELS)
def channel(request):
    return request.param


@pytest.fixture(scope="module")
def rows(with_profiles, records, channel):
    return list(Predictor(with_profiles, channel=channel).predict(records))


class TestColumns:
    def test_they_are_those_that_the_channel_can_fill_in_one_order(self, with_profiles, channel):
        columns = Predictor(with_profiles, channel=channel).columns
        assert tuple(columns) == (*FIRST, *GIVEN[channel], *LAST)

    def test_a_model_without_heads_and_profiles_has_those_of_before(self, small_bundle):
        assert Predictor(small_bundle).columns == COLUMNS

    def test_a_model_has_those_of_its_heads(self, small_bundle, with_profiles, alphabet):
        config = replace(with_profiles.config, families=())
        model = build(config, alphabet, n_classes=2)
        only_domains = replace(with_profiles, config=config, model=model, channels={}, stacked={})
        assert tuple(Predictor(only_domains).columns) == (*FIRST, "domain", *LAST)

    def test_a_row_has_the_columns_of_the_channel_and_a_skipped_row_has_nothing_in_them(self, rows, channel):
        for row in rows:
            assert tuple(row.details) == GIVEN[channel]
            assert row.status == "ok" or set(row.details.values()) == {None}


class TestRows:
    def test_every_record_has_its_row_in_its_place(self, rows, records):
        assert [row.id for row in rows] == [record.id for record in records]
        assert [row.status == "ok" for row in rows] == [usable(record) for record in records]
        assert "skipped" in {row.status for row in rows}

    def test_the_numbers_are_those_of_the_channel(self, rows, with_profiles, sound, channel, alphabet):
        scored_by_hand = Scorer(with_profiles, channel).score([alphabet.encode(s) for s in sound])
        scored = [row for row in rows if row.status == "ok"]
        stated_N = np.array([row.probability for row in scored])
        np.testing.assert_allclose(stated_N, scored_by_hand.probability_NC[:, 1], rtol=0, atol=ROUNDING)
        threshold = with_profiles.threshold if channel == "network" else with_profiles.stacked[channel].threshold
        assert {row.threshold for row in rows} == {threshold}
        assert [row.label for row in scored] == ["TF" if p >= threshold else "nonTF" for p in stated_N]
        assert len({row.label for row in scored}) == 2

    def test_family_and_domain_come_from_the_network_where_it_knows_else_from_the_profile(
        self, rows, with_profiles, records, sound, alphabet, channel
    ):
        scored = Scorer(with_profiles, channel).score([alphabet.encode(s) for s in sound]).scores
        network, found = scored.get("network"), scored.get("profile")
        paired = [(row, record) for row, record in zip(rows, records, strict=True) if row.status == "ok"]
        sources = set()
        for place, (row, record) in enumerate(paired):
            expected: dict[str, tuple] = {"family": (None, None), "domain": ([], None)}
            if row.label == "TF" and found is not None and found[place].margin >= 0:
                profile = with_profiles.channels["profile"].library.profiles[found[place].profile]
                expected["family"] = (profile.family or None, "profile" if profile.family else None)
                expected["domain"] = (merged(found[place].envelopes), "profile")
            family_probability = None
            if row.label == "TF" and network is not None:
                family_K = network.family_NK[place]
                if family_K.max() >= (SURE_FAMILY if expected["family"][0] else MIN_FAMILY_PROBABILITY):
                    expected["family"] = (with_profiles.config.families[int(np.argmax(family_K))], "network")
                    family_probability = pytest.approx(family_K.max(), abs=ROUNDING)
                if by_network := by_letters(network.domains[place]):
                    expected["domain"] = (by_network, "network")
            assert (row.family, row.family_probability if network else None) == (
                expected["family"][0],
                family_probability,
            )
            # By its letters: what lies between the ends is the domain, whatever gaps are in it.
            places = [part.split("-") for part in (row.domain or "").split(";") if part]
            given = [record.sequence[int(a) - 1 : int(b)].replace("-", "").replace(".", "") for a, b in places]
            assert given == [sound[place][a - 1 : b] for a, b in expected["domain"][0]]
            if channel == "combined":
                assert (row.family_source, row.domain_source) == (expected["family"][1], expected["domain"][1])
                sources |= {row.family_source, row.domain_source}
        assert channel != "combined" or sources == {"network", "profile", None}
        called = [row for row, _ in paired if row.label == "TF"]
        assert channel == "network" or len({row.family for row in called}) > 1
        assert len({row.domain for row in called}) > 1

    def test_both_witnesses_of_the_combined_channel_are_named(self, rows, with_profiles, sound, alphabet, channel):
        if channel == "network":
            return
        tokens = [alphabet.encode(s) for s in sound]
        library = with_profiles.channels["profile"].library
        found = library.search(tokens, alphabet)
        network_NC = Scorer(with_profiles, "network").score(tokens).probability_NC
        scored = [row for row in rows if row.status == "ok"]
        fits = []
        for row, best, own_C in zip(scored, found, network_NC, strict=True):
            if channel == "combined":
                assert row.network == pytest.approx(own_C[1], abs=ROUNDING)
            name = library.profiles[best.profile].name if best.profile >= 0 else None
            assert (row.profile, row.profile_bits) == (name, round(best.bits, 1) if name else None)
            fits.append(name is not None)
        assert 0 < sum(fits) < len(fits)

    def test_combined_is_what_a_model_with_profiles_answers_unasked(self, with_profiles, with_profiles_folder, records):
        expected = list(Predictor(with_profiles, channel="combined").predict(records))
        assert list(Predictor(with_profiles).predict(records)) == expected
        assert list(Predictor.load(with_profiles_folder).predict(records)) == expected
        alone = list(Predictor(with_profiles, channel="profile").predict(records))
        assert list(Predictor.load(with_profiles_folder, channel="profile").predict(records)) == alone

    def test_the_network_of_a_model_with_profiles_answers_as_it_does_without(self, with_profiles, records):
        without = replace(with_profiles, channels={}, stacked={})
        assert list(Predictor(with_profiles, channel="network").predict(records)) == list(
            Predictor(without).predict(records)
        )

    @given(st.randoms(), st.integers(1, 6), st.integers(1, 3000))
    @settings(deadline=None, max_examples=15)
    def test_order_neighbours_window_and_batch_change_nothing(
        self, with_profiles, records, random, window, max_residues
    ):
        expected = {row.id: row for row in Predictor(with_profiles).predict(records)}
        some = random.sample(records, 12)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("tfclass.inference.windows._WINDOW_RECORDS", window)
            rows = list(Predictor(with_profiles, max_residues=max_residues).predict(some))
        for row, record in zip(rows, some, strict=True):
            numbers = ("probability", "network", "family_probability")
            theirs = expected[record.id]
            for name in numbers:
                ours, other = getattr(row, name), getattr(theirs, name)
                assert ours == other == None or ours == pytest.approx(other, abs=ROUNDING)  # noqa: E711
            # A residue whose logit is 0 but for rounding may fall to either side.
            rest = dict.fromkeys((*numbers, "domain"))
            assert changed(row, **rest) == changed(theirs, **rest)

    def test_gaps_move_a_domain_and_change_nothing_else(self, with_profiles, sound):
        # The same batches in both: rounding would move a residue whose logit is 0 but for it.
        plain = list(Predictor(with_profiles).predict(Record(s, "", s) for s in sound))
        moved = list(Predictor(with_profiles).predict(Record(s, "", f"---{s}*") for s in sound))
        for row, other in zip(plain, moved, strict=True):
            assert changed(other, domain=None) == changed(row, domain=None, notes="stop_removed;gaps_removed=3")
            by_three = [
                [str(int(place) + 3) for place in part.split("-")] for part in (row.domain or "").split(";") if part
            ]
            assert other.domain == (";".join("-".join(ends) for ends in by_three) or None)
        assert any(row.domain for row in plain)


class TestThreshold:
    @pytest.mark.parametrize("rule", ["max-mcc", "recall=0.5", 0.25])
    def test_a_rule_chooses_among_the_points_of_the_channel(self, with_profiles, rule):
        for reading, combiner in with_profiles.stacked.items():
            expected = DecisionRule(combiner.threshold, combiner.operating_points).choose(rule).threshold
            assert Predictor(with_profiles, channel=reading, threshold=rule).threshold == expected
        if isinstance(rule, str) and "=" in rule:
            with pytest.raises(ConfigError, match="the model has no operating points"):
                Predictor(with_profiles, channel="network", threshold=rule)

    def test_another_share_of_positives_moves_the_channel_from_its_own(self, with_profiles, records):
        for reading, combiner in with_profiles.stacked.items():
            before = list(Predictor(with_profiles, channel=reading).predict(records))
            moved = Predictor(with_profiles, channel=reading, prevalence=0.02)
            after = list(moved.predict(records))
            own = DecisionRule(combiner.threshold, combiner.operating_points, combiner.prevalence)
            assert moved.threshold == own.at_prevalence(0.02).threshold
            for old, new in zip(before, after, strict=True):
                # The channels are named as they were, whatever is made of them.
                kept = {"network", "profile", "profile_bits"} & set(new.details)
                assert [new.details[name] for name in kept] == [old.details[name] for name in kept]
                if old.probability is not None:
                    expected = at_prevalence(np.array([old.probability]), combiner.prevalence, 0.02)[0]
                    assert new.probability == pytest.approx(expected, abs=1e-5)

    @pytest.mark.parametrize("prevalence", [None, 0.1])
    def test_a_rate_of_false_discoveries_is_kept_by_the_probabilities_that_are_shown(
        self, with_profiles, records, prevalence
    ):
        for reading in with_profiles.stacked:
            predictor = Predictor(with_profiles, channel=reading, threshold="fdr=0.2", prevalence=prevalence)
            assert predictor.threshold is None
            rows = list(predictor.predict(records))
            scored = [row for row in rows if row.status == "ok"]
            predicted = [row for row in scored if row.label == "TF"]
            assert 0 < len(predicted) < len(scored)
            assert np.mean([1 - row.probability for row in predicted]) <= 0.2
            assert {row.threshold for row in rows} == {predictor.threshold}
            # The same as with what was chosen, said beforehand.
            stated = {"threshold": predictor.threshold, "prevalence": predictor.prevalence}
            assert rows == list(Predictor(with_profiles, channel=reading, **stated).predict(records))
            assert prevalence in (None, predictor.prevalence)

    def test_an_estimated_prevalence_is_one_that_could_have_been_stated(self, with_profiles, records):
        predictor = Predictor(with_profiles, prevalence="auto")
        rows = list(predictor.predict(records))
        assert 0 < predictor.prevalence < 1
        stated = Predictor(with_profiles, prevalence=predictor.prevalence)
        assert stated.threshold == predictor.threshold
        assert rows == list(stated.predict(records))

    def test_what_waits_for_the_input_is_refused_before_it(self, small_bundle, with_profiles):
        with pytest.raises(ConfigError, match="does not record the prevalence"):
            Predictor(small_bundle, prevalence="auto")
        with pytest.raises(ConfigError, match="expected a share between 0 and 1, such as 0.06 for 6 %"):
            Predictor(with_profiles, threshold="fdr=0.1", prevalence=2.0)

    def test_a_rate_that_no_protein_reaches_predicts_none(self, small_bundle):
        (row,) = Predictor(small_bundle, threshold="fdr=0").predict([Record("a", "", "MKV")])
        assert (row.label, row.threshold) == ("nonTF", 1.0)

    def test_a_channel_that_is_not_there_is_refused(self, small_bundle):
        with pytest.raises(ConfigError) as caught:
            Predictor(small_bundle, channel="profile")
        assert str(caught.value) == "channel: found 'profile'; expected network, which is all that small has"


class TestParts:
    @pytest.fixture(autouse=True)
    def _small_windows(self, monkeypatch):
        monkeypatch.setattr("tfclass.inference.windows._WINDOW_RECORDS", 5)

    @pytest.fixture
    def job(self, with_profiles_folder, channel):
        return Job(str(with_profiles_folder), load_bundle(with_profiles_folder).digest, channel=channel)

    def in_parts(self, records, job, folder):
        return list(predict_in_parts(iter(records), job, folder, chunk_residues=900))

    def test_they_hold_the_rows_and_columns_of_the_channel(self, records, job, with_profiles_folder, channel, tmp_path):
        predictor = Predictor.load(with_profiles_folder, channel=channel)
        expected = list(predictor.predict(records))
        assert self.in_parts(records, job, tmp_path) == expected
        parts = sorted(tmp_path.glob("*.parquet"))
        assert len(parts) > 3
        assert {tuple(pq.read_schema(part).names) for part in parts} == {tuple(predictor.columns)}
        # And again, from the parts.
        times = [part.stat().st_mtime_ns for part in parts]
        assert self.in_parts(records, job, tmp_path) == expected
        assert [part.stat().st_mtime_ns for part in parts] == times

    def test_those_of_another_channel_are_not_taken_for_this_one(self, records, job, tmp_path, channel):
        self.in_parts(records, job, tmp_path)
        first = next(chunks(iter(records), 900))
        for other in CHANNELS:
            same = is_finished(tmp_path / "part-00000.parquet", first.digest, replace(job, channel=other))
            assert same == (other == channel)


@pytest.fixture(scope="module")
def few(records, with_homology):
    """Few proteins, two of the reference among them: a search takes as long as many would."""
    known = [
        Record(f"known{i}", "", with_homology.alphabet.decode(with_homology.channels["homology"].tokens[i]))
        for i in (0, 5)
    ]
    return [*records[:5], *known, *records[5:9]]


@pytest.fixture(scope="module")
def told(with_homology, few):
    asked = ("homology", "combined")
    return {channel: list(Predictor(with_homology, channel=channel).predict(few)) for channel in asked}


class TestHomologues:
    HITS = ("homologue", "homologue_label", "homologue_bits")
    BESIDE = ("network", *FITS, *HITS, *SOURCES)

    def test_columns_are_those_of_the_channels_that_are_asked(self, with_homology):
        given = {
            "network": HEADS,
            "profile": (*SHARED, *FITS),
            "homology": self.HITS,
            "combined": (*HEADS, *self.BESIDE),
        }
        for channel, names in given.items():
            assert tuple(Predictor(with_homology, channel=channel).columns) == (*FIRST, *names, *LAST)
        without = without_profiles(with_homology)
        assert tuple(Predictor(without).columns) == (*FIRST, *HEADS, "network", *self.HITS, *LAST)

    def test_the_best_hit_is_named_with_its_class(self, with_homology, few, told):
        usable_records = [record for record in few if usable(record)]
        tokens = [clean(record.sequence, with_homology.alphabet).tokens for record in usable_records]
        found = with_homology.channels["homology"].score(tokens)
        for channel, predicted in told.items():
            by_hand = Scorer(with_homology, channel).score(tokens)
            scored = [row for row in predicted if row.status == "ok"]
            assert len(scored) == len(found)
            for row, best, probability in zip(scored, found, by_hand.probability_NC[:, 1], strict=True):
                assert row.probability == pytest.approx(probability, abs=ROUNDING)
                stated = (row.homologue, row.homologue_label, row.homologue_bits)
                label = "TF" if best.positive_bits >= best.other_bits else "nonTF"
                expected = (with_homology.channels["homology"].ids[best.target], label, best.bits)
                assert stated == (expected if best.target >= 0 else (None, None, None))
            assert {row.homologue for row in scored} > {None, *with_homology.channels["homology"].ids[:6:5]}
            assert {row.homologue for row in predicted if row.status == "skipped"} == {None}

    def test_order_and_windows_change_nothing(self, with_homology, few, told, monkeypatch):
        monkeypatch.setattr("tfclass.inference.windows._WINDOW_RECORDS", 4)
        again = list(Predictor(with_homology, channel="homology").predict(few[::-1]))[::-1]
        assert again == told["homology"]

    def test_the_network_of_a_model_with_a_reference_answers_as_it_does_without(self, with_homology, few):
        without = replace(with_homology, channels={}, stacked={})
        alone = list(Predictor(without).predict(few))
        assert list(Predictor(with_homology, channel="network").predict(few)) == alone


def test_mlflow_gives_the_columns_that_it_says_it_gives(with_homology_folder, records, tmp_path, empty_store):
    import mlflow

    uri = f"sqlite:///{shutil.copy(empty_store, tmp_path)}"
    _, logged = log_bundle(uri, tmp_path / "run", with_homology_folder)
    mlflow.set_tracking_uri(uri)
    model = mlflow.pyfunc.load_model(logged.artifact_location)
    table = model.predict(pd.DataFrame([(r.id, r.sequence) for r in records], columns=["id", "sequence"]))
    predictor = Predictor.load(with_homology_folder)
    assert tuple(table.columns) == tuple(model.metadata.get_output_schema().input_names()) == tuple(predictor.columns)
    types = {spec.name: (spec.type.name, spec.required) for spec in model.metadata.get_output_schema().inputs}
    assert (types["length"], types["label"]) == (("long", True), ("string", True))
    assert (types["probability"], types["family"]) == (("double", False), ("string", False))
    expected = [tuple(getattr(row, name) for name in predictor.columns) for row in predictor.predict(records)]
    found = table.astype(object).where(table.notna(), None).itertuples(index=False, name=None)
    assert list(found) == expected
    without = model.predict(pd.DataFrame({"id": ["a", None], "sequence": [None, "MKVLA"]}))
    assert without[["id", "status", "notes"]].to_numpy().tolist() == [["a", "skipped", "empty"], ["", "ok", "no_id"]]
