"""The same predictions as a DataFrame and as an array; a predictor shows what it is."""

import html
import os
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from tests.conftest import bundle_of
from tfclass import Predictor
from tfclass.channels.calibration import Calibration
from tfclass.errors import BundleError, ConfigError
from tfclass.models.factory import build
from tfclass.models.forward import logits_of
from tfclass.sequences.fasta import MAX_LENGTH

PROTEINS = {"a": "MKVLAAGIVG", "<b>": "M1", "c": "CAKAYLRRH*", "": "", "=cmd()": "MKVLAAGIVG", "é": "GGGRKKRRQRRR"}


@pytest.fixture(scope="module")
def predictor(with_profiles):
    return Predictor(with_profiles)


class TestFrame:
    def test_it_is_what_pandas_reads_from_the_file_of_the_command(self, tfclass, with_profiles_folder, tmp_path):
        fasta = tmp_path / "a.fasta"
        fasta.write_text("".join(f">{name}\n{sequence}\n" for name, sequence in PROTEINS.items()))
        options = ["--threshold", "0.3", "--max-length", "11", "--channel", "profile", "--device", "cpu"]
        done = tfclass("predict", fasta, "-o", "a.parquet", "--model", with_profiles_folder, *options)
        assert done.status == 0, done.err
        expected = pd.read_parquet(tmp_path / "a.parquet")
        predictor = Predictor.load(with_profiles_folder, threshold=0.3, max_length=11, channel="profile", device="cpu")
        pd.testing.assert_frame_equal(predictor.predict_frame(fasta), expected)
        assert predictor.predict_frame(PROTEINS)["notes"].str.contains("longer_than=11").tolist() == [
            *[False] * 5,
            True,
        ]

    def test_its_rows_are_those_of_predict(self, predictor):
        rows, found = list(predictor.predict(PROTEINS)), predictor.predict_frame(PROTEINS)
        assert list(found.columns) == list(predictor.columns)
        for name in found:
            assert found[name].astype(object).where(found[name].notna(), None).tolist() == [
                getattr(row, name) for row in rows
            ]
        assert found["length"].dtype == np.int64
        assert found["probability"].dtype == found["profile_bits"].dtype == np.float64
        assert isinstance(found["label"].dtype, pd.CategoricalDtype)

    def test_its_index_is_that_of_what_was_given(self, predictor):
        table = pd.DataFrame({"id": [*"xyz"], "sequence": ["MKV", "M1", "MA"]}, index=[7, 3, 3])
        found = predictor.predict_frame(table)
        assert found.index.tolist() == [7, 3, 3]
        assert found["id"].tolist() == [*"xyz"]
        assert predictor.predict_frame(table["sequence"])["id"].tolist() == ["7", "3", "3"]
        assert predictor.predict_frame(table["sequence"]).index.equals(table.index)
        assert predictor.predict_frame(PROTEINS).index.equals(pd.RangeIndex(len(PROTEINS)))

    def test_of_nothing_it_has_the_columns_and_types(self, predictor):
        empty, some = predictor.predict_frame([]), predictor.predict_frame(PROTEINS)
        assert (len(empty), list(empty.columns)) == (0, list(some.columns))
        assert empty.dtypes[["length", "probability"]].tolist() == some.dtypes[["length", "probability"]].tolist()

    def test_of_many_rows_categories_stay_categories(self, small_bundle):
        sequences = ["MKVLA", "GGGRKKRR", "M1"] * 3_500
        found = Predictor(small_bundle).predict_frame(sequences)
        assert found["status"].value_counts().to_dict() == {"ok": 7_000, "skipped": 3_500}
        assert isinstance(found["label"].dtype, pd.CategoricalDtype)
        assert found["id"].tolist() == [str(i) for i in range(10_500)]


