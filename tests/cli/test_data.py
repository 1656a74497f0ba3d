"""``tfclass data import``, ``cluster``, ``split``, ``audit``: own files to a table that training takes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.data.uniprot_server import UniProtServer
from tfclass.cli.app import main
from tfclass.cli.data_console import count_of
from tfclass.data.demo import generate_demo
from tfclass.sequences.alphabet import AMINO_ACIDS

ROOT = Path(__file__).parents[2]
N_FAMILIES = 30


@pytest.fixture(scope="module")
def families():
    """Families of three proteins, a tenth of their residues mutated; every third family is positive."""
    rng = np.random.default_rng(0)
    letters = np.array(list(AMINO_ACIDS))
    rows = []
    for family in range(N_FAMILIES):
        ancestor = rng.choice(letters, size=120)
        for member in range(3):
            own = np.where(rng.random(120) < 0.1, rng.choice(letters, size=120), ancestor)
            rows.append((f"f{family}_{member}", "TF" if family % 3 == 0 else "nonTF", "".join(own)))
    return pd.DataFrame(rows, columns=["id", "label", "sequence"])


def write_fasta(frame, path):
    path.write_text("".join(f">{row.id}\n{row.sequence}\n" for row in frame.itertuples()))


def test_own_files_become_a_corpus_in_four_steps(tfclass, tmp_path, families):
    write_fasta(families[families["label"] == "TF"], tmp_path / "p.fa")
    write_fasta(families[families["label"] == "nonTF"], tmp_path / "n.fa")
    with (tmp_path / "n.fa").open("a") as stream:
        stream.write(">odd\nMK1\n>empty\n")
    imported = tfclass("data", "import", "--positives", "p.fa", "--negatives", "n.fa", "-o", "a/t.tsv")
    assert (imported.status, imported.out) == (0, "")
    lines = [line.split() for line in imported.err.splitlines()]
    assert lines[0] == ["rows", "in", "92"]
    assert "illegal letter                  -1          90  a character that is no residue letter (odd)" in imported.err
    assert "empty sequence                  -1          91  no residue (empty)" in imported.err
    assert "a/t.lost.tsv: the 2 rows that were left out\n90 proteins (TF 30, nonTF 60)\n" in imported.err
    # As long as a greater sensitivity takes, `make data` below takes.
    clustered = tfclass("data", "cluster", "a/t.tsv", "-o", "a/c.tsv", "--threads", 1, "--sensitivity", 1)
    assert clustered.status == 0, clustered.err
    assert clustered.err.startswith(f"{N_FAMILIES} clusters (MMseqs2 ")
    frame = pd.read_csv(tmp_path / "a" / "c.tsv", sep="\t")
    assert (frame.groupby("cluster")["id"].agg(lambda ids: {i.split("_")[0] for i in ids}).str.len() == 1).all()
    more = tfclass("data", "cluster", "a/t.tsv", "-o", "b/c.tsv", "--threads", 3, "--sensitivity", 1)
    assert more.err == clustered.err.replace("a/c.tsv", "b/c.tsv")
    split = tfclass("data", "split", "a/c.tsv", "-o", "a/s.tsv", "--valid", 0.2, "--test", 0.2, "--max-members", 2)
    assert split.status == 0, split.err
    assert split.err.startswith("left out: 30 further members of clusters\ntrain: ")
    audited = tfclass("data", "audit", "a/s.tsv", "--threads", 1)
    assert audited.status == 0, audited.err
    assert "pairs above the limit: 0\n" in audited.out
    checked = tfclass("data", "check", "a/s.tsv")
    assert checked.status == 0
    funnel, splits = checked.out.split("\n\n")
    assert funnel.splitlines()[1].split() == ["rows", "in", "92"]
    assert "illegal letter                   1        90  a character that is no residue letter" in funnel
    assert "further cluster members         30        60  of a cluster and class, more than 2" in funnel
    assert funnel.splitlines()[-1].split() == ["rows", "out", "60"]
    assert splits.count("TF") == 6
    manifest = json.loads((tmp_path / "a" / "s.tsv.manifest.json").read_text())
    assert {"sources", "funnel", "clusters", "split", "audit"} <= manifest.keys()
    (tmp_path / "a" / "s.tsv").write_bytes((tmp_path / "a" / "c.tsv").read_bytes())
    refused = tfclass("data", "check", "a/s.tsv")
    assert refused.status == 2
    assert refused.err.startswith("tfclass: a/s.tsv: checksum mismatch with its manifest; make it again")


def test_a_random_split_is_named_and_the_audit_finds_its_leaks(tfclass, tmp_path, families):
    families.to_csv(tmp_path / "t.csv", index=False)
    done = tfclass("data", "split", "t.csv", "-o", "r.tsv.gz", "--policy", "random", "--seed", 3)
    assert done.status == 0, done.err
    assert "warning: single proteins at random: homologues are on both sides, and scores are too high\n" in done.err
    manifest = json.loads((tmp_path / "r.tsv.gz.manifest.json").read_text())
    assert manifest["split"]["policy"] == "random"
    assert "too high" in manifest["split"]["warning"]
    frame = pd.read_csv(tmp_path / "r.tsv.gz", sep="\t")
    assert frame.columns.tolist() == ["id", "label", "split", "sequence"]
    assert frame["split"].value_counts().to_dict() == {"train": 72, "valid": 9, "test": 9}
    audited = tfclass("data", "audit", "r.tsv.gz", "--threads", 1)
    assert audited.status == 0, audited.err
    pairs = pd.read_csv(tmp_path / "r.pairs.tsv", sep="\t")
    assert (pairs["id"].str.split("_").str[0] == pairs["training_id"].str.split("_").str[0]).all()
    trained = set(frame.loc[frame["split"] == "train", "id"].str.split("_").str[0])
    held = frame.loc[frame["split"] != "train", "id"]
    assert set(pairs["id"]) == {name for name in held if name.split("_")[0] in trained}
    assert f"pairs above the limit: {len(pairs)}\n" in audited.out


def make(folder, *arguments):
    """Run the project's Makefile in another folder, with this environment."""
    venv = folder / "venv"
    if not venv.exists():
        (folder / "pyproject.toml").touch()
        (folder / "constraints.txt").touch()
        venv.mkdir()
        (venv / "bin").symlink_to(Path(sys.executable).parent)
        (venv / ".installed").touch()
    command = ["make", "-f", ROOT / "Makefile", "-C", folder, "VENV=venv", *arguments]
    # A make that runs the tests has options of its own.
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    environment = {**own, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=500)


