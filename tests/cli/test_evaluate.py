"""``tfclass evaluate`` and ``tfclass evaluate compare``, as typed."""

import json
import shlex
import shutil
from dataclasses import replace
from functools import partial

import pandas as pd
import pytest

from tests.cli.test_terminal import encode
from tests.test_config import composed
from tfclass.bundle.save import save_bundle
from tfclass.config import CorpusConfig, EvaluateConfig, EvaluationConfig, RuntimeConfig, SplitConfig, TrackingConfig
from tfclass.pipelines.descriptions import command_of

QUICK = ("evaluation.n_bootstrap=20", "tracking=off", "runtime.device=cpu", "runtime.threads=1")


@pytest.fixture(scope="module")
def table(demo_table):
    return f"corpus.path={demo_table}"


def test_a_report_is_written_and_its_words_are_printed(tfclass, small_bundle_folder, table, tmp_path):
    done = tfclass("evaluate", "corpus=table", table, f"bundle={small_bundle_folder}", "report=rep", *QUICK)
    assert (done.status, done.err) == (0, "report: rep/report.html\n")
    written = {path.name for path in (tmp_path / "rep").iterdir()}
    assert written == {"report.html", "report.json", "predictions.tsv", "figures", "tracking.json"}
    figures = {path.stem for path in (tmp_path / "rep" / "figures").iterdir()}
    assert {"calibration", "confusion", "precision_recall", "roc", "scores", "by_length"} <= figures
    content = json.loads((tmp_path / "rep" / "report.json").read_text())
    assert content["schema_version"] == 3
    # An untrained network loses to whatever has learned something.
    assert any(conclusion["outcome"] == "loses" for conclusion in content["conclusions"])
    page = (tmp_path / "rep" / "report.html").read_text()
    for conclusion in content["conclusions"]:
        assert conclusion["text"] in done.out
        assert conclusion["text"] in page
    assert f"{content['metrics']['mcc']['value']:.3f}".replace("-", "−") in done.out
    assert f"{100 * content['prevalence']:.1f}\u00a0%" in done.out
    assert "nan" not in done.out.lower()
    assert "Note: the demo corpus is generated: this score says nothing about real proteins." in done.out
    # What the report calls its command does the same again.
    words = shlex.split(content["command"])
    assert words[:2] == ["tfclass", "evaluate"]
    (tmp_path / "rep").rename(tmp_path / "first")
    assert tfclass(*words[1:]).status == 0
    again = json.loads((tmp_path / "rep" / "report.json").read_text())
    assert again["metrics"] == content["metrics"]
    assert again["configuration"] == content["configuration"]
    compared = tfclass("evaluate", "compare", "first", "rep", "tracking=off", "report=cmp", "evaluation.n_bootstrap=20")
    assert compared.status == 0
    assert "kappa" in compared.out
    (pair,) = json.loads((tmp_path / "cmp" / "compare.json").read_text())["pairs"]
    assert pair["difference"]["mcc"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert sorted(path.name for path in (tmp_path / "cmp").iterdir()) == [
        "compare.json",
        "compare.tsv",
        "differences.png",
        "tracking.json",
    ]


def test_a_score_where_only_one_of_model_and_corpus_is_generated_says_that_it_means_nothing(
    tfclass, small_bundle, demo_table, tmp_path
):
    real = pd.read_csv(demo_table, sep="\t")
    real.assign(id="P" + real["id"]).to_csv(tmp_path / "real.tsv", sep="\t", index=False)
    notes = {
        (True, "real.tsv"): (
            "Note: the model was trained on generated proteins: this score says nothing about models of real proteins."
        ),
        (True, demo_table): None,
    }
    for (trained_on_generated, table), note in notes.items():
        facts = {"corpus": {"generated": trained_on_generated}}
        save_bundle(replace(small_bundle, provenance=facts), tmp_path / "model", card="# small\n")
        words = ("corpus=table", f"corpus.path={table}", "bundle=model", "report=rep", "evaluation.baselines=false")
        done = tfclass("evaluate", *words, *QUICK)
        assert done.status == 0, done.err
        assert json.loads((tmp_path / "rep" / "report.json").read_text())["corpus"]["note"] == note
        page = (tmp_path / "rep" / "report.html").read_text()
        for text in (done.out, page):
            assert ("Note: the" in text, (note or "") in text) == (note is not None, True)


@pytest.mark.slow
def test_reports_are_printed_in_any_encoding(start_tfclass, small_bundle_folder, table, tmp_path):
    def run(encoding, *words):
        options = ("tracking=off", "evaluation.n_bootstrap=20")
        process = start_tfclass("evaluate", *words, *options, first=partial(encode, encoding))
        out, err = process.communicate()
        assert (process.returncode, err.count(b"\n")) == (0, 1), err
        return out

    printed = run("cp1252", "corpus=table", table, f"bundle={small_bundle_folder}", "report=r").decode("cp1252")
    content = json.loads((tmp_path / "r" / "report.json").read_text())
    assert f"{content['metrics']['mcc']['value']:.3f}" in printed
    shutil.copytree(tmp_path / "r", tmp_path / "again")
    for encoding in ("ascii", "cp936"):
        assert b"kappa" in run(encoding, "compare", "r", "again", f"report={encoding}")


CONFIGS = {
    "defaults": {},
    "words that are no words": {
        "bundle": "true",
        "report": "null",
        "corpus": CorpusConfig.default(path="nan", name="1e5"),
    },
    "odd paths": {"report": "a b/it's=\\{x}", "bundle": "$b,[c]"},
    "a fold": {"split": SplitConfig.default(policy="folds", fold=3, folds=7, max_members=8)},
    "other options": {
        "corpus": CorpusConfig.default(path="x y.tsv", name="my name", classes=None, aliases={"odd": "nonTF"}),
        "split": SplitConfig.default(policy="cluster", valid=0.2),
        "evaluation": EvaluationConfig.default(split="valid", n_bootstrap=7, baselines=False, length_edges=(10, 20)),
        "runtime": RuntimeConfig.default(device="cpu", threads=1, deterministic=True),
        "tracking": TrackingConfig.default(enabled=False),
        "channel": "profile",
    },
}


@pytest.mark.parametrize("changes", CONFIGS.values(), ids=CONFIGS.keys())
def test_the_command_in_a_report_gives_the_same_configuration(changes):
    config = EvaluateConfig.default(
        **({"corpus": CorpusConfig.default(path="t.tsv"), "bundle": "b", "report": "somewhere"} | changes)
    )
    overrides = shlex.split(command_of(config))[2:]
    # What `composed` sets itself is compared by its words.
    found = composed("evaluate", EvaluateConfig, *overrides)
    assert found.corpus == config.corpus
    assert found.split == config.split
    assert found.evaluation == config.evaluation
    assert found.runtime == config.runtime
    assert found.bundle == config.bundle
    assert found.channel == config.channel
    assert found.tracking.enabled == config.tracking.enabled


def test_a_report_is_of_the_channel_that_it_names(tfclass, with_profiles_folder, with_profiles, table, tmp_path):
    words = ("evaluate", "corpus=table", table, f"bundle={with_profiles_folder}", "evaluation.baselines=false", *QUICK)
    thresholds = {"network": 0.5} | {name: c.threshold for name, c in with_profiles.stacked.items()}
    for channel, asked in (("network", ["channel=network"]), ("profile", ["channel=profile"]), ("combined", [])):
        done = tfclass(*words, *asked, f"report={channel}")
        assert done.status == 0, done.err
        content = json.loads((tmp_path / channel / "report.json").read_text())
        assert (content["bundle"]["channel"], content["bundle"]["threshold"]) == (channel, thresholds[channel])
        assert ("channel=" in content["command"]) == bool(asked)
        assert content["thresholds"][0]["threshold"] == thresholds[channel]
        # The rules are those of the channel's own operating points; this network has none.
        assert ("left_out" in content["thresholds"][2]) == (channel == "network")
        page = (tmp_path / channel / "report.html").read_text()
        assert f'>channel</th><td class="text">{channel}</td>' in page.replace(' scope="row" class="text"', "")
    mcc = {name: json.loads((tmp_path / name / "report.json").read_text())["metrics"]["mcc"] for name in thresholds}
    assert mcc["profile"]["value"] > 0.5 > mcc["network"]["value"]
    compared = tfclass("evaluate", "compare", "network", "combined", "tracking=off", "report=cmp")
    assert compared.status == 0


def test_a_channel_that_the_bundle_does_not_have_is_one_line(tfclass, small_bundle_folder, table):
    words = ("evaluate", "corpus=table", table, f"bundle={small_bundle_folder}", "report=r", *QUICK)
    failed = tfclass(*words, "channel=profile")
    assert (failed.status, failed.out) == (2, "")
    assert failed.err == "tfclass: channel: found 'profile'; expected network, which is all that small has\n"
    unknown = tfclass(*words, "channel=rumour")
    assert (unknown.status, unknown.out) == (2, "")
    assert unknown.err == "tfclass: channel: found 'rumour'; expected network, which is all that small has\n"


FAULTS = {
    "one run": (("a",), "tfclass: a: no such folder; expected a report folder or the id of an MLflow run"),
    "no run": ((), "tfclass: compare: found 0 runs; expected at least two"),
    "an unknown key": (
        ("tracking=off", "evaluation.n=3"),
        "tfclass: evaluation.n: unknown option; ",
    ),
    "an id of no store": (("0" * 32, "1" * 32), f"tfclass: runs:/{'0' * 32}/report: no MLflow store at sqlite:///"),
    "a file": (("t.tsv", "a"), "tfclass: t.tsv: not a folder; expected a report folder or the id of an MLflow run"),
}


@pytest.mark.parametrize(("arguments", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_what_cannot_be_compared_is_one_line(arguments, message, tfclass, tmp_path):
    (tmp_path / "t.tsv").write_text("id\n")
    failed = tfclass("evaluate", "compare", *arguments)
    assert (failed.status, failed.out) == (2, "")
    assert failed.err.startswith(message)
    assert failed.err.count("\n") == 1


def test_compare_shows_its_configuration_and_help_and_evaluate_keeps_its_own(tfclass):
    assert "n_bootstrap: 1000" in tfclass("evaluate", "compare", "--cfg", "job").out
    assert "tfclass evaluate compare A B..." in tfclass("evaluate", "compare", "--help").out
    assert "bundle: b" in tfclass("evaluate", "bundle=b", "--cfg", "job").out


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda f: f[f["split"] != "train"],
            "Not compared with the label of the nearest training homologue: the table has no",
        ),
        (lambda f: f[(f["split"] != "test") | (f["label"] != "TF")], "cannot be compared with"),
    ],
    ids=["no train split", "no positive to be found"],
)
def test_a_table_that_lacks_something_gives_a_report_that_says_so(
    change, words, tfclass, small_bundle_folder, demo_table, tmp_path
):
    change(pd.read_csv(demo_table, sep="\t")).to_csv(tmp_path / "t.tsv", sep="\t", index=False)
    done = tfclass("evaluate", "corpus=table", "corpus.path=t.tsv", f"bundle={small_bundle_folder}", "report=r", *QUICK)
    assert done.status == 0
    assert words in done.out
    assert words in (tmp_path / "r" / "report.html").read_text()


def test_a_split_that_is_not_there_is_one_line(tfclass, small_bundle_folder, table):
    failed = tfclass(
        "evaluate", "corpus=table", table, f"bundle={small_bundle_folder}", "evaluation.split=tset", "report=r", *QUICK
    )
    assert failed.status == 2
    assert "found no row with 'tset'; expected some (there are: test, train, valid)" in failed.err
    assert failed.err.count("\n") == 1