class TestProbabilities:
    @pytest.mark.parametrize(
        "options", [{}, {"channel": "network"}, {"prevalence": "auto"}, {"threshold": "fdr=0.4"}, {"prevalence": 0.01}]
    )
    def test_the_last_column_is_the_probability_of_the_rows(self, options, with_profiles):
        expected = [row.probability for row in Predictor(with_profiles, **options).predict(PROTEINS)]
        predictor = Predictor(with_profiles, **options)
        found_NC = predictor.predict_proba(PROTEINS)
        assert (found_NC.shape, found_NC.dtype) == ((6, 2), np.float64)
        np.testing.assert_array_equal(found_NC[:, 1], np.array(expected, dtype=float))
        np.testing.assert_allclose(found_NC.sum(axis=1)[[0, 2, 4, 5]], 1, rtol=0, atol=1e-12)
        rows = Predictor(with_profiles, **options)
        list(rows.predict(PROTEINS))
        assert (predictor.threshold, predictor.prevalence) == (rows.threshold, rows.prevalence)

    def test_of_several_classes_there_is_a_column_for_each(self, small_bundle, alphabet):
        model = build(small_bundle.config, alphabet, n_classes=3).eval()
        bundle = bundle_of("three", model, small_bundle.config, Calibration(0.5, (0.0, 0.1, 0.0)), tuple("xyz"), None)
        tokens = [alphabet.encode("MKVLA"), alphabet.encode("GGG")]
        expected = softmax((logits_of(model, tokens, 1000) - np.array([0.0, 0.1, 0.0])) / 0.5, axis=1)
        np.testing.assert_allclose(Predictor(bundle).predict_proba(["MKVLA", "GGG"]), expected, rtol=0, atol=1e-6)

    def test_of_nothing_there_is_no_row(self, predictor, with_profiles):
        assert predictor.predict_proba([]).shape == (0, 2)
        assert Predictor(with_profiles, threshold="fdr=0.1").predict_proba([]).shape == (0, 2)
        assert np.isnan(predictor.predict_proba(["", "M1"])).all()


class TestShown:
    def test_it_names_model_channel_and_threshold(self, small_bundle, with_profiles):
        assert repr(Predictor(small_bundle)) == "Predictor(model='small', channel='network', threshold=0.5)"
        waiting = Predictor(with_profiles, threshold="fdr=0.2", prevalence="auto", channel="profile")
        asked = "Predictor(model='with_profiles', channel='profile', threshold='fdr=0.2', prevalence='auto')"
        assert repr(waiting) == asked
        list(waiting.predict(PROTEINS))
        assert f"threshold={waiting.threshold!r}, prevalence={waiting.prevalence!r}" in repr(waiting)

    def test_in_a_notebook_a_hostile_name_stays_text(self, small_bundle):
        name = "<script>alert('&')</script>"
        shown = Predictor(replace(small_bundle, name=name))._repr_html_()
        tags = []
        parser = HTMLParser()
        parser.handle_starttag = lambda tag, _: tags.append(tag)  # type: ignore[method-assign]
        parser.feed(shown)
        assert set(tags) == {"table", "tr", "th", "td"}
        assert name in html.unescape(shown)


class TestLoading:
    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"device": "gpu"}, "device: found 'gpu'; expected auto, cpu or cuda"),
            ({"threads": -1}, "threads: found -1; expected 0 or more"),
            ({"precision": "fp16"}, "precision: found 'fp16'; expected float32 or bf16"),
            ({"max_length": 0}, "max_length: found 0; expected 1 or more"),
            ({"threshold": "fdr"}, "threshold: found 'fdr'; expected"),
            ({"prevalence": 1.5}, "prevalence"),
            ({"channel": "homology"}, "channel: found 'homology'; expected network"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_an_option_that_is_not_allowed_is_one_line(self, options, said, small_bundle_folder):
        with pytest.raises(ConfigError) as caught:
            Predictor.load(small_bundle_folder, **options)
        assert str(caught.value).startswith(said)

    def test_a_path_is_a_folder_and_a_text_is_a_name_first(self, small_bundle_folder, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        os.symlink(small_bundle_folder, "tf-bilstm")
        assert Predictor.load(Path("tf-bilstm")).bundle.name == "small"
        assert Predictor.load("tf-bilstm").bundle.name == "tf-bilstm"
        with pytest.raises(BundleError, match="no bundle.json"):
            Predictor.load(Path("none"))

    def test_a_longer_sequence_than_the_command_takes_is_skipped(self, small_bundle):
        [row] = Predictor(small_bundle).predict(["M" * (MAX_LENGTH + 1)])
        assert (row.status, row.length, row.notes) == ("skipped", MAX_LENGTH + 1, f"longer_than={MAX_LENGTH}")