@pytest.mark.slow
def test_make_data_builds_the_swissprot_corpus_once(tmp_path):
    with UniProtServer(300) as server:
        made = make(tmp_path, "data", "CORPUS=swissprot", f"FETCH=--url {server.url} --rate 10000")
    assert made.returncode == 0, made.stderr
    assert [line.split()[2] for line in made.stdout.splitlines() if line.startswith("venv/bin/tfclass data ")] == [
        *("fetch", "label", "cluster", "split", "audit"),
    ]
    assert "moved into training: 0 proteins of 0 clusters (0 pairs above the limit before, 0 after" in made.stderr
    table = tmp_path / "data" / "processed" / "swissprot.tsv"
    manifest = json.loads(table.with_name("swissprot.tsv.manifest.json").read_text())
    assert manifest["database"]["release"] == "2026_03"
    assert "reviewed:true" in manifest["database"]["query"]
    assert manifest["funnel"]["rows_in"] == 300
    assert server.url not in json.dumps(manifest)
    assert {group["kingdom"] for group in manifest["sizes"]} >= {"Bacteria", "Fungi"}
    assert sum(group["proteins"] for group in manifest["sizes"]) == len(pd.read_csv(table, sep="\t"))
    again = make(tmp_path, "data", "CORPUS=swissprot", "FETCH=--url http://127.0.0.1:9/nobody")
    assert (again.returncode, again.stderr) == (0, "")
    assert "tfclass" not in again.stdout
    trained = make(tmp_path, "-n", "train", "CORPUS=swissprot").stdout
    assert "tfclass train corpus=swissprot corpus.path=data/processed/swissprot.tsv" in trained
    assert "tfclass data" not in trained


