"""``tfclass predict`` as a user meets it: a process, its streams, its files, its exit status."""

import gzip
import io
import itertools
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from scipy.special import softmax

from tfclass import Predictor, __version__
from tfclass.bundle.bundle import load_bundle
from tfclass.bundle.save import save_bundle
from tfclass.inference.writers import write_tsv
from tfclass.sequences.fasta import read_fasta

LETTERS = "ACDEFGHIKLMNPQRSTVWYBJOUXZ"
HEADER = "id\tlength\tlabel\tprobability\tthreshold\tstatus\tnotes"
ODD = (
    b">empty\n"
    b">sp|P1|A first protein\r\nMKVLAG\r\nHWMKV\r\n"
    b">illegal\nMK1VLA\n"
    b">lower\nmkvlaghwmkv\n"
    b">stop\nMKVLAGHWMKV*\n"
    b">gaps\nMKV-LAG..HWMKV\n"
    b">seleno\nMKVULAG\n"
    b">one\nM\n"
    b">twice\nMMMMMMWW\n"
    b">twice\nAAAAAACC\n"
    b">caf\xe9 latin\nMKWWWW\n"
    b">\nGGGGHHHH\n"
    b">last\nMKV"
)
# What must come out: id, residues scored (None: skipped), characters, notes.
ODD_ROWS = [
    ("empty", None, 0, "empty"),
    ("sp|P1|A", "MKVLAGHWMKV", 11, ""),
    ("illegal", None, 6, "illegal '1' at 3"),
    ("lower", "MKVLAGHWMKV", 11, ""),
    ("stop", "MKVLAGHWMKV", 11, "stop_removed"),
    ("gaps", "MKVLAGHWMKV", 11, "gaps_removed=3"),
    ("seleno", "MKVULAG", 7, "nonstandard=1"),
    ("one", "M", 1, ""),
    ("twice", "MMMMMMWW", 8, ""),
    ("twice", "AAAAAACC", 8, "duplicate_id"),
    (r"caf\xe9", "MKWWWW", 6, "id_escaped"),
    ("", "GGGGHHHH", 8, "no_id"),
    ("last", "MKV", 3, ""),
]


@pytest.fixture
def probability(small_bundle):
    """The probability of one residue sequence, with torch and SciPy only."""

    def of(sequence):
        tokens = torch.tensor([[LETTERS.index(letter) + 1 for letter in sequence]])
        with torch.no_grad():
            logits = small_bundle.model.eval()(tokens, torch.tensor([len(sequence)]))[0].double().numpy()
        return softmax(logits / small_bundle.calibration.temperature)[1]

    return of


@pytest.fixture
def odd(tmp_path):
    (tmp_path / "odd.fasta").write_bytes(ODD)
    return "odd.fasta"


def cells(text):
    header, *rows = text.removesuffix("\n").split("\n")
    assert header == HEADER
    return [row.split("\t") for row in rows]


def assert_one_line(finished, message, status=2):
    assert (finished.status, finished.out, finished.err) == (status, "", f"tfclass: {message}\n")


def without_time(error):
    """Return the lines on stderr without the last, which has the seconds and the files."""
    *lines, last = error.splitlines(keepends=True)
    assert re.fullmatch(r"[0-9]+\.[0-9] s(; written to [^\n]+)?\n", last)
    return "".join(lines)


def odd_summary(called, threshold):
    return (
        f"{called} of 13 records predicted TF ({100 * called / 11:.1f} %), 2 skipped\n"
        f"threshold {threshold} (as given)\n"
        "1 record with stop_removed (a stop (*) at the end was removed)\n"
        "1 record with gaps_removed (gaps (- or .) were removed)\n"
        "1 record with nonstandard (letters other than the 20 amino acids)\n"
        "1 record with duplicate_id (an earlier record has the same id; both are kept)\n"
        "1 record with id_escaped (bytes that are no UTF-8, and control characters, are backslash escapes in the id)\n"
        "1 record with no_id (the header is empty)\n"
        "1 record skipped: empty (no residue)\n"
        "1 record skipped: illegal (a character that is no residue letter)\n"
    )


