"""``tfclass predict`` in every format: the facts are those of TSV."""

import csv
import gzip
import json
import os

import gffutils
import pandas as pd
import pyarrow.parquet as pq
import pytest

HOSTILE = ["a;b=c,d", "<script>", "=cmd()", "ümläut", "#a", "", "twice", "twice", "x" * 300, "a%20b"]


@pytest.fixture
def fasta(demo_table, tmp_path):
    """Generated proteins, some with hostile ids; headers have a description."""
    frame = pd.read_csv(demo_table, sep="\t", keep_default_na=False).head(40)
    names = HOSTILE + [f"P{n}.1" for n in range(len(frame) - len(HOSTILE))]
    records = [f">{name} the {name} protein; 50 %\n{s}\n" for name, s in zip(names, frame["sequence"], strict=True)]
    # Nothing stands for an empty id but a tab, which ends it.
    (tmp_path / "in.fasta").write_text("".join(records).replace("> the  protein; 50 %", ">") + ">bad\nMK1\n")
    return "in.fasta"


@pytest.fixture
def predict(tfclass, fasta, with_profiles_folder, tmp_path):
    def run(*arguments, threshold=0.3):
        model = ("--model", with_profiles_folder, "--threshold", threshold)
        finished = tfclass("predict", fasta, *model, *arguments)
        assert finished.status == 0, finished.err
        return finished

    return run


def tsv_rows(text):
    return list(csv.DictReader(text.splitlines(), delimiter="\t"))


def domains_of(row):
    return [tuple(map(int, place.split("-"))) for place in row["domain"].split(";") if place]


def test_gff3_bed_csv_and_ids_have_the_facts_of_tsv(predict, tmp_path):
    rows = tsv_rows(predict().out)
    predicted = [row for row in rows if row["label"] == "TF"]
    assert 5 < len(predicted) < 40
    assert sum(len(domains_of(row)) for row in predicted) > 5
    for name in ("x.csv", "x.gff3", "x.bed", "x.txt", "x.gff3.gz"):
        predict("-o", name)
    with (tmp_path / "x.csv").open(newline="") as stream:
        assert [{k: v.removeprefix("'") for k, v in row.items()} for row in csv.DictReader(stream)] == rows
    assert (tmp_path / "x.txt").read_text() == "".join(row["id"] + "\n" for row in predicted if row["id"])
    text = (tmp_path / "x.gff3").read_text()
    assert gzip.decompress((tmp_path / "x.gff3.gz").read_bytes()).decode() == text
    assert text.count("##sequence-region") == len(rows) - 1
    assert "# skipped: record 41, bad (illegal '1' at 3)\n" in text
    database = gffutils.create_db(text, ":memory:", from_string=True, merge_strategy="error")
    proteins = list(database.features_of_type("polypeptide", order_by="file_order"))
    assert [each.attributes.get("Name", [""])[0] for each in proteins] == [row["id"] for row in predicted]
    assert [each.score for each in proteins] == [row["probability"] for row in predicted]
    assert [each.attributes.get("family", [""])[0] for each in proteins] == [row["family"] for row in predicted]
    places = [[(each.start, each.end) for each in database.children(protein, order_by="start")] for protein in proteins]
    assert places == [domains_of(row) for row in predicted]
    lines = [line.split("\t") for line in (tmp_path / "x.bed").read_text().splitlines()]
    flat = [place for row in predicted for place in domains_of(row)]
    assert [(int(line[1]) + 1, int(line[2])) for line in lines] == flat


def test_only_tf_leaves_out_the_regions_of_others(predict):
    assert predict("--format", "gff3", "--only-tf").out.count("##seq") == predict().out.count("\tTF\t")


def test_a_description_is_a_column_before_the_status_and_a_note_in_gff3(predict, tmp_path):
    plain, described = tsv_rows(predict().out), tsv_rows(predict("--description").out)
    assert list(described[0])[-3:] == ["description", "status", "notes"]
    assert [{k: v for k, v in row.items() if k != "description"} for row in described] == plain
    texts = [row["description"] for row in described]
    assert texts[0] == "the a;b=c,d protein; 50 %"
    assert (texts[HOSTILE.index("")], texts[-1]) == ("", "")
    for name in ("x.csv", "x.jsonl", "x.parquet", "x.gff3"):
        predict("-o", name, "--description")
    assert pd.read_csv(tmp_path / "x.csv", keep_default_na=False)["description"].tolist() == texts
    assert [json.loads(line)["description"] for line in (tmp_path / "x.jsonl").read_text().splitlines()] == texts
    assert pq.read_table(tmp_path / "x.parquet").column("description").to_pylist() == texts
    database = gffutils.create_db((tmp_path / "x.gff3").read_text(), ":memory:", from_string=True)
    notes = [
        each.attributes.get("Note", [""])[0] for each in database.features_of_type("polypeptide", order_by="file_order")
    ]
    assert notes == [row["description"] for row in described if row["label"] == "TF"]


