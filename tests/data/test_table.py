"""Labelled tables: whatever the format, the same proteins; whatever the fault, one line with row and column."""

import bz2
import gzip
import lzma
import sys

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest

from tfclass.config import CorpusConfig
from tfclass.data.table import read_table
from tfclass.errors import TableError
from tfclass.sequences.alphabet import Alphabet

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# The first three ids are text that a careless reader takes for a missing value or a number.
ROWS = [
    ("NA", "MKVLA", "TF"),
    ("null", "MKVLAWW", "nonTF"),
    ("007", "MK", "nonTF_hard"),
    ("sp|P1|A", "mkxu-v*", "TF"),
]
HEADER = ("id", "sequence", "label")
GOOD = "id\tsequence\tlabel\na\tMKV\tTF\nb\tMKA\tnonTF\n"


def text(separator: str) -> bytes:
    return "".join(separator.join(row) + "\n" for row in (HEADER, *ROWS)).encode()


def parquet(path) -> None:
    pd.DataFrame(ROWS, columns=list(HEADER)).to_parquet(path)


FORMATS = {
    "proteins.tsv": lambda path: path.write_bytes(text("\t")),
    "proteins.csv": lambda path: path.write_bytes(text(",")),
    "proteins.parquet": parquet,
    "PROTEINS.TSV": lambda path: path.write_bytes(text("\t")),
    "proteins.tsv.gz": lambda path: path.write_bytes(gzip.compress(text("\t"))),
    "proteins.csv.bz2": lambda path: path.write_bytes(bz2.compress(text(","))),
    "proteins.tsv.xz": lambda path: path.write_bytes(lzma.compress(text("\t"))),
    "proteins.tsv.zst": lambda path: path.write_bytes(zstd.compress(text("\t"))),
    "with a byte order mark.tsv": lambda path: path.write_bytes(b"\xef\xbb\xbf" + text("\t")),
    "with Windows line ends.tsv": lambda path: path.write_bytes(text("\t").replace(b"\n", b"\r\n")),
    "with blank lines at the end.tsv": lambda path: path.write_bytes(text("\t") + b"\n\n"),
}


@pytest.fixture
def read(tmp_path, alphabet):
    """Write `content` to a file and read it as a table."""

    def read(content, name="t.tsv", **config):
        path = tmp_path / name
        if isinstance(content, pd.DataFrame):
            content.to_parquet(path)
        elif content is not None:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_table(CorpusConfig.default(path=str(path), **config), alphabet)

    return read


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_reads_to_the_same_proteins(name, tmp_path, alphabet):
    FORMATS[name](tmp_path / name)
    proteins = read_table(CorpusConfig.default(path=str(tmp_path / name)), alphabet)
    assert proteins.frame["id"].tolist() == ["NA", "null", "007", "sp|P1|A"]
    assert proteins.frame["label"].tolist() == ["TF", "nonTF", "nonTF", "TF"]
    assert proteins.labels.tolist() == [1, 0, 0, 1]
    assert proteins.classes == ("nonTF", "TF")
    assert [alphabet.decode(t) for t in proteins.tokens] == ["MKVLA", "MKVLAWW", "MK", "MKXUV"]
    assert proteins.lengths.tolist() == [5, 7, 2, 5]
    reference = tmp_path / "reference.csv"
    reference.write_bytes(text(","))
    assert proteins.digest == read_table(CorpusConfig.default(path=str(reference)), alphabet).digest


def test_a_parquet_of_numbers_and_categories_reads_as_text(read):
    frame = pd.DataFrame({"id": [7, 8], "sequence": ["MK", "MV"], "label": pd.Categorical(["TF", "nonTF"])})
    assert read(frame, "t.parquet").frame["id"].tolist() == ["7", "8"]


def test_without_configured_classes_the_labels_are_the_classes_in_sorted_order(read):
    proteins = read("id\tsequence\tlabel\na\tMK\tzinc\nb\tMV\tbHLH\nc\tML\thomeobox\n", classes=None, aliases={})
    assert proteins.classes == ("bHLH", "homeobox", "zinc")
    assert proteins.labels.tolist() == [2, 0, 1]
    assert proteins.labels.dtype == np.int64


def test_configured_classes_keep_their_order_and_may_be_more_than_are_there(read):
    proteins = read(GOOD, classes=("TF", "other", "nonTF"))
    assert proteins.classes == ("TF", "other", "nonTF")
    assert proteins.labels.tolist() == [0, 2]


def test_aliases_rename_labels_before_anything_else(read):
    proteins = read("id\tsequence\tlabel\na\tMK\tyes\nb\tMV\tno\n", aliases={"yes": "TF", "no": "nonTF"})
    assert proteins.frame["label"].tolist() == ["TF", "nonTF"]


def test_a_protein_without_a_cluster_column_is_its_own_cluster(read):
    assert read(GOOD).frame["cluster"].tolist() == ["a", "b"]