class TestRows:
    def test_every_odd_record_has_its_row(self, tfclass, odd, small_bundle_folder, probability):
        finished = tfclass("predict", odd, "--model", small_bundle_folder, "--threshold", "0.5")
        assert finished.status == 0
        assert without_time(finished.err) == odd_summary(count_called(finished.out), 0.5)
        rows = cells(finished.out)
        assert len(rows) == len(ODD_ROWS)
        for row, (name, scored, length, notes) in zip(rows, ODD_ROWS, strict=True):
            assert (row[0], row[1], row[4], row[6]) == (name, str(length), "0.5", notes)
            if scored is None:
                assert (row[2], row[3], row[5]) == ("", "", "skipped")
            else:
                assert float(row[3]) == pytest.approx(probability(scored), abs=1.01e-6)
                assert row[2] == ("TF" if float(row[3]) >= 0.5 else "nonTF")
                assert (row[5], len(row[3].split(".")[1])) == ("ok", 6)

    def test_json_lines_and_tsv_hold_the_same_values(self, tfclass, odd, small_bundle_folder):
        as_json = tfclass("predict", odd, "--model", small_bundle_folder, "--format", "jsonl", "--quiet")
        as_tsv = tfclass("predict", odd, "--model", small_bundle_folder, "--quiet")
        assert (as_json.status, as_tsv.status, as_json.err, as_tsv.err) == (0, 0, "", "")
        objects = [json.loads(line) for line in as_json.out.splitlines()]
        assert [
            [
                o["id"],
                str(o["length"]),
                o["label"],
                "" if o["probability"] is None else f"{o['probability']:.6f}",
                str(o["threshold"]),
                o["status"],
                o["notes"],
            ]
            for o in objects
        ] == cells(as_tsv.out)

    def test_the_examples_are_predicted_without_a_file(self, tfclass, small_bundle_folder):
        examples = read_fasta(Path(__file__).parents[2] / "data" / "examples" / "proteins.fasta")
        finished = tfclass("predict", "--example", "--model", small_bundle_folder, "-q")
        assert (finished.status, finished.err) == (0, "")
        rows = [line.split("\t")[:2] for line in finished.out.splitlines()[1:]]
        assert rows == [[record.id, str(len(record.sequence))] for record in examples]

    def test_several_inputs_and_standard_input_follow_each_other(self, tfclass, tmp_path, small_bundle_folder):
        braces = "odd {0} {name} %s  name.fasta"
        (tmp_path / braces).write_bytes(b">a\nMKV\n")
        (tmp_path / "second").write_bytes(gzip.compress(b">a\nMKV\n>b\n"))
        arguments = ("predict", braces, "-", "second", "--model", small_bundle_folder)
        finished = tfclass(*arguments, stdin=b">c\nMMM\n")
        assert finished.status == 0
        assert [row[0] for row in cells(finished.out)] == ["a", "c", "a", "b"]

    def test_only_tf_keeps_the_rows_at_or_above_the_threshold(self, tfclass, odd, small_bundle_folder, probability):
        scores = [probability(scored) for _, scored, *_ in ODD_ROWS if scored]
        threshold = float(np.median(np.unique(np.round(scores, 6)))) + 3e-6
        arguments = ("predict", odd, "--model", small_bundle_folder, "--threshold", threshold, "--only-tf")
        finished = tfclass(*arguments)
        expected = [name for name, scored, *_ in ODD_ROWS if scored and probability(scored) >= threshold]
        assert 0 < len(expected) < len(scores)
        rows = cells(finished.out)
        assert [row[0] for row in rows] == expected
        assert {(row[2], row[4]) for row in rows} == {("TF", str(threshold))}
        assert without_time(finished.err) == odd_summary(len(expected), threshold)

    @pytest.mark.parametrize("more", [[], ["--parts", "parts"]], ids=["at once", "in parts"])
    def test_what_only_tf_leaves_out_is_counted(self, tfclass, small_bundle_folder, tmp_path, more):
        coding = "ATGGCTAAAGGTTTCCTGACCGATGAACGT" * 3
        records = [coding] * 1_500 + ["MKV;", "MKV'", 'MKV"', "MKV\\", "", "MK-V*", coding + "=1"] + [coding] * 10
        (tmp_path / "cds.fa").write_text("".join(f">r{n}\n{sequence}\n" for n, sequence in enumerate(records)))
        arguments = ("cds.fa", "--model", small_bundle_folder, "--threshold", 1, "--only-tf", *more)
        finished = tfclass("predict", *arguments)
        assert finished.out.count("\n") == 1
        assert without_time(finished.err) == (
            "0 of 1,517 records predicted TF (0.0 %), 6 skipped\n"
            "threshold 1.0 (as given)\n"
            "1,510 records with looks_like_nucleotide (DNA or RNA? The model expects proteins: translate the sequences "
            "first)\n"
            "1 record with stop_removed (a stop (*) at the end was removed)\n"
            "1 record with gaps_removed (gaps (- or .) were removed)\n"
            "5 records skipped: illegal (a character that is no residue letter)\n"
            "1 record skipped: empty (no residue)\n"
        )
        assert tfclass("predict", *arguments, "--quiet").err == ""

    @pytest.mark.parametrize("count", [1, 2, 3, 20])
    def test_shards_hold_every_record_once(self, tfclass, odd, small_bundle_folder, count):
        model = ("--model", small_bundle_folder)
        whole = cells(tfclass("predict", odd, *model).out)
        for index in range(1, min(count, 4) + 1):
            shard = cells(tfclass("predict", odd, *model, "--shard", f"{index}/{count}").out)
            # Which id came before is a matter of the shard.
            assert [row[:6] for row in shard] == [row[:6] for row in whole[index - 1 :: count]]

    def test_a_rule_for_the_threshold_is_told_in_every_row(self, tfclass, odd):
        for rule in ("max-mcc", "recall=0.99"):
            rows = tfclass("predict", odd, "--threshold", rule).out.splitlines()[1:]
            assert {row.split("\t")[4] for row in rows} == {str(Predictor.load(threshold=rule).threshold)}
        assert Predictor.load(threshold="recall=0.99").threshold != Predictor.load().threshold

    @pytest.mark.parametrize("options", [("--threshold", "fdr=0.3"), ("--prevalence", "auto")])
    def test_a_rule_about_the_whole_input_gives_the_rows_of_what_it_chose(
        self, tfclass, demo_table, with_profiles_folder, tmp_path, options
    ):
        table = pd.read_csv(demo_table, sep="\t")
        text = "".join(f">{name}\n{sequence}\n" for name, sequence in zip(table["id"], table["sequence"], strict=True))
        (tmp_path / "in.fasta").write_text(text + ">empty\n>caf\u00e9\nMKV\n")
        model = ("in.fasta", "--model", with_profiles_folder, "--header")
        chosen = tfclass("predict", *model, *options)
        assert chosen.status == 0
        facts = dict(fact.split("=", 1) for fact in chosen.out.splitlines()[0][2:].split("; "))
        shown = float(facts["prevalence"])
        assert f"threshold {facts['threshold']} (" in chosen.err
        assert f"prevalence {facts['prevalence']} (estimated)" in chosen.err
        assert {line.split("\t")[4] for line in chosen.out.splitlines()[2:]} == {facts["threshold"]}
        stated = tfclass("predict", *model, "--threshold", facts["threshold"], "--prevalence", str(shown))
        assert stated.out == chosen.out
        parts = tfclass("predict", *model, *options, "--parts", "parts")
        assert parts.out == chosen.out
        only = tfclass("predict", *model, *options, "--only-tf").out.splitlines()
        assert only[2:] == [line for line in chosen.out.splitlines()[2:] if "\tTF\t" in line]

    def test_a_prevalence_that_is_no_number_is_refused(self, tfclass, odd):
        finished = tfclass("predict", odd, "--prevalence", "few")
        assert finished.status == 2
        assert "'few' is neither a number between 0 and 1 nor auto" in finished.err
        assert finished.err.count("\n") == 1

    def test_the_name_of_the_output_says_the_format(self, tfclass, odd, small_bundle_folder, tmp_path):
        model = ("--model", small_bundle_folder)
        as_tsv = cells(tfclass("predict", odd, *model, "--header").out.split("\n", 1)[1])
        assert tfclass("predict", odd, *model, "-o", "rows.parquet").status == 0
        table = pq.read_table(tmp_path / "rows.parquet")
        assert table.column("length").to_pylist() == [int(row[1]) for row in as_tsv]
        assert table.column("notes").to_pylist() == [row[6] for row in as_tsv]
        description = json.loads((small_bundle_folder / "bundle.json").read_text())
        assert table.schema.metadata[b"sha256"].decode() == description["sha256"]
        assert tfclass("predict", odd, *model, "-o", "rows.jsonl").status == 0
        assert json.loads((tmp_path / "rows.jsonl").read_text().splitlines()[0])["id"] == "empty"

    @pytest.mark.parametrize("name", ["rows.tsv.gz", "ROWS.TSV.GZ"])
    def test_a_name_in_gz_packs_the_rows(self, tfclass, odd, small_bundle_folder, tmp_path, name):
        model = ("--model", small_bundle_folder)
        assert tfclass("predict", odd, *model, "-o", name).status == 0
        plain = tfclass("predict", odd, *model, "-o", "-").out
        assert gzip.decompress((tmp_path / name).read_bytes()).decode("utf-8", "surrogateescape") == plain

    @pytest.mark.parametrize(
        ("name", "ending"),
        [
            *(
                ("rows.XLSX", "xlsx"),
                ("rows.tsv.zst", "zst"),
                ("x.gff", "gff"),
                ("x.gff.gz", "gff"),
                ("x.list", "list"),
            ),
            *(("E.coli_K12", "coli_k12"), ("sample.1", "1"), ("x.gtf", "gtf"), ("x.csv.xz", "xz")),
            *(
                (".rows.bed12", "bed12"),
                ("rows.tsv~", "tsv~"),
                ("a.tsv b", "tsv b"),
                ("rows.tsv.gz.1", "1"),
                ("x.ts\x1bv", "ts\\x1bv"),
            ),
        ],
    )
    def test_a_name_of_another_ending_is_refused_before_anything_is_read(self, tfclass, name, ending):
        finished = tfclass("predict", "no such input.fasta", "-o", name)
        shown = name.replace("\x1b", "\\x1b")
        expected = "expected .tsv, .csv, .jsonl, .parquet, .gff3, .bed, .txt, or these with .gz"
        expected += "; or name the format with --format"
        assert_one_line(finished, f"{shown}: found a name ending in .{ending}; {expected}")

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("", "-o: found an empty name; expected a file"),
            (
                "rows.parquet.gz",
                "rows.parquet.gz: found a name ending in .gz; expected .parquet; Parquet is compressed",
            ),
            ("none/", "none/: found a folder; expected a file; choose another name for -o"),
        ],
    )
    def test_a_name_that_cannot_be_is_refused(self, tfclass, odd, small_bundle_folder, tmp_path, name, message):
        finished = tfclass("predict", odd, "--model", small_bundle_folder, "-o", name)
        assert (finished.status, finished.out, finished.err.count("\n")) == (2, "", 1)
        assert finished.err.startswith(f"tfclass: {message}")
        assert [path.name for path in tmp_path.iterdir()] == [odd]

    @pytest.mark.parametrize("name", ["E.coli_K12", "sample.1", "x.gff3", "x.txt"])
    def test_any_name_will_do_for_a_format_that_is_named(self, tfclass, odd, small_bundle_folder, tmp_path, name):
        model = ("--model", small_bundle_folder, "--format", "jsonl")
        assert tfclass("predict", odd, *model, "-o", name).status == 0
        assert (tmp_path / name).read_bytes().startswith(b'{"id": "empty"')

    @pytest.mark.parametrize("name", ["rows", ".rows", "rows.", "E.coli_K12.tsv", "v1.2.TSV", "K 12.d/rows"])
    def test_a_name_without_an_ending_means_tsv(self, tfclass, odd, small_bundle_folder, tmp_path, name):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        assert tfclass("predict", odd, "--model", small_bundle_folder, "-o", name).status == 0
        assert (tmp_path / name).read_text(errors="replace").startswith(HEADER + "\n")

    @pytest.mark.parametrize("resume", [[], ["--resume"]], ids=["at once", "in parts"])
    def test_a_record_longer_than_the_limit_is_skipped_and_the_others_are_scored(
        self, tfclass, small_bundle_folder, tmp_path, resume
    ):
        (tmp_path / "long.fa").write_text(f">a\nMKV\n>b\n{'ACGT' * 500}\n>c\nMKVLA>d\nMK\n")
        options = ["--model", small_bundle_folder, "--max-length", "1999", "-o", "o.tsv", "--strict", *resume]
        finished = tfclass("predict", "long.fa", *options)
        assert finished.status == 1
        rows = [line.split("\t") for line in (tmp_path / "o.tsv").read_text().splitlines()[1:]]
        assert [(row[0], row[1], row[-2], row[-1]) for row in rows] == [
            ("a", "3", "ok", ""),
            ("b", "2000", "skipped", "longer_than=1999"),
            ("c", "5", "ok", "header_within_line"),
            ("d", "2", "ok", "header_within_line"),
        ]
        options[3] = "2000"
        finished = tfclass("predict", "long.fa", *options)
        assert (finished.status, (tmp_path / "o.tsv").read_text().count("\tok\t")) == (0, 4)

    def test_json_is_readable_by_all_whatever_the_id(self, tfclass, odd, small_bundle_folder):
        text = tfclass("predict", odd, "--model", small_bundle_folder, "--format", "jsonl").out
        rows = [json.loads(line) for line in text.splitlines()]
        assert "".join(row["id"] for row in rows).encode("utf-8")
        assert rows[10]["id"] == r"caf\xe9"

    def test_a_header_line_names_version_and_model(self, tfclass, odd, small_bundle_folder):
        line = tfclass("predict", odd, "--model", small_bundle_folder, "--header").out.split("\n", 1)[0]
        description = json.loads((small_bundle_folder / "bundle.json").read_text())
        assert line.startswith(f"# tfclass={__version__}; model=small; sha256={description['sha256']}; threshold=0.5")