def test_a_description_with_bytes_of_another_encoding_is_escaped(tfclass, small_bundle_folder, tmp_path):
    (tmp_path / "x.fasta").write_bytes(b">a caf\xe9\x1b[2J\tb\nMKV\n")
    for engine in ([], ["--parts", "parts"]):
        finished = tfclass("predict", "x.fasta", "--model", small_bundle_folder, "--description", *engine)
        assert tsv_rows(finished.out)[0]["description"] == r"caf\xe9\x1b[2J\x09b"


@pytest.mark.parametrize(
    "engine",
    [
        pytest.param([], id="here"),
        pytest.param(["--engine", "dask", "--workers", 1], id="dask", marks=pytest.mark.slow),
    ],
)
def test_parts_keep_descriptions_and_are_not_taken_for_others(predict, engine, tmp_path):
    if engine:
        pytest.importorskip("distributed", reason="the extra hpc is not installed")
    whole, plain = predict("--description").out, predict().out
    assert predict("--description", "--parts", "parts", *engine).out == whole
    assert predict("--parts", "parts", *engine).out == plain
    path = tmp_path / "in.fasta"
    path.write_text(path.read_text().replace("50 %", "60 %"))
    assert predict("--description", "--parts", "parts", *engine).out == whole.replace("50 %", "60 %")
    assert predict("--format", "gff3", "--resume", "-o", "x.gff3").status == 0
    assert (tmp_path / "x.gff3").read_text() == predict("--format", "gff3").out


class TestGenome:
    @pytest.fixture
    def genome(self, predict, tmp_path):
        """Genes of the proteins P0.1 to P9.1, and one that is too short."""
        length = {row["id"]: int(row["length"]) for row in tsv_rows(predict().out)}
        lines = ["##gff-version 3"]
        for n in range(10):
            start, size = 1 + 10_000 * n, 3 * (length[f"P{n}.1"] + 1) - (9 if n == 9 else 0)
            rows = [(start, start + 29, 0), (start + 100, start + 100 + size - 31, 0)]
            rows = [f"c\tx\tCDS\t{a}\t{b}\t.\t+\t{phase}\tID=cds-P{n}.1;Parent=t{n}" for a, b, phase in rows]
            lines += rows
        (tmp_path / "genome.gff3.gz").write_bytes(gzip.compress(("\n".join(lines) + "\n").encode()))
        return "genome.gff3.gz"

    def test_domains_are_placed_and_what_has_no_gene_is_counted(self, predict, genome, tmp_path):
        rows = tsv_rows(predict(threshold=0).out)
        finished = predict("-o", "x.gff3", "--genome-gff", genome, threshold=0)
        (line,) = [each for each in finished.err.splitlines() if "without a place" in each]
        assert line == (
            "31 proteins without a place in the genome (30 with no CDS of this name, 1 with CDS of another length): "
            "a;b=c,d, <script>, =cmd(), ümläut, #a, ..."
        )
        found = [each.split("\t") for each in (tmp_path / "x.gff3").read_text().splitlines() if "\t" in each]
        for n in range(9):
            (row,) = [each for each in rows if each["id"] == f"P{n}.1"]
            mine = [
                each
                for each in found
                if each[2] == "polypeptide_domain" and 10_000 * n < int(each[3]) < 10_000 * (n + 1)
            ]
            bases = {base - 10_000 * n for each in mine for base in range(int(each[3]), int(each[4]) + 1)}
            residues = {r for start, end in domains_of(row) for r in range(start, end + 1)}
            assert bases == {b if b <= 30 else b + 70 for r in residues for b in range(3 * r - 2, 3 * r + 1)}
        predict("-o", "x.bed", "--genome-gff", genome, threshold=0)
        blocks = [each.split("\t") for each in (tmp_path / "x.bed").read_text().splitlines()]
        assert {len(each) for each in blocks} == {12}
        size = sum(int(each[4]) - int(each[3]) + 1 for each in found if each[2] == "polypeptide_domain")
        assert sum(int(s) for each in blocks for s in each[10].split(",")) == size

    @pytest.mark.parametrize(
        ("content", "message"),
        [(None, "cannot be read (No such file or directory)"), ("x\n", "found no CDS; expected the GFF3 file of")],
        ids=["missing", "no GFF3"],
    )
    def test_one_that_cannot_be_used_is_found_first(self, tfclass, content, message, tmp_path):
        if content:
            (tmp_path / "g.gff3").write_text(content)
        finished = tfclass("predict", "no such.fasta", "-o", "x.gff3", "--genome-gff", "g.gff3")
        assert (finished.status, finished.out, finished.err.count("\n")) == (2, "", 1)
        assert message in finished.err
        assert not (tmp_path / "x.gff3").exists()

    def test_it_is_never_overwritten(self, tfclass, fasta, genome, small_bundle_folder, tmp_path):
        before = (tmp_path / genome).read_bytes()
        os.link(tmp_path / genome, tmp_path / "same.gff3")
        finished = tfclass("predict", fasta, "-o", "same.gff3", "--genome-gff", genome)
        assert finished.err.startswith("tfclass: same.gff3: found an input file")
        assert (tmp_path / genome).read_bytes() == before
