"""Kinds of files that are given by mistake, recognised by their first bytes, for messages."""

import re

_UTF_16 = "UTF-16 text (save it as UTF-8)"
_UTF_32 = "UTF-32 text (save it as UTF-8)"
# The order matters: UTF-32 begins as UTF-16 does, and the most specific text comes first.
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xfe\0\0", _UTF_32),
    (b"\0\0\xfe\xff", _UTF_32),
    (b"\xff\xfe", _UTF_16),
    (b"\xfe\xff", _UTF_16),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a rar archive"),
    (b"\x1f\x8b", "data compressed twice"),
    (b"BZh", "data compressed twice"),
    (b"\xfd7zXZ\0", "data compressed twice"),
    (b"\x28\xb5\x2f\xfd", "data compressed twice"),
    (b"\x1f\x9d", "a file compressed by compress (.Z)"),
    (b"\x04\x22\x4d\x18", "a file compressed by lz4"),
    (b"LZIP", "a file compressed by lzip"),
    (b"%PDF", "a PDF document"),
    (b"{\\rtf", "a document in rich text format"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Word or Excel document"),
    (b"\x89PNG\r\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"\x7fELF", "a program"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"PAR1", "a Parquet file"),
    (b"ARROW1", "an Arrow file"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"BAM\1", "a BAM file"),
    (b"CRAM", "a CRAM file"),
    (b"BCF\2", "a BCF file"),
    (b"# STOCKHOLM", "a Stockholm alignment"),
    (b"#NEXUS", "a Nexus file"),
    (b"#mega", "a MEGA alignment"),
    (b"CLUSTAL", "a Clustal alignment"),
    (b"MUSCLE", "a Clustal alignment"),
    (b"!!AA_MULTIPLE", "an MSF alignment"),
    (b"!!NA_MULTIPLE", "an MSF alignment"),
    (b"PileUp", "an MSF alignment"),
    (b"##gff", "a GFF file"),
    (b"##fileformat=VCF", "a VCF file"),
    (b"HMMER", "a HMMER profile"),
    (b"LOCUS", "what looks like a GenBank file"),
    (b"ID   ", "what looks like a UniProt or EMBL flat file"),
    (b"HEADER    ", "what looks like a PDB file"),
    (b"ATOM  ", "what looks like a PDB file"),
    (b"data_", "what looks like an mmCIF file"),
    (b"version https://git-lfs", "a pointer of Git LFS, without the content of the file"),
    (b"<", "what looks like an HTML or XML page"),
)
# Kinds that have no fixed first bytes.
_PATTERNS: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"PK\x03\x04.*(xl/|word/|\[Content_Types\])", re.DOTALL), "an Excel or Word document"),
    (re.compile(rb"PK\x03\x04"), "a zip archive"),
    (re.compile(rb".{257}ustar", re.DOTALL), "a tar archive"),
    # Two characters at least: a header may hold a NUL, which is no mark of anything.
    (re.compile(rb">\0{3}[^\0]\0{3}|\0{3}>\0{3}[^\0]"), _UTF_32),
    (re.compile(rb">\0[^\0]\0|\0>\0[^\0]"), _UTF_16),
    (re.compile(rb"([\x20-\x7e]\0){4}|(\0[\x20-\x7e]){4}"), _UTF_16),
    (re.compile(rb"@(HD|SQ|RG|PG|CO)\t"), "a SAM file"),
    (re.compile(rb"@"), "what looks like a FASTQ file"),
    (re.compile(rb'(\{\s*(["}]|$)|\[\s*[\[{"\d\]])'), "what looks like a JSON file"),
    (re.compile(rb"\(\s*[^\s()]*[\s(),:;]"), "what looks like a Newick tree"),
    (re.compile(rb"\d+[ \t]+\d+[ \t]*[\r\n]"), "what looks like a PHYLIP alignment"),
)


def kind_of(start: bytes) -> str:
    r"""Name the kind of a file that is neither FASTA nor a table.

    Parameters
    ----------
    start : bytes
        The first bytes of the file, unpacked: `tfclass.io.reading.LOOK_BYTES`, or all of a shorter one.

    Returns
    -------
    str
        Empty for an unknown kind.

    Examples
    --------
    >>> kind_of(b"\x89PNG\r\n\x1a\n")
    'a PNG image'
    """
    named = (found for magic, found in _MAGIC if start.startswith(magic))
    matched = (found for pattern, found in _PATTERNS if pattern.match(start))
    return next(named, "") or next(matched, "")
