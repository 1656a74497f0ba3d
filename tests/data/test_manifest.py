"""Manifests: the same bytes wherever they are made, carried from verb to verb, and nobody trains on another table."""

import errno
import gzip
import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.data.uniprot_server import lines_of, write_download
from tfclass.config import CorpusConfig, SplitConfig
from tfclass.data.clusters import cluster_corpus
from tfclass.data.curation import LabelConfig, curation_config
from tfclass.data.demo import generate_demo
from tfclass.data.importer import import_corpus
from tfclass.data.labelling import label_corpus
from tfclass.data.labels import Labeller
from tfclass.data.manifest import read_manifest, write_tsv
from tfclass.data.neighbours import manifest_path
from tfclass.data.sources import from_labels, from_table
from tfclass.data.split import split_corpus, split_policy
from tfclass.data.table import read_table
from tfclass.errors import OutputError, TableError
from tfclass.sequences.alphabet import AMINO_ACIDS, Alphabet

N_CLUSTERS = 60


def write_sources(folder):
    """Write proteins of known clusters: FASTA, labels, clusters."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(3)
    names = [f"p{i}" for i in range(3 * N_CLUSTERS)]
    sequences = ["".join(rng.choice(list(AMINO_ACIDS), size=30)) for _ in names]
    (folder / "all.fa").write_text("".join(f">{n}\n{s}\n" for n, s in zip(names, sequences, strict=True)) + ">bad\n1\n")
    labels = [f"{name}\t{'TF' if i // 3 % 4 == 0 else 'nonTF'}\n" for i, name in enumerate(names)]
    (folder / "labels.tsv").write_text("".join(labels) + "bad\tTF\n")
    (folder / "clusters.tsv").write_text("".join(f"p{i - i % 3}\t{name}\n" for i, name in enumerate(names)))


def make(folder, ending=".tsv", seed=5):
    write_sources(folder)
    made = [folder / f"{name}{ending}" for name in ("imported", "clustered", "split")]
    import_corpus(from_labels(folder / "all.fa", folder / "labels.tsv"), made[0])
    cluster_corpus(made[0], made[1], folder / "clusters.tsv")
    split_corpus(made[1], made[2], SplitConfig.default(policy="cluster", seed=seed, max_members=2))
    return made[2]


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("ending", [".tsv", ".tsv.gz"])
def test_the_same_inputs_and_seed_give_the_same_bytes_in_any_folder(ending, tmp_path, monkeypatch):
    one = make(tmp_path / "one", ending)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.time", lambda: 1e9)
    two = make(tmp_path / "another place" / "two", ending)
    names = sorted(path.name for path in one.parent.iterdir())
    assert names == sorted(path.name for path in two.parent.iterdir())
    for name in names:
        assert (one.parent / name).read_bytes() == (two.parent / name).read_bytes(), name
    assert str(tmp_path) not in manifest_path(one).read_text()
    assert make(tmp_path / "one", ending, seed=6).read_bytes() != two.read_bytes()


def test_a_manifest_records_all_steps(tmp_path):
    table = make(tmp_path)
    manifest = json.loads((tmp_path / "split.tsv.manifest.json").read_text())
    frame = pd.read_csv(table, sep="\t")
    assert manifest["schema"] == 1
    size = table.stat().st_size
    assert manifest["table"] == {"name": "split.tsv", "bytes": size, "sha256": sha256(table), "rows": len(frame)}
    assert [(file["name"], file["sha256"]) for file in manifest["sources"]] == [
        (name, sha256(tmp_path / name)) for name in ("all.fa", "labels.tsv")
    ]
    steps = {step["step"]: (step["lost"], step["left"]) for step in manifest["funnel"]["steps"] if step["lost"]}
    assert steps == {"illegal letter": (1, 180), "further cluster members": (60, 120)}
    assert (manifest["funnel"]["rows_in"], manifest["funnel"]["rows_out"]) == (181, 120)
    clusters = {key: manifest["clusters"][key] for key in ("method", "clusters", "not_in_table")}
    assert clusters == {"method": "given", "clusters": N_CLUSTERS, "not_in_table": 0}
    assert manifest["clusters"]["file"]["sha256"] == sha256(tmp_path / "clusters.tsv")
    assert manifest["split"] == {"policy": "cluster", "seed": 5, "valid": 0.1, "test": 0.1, "max_members": 2}
    for group in manifest["sizes"]:
        own = frame[(frame["split"] == group["split"]) & (frame["label"] == group["label"])]
        counted = (len(own), own["cluster"].nunique(), own["sequence"].str.len().sum())
        assert (group["proteins"], group["clusters"], group["residues"]) == counted
    assert sum(group["proteins"] for group in manifest["sizes"]) == len(frame)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[" * 100_000, "found something that is no manifest (maximum recursion depth exceeded"),
        ("[]", "found something that is no manifest (list indices must be integers"),
        ("{}", "found something that is no manifest ('schema')"),
        ('{"schema": 1, "table": []}', "found something that is no manifest (list indices must be"),
        ('{"schema": 1, "table": {"sha256": "SHA"}}', ", funnel: found "),
        (
            '{"schema": 1, "table": {"sha256": "SHA"}, "funnel": 5}',
            ", funnel: found 5; expected Input should be a valid",
        ),
        (
            '{"schema": 1, "table": {"sha256": "SHA"}, "funnel": {"rows_in": "x", "steps": [], "rows_out": 2}}',
            ", funnel.rows_in: found 'x'; expected Input should be a valid integer",
        ),
        (
            '{"schema": 1, "table": {"sha256": "SHA"}, "funnel": {"rows_in": 2, "steps": [3], "rows_out": 2}}',
            ", funnel.steps.0: found 3; expected Input should be a valid dictionary",
        ),
        (
            '{"schema": 1, "table": {"sha256": "SHA"}, "split": [],'
            ' "funnel": {"rows_in": 2, "steps": [], "rows_out": 2}}',
            ", split: found []; expected Input should be a valid dictionary",
        ),
    ],
)
def test_a_manifest_of_another_form_is_one_line(content, message, tmp_path):
    table = tmp_path / "t.tsv"
    table.write_text("id\tlabel\tsequence\na\tTF\tMK\nb\tnonTF\tMV\n")
    manifest_path(table).write_text(content.replace("SHA", sha256(table)))
    with pytest.raises(TableError) as caught:
        read_table(CorpusConfig.default(path=str(table)), Alphabet())
    assert f"{manifest_path(table)}{'' if message.startswith(',') else ': '}{message}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_table_that_is_replaced_by_one_without_a_manifest_loses_its_own(tmp_path):
    table = make(tmp_path)
    assert manifest_path(table).exists()
    write_tsv(generate_demo(30, 0), table)
    assert not manifest_path(table).exists()
    read_table(CorpusConfig.default(path=str(table)), Alphabet())
    manifest_path(table).write_text('{"mine": 1}')
    write_tsv(generate_demo(30, 0), table)
    assert manifest_path(table).read_text() == '{"mine": 1}'


def test_new_clusters_invalidate_splits_by_clusters(tmp_path):
    table = make(tmp_path)
    frame = pd.read_csv(table, sep="\t")
    pairs = zip(frame["id"].iloc[::2], frame["id"].iloc[1::2], strict=True)
    (tmp_path / "new.tsv").write_text("".join(f"{a}\t{a}\n{a}\t{b}\n" for a, b in pairs))
    manifest = cluster_corpus(table, tmp_path / "again.tsv", tmp_path / "new.tsv")
    split_of = frame["split"].to_numpy()
    assert manifest["clusters"]["in_several_splits"] == int((split_of[::2] != split_of[1::2]).sum())
    assert "split" not in manifest
    proteins = read_table(CorpusConfig.default(path=str(tmp_path / "again.tsv")), Alphabet())
    assert split_policy(proteins, SplitConfig.default()) == "column"
    # What is dealt out at random stays so, whatever the clusters.
    split_corpus(table, tmp_path / "random.tsv", SplitConfig.default(policy="random"))
    assert cluster_corpus(tmp_path / "random.tsv", tmp_path / "o.tsv", tmp_path / "new.tsv")["split"]["warning"]


def test_sizes_are_by_kingdom_if_there_is_one(tmp_path):
    rows = [f"p{i}\t{'TF' if i % 2 else 'nonTF'}\t{'Fungi' if i < 6 else 'Archaea'}\t{'M' * (i + 1)}" for i in range(9)]
    (tmp_path / "t.tsv").write_text("\n".join(["id\tlabel\tkingdom\tsequence", *rows]) + "\n")
    manifest, _ = import_corpus(from_table(tmp_path / "t.tsv", {}), tmp_path / "o.tsv")
    assert [(group["label"], group["kingdom"], group["proteins"]) for group in manifest["sizes"]] == [
        ("TF", "Archaea", 1),
        ("TF", "Fungi", 3),
        ("nonTF", "Archaea", 2),
        ("nonTF", "Fungi", 3),
    ]


def test_a_table_that_was_changed_is_refused_in_one_line(tmp_path):
    table = make(tmp_path)
    config = CorpusConfig.default(path=str(table))
    assert len(read_table(config, Alphabet()).frame) == 120
    table.write_text(table.read_text().replace("\ttest\t", "\ttrain\t", 1))
    with pytest.raises(TableError) as caught:
        read_table(config, Alphabet())
    assert str(caught.value) == (
        f"{table}: checksum mismatch with its manifest; make it again with tfclass data, "
        "or remove split.tsv.manifest.json if the table was changed on purpose"
    )
    manifest_path(table).unlink()
    assert len(read_table(config, Alphabet()).frame) == 120


@pytest.mark.parametrize("when", ["split.tsv.manifest.json", "split.tsv"])
def test_a_full_disk_never_leaves_a_table_with_another_manifest(when, tmp_path, monkeypatch):
    table = make(tmp_path)
    before = table.read_bytes(), manifest_path(table).read_bytes()
    replace = os.replace

    def full(source, target):
        if Path(target).name == when:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OutputError, match=f"{when}: found a place that cannot be written .No space left on device"):
        split_corpus(tmp_path / "clustered.tsv", table, SplitConfig.default(policy="cluster", seed=9))
    assert not list(tmp_path.glob(".*"))
    assert table.read_bytes() == before[0]
    if when == "split.tsv.manifest.json":
        assert manifest_path(table).read_bytes() == before[1]
        return
    with pytest.raises(TableError, match="checksum mismatch with its manifest; make it again"):
        read_manifest(table)
    table.unlink()
    assert read_manifest(table) is None


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("rubbish", "found something that is no manifest"),
        ("[]", "found something that is no manifest"),
        ("{}", "found something that is no manifest"),
        ('{"schema": 2, "table": {"sha256": ""}}', "found schema 2; expected schema 1; update tfclass"),
        ("\xff", "found something that is no manifest"),
    ],
)
def test_a_manifest_that_cannot_be_read_is_refused_in_one_line(content, expected, tmp_path):
    table = make(tmp_path)
    manifest_path(table).write_text(content, encoding="latin-1")
    with pytest.raises(TableError) as caught:
        read_manifest(table)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_table_without_a_manifest_is_its_own_source(tmp_path):
    write_sources(tmp_path)
    import_corpus(from_labels(tmp_path / "all.fa", tmp_path / "labels.tsv"), tmp_path / "t.tsv")
    manifest_path(tmp_path / "t.tsv").unlink()
    given = tmp_path / "clusters.tsv"
    manifest = cluster_corpus(tmp_path / "t.tsv", tmp_path / "c.tsv", given)
    assert manifest["sources"] == [
        {"name": "t.tsv", "bytes": (tmp_path / "t.tsv").stat().st_size, "sha256": sha256(tmp_path / "t.tsv")}
    ]
    assert manifest["funnel"] == {"rows_in": 180, "steps": [], "rows_out": 180}


def test_the_manifest_of_a_source_is_kept(tmp_path):
    table = make(tmp_path)
    manifest, _ = import_corpus(from_table(table, {}), tmp_path / "again.tsv")
    assert manifest["sources"][0]["manifest"] == read_manifest(table)
    frame = pd.read_csv(tmp_path / "again.tsv", sep="\t")
    pd.testing.assert_frame_equal(frame, pd.read_csv(table, sep="\t")[frame.columns])


def labelled(folder, **options):
    write_download(folder, lines_of(range(40)))
    rules = [{"name": "any", "label": "TF", "terms": {"GO:0000981": ""}}]
    labeller = Labeller(curation_config(LabelConfig, "label", {"rules": rules}))
    return label_corpus(folder, folder / "l.tsv", labeller, **options)[0]


def test_the_evidence_download_is_a_source_too(tmp_path):
    (tmp_path / "proof").mkdir()
    write_download(tmp_path / "proof", lines_of(range(40)))
    manifest = labelled(tmp_path, evidence=tmp_path / "proof")
    assert [file["sha256"] for file in manifest["sources"]] == [
        sha256(tmp_path / "entries.tsv.gz"),
        sha256(tmp_path / "proof" / "entries.tsv.gz"),
    ]
    assert manifest["database"]["evidence"] == "all"


def test_the_manifest_of_a_labelled_download_goes_on(tmp_path):
    funnel = labelled(tmp_path)["funnel"]
    names = pd.read_csv(tmp_path / "l.tsv", sep="\t")["id"]
    (tmp_path / "c.tsv").write_text("".join(f"{name}\t{name}\n" for name in names))
    manifest = cluster_corpus(tmp_path / "l.tsv", tmp_path / "o.tsv", tmp_path / "c.tsv")
    assert manifest["sources"][0]["sha256"] == sha256(tmp_path / "entries.tsv.gz")
    assert manifest["funnel"] == {key: funnel[key] for key in ("rows_in", "steps", "rows_out")}
    assert manifest["rules"]["rules"][0]["name"] == "any"
    assert set(manifest["database"]) == {"source", "release", "release_date", "licence", "query"}


def test_a_packed_table_has_no_name_and_no_time(tmp_path):
    table = make(tmp_path, ".tsv.gz")
    assert table.read_bytes()[3:8] == bytes(5)
    assert gzip.decompress(table.read_bytes()) == make(tmp_path / "plain").read_bytes()
