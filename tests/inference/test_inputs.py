"""Proteins in whatever a program holds them become the same records; what could be two things is refused."""

import gzip
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from Bio import SeqIO
from Bio.Seq import MutableSeq, Seq
from Bio.SeqRecord import SeqRecord
from hypothesis import given
from hypothesis import strategies as st

from tfclass.errors import FastaError, InputError
from tfclass.inference.inputs import as_records
from tfclass.sequences.fasta import Record, read_fasta

EXAMPLES = Path(__file__).parents[2] / "data" / "examples" / "proteins.fasta"
PAIRS = [("sp|P1", "MKVLA"), ("p2", "mk-v*"), ("", "M1"), ("p2", ""), ("=cmd()\t<b>;é", "MKV")]


def parts(proteins, **options):
    return [(record.id, record.sequence) for record in as_records(proteins, **options)]


def frame(**columns):
    return pd.DataFrame(columns, dtype=object)


IDS, SEQUENCES = zip(*PAIRS, strict=True)
FORMS = {
    "pairs": lambda: PAIRS,
    "pairs as lists": lambda: [list(pair) for pair in PAIRS],
    "a generator": lambda: (pair for pair in PAIRS),
    "records": lambda: [Record(name, name, sequence) for name, sequence in PAIRS],
    "records of Biopython": lambda: [SeqRecord(Seq(sequence), id=name) for name, sequence in PAIRS],
    "sequences of Biopython": lambda: [(name, MutableSeq(sequence)) for name, sequence in PAIRS],
    "a column and an index": lambda: pd.Series(SEQUENCES, index=IDS),
    "a table": lambda: frame(id=IDS, other=range(5), sequence=SEQUENCES),
    "a table with ids as index": lambda: frame(sequence=SEQUENCES).set_axis(list(IDS)),
    "one after another": lambda: [Record("sp|P1", "", "MKVLA"), *PAIRS[1:4], SeqRecord(Seq("MKV"), IDS[4])],
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_every_form_gives_the_same_records_in_order(form):
    assert parts(form()) == PAIRS


@given(st.dictionaries(st.text(max_size=9), st.text(max_size=20), max_size=9))
def test_a_mapping_gives_a_record_for_each_key_and_white_space_in_a_sequence_does_not_count(proteins):
    assert parts(proteins) == [(name, "".join(sequence.split())) for name, sequence in proteins.items()]
    assert parts(pd.Series(proteins, dtype=object)) == parts(proteins)


def test_files_of_any_kind_are_read_as_biopython_reads_them(tmp_path, monkeypatch):
    expected = [(record.id, str(record.seq)) for record in SeqIO.parse(EXAMPLES, "fasta")]
    packed = tmp_path / "a.fasta.gz"
    packed.write_bytes(gzip.compress(EXAMPLES.read_bytes()))
    monkeypatch.chdir(tmp_path)
    Path("proteins").write_bytes(EXAMPLES.read_bytes())
    with EXAMPLES.open("rb") as stream:
        assert parts(stream) == expected
    for form in (EXAMPLES, str(EXAMPLES), packed, "a.fasta.gz", Path("proteins"), "./proteins"):
        assert parts(form) == expected
    assert parts(EXAMPLES.read_text()) == parts("\n " + EXAMPLES.read_text()) == expected
    assert parts([packed, ("more", "MKV"), Path("proteins")]) == [*expected, ("more", "MKV"), *expected]
    assert parts(SeqIO.parse(EXAMPLES, "fasta")) == parts(SeqIO.index("proteins", "fasta")) == expected


def test_the_description_of_a_record_of_biopython_is_the_header_of_the_file():
    read, parsed = list(read_fasta(EXAMPLES)), list(SeqIO.parse(EXAMPLES, "fasta"))
    assert [record.description for record in as_records(parsed)] == [record.description for record in read]
    nameless = SeqRecord(Seq("MKV"))
    assert [(record.id, record.description) for record in as_records(nameless)] == [("", "")]
    assert [record.description for record in as_records({"a": SeqRecord(Seq("M"), "b", description="of b")})] == [
        "a of b"
    ]


@pytest.mark.parametrize(
    "proteins", [["MKV", "MA"], np.array(["MKV", "MA"]), pd.Series(["MKV", "MA"]), (Seq("MKV"), "MA")]
)
def test_sequences_alone_have_their_place_as_id(proteins):
    assert parts(proteins) == [("0", "MKV"), ("1", "MA")]


def test_one_protein_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert parts("MKV\nLA*") == parts(Seq("MKVLA*")) == [("0", "MKVLA*")]
    assert parts(Record("a", "a b", "MKV")) == parts(SeqRecord(Seq("MKV"), "a")) == [("a", "MKV")]
    assert parts("") == [("0", "")]
    for nothing in ([], {}, iter(()), pd.Series(dtype=str), pd.DataFrame({"sequence": []})):
        assert parts(nothing) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("proteins", "both a sequence and the name of a file"),
        ("proteins.fasta", "neither a sequence nor the name of a file"),
        ("MKV..LA", "neither a sequence nor the name of a file"),
        ("data/MKV", "neither a sequence nor the name of a file"),
        ("sp|P1", "neither a sequence nor the name of a file"),
        ("x" * 300 + "1", "neither a sequence nor the name of a file"),
        ("a\0b", "neither a sequence nor the name of a file"),
    ],
)
def test_a_text_that_could_be_something_else_is_refused(text, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("proteins").write_text(">a\nMKV\n")
    with pytest.raises(InputError, match="write a file as Path") as caught:
        as_records(text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("proteins", "said"),
    [
        (5, "proteins: found an object of type int; expected a list of sequences"),
        (None, "proteins: found an object of type NoneType; expected a list of sequences"),
        (b">a\nMKV", "proteins: found an object of type bytes; expected"),
        (np.array("MKV"), "proteins: found an object of type ndarray; expected"),
        ({"MKV", "MA"}, "proteins: found an object of type set, which has no order"),
        (("abc", "MKV"), "proteins: found a tuple of two texts; write [(id, sequence)]"),
        (["M", ("a", "M", "K")], "proteins[1]: found an object of type tuple of 3 items; expected a sequence,"),
        ([["M"]], "proteins[0]: found an object of type list of 1 items; expected"),
        ([{"a": "M"}], "proteins[0]: found an object of type dict; expected"),
        ([object()], "proteins[0], sequence: found an object of type object; expected a text"),
        ([("a", ["M"])], "proteins[0], sequence: found an object of type list; expected a text"),
        ([(("a", 1), "M")], "proteins[0], id: found an object of type tuple; expected a text"),
        ([Seq(None, 5)], "proteins[0]: found a sequence without letters"),
        ({"x": [1]}, "proteins['x'], sequence: found an object of type list"),
        ([("a", Path("b"))], "proteins[0], sequence: found an object of type"),
        (pd.DataFrame({"seq": ["M"]}), "the table: found no column 'sequence'"),
        (io.StringIO(">a\nMKV"), "proteins: found a file that is open as text"),
        ([str(EXAMPLES)], "proteins[0]: found '"),
    ],
)
def test_what_is_no_protein_is_one_line(proteins, said):
    with pytest.raises(InputError) as caught:
        list(as_records(proteins))
    assert str(caught.value).startswith(said)
    assert isinstance(caught.value, ValueError)
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_known_before_the_first_record(tmp_path):
    with pytest.raises(FastaError, match="no such file"):
        as_records(tmp_path / "none.fasta")
    with pytest.raises(FastaError, match="the text: found 1 header without a sequence"):
        as_records(">a\n")


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA, np.nan, np.float32("nan"), ""])
def test_a_missing_sequence_is_an_empty_one(missing):
    assert parts([("a", missing), missing]) == [("a", ""), ("1", "")]


def test_a_sequence_that_is_too_long_is_left_out_as_in_a_file(tmp_path):
    path = tmp_path / "a.fasta"
    path.write_text(">a\nMKVLAA\n>b\nMKV\n")
    expected = list(read_fasta(path, max_length=5))
    assert list(as_records(path, 5)) == list(as_records({"a": "MKVLAA", "b": "MKV"}, 5)) == expected
    assert list(as_records([Record("a", "a", "MKVLAA")], 5)) == expected[:1]


def test_a_generator_is_read_one_by_one():
    def proteins():
        yield "MKV"
        raise RuntimeError("read too early")

    assert next(as_records(proteins())).sequence == "MKV"
