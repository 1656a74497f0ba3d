"""``tfclass explain`` as a user meets it: a folder, its files, what is said, what is refused."""

import json
import os
import re
import signal
import time
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
import torch

from tests.conftest import SMALL, bundle_of
from tfclass import Predictor
from tfclass.bundle.save import save_bundle
from tfclass.channels.calibration import Calibration
from tfclass.models.factory import build
from tfclass.sequences.fasta import Record, read_fasta

EVIL = "</script><script>alert('1')</script>"
ODD = (
    f">../../x first\nMKVLAGHWMKVLAGHWRRKKMKVLAG\n>{EVIL}\nMKV-LAG..HWMKV*\n>\nGGGGHHHHKKKK\n>bad\nMK1V\n>none\n\n"
    f'>twice\nMMMMMMWW\n>twice\nAAAAAACC\n>"q"\nMKWWWW\n>ünïcödé\nM\n>{"a" * 300}\nMKVLAGHW\n>sp|P1|A;b=c\nMKVULAG\n'
)
SAFE = ["x", "script_script_alert_1_script", "", None, None, "twice", "twice", "q", "n_c_d", "a" * 60, "sp_P1_A_b_c"]


@pytest.fixture
def odd(tmp_path):
    path = tmp_path / "odd.fasta"
    path.write_text(ODD, encoding="utf-8")
    return path


def read(path):
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    return pd.read_csv(path, sep="\t", keep_default_na=False)


