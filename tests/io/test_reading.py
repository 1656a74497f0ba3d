"""Compressed streams one after another: all of them are read, or what follows a stream is an error."""

import bz2
import gzip
import io
import itertools
import lzma

import pytest

from tfclass.io.reading import DAMAGED, decompressed

A, B = b">a\nMKV\n" * 3000, b">b\nMKL\n"
PACKERS = {"bzip2": bz2.compress, "xz": lzma.compress}
both = pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS)


def read(content):
    return decompressed(io.BytesIO(content)).read()


class TestStreamsOneAfterAnother:
    @both
    def test_equal_the_contents_one_after_another(self, pack):
        for parts in itertools.product([b"", A, B], repeat=3):
            assert read(b"".join(map(pack, parts))) == b"".join(parts)

    @pytest.mark.parametrize("zeros", [*range(13), 65532, 65536, 200_001, 200_004])
    @pytest.mark.parametrize("last", [b"", B], ids=["at the end", "between"])
    def test_of_xz_may_have_padding_in_multiples_of_four(self, zeros, last):
        content = lzma.compress(A) + bytes(zeros) + (lzma.compress(last) if last else b"")
        if zeros % 4:
            with pytest.raises(lzma.LZMAError, match="NUL bytes behind a stream, not a multiple of 4"):
                read(content)
        else:
            assert read(content) == A + last

    @both
    @pytest.mark.parametrize(
        "behind",
        [
            B,
            b"\n",
            b"B",
            b"\xfd7zXZ",
            gzip.compress(B),
            b"\xfd8zXZ" + lzma.compress(B)[5:],
            b"BZi" + bz2.compress(B)[3:],
            bytes(4) + B,
            bytes(5),
            bz2.compress(B)[:-1],
            lzma.compress(B)[:-1],
            b"\xff" * 100_000,
        ],
        ids=[
            *("plain text", "a line end", "one byte", "the start of a stream", "gzip", "damaged xz", "damaged bzip2"),
            *("text behind NULs", "five NULs", "bzip2 cut short", "xz cut short", "noise"),
        ],
    )
    def test_nothing_behind_a_stream_is_dropped(self, pack, behind):
        with pytest.raises((OSError, *DAMAGED)):
            read(pack(A) + behind)

    @both
    def test_every_damaged_byte_of_the_second_stream_is_found(self, pack):
        second = pack(B)
        # The size of the blocks is a limit only: a larger one reads the same.
        harmless = {3} if pack is bz2.compress else set()
        for place in set(range(len(second))) - harmless:
            damaged = bytearray(second)
            damaged[place] ^= 0xFF
            with pytest.raises((OSError, *DAMAGED)):
                read(pack(A) + damaged)

    @both
    def test_are_unpacked_no_further_than_asked(self, pack):
        packed = pack(bytes(1 << 26))
        content = decompressed(io.BytesIO(packed + packed))
        assert len(content.read(10)) == 10
