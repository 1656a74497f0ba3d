"""Own files to a clean table: whatever the shape of the source, the same proteins, and no row lost in silence."""

import gzip
import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfclass.config import CorpusConfig
from tfclass.data.clusters import cluster_corpus
from tfclass.data.importer import import_corpus, import_proteins
from tfclass.data.manifest import read_manifest
from tfclass.data.sources import STEPS, RawRow, Source, from_fastas, from_folder, from_labels, from_table
from tfclass.data.table import read_table
from tfclass.errors import FastaError, TableError
from tfclass.sequences.alphabet import Alphabet

ALPHABET = Alphabet()
PROTEINS = [
    ("sp|P1|A", "TF", "MKVLAWWMKVLAWW"),
    ("NA", "TF", "MKKKXUB"),
    ("007", "nonTF", "ACDEFGHIKLMNPQRSTVWY"),
    ("=1+1", "nonTF", "MMMMM"),
]


def fasta(proteins):
    return "".join(f">{name} described\n{sequence[:7]}\n{sequence[7:]}\n" for name, _, sequence in proteins).encode()


def of_class(label):
    return [protein for protein in PROTEINS if protein[1] == label]


def two_files(folder):
    (folder / "p.fa").write_bytes(fasta(of_class("TF")))
    (folder / "n.fa.gz").write_bytes(gzip.compress(fasta(of_class("nonTF"))))
    return from_fastas({folder / "p.fa": "TF", folder / "n.fa.gz": "nonTF"})


def with_label_file(ending, separator, header=""):
    def write(folder):
        (folder / "all.fasta").write_bytes(fasta(PROTEINS))
        rows = "".join(f"{name}{separator}{label}\n" for name, label, _ in reversed(PROTEINS))
        (folder / f"labels{ending}").write_text(header + rows)
        return from_labels(folder / "all.fasta", folder / f"labels{ending}")

    return write


def folder_of_classes(folder):
    (folder / "classes").mkdir()
    for label in ("TF", "nonTF"):
        (folder / "classes" / f"{label}.fasta").write_bytes(fasta(of_class(label)))
    (folder / "classes" / ".hidden.fasta").write_text("rubbish")
    return from_folder(folder / "classes")


def table(name, write):
    def made(folder):
        frame = pd.DataFrame(PROTEINS, columns=["Entry", "is_tf", "Seq"])
        write(frame, folder / name)
        return from_table(folder / name, {"id": "Entry", "label": "is_tf", "sequence": "Seq"})

    return made


SOURCES = {
    "two FASTA files": two_files,
    "FASTA and labels": with_label_file(".tsv", "\t"),
    "FASTA and labels with a header, in CSV": with_label_file(".csv", ",", "id,label\n"),
    "a folder of classes": folder_of_classes,
    "TSV": table("t.tsv", lambda frame, path: frame.to_csv(path, sep="\t", index=False)),
    "CSV": table("t.csv", lambda frame, path: frame.to_csv(path, index=False)),
    "packed TSV": table("t.tsv.gz", lambda frame, path: frame.to_csv(path, sep="\t", index=False)),
    "Parquet": table("t.parquet", lambda frame, path: frame.to_parquet(path)),
}


@pytest.mark.parametrize("name", SOURCES)
def test_all_kinds_of_sources_give_the_same_table(name, tmp_path):
    source = SOURCES[name](tmp_path)
    manifest, lost = import_corpus(source, tmp_path / "out" / "table.tsv")
    proteins = read_table(CorpusConfig.default(path=str(tmp_path / "out" / "table.tsv")), ALPHABET)
    assert list(proteins.frame[["id", "label", "sequence"]].itertuples(index=False, name=None)) == PROTEINS
    assert lost.empty
    assert manifest["funnel"]["rows_in"] == manifest["funnel"]["rows_out"] == 4
    assert [file["name"] for file in manifest["sources"]] == [path.name for path in source.files]