@pytest.mark.parametrize("parts", [[], ["--parts", "parts"]], ids=["at once", "in parts"])
def test_what_is_asked_for_is_what_the_predictor_is_told(tfclass, odd, with_homology_folder, tmp_path, parts):
    asked = ["--channel", "network", "--prevalence", "0.01", "--precision", "bf16", "--threshold", "0.2"]
    finished = tfclass("predict", odd, "--model", with_homology_folder, *asked, *parts)
    assert finished.status == 0, finished.err
    options = {"channel": "network", "prevalence": 0.01, "precision": "bf16", "threshold": 0.2}
    expected = io.BytesIO()
    predictor = Predictor(load_bundle(with_homology_folder), **options)
    write_tsv(predictor.predict(read_fasta(tmp_path / odd)), expected, columns=predictor.columns)
    assert finished.out.encode("utf-8", "surrogateescape") == expected.getvalue()
    for name in options:
        other = Predictor(load_bundle(with_homology_folder), **{key: options[key] for key in options if key != name})
        differs = io.BytesIO()
        write_tsv(other.predict(read_fasta(tmp_path / odd)), differs, columns=other.columns)
        assert differs.getvalue() != expected.getvalue(), name


class TestChannels:
    COLUMNS = {
        "network": "family family_probability domain",
        "profile": "family domain profile profile_bits",
        "homology": "homologue homologue_label homologue_bits",
        "combined": "family family_probability domain network profile profile_bits "
        "homologue homologue_label homologue_bits family_source domain_source",
    }

    @pytest.fixture
    def fasta(self, demo_table, tmp_path):
        """Generated proteins among the odd records, one of them with a gap in every place."""
        rows = demo_table.read_text().splitlines()[1:40]
        proteins = [row.split("\t") for row in rows]
        sequence = next(i for i, cell in enumerate(proteins[0]) if len(cell) > 40)
        records = [f">{row[0]}\n{row[sequence]}\n" for row in proteins]
        gapped = f">gapped\n{'-'.join(proteins[0][sequence])}*\n"
        (tmp_path / "in.fasta").write_bytes(ODD + ("\n" + "".join(records) + gapped).encode())
        return "in.fasta"

    @pytest.mark.parametrize("channel", COLUMNS)
    def test_rows_have_the_columns_and_values_of_the_channel(
        self, tfclass, fasta, with_homology_folder, channel, tmp_path
    ):
        # With every protein predicted positive, each has a family and may have domains.
        words = ("--model", with_homology_folder, "--channel", channel, "--threshold", 0)
        finished = tfclass("predict", fasta, *words)
        assert finished.status == 0
        header, *lines = finished.out.removesuffix("\n").split("\n")
        columns = [*HEADER.split("\t")[:5], *self.COLUMNS[channel].split(), "status", "notes"]
        assert header.split("\t") == columns
        predictor = Predictor.load(with_homology_folder, channel=channel, threshold=0.0)
        expected = list(predictor.predict(read_fasta(str(tmp_path / fasta))))
        decimals = {"probability": 6, "family_probability": 6, "network": 6, "profile_bits": 1, "homologue_bits": 1}
        for line, row in zip(lines, expected, strict=True):
            for name, cell in zip(columns, line.split("\t"), strict=True):
                value = getattr(row, name)
                text = "" if value is None else f"{value:.{decimals[name]}f}" if name in decimals else str(value)
                assert cell == text, (row.id, name)
        # A residue between two gaps has twice its number.
        first, gapped = expected[len(ODD_ROWS)], expected[-1]
        assert gapped.probability == first.probability
        for name in {"profile_bits", "homologue"}.intersection(columns):
            assert getattr(gapped, name) == getattr(first, name)
        if "domain" in columns and (first.domain or channel != "profile"):
            places = [tuple(map(int, part.split("-"))) for part in first.domain.split(";")]
            assert gapped.domain == ";".join(f"{2 * a - 1}-{2 * b - 1}" for a, b in places)

    @pytest.mark.parametrize("name", ["rows.jsonl", "rows.parquet"])
    def test_other_formats_have_null_for_what_is_absent(self, tfclass, fasta, with_homology_folder, tmp_path, name):
        assert tfclass("predict", fasta, "--model", with_homology_folder, "-o", name).status == 0
        predictor = Predictor.load(with_homology_folder)
        rows = list(predictor.predict(read_fasta(str(tmp_path / fasta))))
        if name.endswith("parquet"):
            table = pq.read_table(tmp_path / name)
            found, metadata = table.to_pylist(), table.schema.metadata
            assert metadata[b"channel"] == b"combined"
        else:
            text = (tmp_path / name).read_bytes().decode("utf-8", "surrogateescape")
            found = [json.loads(line) for line in text.splitlines()]
        assert [list(values) for values in found] == [list(predictor.columns)] * len(rows)
        for values, row in zip(found, rows, strict=True):
            kept = {key: value for key, value in values.items() if key != "id"}
            assert kept == {key: getattr(row, key) for key in kept}

    def test_the_channel_is_named_above_the_rows_of_a_model_that_has_several(self, tfclass, odd, with_homology_folder):
        lines = {
            asked: tfclass("predict", odd, "--model", with_homology_folder, "--header", *asked).out.split("\n", 1)[0]
            for asked in ((), ("--channel", "network"))
        }
        assert "; channel=combined; threshold=" in lines[()]
        assert "; channel=network; threshold=0.5;" in lines[("--channel", "network")]

    def test_a_run_in_parts_gives_the_same_and_does_not_mix_channels(
        self, tfclass, fasta, with_homology_folder, tmp_path
    ):
        model = ("--model", with_homology_folder)
        for channel in ("network", "combined"):
            whole = tfclass("predict", fasta, *model, "--channel", channel, "--quiet")
            parts = tfclass("predict", fasta, *model, "--channel", channel, "--quiet", "--parts", "parts")
            assert (whole.status, parts.status, parts.out) == (0, 0, whole.out)

    def test_what_a_model_does_not_have_is_one_line(self, tfclass, odd, small_bundle_folder):
        finished = tfclass("predict", odd, "--model", small_bundle_folder, "--channel", "combined")
        assert_one_line(finished, "channel: found 'combined'; expected network, which is all that small has")
        unknown = tfclass("predict", odd, "--channel", "rumour")
        assert (unknown.status, unknown.out, unknown.err.count("\n")) == (2, "", 1)
        assert "found 'rumour'; expected network or profile or combined, which is all that tf-bilstm has" in unknown.err


