"""Odd inputs, each with the exact rows or the exact message that must come of it."""

import bz2
import gzip
import io
import lzma

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import SMALL
from tfclass.errors import FastaError
from tfclass.inference.output import write_tsv
from tfclass.inference.predictor import Predictor
from tfclass.sequence.fasta import read_fasta

LONG = "ACDEFGHIKLMNPQRSTVWY" * 1750
DNA = "ACGTTGCA" * 6

# What comes in, and (id, residues or characters, notes) of each row; a note in capitals: skipped for that reason.
ROWS = {
    "one record": (b">a\nMKV\n", [("a", 3, "")]),
    "no newline at the end": (b">a\nMKV", [("a", 3, "")]),
    "wrapped lines": (b">a\nMKV\nLAG\nHW\n", [("a", 8, "")]),
    "a line for each residue": (b">a\nM\nK\nV\n", [("a", 3, "")]),
    "Windows line ends": (b">a\r\nMKV\r\nLAG\r\n", [("a", 6, "")]),
    "old Macintosh line ends": (b">a\rMKV\rLAG\r", [("a", 6, "")]),
    "mixed line ends": (b">a\r\nMKV\n>b\nMK\r\n", [("a", 3, ""), ("b", 2, "")]),
    "blank lines ahead": (b"\n\n  \n>a\nMKV\n", [("a", 3, "")]),
    "blank lines within": (b">a\nMKV\n\nLAG\n\n>b\nMK\n", [("a", 6, ""), ("b", 2, "")]),
    "blanks at the end of a line": (b">a\nMKV  \nLAG\t\n", [("a", 6, "")]),
    "blanks between residues": (b">a\nMKV LAG HWM\n", [("a", 9, "")]),
    "a byte order mark": (b"\xef\xbb\xbf>a\nMKV\n", [("a", 3, "")]),
    "lower case": (b">a\nmkvlag\n", [("a", 6, "")]),
    "mixed case": (b">a\nMkVlaG\n", [("a", 6, "")]),
    "a stop at the end": (b">a\nMKV*\n", [("a", 3, "stop_removed")]),
    "several stops at the end": (b">a\nMKV***\n", [("a", 3, "stop_removed")]),
    "a stop inside": (b">a\nMK*VL\n", [("a", 5, "internal_stops=1")]),
    "stops inside and at the end": (b">a\nM*K*V*\n", [("a", 5, "stop_removed;internal_stops=2")]),
    "a stop at the beginning": (b">a\n*MKV\n", [("a", 4, "internal_stops=1")]),
    "a stop behind a gap": (b">a\nMKV*-\n", [("a", 3, "stop_removed;gaps_removed=1")]),
    "nothing but a stop": (b">a\n*\n>b\nMKV\n", [("a", 1, "stop_removed;EMPTY"), ("b", 3, "")]),
    "gaps of an alignment": (b">a\n--MK-V..\n", [("a", 3, "gaps_removed=5")]),
    "nothing but gaps": (b">a\n----\n>b\nMKV\n", [("a", 4, "gaps_removed=4;EMPTY"), ("b", 3, "")]),
    "selenocysteine": (b">a\nMUV\n", [("a", 3, "nonstandard=1")]),
    "pyrrolysine": (b">a\nMOV\n", [("a", 3, "nonstandard=1")]),
    "ambiguous letters": (b">a\nMBJZX\n", [("a", 5, "nonstandard=4")]),
    "nothing but X": (b">a\nXXXX\n", [("a", 4, "nonstandard=4")]),
    "one residue": (b">a\nM\n", [("a", 1, "")]),
    "35,000 residues on one line": (f">a\n{LONG}\n".encode(), [("a", 35_000, "")]),
    "a digit": (b">a\nMK1V\n>b\nMK\n", [("a", 4, "ILLEGAL '1' AT 3"), ("b", 2, "")]),
    "residue numbers": (b">a\n1 MKV\n>b\nMK\n", [("a", 4, "ILLEGAL '1' AT 1"), ("b", 2, "")]),
    "a question mark": (b">a\nMK?\n>b\nMK\n", [("a", 3, "ILLEGAL '?' AT 3"), ("b", 2, "")]),
    "a semicolon": (b">a\n;MK\n>b\nMK\n", [("a", 3, "ILLEGAL ';' AT 1"), ("b", 2, "")]),
    "an at sign": (b">a\nM@K\n>b\nMK\n", [("a", 3, "ILLEGAL '@' AT 2"), ("b", 2, "")]),
    "a letter with an accent": (">a\nMKÉ\n>b\nMK\n".encode(), [("a", 3, "ILLEGAL '\\xc9' AT 3"), ("b", 2, "")]),
    "a Greek letter": (">a\nαMK\n>b\nMK\n".encode(), [("a", 3, "ILLEGAL '\\u03b1' AT 1"), ("b", 2, "")]),
    "a byte that is not UTF-8": (b">a\nMK\xff\n>b\nMK\n", [("a", 3, "ILLEGAL '\\udcff' AT 3"), ("b", 2, "")]),
    "a null byte": (b">a\nMK\0V\n>b\nMK\n", [("a", 4, "ILLEGAL '\\x00' AT 3"), ("b", 2, "")]),
    "a header inside a line": (b">a\nMK>V\n>b\nMK\n", [("a", 4, "ILLEGAL '>' AT 3"), ("b", 2, "")]),
    "an illegal letter ahead of a stop": (b">a\nM1*\n>b\nMK\n", [("a", 3, "ILLEGAL '1' AT 2"), ("b", 2, "")]),
    "a header without a sequence": (b">a\n>b\nMKV\n", [("a", 0, "EMPTY"), ("b", 3, "")]),
    "a header without a sequence at the end": (b">a\nMKV\n>b\n", [("a", 3, ""), ("b", 0, "EMPTY")]),
    "a header without a sequence or a newline": (b">a\nMKV\n>b", [("a", 3, ""), ("b", 0, "EMPTY")]),
    "blank lines for a sequence": (b">a\n\n\n>b\nMKV\n", [("a", 0, "EMPTY"), ("b", 3, "")]),
    "an empty header": (b">\nMKV\n", [("", 3, "no_id")]),
    "a header of blanks": (b">   \nMKV\n", [("", 3, "no_id")]),
    "a blank ahead of the id": (b"> a b\nMKV\n", [("a", 3, "")]),
    "a description": (b">a some protein [Homo sapiens]\nMKV\n", [("a", 3, "")]),
    "a tab behind the id": (b">a\tsome protein\nMKV\n", [("a", 3, "")]),
    "a UniProt header": (b">sp|P03069|GCN4_YEAST x OS=y\nMKV\n", [("sp|P03069|GCN4_YEAST", 3, "")]),
    "braces and per cents in an id": (b">{0}%s%d\nMKV\n", [("{0}%s%d", 3, "")]),
    "a path for an id": (b">../../etc/passwd\nMKV\n", [("../../etc/passwd", 3, "")]),
    "quotes in an id": (b">'a\"b\nMKV\n", [("'a\"b", 3, "")]),
    "an id in another alphabet": (">蛋白 x\nMKV\n".encode(), [("蛋白", 3, "")]),
    "two headers in a row of one id": (b">a\n>a\nMKV\n", [("a", 0, "EMPTY"), ("a", 3, "duplicate_id")]),
    "three records of one id": (
        b">a\nMKV\n>a\nMKL\n>a\nMKV\n",
        [("a", 3, ""), ("a", 3, "duplicate_id"), ("a", 3, "duplicate_id")],
    ),
    "empty ids twice": (b">\nMKV\n>\nMK\n", [("", 3, "no_id"), ("", 2, "duplicate_id;no_id")]),
    "a header of 100,000 characters": (b">" + b"x" * 100_000 + b" y\nMKV\n", [("x" * 100_000, 3, "")]),
    "a nucleotide sequence": (f">a\n{DNA}\n".encode(), [("a", 48, "looks_like_nucleotide")]),
    "a nucleotide sequence with N": (f">a\n{DNA}NN\n".encode(), [("a", 50, "looks_like_nucleotide")]),
    "RNA": (f">a\n{DNA.replace('T', 'U')}\n".encode(), [("a", 48, "nonstandard=12;looks_like_nucleotide")]),
    "gzip": (gzip.compress(b">a\nMKV\n"), [("a", 3, "")]),
    "gzip in two members": (gzip.compress(b">a\nMKV\n") + gzip.compress(b">b\nMK\n"), [("a", 3, ""), ("b", 2, "")]),
    "bzip2": (bz2.compress(b">a\nMKV\n"), [("a", 3, "")]),
    "xz": (lzma.compress(b">a\nMKV\n"), [("a", 3, "")]),
}