def test_other_columns_are_kept_and_renamed_on_conflict(tmp_path):
    rows = 'label,name,kingdom,class,sequence\nx,a,"Fungi, mostly",TF,MKV\ny,b,"with ""quotes""",nonTF,MKA\n'
    (tmp_path / "t.csv").write_text(rows)
    import_corpus(from_table(tmp_path / "t.csv", {"id": "name", "label": "class"}), tmp_path / "o.tsv")
    made = pd.read_csv(tmp_path / "o.tsv", sep="\t")
    assert made.columns.tolist() == ["id", "label", "label_before", "kingdom", "sequence"]
    assert made["kingdom"].tolist() == ["Fungi, mostly", 'with "quotes"']
    assert made["label_before"].tolist() == ["x", "y"]


def test_lost_rows_are_listed_with_file_row_and_reason(tmp_path):
    (tmp_path / "p.fa").write_bytes(
        b">good\nmkv-la*\n>bad\nMK1V\n>empty\n>same\nMKVLA\n>\nMMM\n>\xff\nMK>stop\n**\n>left\nMWW\n"
    )
    (tmp_path / "n.fa").write_text(">both\nMWW\n>two\nMAA\n>two\nMAAC\n>fine\nMCC\n>fine\nMCC\n")
    source = from_fastas({tmp_path / "p.fa": "TF", tmp_path / "n.fa": "nonTF"})
    manifest, lost = import_corpus(source, tmp_path / "o.tsv")
    made = pd.read_csv(tmp_path / "o.tsv", sep="\t")
    assert made.to_dict("list") == {
        "id": ["good", r"\xff", "fine"],
        "label": ["TF", "TF", "nonTF"],
        "sequence": ["MKVLA", "MK", "MCC"],
    }
    assert manifest["notes"] == {"header_within_line": 2, "id_escaped": 1}
    assert list(lost.itertuples(index=False, name=None)) == [
        ("p.fa", "2", "bad", "TF", "illegal letter", "illegal '1' at 3"),
        ("p.fa", "3", "empty", "TF", "empty sequence", "empty"),
        ("p.fa", "4", "same", "TF", "identical sequence", "as good"),
        ("p.fa", "5", "", "TF", "no id", ""),
        ("p.fa", "7", "stop", "TF", "empty sequence", "empty"),
        ("p.fa", "8", "left", "TF", "contradicting labels", "left is TF, both is nonTF"),
        ("n.fa", "1", "both", "nonTF", "contradicting labels", "left is TF, both is nonTF"),
        ("n.fa", "2", "two", "nonTF", "id with two sequences", "3 residues here"),
        ("n.fa", "3", "two", "nonTF", "id with two sequences", "4 residues here"),
        ("n.fa", "5", "fine", "nonTF", "identical sequence", "as fine"),
    ]
    written = pd.read_csv(tmp_path / "o.lost.tsv", sep="\t", keep_default_na=False, dtype=str)
    pd.testing.assert_frame_equal(written, lost, check_dtype=False)
    assert manifest["changes"] == {"gaps_removed": 1, "stop_removed": 1}
    assert {step["step"]: step["lost"] for step in manifest["funnel"]["steps"] if step["lost"]} == {
        "no id": 1,
        "empty sequence": 2,
        "illegal letter": 1,
        "id with two sequences": 2,
        "contradicting labels": 2,
        "identical sequence": 2,
    }


def test_labels_without_a_protein_are_counted(tmp_path):
    (tmp_path / "a.fa").write_text(">a\nMK\n>b\nMV\n>c\nMC\n>d\nMD\n>e\nME\n")
    (tmp_path / "l.tsv").write_text("a\tTF\nb\tnonTF\nb\tnonTF\nc\tTF\nc\tnonTF\nd\t\nnobody\tTF\nnone\tTF\n")
    manifest, lost = import_corpus(from_labels(tmp_path / "a.fa", tmp_path / "l.tsv"), tmp_path / "o.tsv")
    assert lost[["id", "reason"]].to_numpy().tolist() == [["c", "two labels"], ["d", "no label"], ["e", "no label"]]
    assert manifest["notes"] == {"label without a protein": 2}