def count_called(text):
    return sum(row[2] == "TF" for row in cells(text))


class TestOutput:
    def test_a_strict_run_fails_only_after_every_row_is_in_the_file(self, tfclass, odd, small_bundle_folder, tmp_path):
        (tmp_path / "out.tsv").write_text("what stood here before")
        finished = tfclass("predict", odd, "--model", small_bundle_folder, "-o", "out.tsv", "--quiet", "--strict")
        assert (finished.status, finished.out) == (1, "")
        assert finished.err == "tfclass: 2 of 13 records skipped (--strict)\n"
        text = (tmp_path / "out.tsv").read_bytes().decode("utf-8", "surrogateescape")
        assert [row[0] for row in cells(text)] == [name for name, *_ in ODD_ROWS]
        assert sorted(path.name for path in tmp_path.iterdir()) == [odd, "out.tsv"]
        umask = os.umask(0)
        os.umask(umask)
        assert stat.S_IMODE((tmp_path / "out.tsv").stat().st_mode) == 0o666 & ~umask

    def test_a_missing_output_folder_is_one_line(self, tfclass, odd, small_bundle_folder):
        finished = tfclass("predict", odd, "--model", small_bundle_folder, "-o", "none/out.tsv")
        assert_one_line(
            finished,
            "none/out.tsv: found a place that cannot be written (No such file or directory); check the folder",
        )

    @pytest.mark.parametrize("argument", ["-o", "--model", "--parts"])
    def test_a_name_that_no_system_takes_is_one_line(self, tfclass, odd, small_bundle_folder, argument):
        options = {"--model": str(small_bundle_folder), argument: "x" * 300}
        finished = tfclass("predict", odd, *itertools.chain(*options.items()))
        assert finished.status == 2
        said = r"x{300}: found a place that cannot be (used|written) \(File name too long\); check the (path|folder)\n"
        assert re.fullmatch(f"tfclass: [^\n]*{said}", finished.err)

    def test_a_pipe_is_written_to_and_stays_a_pipe(self, tfclass, odd, small_bundle_folder, tmp_path):
        pipe, received = tmp_path / "pipe", []
        os.mkfifo(pipe)
        reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()), daemon=True)
        reader.start()
        finished = tfclass("predict", odd, "--model", small_bundle_folder, "-o", "pipe")
        assert finished.status == 0
        assert pipe.is_fifo()
        reader.join(timeout=30)
        assert received[0].count(b"\n") == 14

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
    def test_a_full_standard_output_is_one_line(self, tmp_path, odd, small_bundle_folder):
        # An interpreter flushes its streams as it ends.
        command = [sys.executable, "-m", "tfclass", "predict", odd, "--model", str(small_bundle_folder)]
        with open("/dev/full", "wb") as full:
            done = subprocess.run(command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, timeout=120)
        said = b"tfclass: standard output: found a place that cannot be written (No space left on device)\n"
        assert (done.returncode, done.stderr) == (2, said)

    def test_a_reader_that_has_seen_enough_ends_it_without_a_word(self, start_tfclass, tmp_path, small_bundle_folder):
        (tmp_path / "many.fasta").write_bytes(b">a\nMKV\n" * 20_000)
        reading, writing = os.pipe()
        process = start_tfclass("predict", "many.fasta", "--model", small_bundle_folder, stdout=writing)
        os.close(writing)
        with os.fdopen(reading, "rb") as stream:
            assert stream.readline().decode() == HEADER + "\n"
        _, error = process.communicate()
        assert (process.returncode != 0, error) == (True, b"")

    def test_an_input_is_not_replaced_whatever_it_is_called(self, start_tfclass, odd, tmp_path, small_bundle_folder):
        for source, output in (("-", odd), (odd, f"./{odd}"), (odd, f"file://{tmp_path / odd}")):
            arguments = ("predict", source, "--model", small_bundle_folder, "-o", output)
            with (tmp_path / odd).open("rb") as stream:
                _, error = start_tfclass(*arguments, stdin=stream.fileno()).communicate()
            assert b"found an input file; expected a file of its own; choose another name for -o" in error
        assert (tmp_path / odd).read_bytes() == ODD

    def test_rows_come_where_nobody_hears_errors(self, tfclass, odd, small_bundle_folder):
        finished = tfclass("predict", odd, "--model", small_bundle_folder, first=without_errors)
        assert (finished.status, finished.out.count("\n"), finished.err) == (0, 14, "")

    def test_a_pipe_of_the_shell_is_written_to(self, start_tfclass, odd, small_bundle_folder):
        reading, writing = os.pipe()
        process = start_tfclass("predict", odd, "--model", small_bundle_folder, "-o", "/dev/fd/1", stdout=writing)
        os.close(writing)
        with os.fdopen(reading, "rb") as stream:
            assert stream.read().count(b"\n") == 14
        process.communicate()
        assert process.returncode == 0

    def test_an_interrupted_run_leaves_no_file(self, start_tfclass, tmp_path, small_bundle_folder):
        reading, writing = os.pipe()
        process = start_tfclass("predict", "-", "--model", small_bundle_folder, "-o", "out.tsv", stdin=reading)
        os.close(reading)
        with os.fdopen(writing, "wb") as stream:
            stream.write(b">a\nMKV\n" * 20_000)
            stream.flush()
            wait_until(lambda: list(tmp_path.glob(".out.tsv.*")))
            process.send_signal(signal.SIGINT)
            out, error = process.communicate()
        assert (process.returncode, out, error) == (130, b"", b"tfclass: interrupted\n")
        assert list(tmp_path.iterdir()) == []