def test_selecting_rows_keeps_tokens_labels_and_frame_together(read, alphabet):
    proteins = read(text("\t"))
    part = proteins.select(np.array([False, True, False, True]))
    assert part.frame["id"].tolist() == ["null", "sp|P1|A"]
    assert [alphabet.decode(t) for t in part.tokens] == ["MKVLAWW", "MKXUV"]
    assert part.labels.tolist() == [0, 1]


FULL = "id\tsequence\tlabel\tsplit\tcluster\na\tMKV\tTF\ttrain\tc1\nb\tMKA\tnonTF\ttest\tc2\n"


@pytest.mark.parametrize(
    ("old", "new"),
    [("a\tMKV", "z\tMKV"), ("MKV", "MKW"), ("nonTF", "TF"), ("train", "valid"), ("c2", "c3")],
    ids=["an id", "a residue", "a label", "a split", "a cluster"],
)
def test_the_digest_changes_with(old, new, read):
    more = FULL + "x\tMKL\tnonTF\ttrain\tc9\n"
    assert read(more.replace(old, new, 1), "other.tsv").digest != read(more).digest


def test_the_digest_ignores_other_columns(read):
    lines = FULL.splitlines()
    wider = "\n".join(f"{line}\t{extra}" for line, extra in zip(lines, ["length", "3", "4"], strict=True))
    assert read(wider, "wider.tsv").digest == read(FULL).digest


BAD_CONTENT = {
    "an empty file": ("t.tsv", "", "t.tsv: found an empty file; expected a header and at least one row", None, None),
    "only blank lines": (
        "t.csv",
        "\n\n",
        "t.csv: found an empty file; expected a header and at least one row",
        None,
        None,
    ),
    "a header and no row": (
        "t.tsv",
        "id\tsequence\tlabel\n",
        "t.tsv: found a header and no row; expected at least one protein",
        None,
        None,
    ),
    "a missing column": (
        "t.tsv",
        "id\tseq\tlabel\na\tMK\tTF\n",
        "t.tsv: found only 'id', 'seq', 'label'; expected a column 'sequence'",
        None,
        "sequence",
    ),
    "the wrong separator": (
        "t.csv",
        GOOD,
        "t.csv, row 1: found tabs between the cells; expected commas between them, as in a file named .csv; or name it "
        ".tsv",
        1,
        None,
    ),
    "a column that is there twice": (
        "t.tsv",
        "id\tid\tsequence\tlabel\na\tb\tMK\tTF\n",
        "t.tsv: found more than one column 'id'; expected each once",
        None,
        "id",
    ),
    "an empty id": (
        "t.tsv",
        GOOD + "\tMK\tTF\n",
        "t.tsv, row 4, column 'id': found an empty id; expected a name",
        4,
        "id",
    ),
    "an id used twice": (
        "t.tsv",
        GOOD + "c\tMK\tTF\nb\tMK\tTF\n",
        "t.tsv, row 5, column 'id': found 'b' again (first in row 3); expected each id once",
        5,
        "id",
    ),
    "an unknown label": (
        "t.tsv",
        GOOD + "c\tMK\tTFF\n",
        "t.tsv, row 4, column 'label': found 'TFF'; expected one of nonTF, TF, nonTF_hard; "
        "set corpus.classes or corpus.aliases, or rename it (tfclass data import --rename)",
        4,
        "label",
    ),
    "an empty label": (
        "t.tsv",
        GOOD + "c\tMK\t\n",
        "t.tsv, row 4, column 'label': found ''; expected one of nonTF, TF, nonTF_hard; "
        "set corpus.classes or corpus.aliases, or rename it (tfclass data import --rename)",
        4,
        "label",
    ),
    "an empty sequence": (
        "t.tsv",
        GOOD + "c\t\tTF\n",
        "t.tsv, row 4, column 'sequence': found empty; expected residue letters",
        4,
        "sequence",
    ),
    "a sequence of gaps and stops": (
        "t.tsv",
        GOOD + "c\t--**\tTF\n",
        "t.tsv, row 4, column 'sequence': found empty; expected residue letters",
        4,
        "sequence",
    ),
    "a letter that is no residue": (
        "t.tsv",
        GOOD + "c\tMKV1L\tTF\n",
        "t.tsv, row 4, column 'sequence': found illegal '1' at 4; expected residue letters",
        4,
        "sequence",
    ),
    "an empty cluster": (
        "t.tsv",
        "id\tsequence\tlabel\tcluster\na\tMK\tTF\tc1\nb\tMK\tnonTF\t\n",
        "t.tsv, row 3, column 'cluster': found an empty cluster; expected a name; "
        "a protein with no homologue is a cluster of its own",
        3,
        "cluster",
    ),
    "one class only": (
        "t.tsv",
        "id\tsequence\tlabel\na\tMK\tTF\nb\tMV\tTF\n",
        "t.tsv, column 'label': found one class only ('TF'); expected at least two",
        None,
        "label",
    ),
    "a row with a field too many": (
        "t.tsv",
        GOOD + "c\tMK\tTF\tx\n",
        "t.tsv, row 4: found 4 fields; expected 3 as in the header",
        4,
        None,
    ),
    "a field too many in every row": (
        "t.tsv",
        "id\tsequence\tlabel\n1\ta\tMK\tTF\n2\tb\tMV\tnonTF\n",
        "t.tsv, row 2: found 4 fields; expected 3 as in the header",
        2,
        None,
    ),
    "a row cut short": ("t.tsv", GOOD + "c\tMK", "t.tsv, row 4: found 2 fields; expected 3 as in the header", 4, None),
    "a blank line between rows": (
        "t.tsv",
        GOOD + "\nc\tMK\tTF\n",
        "t.tsv, row 4: found a blank row; remove it",
        4,
        None,
    ),
    "an unknown suffix": (
        "t.xlsx",
        GOOD,
        "t.xlsx: found a name ending in '.xlsx'; expected .tsv, .csv or .parquet",
        None,
        None,
    ),
    "no suffix": ("t", GOOD, "t: found a name ending in ''; expected .tsv, .csv or .parquet", None, None),
    "no file at all": ("t.tsv", None, "t.tsv: no such file; check the path", None, None),
    "no Parquet file at all": ("t.parquet", None, "t.parquet: no such file; check the path", None, None),
}