def test_make_fetches_the_evidence_in_a_second_download():
    planned = subprocess.run(
        ["make", "-n", "data", "CORPUS=swissprot", "EVIDENCE=exp,ida", "VENV=none"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "tfclass data fetch -o data/raw/uniprot-exp,ida  --evidence exp,ida\n" in planned
    assert "data label data/raw/uniprot -o data/interim/swissprot.tsv --evidence data/raw/uniprot-exp,ida\n" in planned


def test_folds_go_through_the_same_verb(tfclass, tmp_path):
    generate_demo(n_clusters=60, seed=2).drop(columns="split").to_csv(tmp_path / "d.tsv", sep="\t", index=False)
    tested = []
    for fold in range(3):
        done = tfclass("data", "split", "d.tsv", "-o", "f.tsv", "--policy", "folds", "--folds", 3, "--fold", fold)
        assert done.status == 0, done.err
        frame = pd.read_csv(tmp_path / "f.tsv", sep="\t")
        tested += frame.loc[frame["split"] == "test", "id"].tolist()
    assert sorted(tested) == sorted(frame["id"])
    manifest = json.loads((tmp_path / "f.tsv.manifest.json").read_text())
    assert manifest["split"] == {"policy": "folds", "seed": 0, "folds": 3, "fold": 2}


def test_training_logs_the_manifest_and_refuses_a_changed_table(tfclass, tmp_path, empty_store):
    shutil.copy(empty_store, tmp_path)
    generate_demo(n_clusters=60, seed=2).to_csv(tmp_path / "d.tsv", sep="\t", index=False)
    assert tfclass("data", "split", "d.tsv", "-o", "s.tsv", "--test", 0.2, "--valid", 0.2).status == 0
    small = ["training.epochs=1", "model.hidden=4", "model.embedding_dim=4", "model.stem.channels=4"]
    corpus = ["corpus=table", "corpus.path=s.tsv", "runtime.device=cpu", "runtime.threads=1"]
    trained = tfclass("train", *corpus, *small, "bundle=model", "tracking.register=''")
    assert trained.status == 0, trained.err
    (logged,) = (tmp_path / "mlartifacts").rglob("manifest.json")
    assert json.loads(logged.read_text()) == json.loads((tmp_path / "s.tsv.manifest.json").read_text())
    with (tmp_path / "s.tsv").open("a") as stream:
        stream.write((tmp_path / "s.tsv").read_text().splitlines()[-1].replace("\t", "x\t", 1) + "\n")
    for verb in (["train", *corpus, *small], ["evaluate", *corpus, "bundle=model", "report=r"]):
        refused = tfclass(*verb, "tracking=off")
        assert refused.status == 2
        assert refused.err.startswith("tfclass: s.tsv: checksum mismatch with its manifest; make it again")
        assert refused.err.count("\n") == 1


FEW = "id\tlabel\tcluster\tsequence\n" + "".join(f"n{i}\tnonTF\tc{i}\tMK\n" for i in range(9))
USAGE = {
    "neither source": ("import -o o.tsv", "a SOURCE is needed, or --positives and --negatives"),
    "one of two files": ("import --positives t.tsv -o o.tsv", "--positives and --negatives go together"),
    "the same file twice": ("import --positives t.tsv --negatives t.tsv -o o.tsv", "t.tsv is given for both classes"),
    "a column that is no pair": ("import t.tsv --column id -o o.tsv", "'id' is no A=B"),
    "columns of a folder": ("import . --column id=a -o o.tsv", "only a table has columns"),
    "a way out of conflicts that is none": ("import t.tsv --on-conflict pray -o o.tsv", "neither leave-out nor error"),
    "a source that is not there": ("import no.tsv -o o.tsv", "no.tsv: no such file"),
    "an output that is no table": ("import t.tsv -o o.xlsx", "o.xlsx: found a name ending in '.xlsx'; expected .tsv"),
    "a policy that is none": ("split t.tsv -o o.tsv --policy best", "--policy: found 'best'"),
    "the policy of training": ("split t.tsv -o o.tsv --policy column", "here: cluster, folds, random"),
    "a share too large": ("split t.tsv -o o.tsv --test 0.7", "--test: found 0.7; expected less than 0.5"),
    "no clusters": (
        "split plain.tsv -o o.tsv",
        "plain.tsv: found no column 'cluster'; add one (tfclass data cluster), or say --policy random",
    ),
    "no splits": (
        "audit plain.tsv",
        "plain.tsv: found no column 'split'; expected one with train, valid, test; "
        "add one (tfclass data cluster, then tfclass data split)\n",
    ),
    "a row without a label": (
        "split unlabelled.tsv -o o.tsv",
        "row 4, column 'label': found ''; expected one of TF, nonTF; leave the row out, or name its class",
    ),
    "a label to rename that is not there": (
        "import plain.tsv -o o.tsv --rename yes=TF",
        "plain.tsv: found no label 'yes' to rename; expected one of 'TF', 'nonTF'; --rename OLD=NEW takes OLD from the",
    ),
    "a column that is not there": (
        "import plain.tsv -o o.tsv --column id=Entry",
        "plain.tsv: found only 'id', 'label', 'about', 'sequence'; expected a column 'Entry' for 'id'",
    ),
    "a fold that is not there": (
        "split t.tsv -o o.tsv --policy folds --fold 7",
        "--fold: found 7; expected 0 to 4, as --folds says",
    ),
    "too few clusters of a class": (
        "split t.tsv -o o.tsv",
        "1 of 2 classes with fewer clusters than splits: TF (2); expected at least 3",
    ),
    "a class that no cluster stands for": ("split mixed.tsv -o o.tsv", "found no 'TF' in "),
    "clusters that lack a protein": (
        "cluster t.tsv -o o.tsv --clusters c.tsv",
        "c.tsv: found no cluster for 10 of 11 proteins (n1, n2, n3, ...); expected one for each",
    ),
    "known clusters, and how to find others": (
        "cluster t.tsv -o o.tsv --clusters c.tsv --identity 0.5",
        "Invalid value for --clusters: known clusters take no option of MMseqs2",
    ),
    "a limit for clusters, and no clusters": (
        "split t.tsv -o o.tsv --policy random --max-members 2",
        "--max-members: found 2 with --policy=random",
    ),
    "a protein in two clusters": (
        "cluster t.tsv -o o.tsv --clusters twice.tsv",
        "twice.tsv, row 2: found 'n0' in a second cluster ('b', and 'a' before)",
    ),
}


@pytest.mark.parametrize("case", USAGE)
def test_a_usage_error_is_one_line_and_leaves_nothing(case, tmp_path, monkeypatch, capsys):
    arguments, expected = USAGE[case]
    (tmp_path / "t.tsv").write_text(FEW + "t0\tTF\ta\tMV\nt1\tTF\tb\tMV\n")
    (tmp_path / "mixed.tsv").write_text(FEW + "".join(f"t{i}\tTF\tc{i}\tMV\n" for i in range(3)) + "m\tnonTF\tc0\tMA\n")
    (tmp_path / "c.tsv").write_text("n0\tn0\n")
    (tmp_path / "twice.tsv").write_text("a\tn0\nb\tn0\n")
    (tmp_path / "plain.tsv").write_text(
        FEW.replace("cluster", "about") + "".join(f"t{i}\tTF\t-\tMV\n" for i in range(9))
    )
    (tmp_path / "unlabelled.tsv").write_text("id\tlabel\tsequence\na\tTF\tMK\nb\tnonTF\tMV\nc\t\tML\n")
    before = sorted(tmp_path.iterdir())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["tfclass", "data", *arguments.split()])
    with pytest.raises(SystemExit) as ended:
        main()
    shown = capsys.readouterr()
    assert (ended.value.code, shown.out) == (2, "")
    assert shown.err.count("\n") == 1, shown.err
    assert expected in shown.err
    assert sorted(tmp_path.iterdir()) == before


# What a verb writes beside the table that is named, and the command.
NEIGHBOURS = {
    "demo, manifest": ("o.tsv.manifest.json", "demo -o o.tsv --clusters 30"),
    "import, manifest": ("o.tsv.manifest.json", "import plain.tsv -o o.tsv"),
    "import, lost rows": ("o.lost.tsv", "import plain.tsv -o o.tsv"),
    "import, lost rows of a packed table": ("o.lost.tsv", "import plain.tsv -o o.tsv.gz"),
    "cluster, manifest": ("o.tsv.manifest.json", "cluster plain.tsv -o o.tsv --clusters c.tsv"),
    "split, manifest": ("o.tsv.manifest.json", "split plain.tsv -o o.tsv --policy random"),
    "audit, proteins": ("plain.audit.tsv", "audit plain.tsv"),
    "audit, pairs": ("o.pairs.tsv", "audit plain.tsv -o o.tsv"),
    "audit, manifest": ("o.tsv.manifest.json", "audit plain.tsv -o o.tsv"),
    "label, lost rows": ("o.lost.tsv", "label raw -o o.tsv"),
    "label, manifest": ("o.tsv.manifest.json", "label raw -o o.tsv"),
}


# Some with words or header lines of ours.
THEIRS = {
    "a table": b"id\tmine\na\tb\n",
    "bytes": b"\xff\0",
    "JSON": b'{"mine": 1}',
    "JSON notes": b'{"my": "notes on the tfclass corpus", "rows_in": "of \\"rows_in\\""}',
    "JSON of the same kind": b'{"kind": "tfclass corpus", "schema": 1, "rows_in": 1, "steps": [], "rows_out": 1}',
    "JSON list": b'["tfclass corpus"]',
    "lost rows": b"file\trow\tid\tlabel\treason\tdetail\nmine\t1\ta\tTF\tmine\t\n",
    "an audit": b"id\tsplit\tlabel\tnearest\tmine\n",
    "pairs": b"id\tsplit\ttraining_id\tmine\n",
}


@pytest.mark.parametrize("case", NEIGHBOURS)
@pytest.mark.parametrize("content", THEIRS.values(), ids=THEIRS)
def test_a_file_of_the_user_is_never_replaced(case, content, tmp_path, tfclass):
    name, command = NEIGHBOURS[case]
    (tmp_path / "plain.tsv").write_text(FEW + "".join(f"t{i}\tTF\td{i}\tMV\n" for i in range(9)))
    (tmp_path / "c.tsv").write_text("".join(f"n{i}\tn{i}\nt{i}\tt{i}\n" for i in range(9)))
    (tmp_path / name).write_bytes(content)
    before = sorted(tmp_path.iterdir())
    done = tfclass("data", *command.split())
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert f"{name}: found a file that tfclass did not write, and that would be replaced" in done.err
    assert (tmp_path / name).read_bytes() == content
    assert sorted(tmp_path.iterdir()) == before


def test_the_same_command_may_replace_what_it_wrote(tmp_path, tfclass):
    (tmp_path / "plain.tsv").write_text(
        FEW + "".join(f"t{i}\tTF\td{i}\tMV{'A' * i}\n" for i in range(9)) + "x\tTF\td\t1\n"
    )
    for _ in range(2):
        done = tfclass("data", "import", "plain.tsv", "-o", "o.tsv")
        assert done.status == 0
        assert done.err.endswith(", described in o.tsv.manifest.json\n")
    assert (tmp_path / "o.lost.tsv").exists()
    # Changed by the user, it is theirs.
    with (tmp_path / "o.lost.tsv").open("a") as lost:
        lost.write("plain.tsv\t99\tmine\tTF\tmine\t\n")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    refused = tfclass("data", "import", "plain.tsv", "-o", "o.tsv")
    assert refused.status == 2
    assert "o.lost.tsv: found a file that tfclass did not write, and that would be replaced" in refused.err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_files_listed_by_a_replaced_manifest_are_removed(tmp_path, tfclass):
    rows = "".join(f"n{i}\tnonTF\tMK{'A' * i}\nt{i}\tTF\tMV{'A' * i}\n" for i in range(9))
    (tmp_path / "plain.tsv").write_text(f"id\tlabel\tsequence\n{rows}x\tTF\t1\n")
    assert tfclass("data", "import", "plain.tsv", "-o", "o.tsv").status == 0
    assert tfclass("data", "import", "plain.tsv", "-o", "other.tsv").status == 0
    # Of other.tsv, whose manifest it takes over: its own lost rows are gone, those of the other table are not.
    assert tfclass("data", "split", "other.tsv", "-o", "o.tsv", "--policy", "random").status == 0
    assert not (tmp_path / "o.lost.tsv").exists()
    assert (tmp_path / "other.lost.tsv").exists()
    assert tfclass("data", "import", "plain.tsv", "-o", "o.tsv").status == 0
    # A table that the user changed is not in the manifest any more.
    (tmp_path / "o.lost.tsv").write_text("mine")
    assert tfclass("data", "split", "other.tsv", "-o", "o.tsv", "--policy", "random").status == 0
    assert (tmp_path / "o.lost.tsv").read_text() == "mine"


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        (",", "tfclass: classes.0: found ''; expected at least 1 character\n"),
        ("TF,", "tfclass: classes.1: found ''; expected at least 1 character\n"),
        ("TF,nonTF,TF", "tfclass: classes: found ('TF', 'nonTF', 'TF'); expected each name once\n"),
    ],
)
def test_names_of_classes_are_not_empty_and_differ(classes, expected, tmp_path, tfclass):
    (tmp_path / "t.tsv").write_text(FEW)
    checked = tfclass("data", "check", "t.tsv", "--classes", classes)
    assert (checked.status, checked.out, checked.err) == (2, "", expected)


def test_a_count_of_one_is_singular():
    assert [count_of(number, "protein") for number in (0, 1, 2, 1000)] == [
        *("0 proteins", "1 protein", "2 proteins", "1,000 proteins"),
    ]


def test_control_characters_are_escaped(tmp_path, tfclass):
    rows = "".join(f"n{i}\tT\x1b[2JF\tMK{'A' * i}\nt{i}\tTF\tMV{'A' * i}\n" for i in range(3))
    (tmp_path / "t.tsv").write_text("id\tlabel\tsequence\n" + rows)
    done = tfclass("data", "import", "t.tsv", "-o", "o.tsv")
    assert "T\\x1b[2JF 3, TF 3" in done.err
    checked = tfclass("data", "check", "o.tsv", "--classes", "")
    assert "\x1b" not in done.err + done.out + checked.out + checked.err
