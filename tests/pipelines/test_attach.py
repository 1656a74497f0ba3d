"""Channels put beside a network: what they are fitted on, what stays, what is refused."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tfclass.bundle.answers import answer, found_of
from tfclass.bundle.bundle import load_bundle
from tfclass.channels.stacking import Found
from tfclass.config import CorpusConfig, EvaluateConfig, EvaluationConfig, TrackingConfig
from tfclass.data.table import read_table
from tfclass.errors import ConfigError, ProfileError, TableError
from tfclass.evaluation.stacking_fit import fit_combiners, profile_terms
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
    attach(str(small_bundle_folder), demo_table, folder / "profiles", profiles=profiles)
    attach(str(folder / "profiles"), demo_table, folder / "both", homology=True)
    attach(str(small_bundle_folder), demo_table, folder / "homology", homology=True)
    return folder


@pytest.fixture(scope="module")
def proteins(demo_table, alphabet):
    return read_table(CorpusConfig(path=str(demo_table)), alphabet)


def part(proteins, name):
    return proteins.select((proteins.frame["split"] == name).to_numpy())


CHANNELS = {"profiles": ["profile"], "homology": ["homology"], "both": ["profile", "homology"]}


@pytest.mark.parametrize(("name", "channels"), CHANNELS.items())
def test_readings_are_fitted_on_the_validation_split(attached, name, channels, proteins, alphabet):
    bundle, valid = load_bundle(attached / name), part(proteins, "valid")
    assert list(bundle.combiners) == [*channels, "combined"]
    found = found_of(
        answer(bundle, valid.tokens, "network").network_NC,
        bundle.profiles.search(valid.tokens, alphabet) if bundle.profiles else None,
        bundle.reference.search(valid.tokens, alphabet) if bundle.reference else None,
    )
    assert [channel for channel in Found._fields if getattr(found, channel) is not None] == ["network", *channels]
    terms_KJ = None
    if library := bundle.profiles:
        train = part(proteins, "train")
        clusters = train.frame["cluster"].to_numpy()
        terms_KJ = profile_terms(library, library.search(train.tokens, alphabet), train.labels == 1, clusters)
        assert len(bundle.combiners["combined"].offsets) == len(library.profiles)
    assert fit_combiners(found, valid.labels == 1, terms_KJ) == bundle.combiners
    # The network is untrained; what was put beside it is not.
    by_all = answer(bundle, valid.tokens, "combined").probability_NC[:, 1]
    assert np.mean(by_all[valid.labels == 1]) - np.mean(by_all[valid.labels == 0]) > 0.1


def test_the_reference_is_the_training_split(attached, proteins):
    train = part(proteins, "train")
    reference = load_bundle(attached / "homology").reference
    assert reference.ids == tuple(train.frame["id"])
    np.testing.assert_array_equal(reference.labels, train.labels)
    assert all((ours == theirs).all() for ours, theirs in zip(reference.tokens, train.tokens, strict=True))


def test_what_is_there_already_stays_unless_it_is_named(attached, demo_table, profiles, library, tmp_path):
    names = ("profiles.h3m.zst", "reference.json.zst")
    for name, source in zip(names, ("profiles", "homology"), strict=True):
        assert (attached / "both" / name).read_bytes() == (attached / source / name).read_bytes()
    fewer = tmp_path / "fewer.h3m.zst"
    fewer.write_bytes(type(library)(library.profiles[:2]).to_bytes())
    again = attach(str(attached / "both"), demo_table, tmp_path / "again", profiles=fewer)
    assert len(again.profiles.profiles) == 2
    assert (tmp_path / "again" / names[1]).read_bytes() == (attached / "both" / names[1]).read_bytes()


def test_the_card_says_which_channels_there_are(attached, demo_table, library, proteins, tmp_path):
    train = part(proteins, "train")
    card = (attached / "both" / CARD).read_text()
    assert card.count("## Evidence") == 1
    assert f"{len(library.profiles)} profile hidden Markov models" in card
    said = " ".join(card.split())
    assert f"among {len(train.labels)} proteins of the training split, {train.labels.sum()} of them TF" in said
    assert "Their sequences are part of this bundle" in said
    for reading, combiner in load_bundle(attached / "both").combiners.items():
        assert f"| {reading} | {combiner.threshold:.4f} |" in card
    # Once more does not add a second section.
    attach(str(attached / "both"), demo_table, tmp_path / "again", homology=True)
    assert (tmp_path / "again" / CARD).read_text() == card
    assert "sequences" not in (attached / "profiles" / CARD).read_text()


def test_an_evaluation_by_homology_is_of_what_prediction_says(attached, demo_table, proteins, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    test = part(proteins, "test")
    config = EvaluateConfig(
        corpus=CorpusConfig(path=str(demo_table)),
        bundle=str(attached / "homology"),
        evidence="homology",
        evaluation=EvaluationConfig(n_bootstrap=20, baselines=False),
        tracking=TrackingConfig(enabled=False),
        report=str(tmp_path / "report"),
    )
    report = evaluate_bundle(config)
    assert report.content["bundle"]["evidence"] == "homology"
    records = (Record(i, i, s) for i, s in zip(test.frame["id"], test.frame["sequence"], strict=True))
    rows = list(Predictor.load(attached / "homology", evidence="homology").predict(records))
    np.testing.assert_allclose([row.probability for row in rows], report.predictions["probability"], atol=1e-6)


def of_one_class(split):
    return lambda frame: frame[(frame["split"] != split) | (frame["label"] == "TF")]


REFUSED = {
    "no splits": (lambda frame: frame.drop(columns="split"), "no column 'split'; expected one"),
    "no clusters": (lambda frame: frame.drop(columns="cluster"), "no column 'cluster'; expected one; add it with"),
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
        attach(str(small_bundle_folder), table, tmp_path / "joined", homology=True)
    assert message in str(caught.value)
    assert not (tmp_path / "joined").exists()


def test_other_mistakes_are_one_line(small_bundle, small_bundle_folder, demo_table, tmp_path):
    source, output = str(small_bundle_folder), tmp_path / "joined"
    with pytest.raises(ConfigError, match="attach: found nothing to put beside the network; expected profiles"):
        attach(source, demo_table, output)
    with pytest.raises(ProfileError, match="cannot be read .*make it with `tfclass profiles build`"):
        attach(source, demo_table, output, profiles=tmp_path / "nothing")
    from tfclass.bundle.bundle import save_bundle

    save_bundle(replace(small_bundle, classes=("enzyme", "TF")), tmp_path / "other", "# other\n")
    with pytest.raises(TableError, match="column .label.: found .nonTF.; expected one of enzyme, TF"):
        attach(str(tmp_path / "other"), demo_table, output, homology=True)
    assert not output.exists()


def test_the_command_says_what_it_made_and_show_lists_it(tfclass, small_bundle_folder, demo_table, tmp_path):
    done = tfclass("model", "attach", small_bundle_folder, demo_table, "--homology", "-o", "mine", "--threads", 1)
    assert (done.status, done.out) == (0, "")
    combiners = load_bundle(tmp_path / "mine").combiners
    called = [f"{name}: called from {combiner.threshold:.4f}" for name, combiner in combiners.items()]
    assert done.err.splitlines() == [*called, "mine: written"]
    shown = tfclass("model", "show", "mine").out
    assert "| profiles | no |\n| reference for homology | " in shown
    assert "| evidence: homology | calls from " in shown
    nothing = tfclass("model", "attach", small_bundle_folder, demo_table, "-o", "other")
    assert (nothing.status, nothing.out) == (2, "")
    assert nothing.err == (
        "tfclass: attach: found nothing to put beside the network; expected profiles, homology or both\n"
    )