@pytest.mark.parametrize(("name", "content", "message", "row", "column"), BAD_CONTENT.values(), ids=BAD_CONTENT.keys())
def test_the_message_is_one_exact_line_for(name, content, message, row, column, read, tmp_path):
    with pytest.raises(TableError) as caught:
        read(content, name)
    assert str(caught.value) == f"{tmp_path}/{message}"


def test_an_empty_label_is_not_offered_as_a_class(read):
    with pytest.raises(
        TableError, match=r"row 4, column 'label': found ''; expected one of TF, nonTF; leave the row out"
    ):
        read(GOOD + "c\tMK\t\n", classes=None, aliases={})


@pytest.mark.parametrize("column", HEADER)
def test_a_missing_value_in_a_parquet_is_an_empty_cell_of(column, read):
    frame = pd.DataFrame({"id": ["a", "b"], "sequence": ["MK", "MV"], "label": ["TF", "nonTF"]})
    frame.loc[1, column] = None
    with pytest.raises(TableError, match=rf"t\.parquet, row 3, column '{column}': found "):
        read(frame, "t.parquet")


def test_nan_in_a_parquet_is_an_empty_cell(tmp_path):
    cells = {"id": ["a", "b"], "sequence": ["MK", "MV"], "label": ["TF", "nonTF"], "cluster": [1.0, float("nan")]}
    pyarrow.parquet.write_table(pyarrow.table(cells), tmp_path / "t.parquet")
    with pytest.raises(TableError, match=r"t\.parquet, row 3, column 'cluster': found an empty cluster"):
        read_table(CorpusConfig.default(path=str(tmp_path / "t.parquet")), Alphabet())


@pytest.mark.parametrize("name", ["t.tsv", "t.tsv.gz", "t.parquet"])
def test_a_protein_may_be_longer_than_any_other(name, read):
    rows = [("a", "MK" * 100_000, "TF"), ("b", "MV", "nonTF")]
    frame = pd.DataFrame(rows, columns=list(HEADER))
    text = frame.to_csv(sep="\t", index=False).encode()
    content = {"t.tsv": text, "t.tsv.gz": gzip.compress(text), "t.parquet": frame}[name]
    assert read(content, name).lengths.tolist() == [200_000, 2]


LONG = "".join(f"p{i}\tMKVLAWC{'ACDE' * (i % 7)}\t{'TF' if i % 3 else 'nonTF'}\n" for i in range(2000)).encode()


def damaged(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes(255 - byte for byte in content[middle : middle + 8]) + content[middle + 8 :]


@pytest.mark.parametrize(
    ("suffix", "compress"),
    [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress), (".zst", zstd.compress)],
)
@pytest.mark.parametrize(
    "harm",
    [lambda content: content[:-12], lambda content: content[: len(content) // 2], damaged],
    ids=["cut at the end", "cut in the middle", "damaged in the middle"],
)
def test_a_compressed_table_is_never_read_in_part_when(harm, suffix, compress, read):
    name = f"t.tsv{suffix}"
    with pytest.raises(TableError) as caught:
        read(harm(compress(GOOD.encode() + LONG)), name)
    assert f"{name}: found a table that cannot be read (" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["t.tsv.gz", "t.tsv"])
@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstd.compress])
def test_compression_is_detected_from_the_content(name, compress, read):
    assert len(read(compress(GOOD.encode()), name).labels) == GOOD.count("\n") - 1


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.parquet", b"this is no Parquet file"),
        ("t.parquet", b""),
    ],
    ids=["a Parquet that is not Parquet", "an empty Parquet"],
)
def test_one_line_says_that_the_table_cannot_be_read_for(name, content, read):
    with pytest.raises(TableError) as caught:
        read(content, name)
    assert f"{name}: found a table that cannot be read (" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_is_refused_as_a_table(tmp_path, alphabet):
    (tmp_path / "t.tsv").mkdir()
    with pytest.raises(TableError, match="Is a directory"):
        read_table(CorpusConfig.default(path=str(tmp_path / "t.tsv")), alphabet)