def test_files_of_a_folder_that_are_not_read_are_noted(tmp_path):
    folder_of_classes(tmp_path)
    (tmp_path / "classes" / "README.md").write_text("about")
    manifest, _ = import_corpus(from_folder(tmp_path / "classes"), tmp_path / "o.tsv")
    assert manifest["notes"] == {"file not read: README.md": 1}


@pytest.mark.skipif(sys.platform != "linux", reason="a file system that takes UTF-8 names only")
def test_a_file_name_that_is_not_utf8_is_escaped(tmp_path):
    (tmp_path / "classes").mkdir()
    for name, sequence in ((b"TF.fa", "MK"), (b"caf\xe9.fa", "MV"), (b"\xff.md", "")):
        (tmp_path / "classes" / os.fsdecode(name)).write_text(f">a{sequence}\n{sequence}\n>b\n1\n")
    manifest, lost = import_corpus(from_folder(tmp_path / "classes"), tmp_path / "o.tsv")
    assert read_manifest(tmp_path / "o.tsv") == manifest
    assert {source["name"] for source in manifest["sources"]} == {"TF.fa", r"caf\xe9.fa"}
    assert manifest["notes"] == {r"file not read: \xff.md": 1}
    assert set(lost["file"]) == {"TF.fa", r"caf\xe9.fa"}
    assert set(pd.read_csv(tmp_path / "o.tsv", sep="\t")["label"]) == {"TF", r"caf\xe9"}


def test_all_files_are_checked_before_the_first_is_read(tmp_path):
    (tmp_path / "TF.fasta").write_text(">a\nMKV\n>b\n" + "MKV\n" * 10)
    (tmp_path / "nonTF.fasta").write_text("")
    read = from_fastas({tmp_path / "TF.fasta": "TF", tmp_path / "nonTF.fasta": "nonTF"}).rows
    with pytest.raises(FastaError, match=r"nonTF.fasta: found no records"):
        next(read)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", ["device", "pipe of a shell", "named pipe"])
def test_pipes_and_devices_are_refused_before_reading(kind, tmp_path):
    good = tmp_path / "TF.fasta"
    good.write_text(">a\nMKV\n")
    reading, writing = os.pipe()
    os.write(writing, b">b\nMKL\n")
    os.mkfifo(tmp_path / "fifo")
    bad = {"device": Path("/dev/zero"), "pipe of a shell": Path(f"/dev/fd/{reading}"), "named pipe": tmp_path / "fifo"}
    try:
        with pytest.raises(TableError, match="found a pipe or a device, which cannot be read twice") as caught:
            import_corpus(from_fastas({good: "TF", bad[kind]: "nonTF"}), tmp_path / "o.tsv")
        assert str(caught.value).startswith(str(bad[kind]))
        assert os.read(reading, 99) == b">b\nMKL\n"
    finally:
        os.close(reading)
        os.close(writing)
    assert {path.name for path in tmp_path.iterdir()} == {"TF.fasta", "fifo"}


@pytest.mark.timeout(20)
def test_a_pipe_of_clusters_is_refused_before_reading(tmp_path):
    (tmp_path / "t.tsv").write_text(GOOD)
    import_corpus(from_table(tmp_path / "t.tsv", {}), tmp_path / "o.tsv")
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(TableError, match="fifo: found a pipe or a device, which cannot be read twice"):
        cluster_corpus(tmp_path / "o.tsv", tmp_path / "c.tsv", tmp_path / "fifo")
    assert not (tmp_path / "c.tsv").exists()


def test_labels_are_renamed_before_they_are_compared(tmp_path):
    (tmp_path / "t.tsv").write_text("id\tlabel\tsequence\na\t1\tMK\nb\tyes\tMK\nc\t0\tMV\n")
    rename = {"1": "TF", "yes": "TF", "0": "nonTF"}
    manifest, lost = import_corpus(from_table(tmp_path / "t.tsv", {}), tmp_path / "o.tsv", rename=rename)
    assert pd.read_csv(tmp_path / "o.tsv", sep="\t")["label"].tolist() == ["TF", "nonTF"]
    assert lost["reason"].tolist() == ["identical sequence"]
    columns = {"id": "id", "label": "label", "sequence": "sequence"}
    assert manifest["import"] == {"columns": columns, "rename": rename, "on_conflict": "leave-out"}