def without_errors():
    """Leave the process as `2>&-` of a shell leaves an interpreter."""
    os.close(2)
    sys.stderr = None


def wait_until(happened, seconds=60):
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


FASTA_EXPECTED = "expected a FASTA header starting with '>'"
CUT_SHORT = "Compressed file ended before the end-of-stream marker was reached"
BAD_INPUTS = {
    "a missing file": (None, ": found no such file; check the path"),
    "an empty file": (b"", ": found no records; expected at least one FASTA record; is the file complete?"),
    "a FASTQ file": (b"@r\nACGT\n+\nIIII\n", f", line 1: found what looks like a FASTQ file; {FASTA_EXPECTED}"),
    "a table": (
        b"id\tsequence\nP1\tMKV\n",
        f", line 1: found what looks like a table with tabs between its cells; {FASTA_EXPECTED}",
    ),
    "a web page": (b"<html>", f", line 1: found what looks like an HTML or XML page; {FASTA_EXPECTED}"),
    "headers without sequences": (
        b">a\n>b\n",
        ": found 2 headers without a sequence; expected at least one record with residues; is the file complete?",
    ),
    "a gzip file cut short": (
        gzip.compress(ODD)[:-5],
        f": found compressed data that is cut short or damaged ({CUT_SHORT}); copy or download the file again",
    ),
}


