"""Reading FASTA: what is accepted, what is refused and in which words, and in how much memory."""

import bz2
import gzip
import io
import itertools
import lzma
import os
import random
import sys
import tracemalloc
from pathlib import Path

import pytest
from Bio import SeqIO
from hypothesis import given
from hypothesis import strategies as st

from tfclass.errors import FastaError
from tfclass.sequences.fasta import Record, read_fasta
from tfclass.sequences.parsing import FastaParser, readable

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

TEXT = b">sp|P1 first protein\nMKV\nLA\n>P2\nMM\n"
RECORDS = [Record("sp|P1", "sp|P1 first protein", "MKVLA"), Record("P2", "P2", "MM")]
COMPRESSORS = {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress, "zstd": zstd.compress}
CUT_SHORT = (
    "compressed data that is cut short or damaged (Compressed file ended before the end-of-stream marker was reached); "
    "copy or download the file again"
)

compressed = pytest.mark.parametrize("compress", COMPRESSORS.values(), ids=COMPRESSORS)


def read(content):
    return list(read_fasta(io.BytesIO(content)))


class Dripping(io.RawIOBase):
    """A pipe that gives one byte at a time."""

    def __init__(self, content):
        self._content = io.BytesIO(content)

    def readable(self):
        return True

    def readinto(self, buffer):
        byte = self._content.read(1)
        buffer[: len(byte)] = byte
        return len(byte)


class TestSources:
    @pytest.mark.parametrize("kind", [str, Path])
    def test_a_path_is_read(self, tmp_path, kind):
        (tmp_path / "in.fasta").write_bytes(TEXT)
        assert list(read_fasta(kind(tmp_path / "in.fasta"))) == RECORDS

    def test_a_stream_is_read_and_left_open(self):
        stream = io.BytesIO(TEXT)
        assert list(read_fasta(stream)) == RECORDS
        assert not stream.closed

    def test_a_dash_is_standard_input_and_a_second_dash_finds_it_used_up(self, monkeypatch):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TEXT)))
        assert list(read_fasta("-")) == RECORDS
        with pytest.raises(FastaError, match="^standard input: found no records"):
            list(read_fasta("-"))

    @compressed
    def test_compression_is_known_by_the_first_bytes_and_not_by_the_name(self, tmp_path, compress):
        path = tmp_path / "plain.txt"
        path.write_bytes(compress(TEXT))
        assert list(read_fasta(path)) == RECORDS

    def test_a_plain_file_named_gz_is_read(self, tmp_path):
        (tmp_path / "in.fasta.gz").write_bytes(TEXT)
        assert list(read_fasta(tmp_path / "in.fasta.gz")) == RECORDS

    @compressed
    def test_members_one_after_another_are_all_read(self, compress):
        assert read(compress(TEXT[:25]) + compress(TEXT[25:])) == RECORDS

    @compressed
    def test_a_pipe_that_gives_one_byte_at_a_time_is_still_recognised(self, compress):
        assert list(read_fasta(Dripping(compress(TEXT)))) == RECORDS

    def test_a_record_of_a_slow_pipe_comes_as_soon_as_the_next_one_begins(self):
        class Slow(io.RawIOBase):
            parts = iter([TEXT])

            def readable(self):
                return True

            def readinto(self, buffer):
                part = next(self.parts)
                buffer[: len(part)] = part
                return len(part)

        assert next(read_fasta(Slow())) == RECORDS[0]

    def test_records_come_before_the_end_of_the_input_is_reached(self):
        def endless():
            yield from itertools.repeat(b">a\nMKV\n" * 10_000)

        chunks = endless()

        class Endless(io.RawIOBase):
            def read(self, size=-1):
                return next(chunks)[:size]

        assert next(read_fasta(Endless())).sequence.startswith("MKV")


class TestText:
    @pytest.mark.parametrize("newline", [b"\r\n", b"\r"], ids=["CRLF", "a lone CR"])
    def test_other_line_ends_give_the_same_records(self, newline):
        assert read(TEXT.replace(b"\n", newline)) == RECORDS

    def test_the_last_line_may_lack_its_end(self):
        assert read(TEXT.rstrip(b"\n")) == RECORDS

    def test_blank_lines_before_and_between_do_not_matter(self):
        assert read(b"\n  \n" + TEXT.replace(b"\n", b"\n\n")) == RECORDS

    def test_a_byte_order_mark_is_not_part_of_the_text(self):
        assert read(b"\xef\xbb\xbf" + TEXT) == RECORDS

    def test_a_header_of_100000_characters_is_kept_whole(self):
        [record] = read(b">" + b"x" * 50_000 + b" " + b"y" * 49_999 + b"\nMKV\n")
        assert (record.id, len(record.description), record.sequence) == ("x" * 50_000, 100_000, "MKV")

    def test_header_bytes_that_are_not_utf8_survive_and_are_escaped_in_the_id(self):
        [record] = read(b">caf\xe9 \xff\nMKV\n")
        assert record.description.encode("utf-8", "surrogateescape") == b"caf\xe9 \xff"
        assert (record.id, record.notes) == (r"caf\xe9", ("id_escaped",))

    def test_empty_records_among_others_are_kept_in_place(self):
        assert [(r.id, r.sequence) for r in read(b">a\n>b\nMKV\n>c\n\n>d\nM\n>e")] == [
            ("a", ""),
            ("b", "MKV"),
            ("c", ""),
            ("d", "M"),
            ("e", ""),
        ]

    def test_a_blank_header_gives_an_empty_id(self):
        assert read(b">\nMKV\n>  \nMM\n") == [Record("", "", "MKV"), Record("", "", "MM")]

    def test_letters_are_left_as_written_and_spaces_inside_are_dropped(self):
        assert read(b">a\nmkV L*\n-1\n")[0].sequence == "mkVL*-1"


