"""Headers as in PIR: where the second line is a title the file is refused, and where it has residues they are read."""

import io
from itertools import pairwise

import pytest

from tfclass.errors import FastaError
from tfclass.sequences.fasta import read_fasta
from tfclass.sequences.parsing import FastaParser

RESIDUES = "MDITIHNPLIRRPLFSWLAPSRIFDQIFGEHLQESELLPASPSLSPFLMRSPIFRMPSWLETGLSEMRLEKDKFSVNLDVKHF"
BLOCKS = " ".join(RESIDUES[i : i + 10] for i in range(0, len(RESIDUES), 10))
WRAPPED = f"{RESIDUES[:60]}\n{RESIDUES[60:]}"

FASTA = {
    "on one line": f">P1;CRAB_ANAPL\n{RESIDUES}\n",
    "with an annotation": f">N1;gene annotation\n{RESIDUES}\n",
    "wrapped": f">P1;CRAB_ANAPL alpha crystallin\n{WRAPPED}\n",
    "with a stop": f">P1;CRAB_ANAPL\n{RESIDUES}*\n",
    "wrapped, with a stop": f">P1;CRAB_ANAPL\n{WRAPPED}*\n",
    "wrapped, with a stop on a line of its own": f">P1;CRAB_ANAPL\n{WRAPPED}\n*\n",
    "in blocks of ten": f">P1;CRAB_ANAPL\n  {BLOCKS}\n",
    "in lower case": f">p1;crab\n{WRAPPED.lower()}*\n",
    "behind an empty line": f">P1;CRAB_ANAPL\n\n{WRAPPED}*\n",
    "without a line end": f">F1;X\n{RESIDUES}",
}
PIR = {
    "a title of words": ">P1;CRAB_TEST\nHelix lid factor\nMDTRGLKPSDASK\nAKRFVV*",
    "a title in capitals": f">P1;CRAB_ANAPL\nALPHA CRYSTALLIN B CHAIN (ALPHA(B)-CRYSTALLIN).\n  {BLOCKS}*\n",
    "a title in capitals that is all letters": f">P1;X\nALPHA CRYSTALLIN B CHAIN\n{RESIDUES}*\n",
    "a title of words of one length": ">P1;X\nHEAT LIKE\nMKVLA*\n",
    "a title of words without the star": ">P1;X\nHelix lid factor\nMKVLA\n",
    "a structure of Modeller": ">P1;5fd1\nstructureX:5fd1:1 :A::\nMKV*\n",
    "one short word": f">P1;X\nINSULIN\n{RESIDUES}*\n",
    "one word in mixed case": ">P1;X\nCrystallin\nMKV*\n",
    "a lower-case code": ">p1;X\nHelix lid factor\nMKV*\n",
    "a blank ahead of the code": "> P1;X\nHelix lid factor\nMKV*\n",
    "nucleotides": ">DL;X\na title\nACGT*\n",
    "a title that is longer than the look at it": ">P1;X\n" + "a word " * 1000 + "\nMKV*\n",
}


def parsed(text, size):
    """Parse a text in blocks of a size, as `read_fasta` does in larger ones."""
    parser = FastaParser("input")
    places = [*range(1, len(text), size), len(text)]
    records = [record for start, end in pairwise(places) for record in parser.feed(text[start:end])]
    return [(record.id, record.sequence) for record in [*records, parser.last()]]


@pytest.mark.parametrize("text", FASTA.values(), ids=FASTA)
@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
def test_fasta_with_a_header_as_in_pir_is_read(text, size):
    name = text[1:].split()[0]
    residues = "".join(text.split("\n", 1)[1].split())
    expected = [("a", "MKV"), (name, residues), ("b", "MK")]
    assert parsed(f">a\nMKV\n{text.rstrip()}\n>b\nMK\n", size) == expected
    assert [(record.id, record.sequence) for record in read_fasta(io.BytesIO(text.encode()))] == [(name, residues)]


@pytest.mark.parametrize("text", PIR.values(), ids=PIR)
@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
@pytest.mark.parametrize("behind", ["", "\n>b\nMK\n"])
def test_pir_is_refused_with_the_line_of_its_header(text, size, behind):
    with pytest.raises(
        FastaError, match=r"^input, line 3: found what looks like a PIR record .*second line is a title"
    ):
        parsed(f">a\nMKV\n{text}{behind}", size)


def test_a_long_header_of_pir_is_quoted_in_part():
    with pytest.raises(FastaError) as caught:
        parsed(f">P1;{'x' * 60}\nHelix lid factor\nMKV*\n", 10_000)
    assert str(caught.value) == (
        f"input, line 1: found what looks like a PIR record ('>P1;{'x' * 37}'), whose second line is a title; expected "
        "FASTA; convert it, or take the part up to ';' from the ids"
    )


def test_a_long_fasta_record_with_a_header_as_in_pir_is_read():
    lines = "\n".join([RESIDUES] * 2000)
    assert parsed(f">P1;X\n{lines}*\n", 4000) == [("P1;X", RESIDUES * 2000 + "*")]