MESSAGES = {
    "nothing": (b"", "input stream: found no records; expected at least one FASTA record; is the file complete?"),
    "blank lines only": (b"\n \n\n", "input stream: found no records; expected at least one FASTA record"),
    "headers only": (
        b">a\n>b\n",
        "input stream: found 2 headers without a sequence; expected at least one record with",
    ),
    "text ahead": (
        b"hello\n>a\nMK\n",
        "input stream, line 1: found text before the first '>' ('hello'); expected a FASTA",
    ),
    "a sequence alone": (b"MKVLAG\n", "input stream, line 1: found text before the first '>' ('MKVLAG')"),
    "FASTQ": (b"@r\nACGT\n+\nIIII\n", "input stream, line 1: found what looks like a FASTQ file"),
    "a PDF": (b"%PDF-1.7\n\x80\x81", "input stream, line 1: found a PDF document"),
    "a web page": (b"<!DOCTYPE html>\n", "input stream, line 1: found what looks like an HTML or XML page"),
    "a zip archive": (b"PK\x03\x04\x00\x00", "input stream, line 1: found a zip archive"),
    "GenBank": (b"LOCUS       X\n", "input stream, line 1: found what looks like a GenBank file"),
    "UniProt text": (b"ID   GCN4_YEAST\n", "input stream, line 1: found what looks like a UniProt or EMBL flat file"),
    "noise": (bytes(range(128, 256)) * 4, "input stream, line 1: found binary data; expected a FASTA header"),
    "gzip cut short": (gzip.compress(b">a\nMKV\n" * 99)[:-9], "input stream: found compressed data that is cut short"),
    "gzip of nothing": (gzip.compress(b""), "input stream: found no records; expected at least one FASTA record"),
    "xz cut short": (lzma.compress(b">a\nMKV\n" * 99)[:-9], "input stream: found compressed data that is cut short"),
}