class Endless(io.RawIOBase):
    """One text over and over up to a size, and then another; counts how often it is read."""

    def __init__(self, text, size, then):
        self.text, self.left, self.then, self.reads = text * (65536 // len(text)), size, then, 0

    def readable(self):
        return True

    def readinto(self, buffer):
        self.reads += 1
        part = self.text[: min(len(buffer), self.left)]
        self.left -= len(part)
        if not part:
            part, self.then = self.then[: len(buffer)], self.then[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)


class TestWhiteSpaceAheadOfTheFirstHeader:
    @pytest.mark.parametrize("blank", [b"\n", b"\r\n", b"\r", b" ", b"\n\r\n\r\r \t"])
    @pytest.mark.parametrize("times", [1, 2, 511, 512, 513, 70_000, 131_072, 131_585])
    def test_is_counted_in_lines_as_python_counts_them(self, blank, times):
        text = blank * times
        lines = len(io.StringIO(text.decode(), newline=None).read().split("\n"))
        with pytest.raises(FastaError, match=f"^input stream, line {lines}: found text before the first '>'"):
            read(text + b"hello")
        assert read(text + TEXT) == RECORDS

    @pytest.mark.parametrize("blank", [b"\n", b"\r", b" "])
    def test_is_read_in_large_blocks(self, blank):
        size = 1 << 26
        stream = Endless(blank, size, TEXT)
        assert list(read_fasta(io.BufferedReader(stream, 1 << 16))) == RECORDS
        assert stream.reads <= size // 65536 + 100


headers = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=20)
sequences = st.text("ACDEFGHIKLMNPQRSTVWYBXZUOJacdefghiklmnpqrstvwy*-.", max_size=60)