class TestBadInput:
    @pytest.mark.parametrize(("content", "message"), BAD_INPUTS.values(), ids=BAD_INPUTS)
    def test_it_is_one_line_and_no_file(self, tfclass, tmp_path, small_bundle_folder, content, message):
        # A good input before it does not let half a result out.
        (tmp_path / "good.fasta").write_bytes(b">a\nMKV\n")
        name = "bad {0} %s.fasta"
        if content is not None:
            (tmp_path / name).write_bytes(content)
        before = sorted(tmp_path.iterdir())
        finished = tfclass("predict", "good.fasta", name, "--model", small_bundle_folder, "-o", "out.tsv")
        assert_one_line(finished, name + message)
        assert sorted(tmp_path.iterdir()) == before

    def test_an_address_without_anything_is_one_line(self, tfclass, tmp_path, small_bundle_folder):
        address = f"file://{tmp_path}/none.fasta"
        finished = tfclass("predict", address, "--model", small_bundle_folder)
        assert_one_line(finished, f"{address}: found nothing there, or no answer; check the path")

    def test_a_folder_leaves_standard_output_empty(self, tfclass, tmp_path, small_bundle_folder):
        (tmp_path / "folder").mkdir()
        finished = tfclass("predict", "folder", "--model", small_bundle_folder, "--only-tf")
        assert_one_line(finished, "folder: found a directory; expected a FASTA file; name the files inside it")

    def test_standard_input_named_twice_is_one_line(self, tfclass, small_bundle_folder):
        finished = tfclass("predict", "-", "-", "--model", small_bundle_folder, stdin=b">a\nMKV\n")
        assert_one_line(finished, "standard input: found a stream that is named twice; expected each stream once")

    @pytest.mark.parametrize("fault", [fault for fault in BAD_INPUTS if fault != "a gzip file cut short"])
    def test_it_is_found_before_the_model_is_loaded(self, tfclass, tmp_path, fault):
        content, message = BAD_INPUTS[fault]
        (tmp_path / "good.fasta").write_bytes(b">a\nMKV\n")
        if content is not None:
            (tmp_path / "bad.fasta").write_bytes(content)
        finished = tfclass("predict", "good.fasta", "-", "bad.fasta", "--model", "none", stdin=b">b\nMKV\n")
        assert_one_line(finished, "bad.fasta" + message)

    def test_an_interrupt_while_standard_input_says_nothing_is_one_line(self, start_tfclass):
        reading, writing = os.pipe()
        process = start_tfclass("predict", "-", stdin=reading)
        os.close(reading)
        time.sleep(2)
        process.send_signal(signal.SIGINT)
        out, error = process.communicate()
        os.close(writing)
        assert (process.returncode, out, error) == (130, b"", b"tfclass: interrupted\n")


class TestBadModel:
    def test_a_missing_model_is_named_and_the_known_ones_are_listed(self, tfclass, odd):
        finished = tfclass("predict", odd, "--model", "none")
        assert finished.err.startswith("tfclass: none: found no such model; expected a folder with a bundle, or a ship")
        assert (finished.status, finished.out, finished.err.count("\n")) == (2, "", 1)

    def test_a_folder_of_the_same_name_does_not_stand_in_for_the_shipped_one(self, tfclass, odd, tmp_path):
        (tmp_path / "tf-bilstm").mkdir()
        assert tfclass("predict", odd, "--channel", "network").status == 0
        assert "tf-bilstm: found no bundle.json" in tfclass("predict", odd, "--model", "./tf-bilstm").err

    @pytest.mark.parametrize("name", ["model.safetensors", "bundle.json"])
    def test_an_altered_model_is_refused_by_the_name_of_the_file(
        self, tfclass, odd, tmp_path, small_bundle_folder, name
    ):
        shutil.copytree(small_bundle_folder, tmp_path / "altered")
        path = tmp_path / "altered" / name
        content = bytearray(path.read_bytes())
        where = content.index(b"0.5") + 2 if name == "bundle.json" else len(content) - 1
        content[where] ^= 1
        path.write_bytes(content)
        finished = tfclass("predict", odd, "--model", "altered")
        assert_one_line(finished, f"altered/{name}: checksum mismatch; restore the bundle")


