"""No verb removes or changes a file that tfclass did not write, in any folder that it writes to."""

import hashlib
import os
from pathlib import Path

import pytest

from tests.cli.test_train import QUICK

NAMES = [
    *(
        "notes.md",
        "README.txt",
        "thesis/draft.tex",
        "figures/mine.png",
        "bundle/mine.txt",
        ".hidden",
        "part-mine.parquet",
    ),
    *(".lock", "lock", ".rows.tsv.1a2b3c4d", ".bundle.0123abcd", "checkpoint.bak", "report.json.bak", "mlflow.notes"),
    *("000001.tsv.gz.bak", ".entries.tsv.gz.swp", "request.json.old", "predictions.tsv.old", "resolved.yaml~"),
]


def put(folders):
    """Fill folders with files of a user; gives each path with what is there now."""
    for folder in folders:
        for name in NAMES:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                path.write_text(f"mine: {path}")
    return state(path for folder in folders for path in (folder / name for name in NAMES))


def state(paths):
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def folders_of(root):
    return [root, *(Path(place) for place, _, _ in os.walk(root))]


@pytest.fixture
def check(tfclass, tmp_path):
    """Run a verb, fill every folder below the working one, run it again, and look."""

    def run(*arguments, again=None):
        first = tfclass(*arguments)
        assert first.status == 0, first.err
        before = put({folder for folder in folders_of(tmp_path) if "mlflow-journal" not in str(folder)})
        for _ in range(2):
            second = tfclass(*(again or arguments))
            assert second.status == 0, second.err
            assert state(map(Path, before)) == before

    return run


@pytest.fixture
def fasta(tmp_path):
    (tmp_path / "in.fasta").write_text("".join(f">r{n}\n{'MKVLAGHWMK' * 9}\n" for n in range(30)))
    return "in.fasta"


@pytest.mark.parametrize(
    "options", [["--parts", "parts"], ["--resume"], ["--parts", ".", "--engine", "process", "--workers", "1"], []]
)
def test_predict(check, fasta, small_bundle_folder, options):
    check("predict", fasta, "--model", small_bundle_folder, "-o", "rows.tsv", *options)


def test_export(check, small_bundle_folder):
    check("model", "export", small_bundle_folder, "copy")


def test_attach(check, witnesses_folder, demo_table):
    check("model", "attach", witnesses_folder, demo_table, "-o", "extended", "--homology")


def test_training(check, demo_table):
    words = ("train", f"corpus.path={demo_table}", *QUICK, "training.epochs=1", "run_dir=run")
    check(*words, again=("train", "resume=run"))


def test_evaluation_and_comparison(check, small_bundle_folder, demo_table):
    quick = ("tracking=off", "evaluation.n_bootstrap=20")
    for name in ("one", "two"):
        check(
            "evaluate",
            "corpus=table",
            f"corpus.path={demo_table}",
            f"bundle={small_bundle_folder}",
            f"report={name}",
            *quick,
        )
    check("evaluate", "compare", "one", "two", "report=both", *quick)


def test_tables(check, demo_table):
    check("data", "demo", "--clusters", 60, "-o", "made/demo.tsv")
    check("data", "import", demo_table, "-o", "taken/table.tsv")
    check("data", "split", "taken/table.tsv", "-o", "dealt/table.tsv", "--policy", "random")