@given(
    written=st.lists(st.tuples(headers, sequences), max_size=6),
    width=st.integers(1, 70),
    newline=st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_records_wrapped_at_any_width_are_those_of_biopython(written, width, newline):
    written = [*written, ("last", "MKV")]
    lines = []
    for header, sequence in written:
        lines += [">" + header, *(sequence[i : i + width] for i in range(0, len(sequence), width))]
    theirs = [(readable(r.id), r.description, str(r.seq)) for r in SeqIO.parse(io.StringIO("\n".join(lines)), "fasta")]
    assert [record[:3] for record in read(newline.join(lines).encode())] == theirs
    assert [r.sequence for r in read(newline.join(lines).encode())] == [sequence for _, sequence in written]


NO_RECORDS = ": found no records; expected at least one FASTA record; is the file complete?"
HEADER = "expected a FASTA header starting with '>'"
BAD_CONTENT = {
    "an empty file": (b"", NO_RECORDS),
    "only blank lines": (
        b"\n \r\n\t\n",
        NO_RECORDS,
    ),
    "a FASTQ file": (b"@r1\nACGT\n+\nIIII\n", f", line 1: found what looks like a FASTQ file; {HEADER}"),
    "a PDF": (b"%PDF-1.7\n%\xe2\xe3\n", f", line 1: found a PDF document; {HEADER}"),
    "an HTML page": (b"\n<!DOCTYPE html>\n", f", line 2: found what looks like an HTML or XML page; {HEADER}"),
    "a GenBank file": (b"LOCUS       AB1\n", f", line 1: found what looks like a GenBank file; {HEADER}"),
    "a zip archive": (b"PK\x03\x04\x14\x00", f", line 1: found a zip archive; {HEADER}"),
    "binary noise": (bytes(range(128, 256)), f", line 1: found binary data; {HEADER}"),
    "text before the first header": (
        b"\nMKVLA\n>a\nMKV\n",
        f", line 2: found text before the first '>' ('MKVLA'); {HEADER}",
    ),
    "much text before the first header": (
        b"MKVLA" * 9 + b"\n",
        f", line 1: found text before the first '>' ({'MKVLA' * 8!r}); {HEADER}",
    ),
    "one header without a sequence": (
        b">a\n",
        ": found 1 header without a sequence; expected at least one record with residues; is the file complete?",
    ),
    "headers without any sequence": (
        b">a\n>b\n\n>c",
        ": found 3 headers without a sequence; expected at least one record with residues; is the file complete?",
    ),
    "a gzip file damaged inside": (
        gzip.compress(TEXT)[:10] + b"\xff" + gzip.compress(TEXT)[11:],
        ": found compressed data that is cut short or damaged (Error -3 while decompressing data: invalid block type); "
        "copy or download the file again",
    ),
    "a bzip2 file damaged inside": (
        b"BZh9" + bytes(100),
        ": found compressed data that is cut short or damaged (Invalid data stream); copy or download the file again",
    ),
    **{f"a {name} file cut short": (pack(TEXT)[:-5], f": found {CUT_SHORT}") for name, pack in COMPRESSORS.items()},
    "a gzip file of nothing": (
        gzip.compress(b""),
        NO_RECORDS,
    ),
}


class TestRefusals:
    @pytest.mark.parametrize(("content", "message"), BAD_CONTENT.values(), ids=BAD_CONTENT)
    def test_what_is_not_fasta_is_refused_in_one_line(self, tmp_path, content, message):
        path = tmp_path / "in.fasta"
        path.write_bytes(content)
        with pytest.raises(FastaError) as caught:
            list(read_fasta(path))
        assert str(caught.value) == f"{path}{message}"

    @compressed
    def test_damage_right_after_the_magic_bytes_is_reported_as_damage(self, compress):
        with pytest.raises(FastaError, match="^input stream: found compressed data that is cut short or damaged"):
            read(compress(TEXT)[:6] + b"\xff" * 20)

    def test_a_missing_file_is_named(self, tmp_path):
        path = tmp_path / "none.fasta"
        with pytest.raises(FastaError) as caught:
            list(read_fasta(path))
        assert str(caught.value) == f"{path}: found no such file; check the path"

    def test_a_folder_is_named(self, tmp_path):
        with pytest.raises(FastaError) as caught:
            list(read_fasta(tmp_path))
        assert str(caught.value) == f"{tmp_path}: found a directory; expected a FASTA file; name the files inside it"

    def test_a_file_used_as_a_folder_is_named(self, tmp_path):
        (tmp_path / "file").write_bytes(TEXT)
        with pytest.raises(FastaError) as caught:
            list(read_fasta(tmp_path / "file" / "in.fasta"))
        expected = f"{tmp_path}/file/in.fasta: found an input that cannot be read (Not a directory)"
        assert str(caught.value) == expected

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_a_file_without_read_permission_is_named(self, tmp_path):
        path = tmp_path / "in.fasta"
        path.write_bytes(TEXT)
        path.chmod(0)
        with pytest.raises(FastaError) as caught:
            list(read_fasta(path))
        assert str(caught.value) == f"{path}: found no permission to read it; change its permissions"

    def test_whole_records_before_the_damage_are_given_first(self):
        letters = random.Random(0).choices("ACDEFGHIKLMNPQRSTVWY", k=1_000_000)
        text = b"".join(b">r%d\n%s\n" % (i, "".join(letters[i : i + 100]).encode()) for i in range(0, 1_000_000, 100))
        records = read_fasta(io.BytesIO(gzip.compress(text)[:-1000]))
        assert next(records).sequence == "".join(letters[:100])
        with pytest.raises(FastaError, match="cut short"):
            list(records)

    @given(
        start=st.sampled_from([b"", b">", b">a\n", *(pack(TEXT)[:12] for pack in COMPRESSORS.values())]),
        noise=st.binary(max_size=200),
    )
    def test_no_bytes_whatever_raise_anything_else(self, start, noise):
        records, refusal = read_or_refusal(start + noise)
        assert any(record.sequence for record in records) != bool(refusal)
        assert len(refusal.splitlines()) <= 1

    @given(st.binary(min_size=1, max_size=8), st.integers(0, 200), st.sampled_from(list(COMPRESSORS)))
    def test_no_damage_to_a_compressed_file_raises_anything_else(self, damage, where, name):
        whole = bytearray(COMPRESSORS[name](TEXT * 3))
        where %= len(whole)
        whole[where : where + len(damage)] = damage
        records, refusal = read_or_refusal(bytes(whole))
        assert bool(records) != bool(refusal)
        assert len(refusal.splitlines()) <= 1


def read_or_refusal(content):
    try:
        return read(content), ""
    except FastaError as error:
        return [], str(error)


def test_memory_does_not_grow_with_the_input():
    record = b">some protein\n" + (b"MKVLAAGIVG" * 8 + b"\n") * 25
    block = record * 50
    blocks = itertools.repeat(block, 1000)  # 100 MB

    class Generated(io.RawIOBase):
        left = b""

        def read(self, size=-1):
            self.left = self.left or next(blocks, b"")
            part, self.left = self.left[:size], self.left[size:]
            return part

    tracemalloc.start()
    try:
        n_residues = sum(len(r.sequence) for r in read_fasta(Generated()))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert n_residues == 80 * 25 * 50 * 1000
    assert peak < 2_000_000


def test_a_record_without_end_takes_no_more_memory_than_the_longest_that_is_kept():
    blocks = itertools.chain([b">a\nMKV\n>endless\n"], itertools.repeat(b"A" * 100_000, 1000), [b"\n>b\nMK\n"])

    class Generated(io.RawIOBase):
        def read(self, size=-1):
            return next(blocks, b"")

    tracemalloc.start()
    try:
        records = list(read_fasta(Generated(), max_length=50_000))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [(r.id, len(r.sequence), r.problem, r.left_out) for r in records] == [
        ("a", 3, "", 0),
        ("endless", 0, "longer_than=50000", 100_000_000),
        ("b", 2, "", 0),
    ]
    assert peak < 2_000_000


def test_of_many_records_without_a_sequence_ten_thousand_are_looked_at():
    with pytest.raises(FastaError, match="found 9999 headers without a sequence"):
        read(b">a\n" * 9_999)
    assert len(read(b">a\n" * 10_000)) == 10_000


def test_a_sequence_of_the_greatest_length_is_kept():
    kept, left_out = read_fasta(io.BytesIO(b">a\nMKV\n>b\nMKVL\n"), max_length=3)
    assert kept == Record("a", "a", "MKV")
    assert left_out == Record("b", "b", "", (), "longer_than=3", 4)


def test_a_record_that_never_ends_is_given_up(monkeypatch):
    monkeypatch.setattr("tfclass.sequences.parsing._ENDLESS", 1_000_000)

    class Endless(io.RawIOBase):
        start = b">a\nMKV\n>b\n"

        def read(self, size=-1):
            part, self.start = self.start or b"MKVLA" * 1000, b""
            return part

    records = read_fasta(Endless())
    assert next(records).id == "a"
    with pytest.raises(FastaError, match="^input stream, line 4: found a record that has not ended after 1,000,000 ch"):
        list(records)


@given(st.text(">\n \tMKVab\ufeff", max_size=80), st.integers(1, 20), st.integers(0, 9))
def test_records_do_not_depend_on_where_the_text_is_cut(text, size, max_length):
    def parsed(blocks):
        parser = FastaParser("x", max_length)
        return [*(record for block in blocks for record in parser.feed(block)), parser.last()]

    assert parsed([text[i : i + size] for i in range(0, len(text), size)]) == parsed([text])


@given(st.lists(st.tuples(headers, st.text("MKV* \t", max_size=20)), min_size=1), st.data())
def test_records_joined_with_or_without_line_ends_are_all_there(written, data):
    ends = data.draw(
        st.lists(st.sampled_from(["", "\n", "\r\n", "\n\ufeff"]), min_size=len(written), max_size=len(written))
    )
    text = "".join(f">{header}\n{sequence}{end}" for (header, sequence), end in zip(written, ends, strict=True))
    parsed = read((text + ">last\nMKV\n").encode())
    assert [record.sequence for record in parsed] == ["".join(sequence.split()) for _, sequence in written] + ["MKV"]
    joined = [not end and bool(sequence.strip()) for (_, sequence), end in zip(written, ends, strict=True)]
    noted = ["header_within_line" in record.notes for record in parsed]
    assert noted == [a or b for a, b in zip([False, *joined], [*joined, False], strict=True)]


def test_an_address_is_read_through_fsspec():
    import fsspec

    with fsspec.open("memory://proteins.fasta.gz", "wb") as stream:
        stream.write(gzip.compress(b">a\nMKV\n"))
    assert [record.sequence for record in read_fasta("memory://proteins.fasta.gz")] == ["MKV"]


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("nonesuch://a/b.fasta", "nonesuch://a/b.fasta: found an address that cannot be opened"),
        ("memory://missing.fasta", "memory://missing.fasta: found nothing there, or no answer; check the path"),
    ],
)
def test_an_address_that_cannot_be_read_is_one_line(address, message):
    assert_refused(address, message)


def test_an_error_of_a_driver_is_one_line(tmp_path):
    (tmp_path / "proteins.zip").write_bytes(b">a\nMKV\n")
    address = f"zip://a.fasta::{tmp_path}/proteins.zip"
    assert_refused(address, f"{address}: found an address that cannot be opened (File is not a zip file)")


def assert_refused(address, message):
    with pytest.raises(FastaError) as caught:
        list(read_fasta(address))
    assert str(caught.value).startswith(message)