@pytest.fixture(scope="module")
def predictor(small_bundle):
    assert small_bundle.config == SMALL
    return Predictor(small_bundle)


@pytest.mark.parametrize(("content", "expected"), ROWS.values(), ids=ROWS)
def test_it_gives_these_rows(content, expected, predictor):
    stream = io.BytesIO()
    write_tsv(predictor.predict(read_fasta(io.BytesIO(content))), stream)
    lines = stream.getvalue().decode("utf-8", "surrogateescape").removesuffix("\n").split("\n")[1:]
    rows = [line.split("\t") for line in lines]
    wanted = []
    for name, length, notes in expected:
        reason = next((note for note in notes.split(";") if note.isupper() or note.startswith("ILLEGAL")), "")
        spelt = notes.replace("EMPTY", "empty").replace("ILLEGAL", "illegal").replace(" AT ", " at ")
        wanted.append([name, str(length), "skipped" if reason else "ok", spelt])
    assert [[row[0], row[1], row[5], row[6]] for row in rows] == wanted
    assert all((row[3] == "") == (row[5] == "skipped") for row in rows)


@pytest.mark.parametrize(("content", "message"), MESSAGES.values(), ids=MESSAGES)
def test_it_is_refused_in_these_words(content, message, predictor):
    with pytest.raises(FastaError) as caught:
        list(predictor.predict(read_fasta(io.BytesIO(content))))
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=200) | st.text(">\n\r *-.MKVU1;\0é", max_size=200).map(str.encode))
@settings(deadline=None, max_examples=400)
def test_any_bytes_give_a_row_for_each_header_or_one_line(predictor, content):
    refused = ""
    rows = []
    try:
        rows = list(predictor.predict(read_fasta(io.BytesIO(content))))
    except FastaError as error:
        refused = str(error)
    assert "\n" not in refused
    if refused:
        return
    # Universal line ends, as Python reads text.
    lines = content.decode("utf-8-sig", "surrogateescape").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    headers = [line[1:] for line in lines if line.startswith(">")]
    assert [row.id for row in rows] == [(header.split(None, 1) or [""])[0] for header in headers]
    assert all(row.status == "ok" or row.notes for row in rows)
