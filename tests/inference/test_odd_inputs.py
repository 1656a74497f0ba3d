"""Odd inputs, each with the exact rows or the exact message that must come of it."""

import bz2
import csv
import gzip
import io
import lzma
import re
import sys
import tarfile
import zipfile

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import SMALL
from tfclass.errors import FastaError
from tfclass.inference.predictor import Predictor
from tfclass.inference.writers import write_tsv
from tfclass.sequences.fasta import read_fasta
from tfclass.sequences.parsing import readable

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LONG = "ACDEFGHIKLMNPQRSTVWY" * 1750
DNA = "ACGTTGCA" * 6
WITHIN = "header_within_line"
LINE_1 = "input stream, line 1: found"


def tar(content):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo("proteins.fa")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def zipped(*names):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in names:
            archive.writestr(name, ">a\nMKV\n")
    return packed.getvalue()


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
    # Records that were joined: neither is lost, and both say so.
    "a header inside a line": (b">a\nMK>V\n>b\nMK\n", [("a", 2, WITHIN), ("V", 0, f"{WITHIN};EMPTY"), ("b", 2, "")]),
    "files joined without a line end": (b">a\nMKV>b\nMK\n", [("a", 3, WITHIN), ("b", 2, WITHIN)]),
    "files joined, with a description": (
        b">a\nMKV>sp|P1|X desc OS=y\nMK\n>c\nMM\n",
        [("a", 3, WITHIN), ("sp|P1|X", 2, WITHIN), ("c", 2, "")],
    ),
    "three files joined without line ends": (
        b">a\nMKV>b\nMK>c\nMM",
        [("a", 3, WITHIN), ("b", 2, WITHIN), ("c", 2, WITHIN)],
    ),
    "files joined behind a stop": (b">a\nMKV*>b\nMK\n", [("a", 3, f"{WITHIN};stop_removed"), ("b", 2, WITHIN)]),
    "files joined behind an illegal letter": (
        b">a\nMK1>b\nMK\n",
        [("a", 3, f"{WITHIN};ILLEGAL '1' AT 3"), ("b", 2, WITHIN)],
    ),
    "files joined, the second empty": (b">a\nMKV>b", [("a", 3, WITHIN), ("b", 0, f"{WITHIN};EMPTY")]),
    "files joined with Windows line ends": (b">a\r\nMKV>b\r\nMK\r\n", [("a", 3, WITHIN), ("b", 2, WITHIN)]),
    "files joined with old Macintosh line ends": (b">a\rMKV>b\rMK\r", [("a", 3, WITHIN), ("b", 2, WITHIN)]),
    "files joined, the second without an id": (b">a\nMKV>\nMK\n", [("a", 3, WITHIN), ("", 2, f"no_id;{WITHIN}")]),
    "files joined, the same id": (b">a\nMKV>a\nMK\n", [("a", 3, WITHIN), ("a", 2, f"duplicate_id;{WITHIN}")]),
    "files joined behind a blank": (b">a\nMKV >b\nMK\n", [("a", 3, WITHIN), ("b", 2, WITHIN)]),
    "a blank ahead of a header": (b">a\nMKV\n >b\nMK\n", [("a", 3, ""), ("b", 2, "")]),
    "a tab ahead of a header": (b">a\nMKV\n\t>b\nMK\n", [("a", 3, ""), ("b", 2, "")]),
    "a blank ahead of the first header": (b"  >a\nMKV\n", [("a", 3, "")]),
    "a byte order mark in the middle": (b">a\nMKV\n\xef\xbb\xbf>b\nMK\n", [("a", 3, ""), ("b", 2, "")]),
    "a byte order mark where files were joined": (b">a\nMKV\xef\xbb\xbf>b\nMK\n", [("a", 3, WITHIN), ("b", 2, WITHIN)]),
    "a byte order mark behind blank lines": (b"\n\xef\xbb\xbf>a\nMKV\n", [("a", 3, "")]),
    "two byte order marks": (b"\xef\xbb\xbf\xef\xbb\xbf>a\nMKV\n", [("a", 3, "")]),
    "an arrow in a description": (b">a 5'->3' exonuclease\nMKV\n", [("a", 3, "")]),
    "a second sign in a header": (b">a>b\nMKV\n", [("a>b", 3, "")]),
    "two signs ahead of an id": (b">>a\nMKV\n", [(">a", 3, "")]),
    "a quoted mail": (b">> a\n> MKV\n>b\nMK\n", [(">", 0, "EMPTY"), ("MKV", 0, "EMPTY"), ("b", 2, "")]),
    "a nonredundant header of NCBI": (b">a desc\x01gi|2|b desc\nMKV\n", [("a", 3, "")]),
    "a header with a full-width sign": (
        ">a\nMKV\n＞b\nMK\n>c\nMM\n".encode(),
        [("a", 7, "ILLEGAL '\\uff1e' AT 4"), ("c", 2, "")],
    ),
    "a header with a sign of HTML": (
        b">a\nMKV\n&gt;b\nMK\n>c\nMM\n",
        [("a", 10, "ILLEGAL '&' AT 4"), ("c", 2, "")],
    ),
    "a header without its sign": (
        b">a\nMKV\nsp|P2|B x\nMK\n>c\nMM\n",
        [("a", 13, "ILLEGAL '|' AT 6"), ("c", 2, "")],
    ),
    # Ids that are no plain text: readable, and no two of them become one.
    "an id in Latin-1": (b">lat\xe9 x\nMKV\n", [("lat\\xe9", 3, "id_escaped")]),
    "two ids in Latin-1": (
        b">lat\xe9\nMKV\n>lat\xe8\nMK\n",
        [("lat\\xe9", 3, "id_escaped"), ("lat\\xe8", 2, "id_escaped")],
    ),
    "an id in Latin-1 and the same in UTF-8": (
        b">lat\xe9\nMKV\n>lat\xc3\xa9\nMK\n",
        [("lat\\xe9", 3, "id_escaped"), ("lat\u00e9", 2, "")],
    ),
    "an id in Latin-1 and one that spells it": (
        b">lat\xe9\nMKV\n>lat\\xe9\nMK\n",
        [("lat\\xe9", 3, "id_escaped"), ("lat\\\\xe9", 2, "id_escaped")],
    ),
    "an id in Latin-1 twice": (
        b">\xe9\nMKV\n>\xe9\nMK\n",
        [("\\xe9", 3, "id_escaped"), ("\\xe9", 2, "duplicate_id;id_escaped")],
    ),
    "an id in Windows-1252": (b">\x93a\x94\nMKV\n", [("\\x93a\\x94", 3, "id_escaped")]),
    "an id in GBK": ("蛋白".encode("gbk").join([b">", b"\nMKV\n"]), [("\\xb5\\xb0\\xb0\\xd7", 3, "id_escaped")]),
    "an id in Shift-JIS": ("テ".encode("shift-jis").join([b">", b"\nMKV\n"]), [("\\x83e", 3, "id_escaped")]),
    "an id cut within a letter": (b">a\xc3\nMKV\n", [("a\\xc3", 3, "id_escaped")]),
    "an id with a lone surrogate": (b">\xed\xa0\x80\nMKV\n", [("\\xed\\xa0\\x80", 3, "id_escaped")]),
    "a description in Latin-1": (b">a lat\xe9\nMKV\n", [("a", 3, "")]),
    "a null byte in an id": (b">a\0b\nMKV\n", [("a\\x00b", 3, "id_escaped")]),
    "a command of the terminal in an id": (b">a\x1b[31m\nMKV\n", [("a\\x1b[31m", 3, "id_escaped")]),
    "a backspace in an id": (b">a\x08b\nMKV\n", [("a\\x08b", 3, "id_escaped")]),
    "a control character above ASCII in an id": (b">a\xc2\x9b1m\nMKV\n", [("a\\u009b1m", 3, "id_escaped")]),
    "a backslash in an id": (b">a\\b\nMKV\n", [("a\\b", 3, "")]),
    "a quote ahead of an id": (b'>"a x\nMKV\n', [('"a', 3, "")]),
    "an id in quotes": (b'>"a"\nMKV\n', [('"a"', 3, "")]),
    "an id of one quote": (b'>"\nMKV\n>b\nMK\n', [('"', 3, ""), ("b", 2, "")]),
    "an id of two quotes": (b'>""\nMKV\n', [('""', 3, "")]),
    "an id with commas and semicolons": (b">a,b;c\nMKV\n", [("a,b;c", 3, "")]),
    "an id that begins like a comment": (b">#a\nMKV\n", [("#a", 3, "")]),
    "an id that looks like a number": (b">007\nMKV\n>1e5\nMK\n", [("007", 3, ""), ("1e5", 2, "")]),
    "an id that looks like a formula": (b">=1+1\nMKV\n", [("=1+1", 3, "")]),
    "an id that looks like no value": (b">NA\nMKV\n>nan\nMK\n", [("NA", 3, ""), ("nan", 2, "")]),
    "a no-break space in an id": (b">a\xc2\xa0b\nMKV\n", [("a", 3, "")]),
    "an emoji in an id": (">🧬1\nMKV\n".encode(), [("🧬1", 3, "")]),
    "an id from right to left": (">חלבון\nMKV\n".encode(), [("חלבון", 3, "")]),
    "ids that differ in case": (b">a\nMKV\n>A\nMK\n", [("a", 3, ""), ("A", 2, "")]),
    "ids that differ in what follows": (b">a 1\nMKV\n>a 2\nMK\n", [("a", 3, ""), ("a", 2, "duplicate_id")]),
    "an id with a semicolon behind other letters": (b">P10;x\nMKV\n", [("P10;x", 3, "")]),
    # White space is no residue, whatever kind it is.
    "a tab between residues": (b">a\nMK\tVL\n", [("a", 4, "")]),
    "a form feed between residues": (b">a\nMK\x0cVL\n", [("a", 4, "")]),
    "a vertical tab between residues": (b">a\nMK\x0bVL\n", [("a", 4, "")]),
    "a no-break space between residues": (b">a\nMK\xc2\xa0VL\n", [("a", 4, "")]),
    "a next line of Unicode between residues": (b">a\nMK\xc2\x85VL\n", [("a", 4, "")]),
    "a line separator of Unicode": (b">a\nMK\xe2\x80\xa8VL\n", [("a", 4, "")]),
    "carriage returns within Windows line ends": (b">a\r\r\nMKV\r\r\nLA\r\r\n", [("a", 5, "")]),
    "blanks for a sequence": (b">a\n   \t \n>b\nMKV\n", [("a", 0, "EMPTY"), ("b", 3, "")]),
    "blank lines at the end": (b">a\nMKV\n\n\n \n", [("a", 3, "")]),
    "an end of file of DOS": (b">a\nMKV\n>b\nMK\n\x1a", [("a", 3, ""), ("b", 3, "ILLEGAL '\\x1a' AT 3")]),
    "a zero-width space": (b">a\nMK\xe2\x80\x8bV\n>b\nMK\n", [("a", 4, "ILLEGAL '\\u200b' AT 3"), ("b", 2, "")]),
    "a soft hyphen": (b">a\nMK\xc2\xadV\n>b\nMK\n", [("a", 4, "ILLEGAL '\\xad' AT 3"), ("b", 2, "")]),
    "a dash of a word processor": (">a\nMK–V\n>b\nMK\n".encode(), [("a", 4, "ILLEGAL '\\u2013' AT 3"), ("b", 2, "")]),
    "full-width letters": (">a\nＭＫ\n>b\nMK\n".encode(), [("a", 2, "ILLEGAL '\\uff2d' AT 1"), ("b", 2, "")]),
    # Words and marks of other programs.
    "nan": (b">a\nnan\n", [("a", 3, "looks_like_empty_value")]),
    "NaN": (b">a\nNaN\n", [("a", 3, "looks_like_empty_value")]),
    "null": (b">a\nnull\n", [("a", 4, "nonstandard=1;looks_like_empty_value")]),
    "None": (b">a\nNone\n", [("a", 4, "nonstandard=1;looks_like_empty_value")]),
    "NA": (b">a\nNA\n", [("a", 2, "looks_like_empty_value")]),
    "nil": (b">a\nnil\n", [("a", 3, "looks_like_empty_value")]),
    "NA with a stop": (b">a\nNA*\n", [("a", 2, "stop_removed")]),
    "an asparagine and an alanine more": (b">a\nNAA\n", [("a", 3, "")]),
    "N/A": (b">a\nN/A\n>b\nMK\n", [("a", 3, "ILLEGAL '/' AT 2"), ("b", 2, "")]),
    "#N/A": (b">a\n#N/A\n>b\nMK\n", [("a", 4, "ILLEGAL '#' AT 1"), ("b", 2, "")]),
    "a question mark alone": (b">a\n?\n>b\nMK\n", [("a", 1, "ILLEGAL '?' AT 1"), ("b", 2, "")]),
    "a dash alone": (b">a\n-\n>b\nMK\n", [("a", 1, "gaps_removed=1;EMPTY"), ("b", 2, "")]),
    "a gap of BLAST": (b">a\nMK~~V\n>b\nMK\n", [("a", 5, "ILLEGAL '~' AT 3"), ("b", 2, "")]),
    "a residue that is modified": (b">a\nMK[Acetyl]V\n>b\nMK\n", [("a", 11, "ILLEGAL '[' AT 3"), ("b", 2, "")]),
    "a chain break of PDB": (b">a\nMKV/MKL\n>b\nMK\n", [("a", 7, "ILLEGAL '/' AT 4"), ("b", 2, "")]),
    "two chains of AlphaFold": (b">a\nMKV:MKL\n>b\nMK\n", [("a", 7, "ILLEGAL ':' AT 4"), ("b", 2, "")]),
    "three-letter codes": (b">a\nMet-Lys-Val\n", [("a", 9, "gaps_removed=2")]),
    "a comment of Pearson": (b">a\n;x\nMKV\n>b\nMK\n", [("a", 5, "ILLEGAL ';' AT 1"), ("b", 2, "")]),
    "a comment behind a sequence": (b">a\nMKV # end\n>b\nMK\n", [("a", 7, "ILLEGAL '#' AT 4"), ("b", 2, "")]),
    "numbered lines of GenBank": (
        b">a\n        1 mkvla givga\n>b\nMK\n",
        [("a", 11, "ILLEGAL '1' AT 1"), ("b", 2, "")],
    ),
    "quotes around a sequence": (b'>a\n"MKV"\n>b\nMK\n', [("a", 5, "ILLEGAL '\"' AT 1"), ("b", 2, "")]),
    "a sequence behind an escaped line end": (b">a\\nMKV\n>b\nMK\n", [("a\\nMKV", 0, "EMPTY"), ("b", 2, "")]),
    "an alignment of A3M": (b">a\nMKvv--L\n", [("a", 5, "gaps_removed=2")]),
    "structure below the sequence": (b">a\nMKV\n.H-\n", [("a", 4, "gaps_removed=2")]),
    "one nucleotide": (b">a\nA\n", [("a", 1, "")]),
    "nucleotides in lower case": (f">a\n{DNA.lower()}\n".encode(), [("a", 48, "looks_like_nucleotide")]),
    "nucleotides with gaps": (f">a\n{DNA}---\n".encode(), [("a", 48, "gaps_removed=3;looks_like_nucleotide")]),
    "few nucleotides": (b">a\nACGTACGTAC\n", [("a", 10, "")]),
    "nothing but A, as in poly-A": (b">a\n" + b"A" * 60 + b"\n", [("a", 60, "")]),
    "a record of each kind of line end": (b">a\nMKV\r>b\rMK\r\n>c\r\nMM", [("a", 3, ""), ("b", 2, ""), ("c", 2, "")]),
    "gzip with bytes of zero behind it": (gzip.compress(b">a\nMKV\n") + bytes(512), [("a", 3, "")]),
    "gzip joined without a line end": (
        gzip.compress(b">a\nMKV") + gzip.compress(b">b\nMK\n"),
        [("a", 3, WITHIN), ("b", 2, WITHIN)],
    ),
    "bzip2 in two members": (bz2.compress(b">a\nMKV\n") + bz2.compress(b">b\nMK\n"), [("a", 3, ""), ("b", 2, "")]),
    "xz in two members": (lzma.compress(b">a\nMKV\n") + lzma.compress(b">b\nMK\n"), [("a", 3, ""), ("b", 2, "")]),
    # Longer than any protein.
    "200,000 residues": (b">a\n" + b"MKVL" * 50_000 + b"\n>b\nMK\n", [("a", 200_000, ""), ("b", 2, "")]),
    "200,001 residues": (
        b">a\n" + b"MKVL" * 50_000 + b"M\n>b\nMK\n",
        [("a", 200_001, "LONGER_THAN=200000"), ("b", 2, "")],
    ),
    "a genome": (
        b">chr1\n" + b"ACGTTGCANN\n" * 100_000 + b">b\nMK\n",
        [("chr1", 1_000_000, "LONGER_THAN=200000"), ("b", 2, "")],
    ),
    "too long, behind it a header within the line": (
        b">a\n" + b"MKVL" * 60_000 + b">b\nMK\n",
        [("a", 240_000, f"{WITHIN};LONGER_THAN=200000"), ("b", 2, WITHIN)],
    ),
    "nothing but too long": (b">a\n" + b"MKVL" * 60_000, [("a", 240_000, "LONGER_THAN=200000")]),
    "a megabyte of blank lines": (b">a\nMK\n" + b"\n" * 1_000_000 + b"V\n>b\nMK\n", [("a", 3, ""), ("b", 2, "")]),
    "a megabyte of blank lines ahead": (b"\n" * 1_000_000 + b">a\nMKV\n", [("a", 3, "")]),
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
    # Files of another kind, named as what they are.
    "UTF-16": (">a\nMKV\n".encode("utf-16"), "input stream, line 1: found UTF-16 text (save it as UTF-8); expected"),
    "UTF-16 from the other end": (
        b"\xfe\xff" + ">a\nMK\n".encode("utf-16-be"),
        f"{LINE_1} UTF-16 text (save it as UTF-8)",
    ),
    "UTF-16 without a mark": (">a\nMKV\n".encode("utf-16-le"), f"{LINE_1} UTF-16 text (save it as UTF-8)"),
    "UTF-16 without a mark, from the other end": (">a\nMKV\n".encode("utf-16-be"), f"{LINE_1} UTF-16 text (save it"),
    "UTF-32": (">a\nMKV\n".encode("utf-32"), f"{LINE_1} UTF-32 text (save it as UTF-8)"),
    "UTF-32 without a mark": (">a\nMKV\n".encode("utf-32-le"), f"{LINE_1} UTF-32 text (save it as UTF-8)"),
    "UTF-16 in gzip": (gzip.compress(">a\nMKV\n".encode("utf-16")), f"{LINE_1} UTF-16 text (save it as UTF-8)"),
    "a tar archive": (tar(b">a\nMKV\n"), f"{LINE_1} a tar archive; expected a FASTA header starting with '>'"),
    "a tar archive in gzip": (gzip.compress(tar(b">a\nMKV\n")), f"{LINE_1} a tar archive"),
    "a file and a tar archive joined": (
        b">a\nMKV\n" + tar(b">b\nMK\n"),
        "input stream, line 3: found NUL bytes, as in a tar archive or a damaged file; expected text; is the file",
    ),
    "a block of zeros": (b">a\nMKV\n" + bytes(512), "input stream, line 3: found NUL bytes, as in a tar archive or a"),
    "zeros behind the last letter": (b">a\nMKV" + bytes(9), "input stream, line 2: found NUL bytes"),
    "zeros in a header": (b">a\0\0\nMKV\n", "input stream, line 1: found NUL bytes"),
    "zeros without end": (b">a\n" + bytes(1_000_000), "input stream, line 2: found NUL bytes"),
    "nothing but zeros": (bytes(1000), f"{LINE_1} binary data"),
    "7z": (b"7z\xbc\xaf\x27\x1c\0\4", f"{LINE_1} a 7z archive"),
    "rar": (b"Rar!\x1a\x07\x01\0", f"{LINE_1} a rar archive"),
    "lz4": (b"\x04\x22\x4d\x18\x64", f"{LINE_1} a file compressed by lz4"),
    "lzip": (b"LZIP\x01\x0c", f"{LINE_1} a file compressed by lzip"),
    "compress": (b"\x1f\x9d\x90>", f"{LINE_1} a file compressed by compress (.Z)"),
    "gzip in gzip": (gzip.compress(gzip.compress(b">a\nMKV\n")), f"{LINE_1} data compressed twice"),
    "bzip2 in gzip": (gzip.compress(bz2.compress(b">a\nMKV\n")), f"{LINE_1} data compressed twice"),
    "an empty zip archive": (b"PK\x05\x06" + bytes(18), f"{LINE_1} an empty zip archive"),
    "Excel": (zipped("[Content_Types].xml", "xl/workbook.xml"), f"{LINE_1} an Excel or Word document"),
    "a zip archive of FASTA": (zipped("a.fasta"), f"{LINE_1} a zip archive"),
    "old Word": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99), f"{LINE_1} an old Word or Excel document"),
    "rich text": (b"{\\rtf1\\ansi >a\n", f"{LINE_1} a document in rich text format"),
    "PNG": (b"\x89PNG\r\n\x1a\n\0\0", f"{LINE_1} a PNG image"),
    "JPEG": (b"\xff\xd8\xff\xe0\0\x10JFIF", f"{LINE_1} a JPEG image"),
    "SQLite": (b"SQLite format 3\0\x10", f"{LINE_1} an SQLite database"),
    "HDF5": (b"\x89HDF\r\n\x1a\n\0", f"{LINE_1} an HDF5 file"),
    "Parquet": (b"PAR1\x15\0", f"{LINE_1} a Parquet file"),
    "NumPy": (b"\x93NUMPY\x01\0", f"{LINE_1} a NumPy array"),
    "BAM": (gzip.compress(b"BAM\1\0\0"), f"{LINE_1} a BAM file"),
    "CRAM": (b"CRAM\3\0", f"{LINE_1} a CRAM file"),
    "a program": (b"\x7fELF\2\1", f"{LINE_1} a program"),
    "SAM": (b"@HD\tVN:1.6\n@SQ\tSN:a\tLN:9\n", f"{LINE_1} a SAM file"),
    "VCF": (b"##fileformat=VCFv4.2\n", f"{LINE_1} a VCF file"),
    "GFF": (b"##gff-version 3\na\t.\tgene\n", f"{LINE_1} a GFF file"),
    "BED": (b"chr1\t0\t100\n", f"{LINE_1} what looks like a table with tabs between its cells"),
    "Stockholm": (b"# STOCKHOLM 1.0\na MKV\n//\n", f"{LINE_1} a Stockholm alignment"),
    "Clustal": (b"CLUSTAL W (1.82)\n\na MKV\n", f"{LINE_1} a Clustal alignment"),
    "PHYLIP": (b" 2 3\na MKV\nb MKL\n", f"{LINE_1} what looks like a PHYLIP alignment"),
    "MSF": (b"!!AA_MULTIPLE_ALIGNMENT 1.0\n", f"{LINE_1} an MSF alignment"),
    "Nexus": (b"#NEXUS\nbegin data;\n", f"{LINE_1} a Nexus file"),
    "Newick": (b"(a:0.1,(b:0.2,c:0.3):0.1);\n", f"{LINE_1} what looks like a Newick tree"),
    "JSON": (b'{"id": "a", "sequence": "MKV"}\n', f"{LINE_1} what looks like a JSON file"),
    "a list of JSON": (b'[\n  {"id": "a"}\n]\n', f"{LINE_1} what looks like a JSON file"),
    "XML": (b"<?xml version='1.0'?>\n<uniprot/>\n", f"{LINE_1} what looks like an HTML or XML page"),
    "HMMER": (b"HMMER3/f [3.3.2]\nNAME x\n", f"{LINE_1} a HMMER profile"),
    "PDB": (b"HEADER    DNA BINDING PROTEIN\n", f"{LINE_1} what looks like a PDB file"),
    "mmCIF": (b"data_1ABC\n#\n", f"{LINE_1} what looks like an mmCIF file"),
    "a pointer of Git LFS": (b"version https://git-lfs.github.com/spec/v1\n", f"{LINE_1} a pointer of Git LFS"),
    "a table with tabs": (b"id\tsequence\na\tMKV\n", f"{LINE_1} what looks like a table with tabs between its cells"),
    "a table with commas": (b"id,sequence\na,MKV\n", f"{LINE_1} text before the first '>' ('id,sequence')"),
    "an error of a server": (b"404: Not Found", f"{LINE_1} text before the first '>' ('404: Not Found')"),
    "a path instead of its content": (b"/home/a/b.fasta\n", f"{LINE_1} text before the first '>' ('/home/a/b.fasta')"),
    "a conflict of Git": (b"<<<<<<< HEAD\n>a\nMKV\n", f"{LINE_1} what looks like an HTML or XML page"),
    "a comment of Pearson ahead": (b";comment\n>a\nMKV\n", f"{LINE_1} text before the first '>' (';comment')"),
    "text behind blank lines": (b"\n\r\n \rhello\n", "input stream, line 4: found text before the first '>' ('hello')"),
    # Forms of FASTA whose title would be taken for residues.
    "PIR": (
        b">P1;CRAB_X\nHelix lid factor\nMKVLA*\n",
        "input stream, line 1: found what looks like a PIR record ('>P1;CRAB_X'), whose second line is a title",
    ),
    "PIR of Modeller": (
        b">P1;5fd1\nstructureX:5fd1:1 :A::\nMKV*\n",
        f"{LINE_1} what looks like a PIR record ('>P1;5fd1')",
    ),
    "PIR of a fragment": (b">F1;X\ntitle\nMKV*\n", f"{LINE_1} what looks like a PIR record ('>F1;X')"),
    "PIR of nucleotides": (b">DL;X\ntitle\nACGT*\n", f"{LINE_1} what looks like a PIR record ('>DL;X')"),
    "a PIR record among others": (
        b">a\nMKV\n>b\nMK\n>P1;c\ntitle\nMKV*\n",
        "input stream, line 5: found what looks like a PIR record ('>P1;c'), whose second line is a title",
    ),
    # What has no end.
    "a header without end": (
        b">a\nMKV\n>" + b"x" * 1_100_000,
        "input stream, line 3: found a header of more than 1,000,000 characters; expected a line of text; are the line",
    ),
    "line ends that are lost": (
        b">a MKV" * 200_000,
        "input stream, line 1: found a header of more than 1,000,000 characters",
    ),
    "all on one line": (
        b">a MKVLA >b MKV",
        "input stream: found 1 header without a sequence; expected at least one record",
    ),
    "line ends that are written out": (
        b">a\\nMKV\\n>b\\nMK",
        "input stream: found 1 header without a sequence; expected",
    ),
    "zstd cut short": (zstd.compress(b">a\nMKV\n" * 99)[:-9], "input stream: found compressed data that is cut short"),
    "bzip2 cut short": (bz2.compress(b">a\nMKV\n" * 99)[:-9], "input stream: found compressed data that is cut short"),
    "gzip with text behind it": (
        gzip.compress(b">a\nMKV\n") + b"hello",
        "input stream: found compressed data that is cut short or damaged (Not a gzipped file",
    ),
}