class Links(HTMLParser):
    """The addresses that a page leads to."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found += [value for name, value in attrs if name == "href"]


@pytest.mark.parametrize("table", ["tsv", "parquet"])
def test_every_record_is_in_the_folder(tfclass, odd, with_profiles_folder, tmp_path, table):
    options = ["--model", with_profiles_folder, "-o", "out", "--format", table, "--mutagenesis"]
    done = tfclass("explain", odd, *options, "--method", "occlusion", "--method", "integrated_gradients")
    assert (done.status, done.out) == (0, "")
    assert re.search(r"^\d+ of 11 records predicted TF \(.* %\), 2 skipped$", done.err, re.MULTILINE)
    assert "1 record skipped: illegal" in done.err
    assert done.err.splitlines()[-1] == "explanation: out/index.html"
    out = tmp_path / "out"
    records, rows = list(read_fasta(odd)), list(Predictor.load(with_profiles_folder).predict(read_fasta(odd)))
    proteins = read(out / f"proteins.{table}")
    assert proteins["id"].tolist() == [record.id for record in records]
    assert proteins["status"].tolist() == [row.status for row in rows]
    assert proteins["notes"].tolist() == [row.notes for row in rows]
    names = [
        None if name is None else f"pages/{number:04d}{'-' * bool(name)}{name}.html"
        for number, name in enumerate(SAFE, start=1)
    ]
    assert [page or None for page in proteins["page"]] == names
    assert {f"pages/{path.name}" for path in (out / "pages").iterdir()} == set(names) - {None}
    assert Links((out / "index.html").read_text()).found == [name for name in names if name]
    explained = proteins[proteins["status"] == "ok"].astype({"probability": float})
    log_odds = explained.filter(like="contribution_").astype(float).sum(axis=1)
    np.testing.assert_allclose(1 / (1 + np.exp(-log_odds)), explained["probability"], atol=2e-6)
    residues = read(out / f"residues.{table}")
    for number, record in enumerate(records, start=1):
        own = residues[residues["protein"] == number]
        assert set(own["id"]) <= {record.id}
        assert len(own) == (rows[number - 1].length if rows[number - 1].status == "ok" else 0)
        assert own["residue"].tolist() == [record.sequence[p - 1].replace("*", "X") for p in own["position"]]
    # The U of the last record can be substituted by all 20.
    assert len(read(out / f"mutations.{table}")) == 19 * len(residues) + 1
    assert "gap_occlusion" in proteins


def test_what_a_folder_had_of_others_is_kept_and_its_own_is_replaced(tfclass, odd, small_bundle_folder, tmp_path):
    options = ["--model", small_bundle_folder, "-o", "out"]
    more = ["--figures", "--mutagenesis", "--format", "parquet", "--max-proteins", 3]
    assert tfclass("explain", odd, *options, *more).status == 0
    out = tmp_path / "out"
    assert len(list((out / "figures").iterdir())) == 2 * 3
    (out / "pages" / "mine.txt").write_text("mine")
    (tmp_path / "one.fasta").write_text(">b\nMKV\n")
    assert tfclass("explain", "one.fasta", *options).status == 0
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()) == sorted(
        ["explain.json", "index.html", "pages/0001-b.html", "pages/mine.txt", "proteins.tsv"]
        + ["residues.tsv", "segments.gff3"]
    )
    written = json.loads((out / "explain.json").read_text())["files"]
    assert all((out / name).is_file() for name in written)


@pytest.mark.parametrize("there", ["a file", "a folder of others"])
def test_what_is_not_of_tfclass_is_not_replaced(tfclass, odd, small_bundle_folder, tmp_path, there):
    if there == "a file":
        (tmp_path / "out").write_text("mine")
    else:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "index.html").write_text("mine")
    done = tfclass("explain", odd, "--model", small_bundle_folder, "-o", "out")
    assert done.status == 2
    assert "out: found something there that has no explain.json of tfclass, and would be lost" in done.err
    assert done.err.count("\n") == 1


def test_records_beyond_the_most_are_counted(tfclass, odd, small_bundle_folder, tmp_path):
    done = tfclass("explain", odd, "--model", small_bundle_folder, "-o", "out", "--max-proteins", 3)
    assert "8 more records left out (--max-proteins 3)" in done.err
    assert len(read(tmp_path / "out" / "proteins.tsv")) == 3
    assert tfclass("explain", odd, "--model", small_bundle_folder, "-o", "out", "--max-proteins", 11, "-q").err == ""


def test_the_threshold_and_the_prevalence_are_those_of_predict(tfclass, odd, with_profiles_folder, tmp_path):
    options = ["--model", with_profiles_folder, "--prevalence", 0.06, "--threshold", 0.2]
    assert tfclass("explain", odd, *options, "-o", "out").status == 0
    predicted = tfclass("predict", odd, *options)
    (tmp_path / "predicted.tsv").write_text(predicted.out)
    explained, rows = read(tmp_path / "out" / "proteins.tsv"), read(tmp_path / "predicted.tsv")
    pd.testing.assert_frame_equal(explained[rows.columns], rows)
    assert explained["contribution_prevalence"].nunique() == 2


def test_a_network_without_gates_is_explained_and_says_so(tfclass, odd, tmp_path, alphabet):
    config = replace(SMALL, encoder="gru", pooling="max")
    torch.manual_seed(0)
    model = build(config, alphabet, n_classes=2).eval()
    save_bundle(bundle_of("gru", model, config, Calibration(1.0, (0.0, 0.0))), tmp_path / "gru", card="# gru\n")
    done = tfclass("explain", odd, "--model", "gru", "-o", "out")
    assert "the network (gru) has no gates; shown: integrated gradients" in done.err
    assert [name for name in read(tmp_path / "out" / "residues.tsv") if "forget" in name or "attention" in name] == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--threshold", "fdr=0.05"], "threshold fdr=0.05: this needs all proteins before the first is explained"),
        (["--channel", "profile"], "channel: found 'profile'; expected one with the network, which is explained"),
        (["--method", "lime"], "'lime' is not one of 'integrated_gradients', 'gradient_x_input', 'occlusion'"),
        (["--max-proteins", "0"], "Invalid value for '--max-proteins'"),
        (["--prevalence", "2"], "prevalence: found 2.0; expected a share between 0 and 1"),
    ],
)
def test_a_wrong_option_is_one_line_and_leaves_nothing(tfclass, odd, with_profiles_folder, tmp_path, options, message):
    done = tfclass("explain", odd, "--model", with_profiles_folder, "-o", "out", *options)
    assert done.status == 2
    assert message in done.err
    assert done.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["odd.fasta"]


def test_an_input_that_breaks_off_leaves_no_folder(tfclass, small_bundle_folder, tmp_path):
    import gzip

    packed = gzip.compress(b"".join(b">%d\n%s\n" % (n, os.urandom(60).hex().encode()) for n in range(5000)))
    (tmp_path / "cut.fasta.gz").write_bytes(packed[:-2000])
    done = tfclass("explain", "cut.fasta.gz", "--model", small_bundle_folder, "-o", "out")
    assert done.status == 2
    assert [path.name for path in tmp_path.iterdir()] == ["cut.fasta.gz"]


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGINT, id="Ctrl-C"),
        pytest.param(signal.SIGTERM, id="SIGTERM", marks=pytest.mark.slow),
    ],
)
def test_an_interrupted_command_leaves_no_folder(number, start_tfclass, small_bundle_folder, tmp_path):
    (tmp_path / "long.fasta").write_text(">a\n" + "MKVLAGHW" * 1500 + "\n")
    options = ("--mutagenesis", "--model", small_bundle_folder, "-o", "out")
    process = start_tfclass("explain", "long.fasta", *options)
    for _ in range(600):
        if list(tmp_path.glob(".out.*/pages")):
            break
        time.sleep(0.1)
    time.sleep(1)
    process.send_signal(number)
    out, error = process.communicate()
    assert (process.returncode, out, error) == (128 + number, b"", b"tfclass: interrupted\n")
    assert [path.name for path in tmp_path.iterdir()] == ["long.fasta"]


def test_python_gives_the_same_numbers(tfclass, odd, with_profiles_folder, tmp_path):
    assert tfclass("explain", odd, "--model", with_profiles_folder, "-o", "out").status == 0
    residues = read(tmp_path / "out" / "residues.tsv")
    predictor = Predictor.load(with_profiles_folder)
    for number, (_, explanation) in enumerate(predictor.explain(read_fasta(odd)), start=1):
        if explanation is not None:
            own = residues[residues["protein"] == number]
            values = explanation.attributions["integrated_gradients"].value_L
            np.testing.assert_allclose(own["integrated_gradients"], values, rtol=1e-4, atol=1e-6)
    assert list(predictor.explain([Record("a", "a", "")]))[0][1] is None