class TestUsage:
    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            (["--nonesuch", "in.fasta"], "No such option: --nonesuch"),
            (["--format", "xml", "in.fasta"], "Invalid value for '--format'"),
            ([], "Invalid value for FASTA: name at least one file, - for standard input, or give --example"),
            (["in.fasta", "--shard", "0/4"], "Invalid value for --shard: '0/4' is not I/N with I from 1 to N"),
            (["in.fasta", "--shard", "half"], "Invalid value for --shard: 'half' is not I/N with I from 1 to N"),
            (
                ["in.fasta", "--resume"],
                "Invalid value for --resume: needs -o FILE or --parts DIR: a pipe or an address cannot be resumed",
            ),
            (
                ["in.fasta", "--resume", "-o", "s3://b/rows.tsv"],
                "Invalid value for --resume: needs -o FILE or --parts DIR",
            ),
            (["in.fasta", "--parts", "s3://b/parts"], "Invalid value for --parts: parts need a folder"),
            (["in.fasta", "--engine", "dask"], "Invalid value for --engine: needs --parts DIR, or --resume with -o"),
            (["in.fasta", "--workers", "0"], "Invalid value for '--workers'"),
            (["in.fasta", "--workers", "4"], "Invalid value for --workers: needs --engine"),
            (["in.fasta", "--\x1b[2Jx"], "No such option: --\\x1b[2Jx"),
            (
                ["in.fasta", "--header", "-o", "rows.jsonl"],
                "Invalid value for --header: jsonl has no place for it; it is for tsv and parquet and gff3",
            ),
            (
                ["in.fasta", "--description", "-o", "x.bed.gz"],
                "Invalid value for --description: bed has no place for it",
            ),
            (["in.fasta", "--taxon", "fungi"], "Invalid value for --taxon: tsv has no place for it; it is for gff3"),
            (
                ["in.fasta", "--genome-gff", "x.gff3"],
                "Invalid value for --genome-gff: tsv has no place for it; it is for",
            ),
            (
                ["in.fasta", "-o", "x.gff3", "--taxon", "fish"],
                "Invalid value for '--taxon': Value error, 'fish' is not one of "
                "'bacteria', 'archaea', 'fungi', 'plants', 'animals'",
            ),
            (["in.fasta", "--example"], "Invalid value for --example: stands in place of files; name files, or give"),
        ],
        ids=["an unknown option", "an unknown format", "no input", "a shard of none", "a shard in words"]
        + [
            "going on with standard output",
            "going on with an address",
            "parts at an address",
            "an engine without parts",
            "no workers",
            "workers of no engine",
            "an option that would clear the screen",
            "a header line for JSON",
            "a description in BED",
            "a taxon in TSV",
            "a genome for TSV",
            "an unknown taxon",
            "a file and the examples",
        ],
    )
    def test_wrong_usage_is_one_line(self, tfclass, arguments, expected):
        finished = tfclass("predict", *arguments)
        assert finished.err.startswith(f"tfclass predict: {expected}")
        assert finished.err.endswith("; see tfclass predict --help\n")
        assert ".;" not in finished.err
        assert (finished.status, finished.out, finished.err.count("\n")) == (2, "", 1)

    @pytest.mark.parametrize("rule", ["50", "fdr=5%", "fdr=5"])
    def test_a_threshold_that_is_no_probability_is_one_line(self, tfclass, odd, small_bundle_folder, rule):
        finished = tfclass("predict", odd, "--model", small_bundle_folder, "--threshold", rule)
        expected = "a probability between 0 and 1, max-mcc, fdr=X or recall=X, such as fdr=0.05"
        assert_one_line(finished, f"threshold: found '{rule}'; expected {expected}")

    @pytest.mark.parametrize(
        "code",
        [
            "import tfclass",
            "import tfclass.cli.app as m; sys.argv = ['tfclass', '--help']; call(m.main)",
            "import tfclass.cli.app as m; sys.argv = ['tfclass', 'predict', '--help']; call(m.main)",
        ],
        ids=["import tfclass", "tfclass --help", "tfclass predict --help"],
    )
    def test_nobody_waits_for_torch_before_it_is_needed(self, code, tmp_path):
        script = (
            "import sys\n"
            "def call(main):\n"
            "    try:\n"
            "        main()\n"
            "    except SystemExit as end:\n"
            "        assert not end.code, end.code\n"
            f"{code}\n"
            "sys.exit('torch' in sys.modules)\n"
        )
        process = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, timeout=120)
        assert (process.returncode, process.stderr) == (0, b"")
        assert ("help" in code) == (b"Usage: tfclass" in process.stdout)


def test_an_input_is_never_overwritten_and_a_link_is_followed(tfclass, small_bundle_folder, tmp_path):
    (tmp_path / "in.fasta").write_text(">a\nMKV\n")
    refused = tfclass("predict", "in.fasta", "-o", "in.fasta", "--model", small_bundle_folder)
    assert refused.status == 2
    assert refused.err == (
        "tfclass: in.fasta: found an input file; expected a file of its own; choose another name for -o\n"
    )
    assert (tmp_path / "in.fasta").read_text() == ">a\nMKV\n"
    (tmp_path / "link.tsv").symlink_to("target.tsv")
    assert tfclass("predict", "in.fasta", "-o", "link.tsv", "--model", small_bundle_folder).status == 0
    assert (tmp_path / "link.tsv").is_symlink()
    assert (tmp_path / "target.tsv").read_text().startswith("id\tlength")


def test_standard_output_by_its_name_is_added_to_and_not_replaced(start_tfclass, small_bundle_folder, tmp_path):
    (tmp_path / "in.fasta").write_text(">a\nMKV\n")
    arguments = ("predict", "in.fasta", "-q", "--model", small_bundle_folder, "-o", "/dev/stdout")
    with (tmp_path / "log").open("ab") as log:
        log.write(b"before\n")
        log.flush()
        process = start_tfclass(*arguments, stdout=log.fileno())
        process.communicate()
        assert process.returncode == 0
    assert (tmp_path / "log").read_text().startswith("before\nid\tlength")


class TestAnAddressForTheRows:
    @pytest.mark.parametrize("name", ["rows.tsv", "rows.jsonl", "rows.parquet"])
    def test_it_holds_what_a_file_would(self, tfclass, odd, small_bundle_folder, tmp_path, name):
        (tmp_path / "bucket").mkdir()
        model = ["--model", small_bundle_folder]
        assert tfclass("predict", odd, *model, "-o", name).status == 0
        assert tfclass("predict", odd, *model, "-o", f"file://{tmp_path}/bucket/{name}").status == 0
        assert (tmp_path / "bucket" / name).read_bytes() == (tmp_path / name).read_bytes()

    def test_nothing_is_there_after_a_failure(self, tfclass, tmp_path, small_bundle_folder):
        (tmp_path / "bad.fasta").write_text("no header\n")
        (tmp_path / "bucket").mkdir()
        (tmp_path / "temporary").mkdir()
        finished = tfclass(
            *("predict", "bad.fasta", "--model", small_bundle_folder, "-o", f"file://{tmp_path}/bucket/rows.tsv"),
            TMPDIR=str(tmp_path / "temporary"),
        )
        assert finished.status == 2
        assert [*(tmp_path / "bucket").iterdir(), *(tmp_path / "temporary").iterdir()] == []

    def test_rows_whose_upload_fails_are_kept_and_named(self, tfclass, odd, small_bundle_folder, tmp_path):
        (tmp_path / "temporary").mkdir()
        address = f"file://{tmp_path}/no bucket/rows.tsv"
        arguments = ["predict", odd, "--model", small_bundle_folder]
        finished = tfclass(*arguments, "-o", address, TMPDIR=str(tmp_path / "temporary"))
        assert (finished.status, finished.err.count("\n")) == (2, 1)
        assert finished.err.startswith(f"tfclass: {address}: found an upload that failed (")
        kept = Path(finished.err.rpartition("upload it from ")[2].rstrip("\n"))
        assert kept.read_text(errors="surrogateescape") == tfclass(*arguments).out

    def test_one_without_a_driver_is_one_line(self, tfclass, odd, small_bundle_folder):
        finished = tfclass("predict", odd, "--model", small_bundle_folder, "-o", "nowhere://bucket/rows.tsv")
        assert finished.err.startswith("tfclass: nowhere://bucket/rows.tsv: found an address that cannot be opened (")
        assert (finished.status, finished.out, finished.err.count("\n")) == (2, "", 1)


