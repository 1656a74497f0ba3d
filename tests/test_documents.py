"""The README, the documentation and the Makefile say what is so."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "data" / "README.md", *sorted(ROOT.glob("docs/*.md"))]
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
    assert capsys.readouterr().out.startswith("GCN4_YEAST TF ")


def make(*arguments):
    return subprocess.run(["make", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_make_help_names_every_target_that_can_be_asked_for():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.M)
    assert set(re.findall(r"^  make ([\w-]+)", make("help"), re.M)) == set(phony.split())


def test_the_stages_of_make_depend_on_files_and_names_follow_the_corpus():
    planned = make("-n", "eval", "CORPUS=somewhere/proteins.tsv.gz", "VENV=none", "--what-if=somewhere/proteins.tsv.gz")
    assert "corpus.name=proteins" in planned
    assert planned.index("tfclass train") < planned.index("tfclass evaluate")
    assert "bundle=models/proteins-bilstm" in planned
    assert "data demo" not in planned
