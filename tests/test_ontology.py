"""The script that compares the terms of the label rules with an ontology: every difference is a line."""

import gzip
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tfclass.data.curation import LabelRule
from tfclass.errors import TableError

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "ontology.py"


def load_script():
    specification = importlib.util.spec_from_file_location("ontology", SCRIPT)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


ontology_script = load_script()

OBO = """format-version: 1.2
ontology: go

[Term]
id: GO:0003700
name: DNA-binding transcription factor activity
alt_id: GO:0001071
is_a: GO:0140110 ! transcription regulator activity

[Term]
id: GO:0000981
name: DNA-binding transcription factor activity, RNA polymerase II-specific
is_a: GO:0003700 ! DNA-binding transcription factor activity

[Term]
id: GO:0004879
name: nuclear receptor activity
is_a: GO:0000981 {source="x"} ! below two terms
is_a: GO:0098531 ! ligand-modulated transcription factor activity
is_a: GO:0038023 ! signaling receptor activity

[Term]
id: GO:0098531
name: ligand-modulated transcription factor activity
is_a: GO:0003700 ! DNA-binding transcription factor activity

[Term]
id: GO:0016987
name: sigma factor activity
is_a: GO:0003700 ! DNA-binding transcription factor activity

[Term]
id: GO:0000988
name: obsolete protein binding transcription factor activity
is_obsolete: true

[Term]
id: GO:0003707
name: nuclear steroid receptor activity
is_a: GO:0038023 ! signaling receptor activity

[Typedef]
id: part_of
name: part of
is_transitive: true
"""
SIGMA = LabelRule(
    name="sigma", label="nonTF_hard", terms={"KW-0731": "Sigma factor", "GO:0016987": "sigma factor activity"}
)
TERMS = {
    "GO:0003700": "DNA-binding transcription factor activity",
    "GO:0000981": "DNA-binding transcription factor activity, RNA polymerase II-specific",
    "GO:0004879": "nuclear receptor activity",
    "GO:0098531": "ligand-modulated transcription factor activity",
}


@pytest.fixture(params=["go.obo", "go.obo.gz"])
def ontology(request, tmp_path):
    path = tmp_path / request.param
    path.write_bytes(gzip.compress(OBO.encode()) if path.suffix == ".gz" else OBO.encode())
    return ontology_script.read_obo(path)


def differences(ontology, terms, before=(SIGMA,)):
    rule = LabelRule(name="factor", label="TF", terms=terms, below="GO:0003700")
    return list(ontology_script.compare_terms((*before, rule), ontology))


def test_complete_terms_have_no_difference(ontology):
    assert ontology.below("GO:0003700") == {*TERMS, "GO:0016987"}
    assert differences(ontology, TERMS) == []
    assert differences(ontology, TERMS, before=()) == [
        "factor: lacks GO:0016987 (sigma factor activity), which is below GO:0003700"
    ]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            {"GO:0003707": "nuclear steroid receptor activity"},
            "GO:0003707 (nuclear steroid receptor activity) is not below",
        ),
        ({"GO:0000988": "old"}, "GO:0000988 (old) is obsolete there"),
        ({"GO:0001071": "merged"}, "GO:0001071 (merged) is GO:0003700 there"),
        ({"GO:9999999": "made up"}, "GO:9999999 (made up) is not there"),
        ({"GO:0098531": "ligand-activated"}, "GO:0098531 (ligand-activated) is called 'ligand-modulated transcription"),
    ],
    ids=["not below", "obsolete", "merged", "unknown", "another name"],
)
def test_a_term_is_reported_as(change, expected, ontology):
    (found,) = differences(ontology, TERMS | change)
    assert found.startswith(f"factor: {expected}")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "no such file"),
        (b"id\tname\n", "found no term; expected an OBO file, such as go-basic.obo"),
        (b"[Term]\nname: nameless\n\n", "found a file that cannot be read ('id'); expected an OBO file"),
        (b"[Term]\nid: \xff\n", "found a file that cannot be read ('utf-8' codec"),
        (gzip.compress(OBO.encode())[:-9], "found a file that cannot be read (Compressed file ended"),
    ],
    ids=["missing", "a table", "without ids", "no text", "cut short"],
)
def test_a_file_that_is_not_an_ontology_is_one_line(content, expected, tmp_path):
    if content is not None:
        (tmp_path / "go.obo").write_bytes(content)
    with pytest.raises(TableError) as raised:
        ontology_script.read_obo(tmp_path / "go.obo")
    assert expected in str(raised.value)


def test_the_script_prints_the_differences_of_the_rules_that_ship(tmp_path):
    (tmp_path / "go.obo").write_text(OBO)
    done = subprocess.run([sys.executable, SCRIPT, "go.obo"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines()[0].endswith("is not there")
    assert "below GO:0003700" not in done.stdout
    assert "GO:0141097 (ligand-modulated transcription activator activity) is not there\n" in done.stdout