def test_a_model_of_generated_proteins_says_so_before_it_predicts(tfclass, small_bundle, tmp_path):
    note = "note: this model was trained on generated proteins; its predictions for real proteins mean nothing"
    (tmp_path / "in.fasta").write_text(">a\nMKVLA\n")
    for generated in (True, False):
        facts = {"corpus": {"name": "any", "generated": generated}}
        save_bundle(replace(small_bundle, provenance=facts), tmp_path / "model", card="# small\n")
        shown = tfclass("predict", "in.fasta", "--model", "model")
        said = ["1 of 1 record predicted TF (100.0 %), 0 skipped", "threshold 0.5 (max-mcc)"]
        assert without_time(shown.err).splitlines() == [note] * generated + said
        quiet = tfclass("predict", "in.fasta", "--model", "model", "-q")
        assert (quiet.out, quiet.err) == (shown.out, "")


class TestSummary:
    """The page and the numbers about a whole input."""

    @pytest.fixture
    def model(self, with_profiles_folder):
        return ("--model", with_profiles_folder)

    def numbers(self, tfclass, tmp_path, *arguments):
        finished = tfclass("predict", *arguments, "--summary", "out.json", "--summary", "out.html")
        assert finished.status == 0, finished.err
        assert (tmp_path / "out.html").read_text().startswith("<!doctype html>")
        content = json.loads((tmp_path / "out.json").read_text())
        (tmp_path / "out.json").unlink()
        return finished, content

    def test_a_taxon_marks_what_to_compare_with(self, tfclass, odd, model, tmp_path):
        _, content = self.numbers(tfclass, tmp_path, odd, *model, "--taxon", "plants")
        assert [each["taxon"] for each in content["usual"] if each["is_chosen"]] == ["plants"]

    @pytest.mark.parametrize(
        "more",
        [
            (),
            ("--only-tf",),
            ("--parts", "parts"),
            ("-o", "rows.jsonl", "--resume"),
            ("--threshold", "fdr=0.3"),
            ("--prevalence", "auto", "--only-tf"),
            ("--channel", "network"),
        ],
        ids=" ".join,
    )
    def test_it_counts_what_the_rows_say(self, tfclass, tmp_path, demo_table, model, more):
        table = pd.read_csv(demo_table, sep="\t").head(60)
        text = "".join(f">{name}\n{sequence}\n" for name, sequence in zip(table["id"], table["sequence"], strict=True))
        (tmp_path / "in.fasta").write_bytes(text.encode() + ODD)
        finished, content = self.numbers(tfclass, tmp_path, "in.fasta", *model, *more)
        options = [each for each in more if each not in ("--only-tf", "--resume", "-o", "rows.jsonl")]
        rows = tfclass("predict", "in.fasta", *model, *options, "--quiet").out.splitlines()
        header, *cells_of = [line.split("\t") for line in rows]
        frame = pd.DataFrame(cells_of, columns=header)
        positive, scored = frame["label"] == "TF", frame["status"] == "ok"
        assert content["counts"]["records"] == len(frame) == 73
        assert content["counts"]["skipped"] == (~scored).sum() == 2
        assert content["counts"]["predicted"] == positive.sum() > 0
        assert content["counts"]["residues"] == frame.loc[scored, "length"].astype(int).sum()
        assert str(content["decision"]["threshold"]) == frame["threshold"].iloc[0]
        probability = frame.loc[scored, "probability"].astype(float)
        assert content["expected"]["number"] == pytest.approx(probability.sum(), abs=1e-4)
        assert content["expected"]["interval"]["low"] <= probability.sum() <= content["expected"]["interval"]["high"]
        assert {each["id"] for each in content["predicted"]["proteins"]} == set(frame.loc[positive, "id"])
        if "family" in frame:
            families = frame.loc[positive, "family"].value_counts().to_dict()
            assert {each["name"]: each["n"] for each in content["groups"]} == families
        assert f"{positive.sum()} of 73 records predicted TF" in finished.err
        assert "out.json, out.html\n" in finished.err

    @pytest.mark.parametrize(
        ("place", "said"),
        [
            ("out.pdf", "out.pdf: found a summary of another kind; expected a name ending in .html or .json"),
            ("html", "html: found a summary of another kind; expected a name ending in .html or .json"),
            ("out.html.gz", "out.html.gz: found a summary of another kind; expected a name ending in .html or .json"),
            ("-", "-: found a summary of another kind; expected a name ending in .html or .json"),
            ("d.html", "d.html: found a folder; expected a file; choose another name for --summary"),
            ("in.json", "in.json: found an input file; expected a file of its own; choose another name for --summary"),
            ("./rows.json", "./rows.json: found the name of another output; choose another name for --summary"),
            ("none/out.html", "none/out.html: found a place that cannot be written (No such file or directory); "),
        ],
    )
    def test_a_place_that_cannot_be_is_found_before_the_model_is_loaded(self, tfclass, tmp_path, place, said):
        (tmp_path / "in.json").write_text(">a\nMKV\n")
        (tmp_path / "d.html").mkdir()
        options = ("-o", "rows.json", "--format", "jsonl", "--model", "no such model")
        finished = tfclass("predict", "in.json", *options, "--summary", place)
        assert finished.err.startswith(f"tfclass: {said}")
        assert (finished.status, finished.out, finished.err.count("\n")) == (2, "", 1)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["d.html", "in.json"]

    def test_one_place_twice_is_refused(self, tfclass, odd):
        finished = tfclass("predict", odd, "--summary", "a.html", "--summary", "./a.html")
        assert_one_line(finished, "./a.html: found the name of another output; choose another name for --summary")

    def test_a_bad_input_leaves_none(self, tfclass, tmp_path, model):
        (tmp_path / "in.fasta").write_bytes(b"")
        (tmp_path / "out.html").write_text("what stood here before")
        finished = tfclass("predict", "in.fasta", *model, "--summary", "out.html")
        assert (finished.status, "found no records" in finished.err) == (2, True)
        assert (tmp_path / "out.html").read_text() == "what stood here before"
        assert sorted(path.name for path in tmp_path.iterdir()) == ["in.fasta", "out.html"]