GOOD = "id\tlabel\tsequence\na\tTF\tMK\nb\tnonTF\tMV\n"
FAULTS = {
    "a row with a field too few": (GOOD + "c\tTF\n", "t.tsv, row 4: found 2 fields; expected 3 as in the header"),
    "no such column": (
        "id\tclass\tsequence\n",
        "t.tsv: found only 'id', 'class', 'sequence'; expected a column 'label'",
    ),
    "a column twice": ("id\tlabel\tid\tsequence\n", "t.tsv: found more than one column 'id'; expected each once"),
    "nothing": ("", "t.tsv: found an empty file; expected a header and at least one row"),
    "a header alone": (GOOD[:18], "t.tsv: found no protein; expected at least one"),
    "one class": (GOOD[:26], "t.tsv: found one class only ('TF'); expected at least two"),
    "a class of which nothing is left": (
        GOOD + "c\tnonTF_hard\tM1\nd\tnonTF_hard\t\ne\tnonTF_hard\tM2\n",
        "t.tsv: found no protein of class 'nonTF_hard' left of 3 (illegal letter: 2, empty sequence: 1); "
        "expected at least one",
    ),
    "no label at all": (
        "id\tlabel\tsequence\na\t\tMK\nb\t\tMV\n",
        "t.tsv: found no labelled protein among 2 (no label: 2; the first id is 'a'); expected labels with the ids",
    ),
    "text that is no UTF-8": (
        GOOD.encode() + b"c\tTF\t\xff\xff\n",
        "t.tsv, row 4: found a byte that is no UTF-8 (b'\\xff'); expected UTF-8; save the table as UTF-8",
    ),
    "an open quote": (
        GOOD + 'c\t"TF\tMM\n',
        "t.tsv, row 4: found a quote that does not close in its cell ('\"TF\\tMM')",
    ),
    "a quote that would swallow rows": (
        GOOD + '"c\tTF\tMM\nd\tTF\tML\ne"\tTF\tMT\n',
        "t.tsv, row 4: found a quote that does not close in its cell ('\"c\\tTF\\tMM')",
    ),
    "an id with a tab": (
        GOOD + '"c\td"\tTF\tMM\n',
        "t.tsv, row 4, column 'id': found 'c\\td'; expected a name without tabs, line ends and other",
    ),
    "an id with a command of the terminal": (
        GOOD + "c\x1b[2J\tTF\tMM\n",
        "t.tsv, row 4, column 'id': found 'c\\x1b[2J'; expected a name without",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_table_with_a_fault_is_one_line(fault, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content, expected = FAULTS[fault]
    path = tmp_path / "t.tsv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(TableError) as caught:
        import_proteins(from_table(path.relative_to(tmp_path), {}), ALPHABET)
    assert str(caught.value).startswith(expected)
    assert "\n" not in str(caught.value)


def test_contradictions_can_be_an_error(tmp_path):
    (tmp_path / "t.tsv").write_text(GOOD + "c\tTF\tMV\nd\tTF\tMKK\n")
    with pytest.raises(TableError) as caught:
        import_corpus(from_table(tmp_path / "t.tsv", {}), tmp_path / "o.tsv", on_conflict="error")
    assert "found 2 rows that contradict others (b: contradicting labels (b is nonTF, c is TF); c" in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["t.tsv"]


def test_invalid_sources_are_refused(tmp_path):
    (tmp_path / "t.tsv").write_text(GOOD)
    (tmp_path / "empty").mkdir()
    (tmp_path / "labels.tsv").write_text("a\tTF\tmore\n")
    (tmp_path / "two").mkdir()
    for name in ("A.fa", "A.faa.gz"):
        (tmp_path / "two" / name).write_text(">a\nMK\n")
    with pytest.raises(TableError, match="found a table that would replace its own source"):
        import_corpus(from_table(tmp_path / "t.tsv", {}), tmp_path / "t.tsv")
    with pytest.raises(TableError, match=r"found a name ending in '\.xlsx'"):
        from_table(tmp_path / "t.xlsx", {})
    with pytest.raises(TableError, match="missing.tsv: no such file"):
        from_table(tmp_path / "missing.tsv", {})
    with pytest.raises(TableError, match="expected a column 'Entry' for 'id'"):
        from_table(tmp_path / "t.tsv", {"id": "Entry"})
    with pytest.raises(TableError, match="found no FASTA file"):
        from_folder(tmp_path / "empty")
    with pytest.raises(TableError, match="found two files of class 'A'"):
        from_folder(tmp_path / "two")
    with pytest.raises(TableError, match="labels.tsv, row 1: found 3 fields; expected two, id and label"):
        from_labels(tmp_path / "t.tsv", tmp_path / "labels.tsv")
    (tmp_path / "text.fa").write_text("MKV")
    with pytest.raises(FastaError, match="found text before the first '>'"):
        import_corpus(from_fastas({tmp_path / "text.fa": "TF"}), tmp_path / "o.tsv")


# Few names, labels and sequences, so that rows meet in every way; some sequences are the same once cleaned.
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c", "d", "e", ""]),
        st.sampled_from(["TF", "nonTF", "nonTF", ""]),
        st.sampled_from(["MK", "mk*", "M-K", "MV", "MC", "MD", "ME", "M1", "", "*"]),
    ),
    max_size=25,
)
SETTLED = [("p", "TF", "MWW"), ("n", "nonTF", "MWWW")]


def by_the_rules(rows):
    """Give the reason why each row is lost, or an empty one; every row is held against every other."""
    cleaned = [sequence.upper().replace("-", "").rstrip("*") for _, _, sequence in rows]
    reasons = []
    for (name, label, _), sequence in zip(rows, cleaned, strict=True):
        reasons.append(
            "no label"
            if not label
            else "no id"
            if not name
            else "illegal letter"
            if "1" in sequence
            else "empty sequence"
            if not sequence
            else ""
        )
    usable = [i for i, reason in enumerate(reasons) if not reason]
    for i in usable:
        if any(rows[j][0] == rows[i][0] and cleaned[j] != cleaned[i] for j in usable):
            reasons[i] = "id with two sequences"
    usable = [i for i in usable if not reasons[i]]
    for i in usable:
        if any(cleaned[j] == cleaned[i] and rows[j][1] != rows[i][1] for j in usable):
            reasons[i] = "contradicting labels"
    usable = [i for i in usable if not reasons[i]]
    for i in usable:
        if any(cleaned[j] == cleaned[i] for j in usable if j < i):
            reasons[i] = "identical sequence"
    return reasons


@settings(deadline=None)
@given(ROWS)
def test_import_agrees_with_a_brute_force_of_the_rules(drawn):
    rows = [*SETTLED, *drawn]
    raw = (
        RawRow("t.tsv", number, *row, problem="" if row[1] else "no label")
        for number, row in enumerate(((name, label, sequence) for name, label, sequence in rows), start=2)
    )
    imported = import_proteins(Source("t.tsv", [], raw), ALPHABET)
    reasons = by_the_rules(rows)
    assert imported.frame["id"].tolist() == [row[0] for row, reason in zip(rows, reasons, strict=True) if not reason]
    lost = [(str(number), reason) for number, reason in enumerate(reasons, start=2) if reason]
    assert list(imported.lost[["row", "reason"]].itertuples(index=False, name=None)) == lost
    funnel = imported.funnel
    left = len(rows) - np.cumsum([step["lost"] for step in funnel["steps"]])
    assert [step["left"] for step in funnel["steps"]] == left.tolist()
    assert [step["step"] for step in funnel["steps"]] == list(STEPS)
    assert (funnel["rows_in"], funnel["rows_out"]) == (len(rows), len(imported.frame))
    assert imported.frame["id"].is_unique
    assert imported.frame["sequence"].is_unique