@pytest.fixture(scope="module")
def predictor(small_bundle):
    assert small_bundle.config == SMALL
    return Predictor(small_bundle)


@pytest.mark.parametrize(("content", "expected"), ROWS.values(), ids=ROWS)
def test_it_gives_these_rows(content, expected, predictor):
    stream = io.BytesIO()
    write_tsv(predictor.predict(read_fasta(io.BytesIO(content))), stream)
    text = stream.getvalue().decode()
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter="\t"))[1:]
    theirs = pd.read_csv(io.StringIO(text), sep="\t", dtype=str, keep_default_na=False)
    assert theirs.to_numpy().tolist() == rows
    wanted = []
    for name, length, notes in expected:
        reason = next((note for note in notes.split(";") if note.startswith(("EMPTY", "ILLEGAL", "LONGER"))), "")
        spelt = notes.replace(" AT ", " at ")
        for word in ("EMPTY", "ILLEGAL", "LONGER_THAN"):
            spelt = spelt.replace(word, word.lower())
        wanted.append([name, str(length), "skipped" if reason else "ok", spelt])
    assert [[row[0], row[1], row[5], row[6]] for row in rows] == wanted
    assert all((row[3] == "") == (row[5] == "skipped") for row in rows)


@pytest.mark.parametrize(("content", "message"), MESSAGES.values(), ids=MESSAGES)
def test_it_is_refused_in_these_words(content, message, predictor):
    with pytest.raises(FastaError) as caught:
        list(predictor.predict(read_fasta(io.BytesIO(content))))
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=200) | st.text('>\n\r *-.MKVU1;\0é\\\x1b"', max_size=200).map(str.encode))
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
    text = content.decode("utf-8-sig", "surrogateescape").replace("\r\n", "\n").replace("\r", "\n")
    headers = re.findall(r">([^\n]*)(?:\n[^>]*|$)", text)
    assert [row.id for row in rows] == [readable((header.split(None, 1) or [""])[0]) for header in headers]
    assert all(row.status == "ok" or row.notes for row in rows)


@given(st.lists(st.binary(min_size=1, max_size=4) | st.text("\\xe9\x1bé", min_size=1, max_size=6).map(str.encode)))
def test_two_ids_never_become_one(names):
    written = [name for name in names if name.decode("utf-8", "replace").split() == [name.decode("utf-8", "replace")]]
    given_ = {name.decode("utf-8", "surrogateescape") for name in written}
    assert len({readable(name) for name in given_}) == len(given_)
    assert all(readable(name).encode().decode() == readable(name) for name in given_)
