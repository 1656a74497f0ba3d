"""The README, the documentation and the Makefile say what is so."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from tfclass.bundle import description
from tfclass.data import manifest
from tfclass.evaluation import compare, content
from tfclass.inference import summary

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    ROOT / "data" / "README.md",
    *sorted(ROOT.glob("docs/**/*.md")),
]
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_within_the_project_leads_somewhere(path):
    missing = [
        target for target in LINK.findall(path.read_text(encoding="utf-8")) if not (path.parent / target).exists()
    ]
    assert missing == []


def test_the_example_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)
    (tmp_path / "proteome.fasta").write_bytes((ROOT / "data" / "examples" / "proteins.fasta").read_bytes())
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    assert re.search(r"^0 +GCN4_YEAST +TF +0\.99\d+ +bZIP$", capsys.readouterr().out, re.M)


def make(*arguments):
    return subprocess.run(["make", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_make_help_names_every_target_that_can_be_asked_for():
    files = [ROOT / "Makefile", ROOT / "recipes" / "tf-bilstm" / "tf-bilstm.mk"]
    phony = " ".join(re.findall(r"^\.PHONY: (.*)$", "\n".join(map(Path.read_text, files)), re.M))
    assert set(re.findall(r"^  make ([\w-]+)", make("help"), re.M)) == set(phony.split())


def test_the_stages_of_make_depend_on_files_and_names_follow_the_corpus(tmp_path):
    (tmp_path / "proteins.tsv.gz").touch()
    planned = make("-n", "eval", f"CORPUS={tmp_path}/proteins.tsv.gz", "VENV=none")
    assert "corpus.name=proteins" in planned
    assert planned.index("tfclass train") < planned.index("tfclass evaluate")
    assert "bundle=models/proteins-bilstm" in planned
    assert "data demo" not in planned


def planned(target, *arguments):
    """Split what make would run where nothing is made yet into commands, and those into words."""
    commands = make("-B", "-n", target, "VENV=none", *arguments).replace("\\\n", " ").splitlines()
    return [shlex.split(command) for command in commands if command.startswith("none/bin/tfclass")]


@pytest.mark.parametrize(
    "name",
    ["my table.tsv", "ü.tsv", "a=b.tsv", "a,b.tsv", "a#b.tsv", "a:b.tsv", "a;b.tsv", "a|b.tsv", "a&b.tsv", "a%b.tsv"]
    + ["a$b.tsv", "a${b}.tsv", "it's.tsv", 'a"b.tsv', "[a]{b}(c).tsv", "a*?b.tsv", "~a.tsv", "a\\b.tsv", "a!<b>^`.tsv"],
)
def test_a_table_of_any_name_reaches_every_step(name, tmp_path):
    (tmp_path / name).touch()
    train, evaluate = planned("eval", f"CORPUS={tmp_path / name}")
    for words in (train, evaluate):
        overrides = [OverridesParser.create().parse_override(word) for word in words[2:]]
        config = OmegaConf.create({each.key_or_group: each.value() for each in overrides})
        assert OmegaConf.to_container(config, resolve=True)["corpus.path"] == str(tmp_path / name)  # type: ignore[index, call-overload]
    # A model that is older than the table is trained again, and only then.
    assert [words[1] for words in (train, evaluate)] == ["train", "evaluate"]


def test_predict_takes_the_shipped_model_unless_another_is_asked_for():
    assert planned("predict") == [["none/bin/tfclass", "predict", "data/examples/proteins.fasta"]]
    assert planned("predict", "MODEL=tf-bilstm")[-1][-2:] == ["--model", "tf-bilstm"]
    assert planned("predict", "MODEL=my models/ü", "FASTA=a.fa 'b c.fa'", "PREDICT_ARGS=--only-tf") == [
        ["none/bin/tfclass", "predict", "a.fa", "b c.fa", "--model", "my models/ü", "--only-tf"]
    ]
    trained = planned("predict", "MODEL=gru", "TRAIN_ARGS=training.epochs=2", "PREDICT_ARGS=--only-tf")
    assert [words[1] for words in trained] == ["data", "train", "predict"]
    assert trained[1][-1] == "training.epochs=2"
    assert trained[2][-3:] == ["--model", "models/demo-gru", "--only-tf"]


def test_explain_takes_what_predict_takes():
    words = ["none/bin/tfclass", "explain", "data/examples/proteins.fasta", "-o", "reports/explain"]
    assert planned("explain") == [[*words, "--mutagenesis", "--figures"]]
    assert planned("explain", "MODEL=my models/ü", "FASTA=a.fa", "EXPLAIN_ARGS=")[-1][2:5] == [
        *("a.fa", "--model", "my models/ü")
    ]


def test_a_fasta_file_of_any_name_is_read(tmp_path):
    for name in ("my proteins.fa", "it's.fa", "a$b;c.fa", "ü.fa"):
        (tmp_path / name).touch()
        for target in ("predict", "explain"):
            assert planned(target, f"FASTA={tmp_path / name}")[0][2] == str(tmp_path / name)


def test_the_demo_shows_generated_proteins_first_and_real_ones_by_the_shipped_model():
    *_, generated, real = planned("demo", "CORPUS=other.tsv")
    assert generated[1:] == ["predict", "data/demo/demo.fasta", "--model", "models/demo-bilstm"]
    assert real[1:] == ["predict", "data/examples/proteins.fasta"]


def test_each_step_has_arguments_of_its_own():
    train, evaluate = planned("eval", "TRAIN_ARGS=training.epochs=2", "EVAL_ARGS=evaluation.split=valid")[-2:]
    assert ("training.epochs=2" in train, "training.epochs=2" in evaluate) == (True, False)
    assert ("evaluation.split=valid" in train, "evaluation.split=valid" in evaluate) == (False, True)
    assert planned("sweep", "SWEEP_ARGS=study.n_trials=2")[-1][1:] == [
        *("sweep", "experiment=demo", "study=demo", "model=bilstm", "study.n_trials=2")
    ]


def test_the_zoo_trains_every_network_for_the_same_time_and_compares_them():
    train, evaluate, compare = planned("zoo", "EVAL_ARGS=evaluation.n_bootstrap=10")[-3:]
    networks = sorted(path.stem for path in (ROOT / "conf" / "model").glob("*.yaml"))
    assert train[1:5] == ["train", "-m", "corpus=demo", "model=" + ",".join(networks)]
    assert train[-2:] == ["hydra.sweep.subdir=${network}", "training.minutes=10"]
    bundles = ",".join(f"runs/demo-zoo/{network}/bundle" for network in networks)
    assert evaluate[1:5] == ["evaluate", "-m", "corpus=demo", f"bundle={bundles}"]
    assert evaluate[-1] == "evaluation.n_bootstrap=10"
    assert compare[1:-1] == ["evaluate", "compare", *(f"runs/demo-zoo/{network}/report" for network in networks)]
    equal_time = planned("zoo", "ZOO_ARGS=experiment=equal_time")[-3]
    assert (equal_time[-1], "training.minutes=10" in equal_time) == ("experiment=equal_time", False)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["train", "CORPUS=nope.tsv"],
            "CORPUS=nope.tsv: no such file; name a labelled table, demo or swissprot.  Stop.",
        ),
        (["eval", "ARGS=training.epochs=2"], "ARGS would go to every step: use TRAIN_ARGS, EVAL_ARGS, PREDICT_ARGS,"),
    ],
    ids=["no such table", "arguments for all"],
)
def test_make_refuses_in_one_line(arguments, words):
    refused = subprocess.run(["make", *arguments, "VENV=none"], cwd=ROOT, capture_output=True, text=True)
    assert refused.returncode == 2
    assert words in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_errors_that_are_quoted_are_those_of_the_program():
    page = (ROOT / "docs" / "reference" / "errors.md").read_text(encoding="utf-8")
    quoted = [
        part for row in re.findall(r"^\| (?!you see|---)(.*?) \|", page, re.M) for part in re.findall("`(.+?)`", row)
    ]
    assert len(quoted) > 25
    source = "\n".join(path.read_text(encoding="utf-8") for path in ROOT.glob("tfclass/**/*.py"))
    assert [part for part in quoted if part not in source and part != "skipped"] == []


def test_schema_numbers_in_the_promise_are_those_of_the_program():
    page = (ROOT / "docs" / "reference" / "compatibility.md").read_text(encoding="utf-8")
    numbers = dict(re.findall(r"^\| ([^|]*?)(?: \([^|]*\))? \| (\d+) \|", page, re.M))
    promised = {"bundle": description.SCHEMA_VERSION, "manifest of a table": manifest.SCHEMA}
    promised |= {"`report.json`": content.SCHEMA_VERSION, "`compare.json`": compare.SCHEMA_VERSION}
    assert numbers == {name: str(number) for name, number in {**promised, "summary": summary._SCHEMA}.items()}


def test_hooks_before_a_commit_are_the_checks_of_make_lint():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    entries = {hook["entry"].replace(".venv/", "").replace(" --fix", "") for hook in hooks}
    checks = re.findall(
        r"^none/(bin/(?!python -m pip).+?)(?: --check)?(?: \.| \$\(find .*)?$", make("-n", "lint", "VENV=none"), re.M
    )
    wanted = {check.replace("none/", "") for check in checks}
    assert entries == wanted
