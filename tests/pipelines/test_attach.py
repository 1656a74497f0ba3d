"""Channels put beside a network: what they are fitted on, what stays, what is refused."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tfclass.bundle.bundle import load_bundle
from tfclass.bundle.scorer import Scorer
from tfclass.channels.stacking import PREFILTER, fit_stackings
from tfclass.config import CorpusConfig, EvaluateConfig, EvaluationConfig, TrackingConfig
from tfclass.data.table import read_table
from tfclass.errors import ConfigError, ProfileError, TableError
from tfclass.inference.predictor import Predictor
from tfclass.pipelines.attach import attach
from tfclass.pipelines.evaluate import evaluate_bundle
from tfclass.sequences.fasta import Record

CARD = "MODEL_CARD.md"


@pytest.fixture(scope="module")
def profiles(library, tmp_path_factory):
    path = tmp_path_factory.mktemp("profiles") / "profiles.h3m.zst"
    path.write_bytes(library.to_bytes())
    return path


@pytest.fixture(scope="module")
def attached(small_bundle_folder, demo_table, profiles, tmp_path_factory):
    """One bundle with profiles, the same with a reference too, and one with a reference alone."""
    folder = tmp_path_factory.mktemp("attached")
    attach(str(small_bundle_folder), demo_table, folder / "profiles", {"profile": profiles})
    attach(str(folder / "profiles"), demo_table, folder / "both", {"homology": None})
    attach(str(small_bundle_folder), demo_table, folder / "homology", {"homology": None})
    return folder


@pytest.fixture(scope="module")
def proteins(demo_table, alphabet):
    return read_table(CorpusConfig.default(path=str(demo_table)), alphabet)


def part(proteins, name):
    return proteins.select((proteins.frame["split"] == name).to_numpy())


CHANNELS = {"profiles": ["profile"], "homology": ["homology"], "both": ["profile", "homology"]}


@pytest.mark.parametrize(("name", "channels"), CHANNELS.items())
def test_channels_are_stacked_on_the_validation_split(attached, name, channels, proteins):
    bundle, valid, train = load_bundle(attached / name), part(proteins, "valid"), part(proteins, "train")
    assert list(bundle.stacked) == [*channels, "combined"]
    used = Scorer(bundle, "combined").channels
    assert list(used) == ["network", *channels]
    scores = {each: channel.score(valid.tokens) for each, channel in used.items()}
    terms = {}
    if profiles := bundle.channels.get("profile"):
        terms["profile"] = profiles.group_terms(profiles.score(train.tokens), train)
        assert len(bundle.stacked["combined"].offsets) == len(profiles.library.profiles)
    assert fit_stackings(used, scores, valid.labels == 1, terms) == bundle.stacked
    # The network is untrained; what was put beside it is not.
    by_all = Scorer(bundle, "combined").score(valid.tokens).probability_NC[:, 1]
    assert np.mean(by_all[valid.labels == 1]) - np.mean(by_all[valid.labels == 0]) > 0.1


def test_the_reference_is_the_training_split(attached, proteins):
    train = part(proteins, "train")
    reference = load_bundle(attached / "homology").channels["homology"]
    assert reference.ids == tuple(train.frame["id"])
    np.testing.assert_array_equal(reference.labels, train.labels)
    assert all((ours == theirs).all() for ours, theirs in zip(reference.tokens, train.tokens, strict=True))


def test_what_is_there_already_stays_unless_it_is_named(attached, demo_table, profiles, library, tmp_path):
    names = ("profiles.h3m.zst", "reference.json.zst")
    for name, source in zip(names, ("profiles", "homology"), strict=True):
        assert (attached / "both" / name).read_bytes() == (attached / source / name).read_bytes()
    fewer = tmp_path / "fewer.h3m.zst"
    fewer.write_bytes(type(library)(library.profiles[:2]).to_bytes())
    again = attach(str(attached / "both"), demo_table, tmp_path / "again", {"profile": fewer})
    assert len(again.channels["profile"].library.profiles) == 2
    assert (tmp_path / "again" / names[1]).read_bytes() == (attached / "both" / names[1]).read_bytes()


def test_the_card_says_which_channels_there_are(attached, demo_table, library, proteins, tmp_path):
    train = part(proteins, "train")
    card = (attached / "both" / CARD).read_text()
    assert card.count("## Channels") == 1
    assert f"{len(library.profiles)} profile hidden Markov models" in card
    said = " ".join(card.split())
    assert f"among {len(train.labels)} proteins of the training split, {train.labels.sum()} of them TF" in said
    assert "their sequences are part of this bundle" in said
    assert "`combined` searches proteins to which the network gives log-odds of -5 or more;" in said
    for name, stacking in load_bundle(attached / "both").stacked.items():
        assert f"| {name} | {stacking.threshold:.4f} |" in card
    # Once more does not add a second section.
    attach(str(attached / "both"), demo_table, tmp_path / "again", {"homology": None})
    assert (tmp_path / "again" / CARD).read_text() == card
    assert "sequences" not in (attached / "profiles" / CARD).read_text()


def test_an_evaluation_by_homology_is_of_what_prediction_says(attached, demo_table, proteins, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    test = part(proteins, "test")
    config = EvaluateConfig.default(
        corpus=CorpusConfig.default(path=str(demo_table)),
        bundle=str(attached / "homology"),
        channel="homology",
        evaluation=EvaluationConfig.default(n_bootstrap=20, baselines=False),
        tracking=TrackingConfig.default(enabled=False),
        report=str(tmp_path / "report"),
    )
    report = evaluate_bundle(config)
    assert report.content.bundle.channel == "homology"
    records = (Record(i, i, s) for i, s in zip(test.frame["id"], test.frame["sequence"], strict=True))
    rows = list(Predictor.load(attached / "homology", channel="homology").predict(records))
    np.testing.assert_allclose([row.probability for row in rows], report.predictions["probability"], atol=1e-6)


def of_one_class(split):
    return lambda frame: frame[(frame["split"] != split) | (frame["label"] == "TF")]


REFUSED = {
    "no splits": (lambda frame: frame.drop(columns="split"), "found no column 'split'; add it with"),
    "no clusters": (lambda frame: frame.drop(columns="cluster"), "found no column 'cluster'; add it with"),
    "a cluster in two splits": (
        lambda frame: frame.assign(cluster=frame["cluster"].where(frame.index > 0, frame["cluster"].iloc[-1])),
        "found proteins in the splits train and valid; expected one split; deal whole clusters out with `tfclass data",
    ),
    "no training split": (lambda frame: frame[frame["split"] != "train"], "found no row with 'train'; expected some"),
    "one class in training": (of_one_class("train"), "split 'train': found one class only ('TF'); expected at least"),
    "one class in validation": (of_one_class("valid"), "split 'valid': found one class only ('TF'); expected at least"),
}


@pytest.mark.parametrize(("change", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_a_table_is_refused_that_has(change, message, small_bundle_folder, demo_table, tmp_path):
    table = tmp_path / "table.tsv"
    change(pd.read_csv(demo_table, sep="\t", keep_default_na=False)).to_csv(table, sep="\t", index=False)
    with pytest.raises(TableError) as caught:
        attach(str(small_bundle_folder), table, tmp_path / "joined", {"homology": None})
    assert message in str(caught.value)
    assert not (tmp_path / "joined").exists()


def test_other_mistakes_are_one_line(small_bundle, small_bundle_folder, demo_table, tmp_path):
    source, output = str(small_bundle_folder), tmp_path / "joined"
    with pytest.raises(
        ConfigError, match="attach: no channel to put beside the network; name profiles, homology or both"
    ):
        attach(source, demo_table, output, {})
    with pytest.raises(ProfileError, match="cannot be read .*make it with `tfclass profiles build`"):
        attach(source, demo_table, output, {"profile": tmp_path / "nothing"})
    from tfclass.bundle.save import save_bundle

    save_bundle(replace(small_bundle, classes=("enzyme", "TF")), tmp_path / "other", "# other\n")
    with pytest.raises(TableError, match="column .label.: found .nonTF.; expected one of enzyme, TF"):
        attach(str(tmp_path / "other"), demo_table, output, {"homology": None})
    assert not output.exists()


def test_the_command_says_what_it_made_and_show_lists_it(tfclass, small_bundle_folder, demo_table, tmp_path):
    done = tfclass("model", "attach", small_bundle_folder, demo_table, "--homology", "-o", "mine", "--threads", 1)
    assert (done.status, done.out) == (0, "")
    stacked = load_bundle(tmp_path / "mine").stacked
    thresholds = [f"{name}: threshold {stacking.threshold:.4f}" for name, stacking in stacked.items()]
    assert done.err.splitlines() == [*thresholds, "mine: written"]
    shown = tfclass("model", "show", "mine").out
    assert "channel profile" not in shown
    assert "| channel homology | threshold " in shown
    assert stacked["combined"].prefilter == PREFILTER
    wide = ("model", "attach", "mine", demo_table, "--homology", "--threads", 1, "-o", "all", "--prefilter")
    assert tfclass(*wide, "-8").status == 0
    assert load_bundle(tmp_path / "all").stacked["combined"].prefilter == -8
    assert tfclass(*wide, "1").status == 2
    nothing = tfclass("model", "attach", small_bundle_folder, demo_table, "-o", "other")
    assert (nothing.status, nothing.out) == (2, "")
    assert nothing.err == ("tfclass: attach: no channel to put beside the network; name profiles, homology or both\n")
