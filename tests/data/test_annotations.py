"""Families and domains of a table: positions as given end up on the right residues, every bad cell is one line."""

import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfclass.config import CorpusConfig
from tfclass.data.table import read_table
from tfclass.errors import TableError
from tfclass.sequences.alphabet import clean, kept_characters

HEADER = "id\tsequence\tlabel\tfamily\tdomains\n"
ROWS = HEADER + (
    "a\tMKVLAWC\tTF\tbHLH\t2-3;4-6\nb\tMKVLA\tTF\tzinc\t\nc\tMKV\tnonTF\t\tnone\nd\t-MK-V*L*-\tTF\tbZIP\t2-5;7-7\n"
)


@pytest.fixture
def read(tmp_path, alphabet):
    """Write `content` to a file and read it as a table with annotations."""

    def read(content, families=("bZIP", "bHLH"), name="t.tsv", *, domains=True):
        (tmp_path / name).write_text(content)
        return read_table(CorpusConfig.default(path=str(tmp_path / name)), alphabet, families, domains=domains)

    return read


def marks(mask):
    return None if mask is None else "".join("#" if inside else "." for inside in mask)


def test_families_are_numbered_as_listed_and_others_are_left_out(read, caplog):
    with caplog.at_level(logging.INFO, "tfclass"):
        assert read(ROWS).annotations.families.tolist() == [1, -1, -1, 0]
    assert "t.tsv: 2 proteins of known family, 1 of other families" in caplog.text
    assert "t.tsv: 3 proteins of known domains" in caplog.text


def test_domains_mark_residues_counted_in_the_sequence_as_the_table_has_it(read, alphabet):
    proteins = read(ROWS)
    assert [marks(mask) for mask in proteins.annotations.domains] == [".#####.", None, "...", "###.#"]
    assert alphabet.decode(proteins.tokens[3]) == "MKVXL"


def test_selected_proteins_keep_their_own_annotations(read):
    part = read(ROWS).select(np.array([True, False, False, True]))
    assert part.annotations.families.tolist() == [1, 0]
    assert [marks(mask) for mask in part.annotations.domains] == [".#####.", "###.#"]


def test_annotations_are_read_on_request_only(read):
    spoilt = ROWS.replace("none", "PF00096")
    assert read(spoilt, (), domains=False).annotations is None
    assert [mask is None for mask in read(spoilt, domains=False).annotations.domains] == [True] * 4
    assert read(ROWS, ()).annotations.families.tolist() == [-1] * 4


@pytest.mark.parametrize(("old", "new"), [("zinc", "bHLH"), ("2-3", "1-3"), ("none", "")])
def test_the_annotations_have_a_digest_of_their_own(read, old, new):
    one, other = read(ROWS), read(ROWS.replace(old, new), name="other.tsv")
    assert one.digest == other.digest
    assert one.annotations.digest != other.annotations.digest
    # Only the columns that were read count.
    unread = [(("bHLH", "bZIP"), False)] if old != "zinc" else [((), True)]
    for families, domains in unread:
        left = read(ROWS, families, domains=domains).annotations
        right = read(ROWS.replace(old, new), families, "other.tsv", domains=domains).annotations
        assert left.digest == right.digest


@given(st.text("MKV-.*", min_size=1, max_size=12))
def test_kept_characters_are_those_that_become_tokens(alphabet, sequence):
    kept = kept_characters(alphabet.codes(sequence))
    residues = "".join(letter for letter, keep in zip(sequence, kept, strict=True) if keep)
    assert residues.replace("*", "X") == alphabet.decode(clean(sequence, alphabet).tokens)


SYNTAX = "START-END, several joined by ';', 'none', or an empty cell"
BAD_CELLS = {
    "no range": ("2", f"'2'; expected {SYNTAX}"),
    "another word": ("None", f"'None'; expected {SYNTAX}"),
    "not a number": ("2-x", f"'2-x'; expected {SYNTAX}"),
    "a negative number": ("-2-3", f"'-2-3'; expected {SYNTAX}"),
    "a number of 5,000 digits": (f"1-{'9' * 5000}", f"'1-{'9' * 5000}'; expected {SYNTAX}"),
    "a space": ("2-3; 4-6", f"' 4-6'; expected {SYNTAX}"),
    "a separator at the end": ("2-3;", f"''; expected {SYNTAX}"),
    "none among ranges": ("2-3;none", f"'none'; expected {SYNTAX}"),
    "position 0": ("0-3", "'0-3'; expected a start from 1 to the end"),
    "an end before the start": ("3-2", "'3-2'; expected a start from 1 to the end"),
    "an end beyond the sequence": ("2-8", "'2-8'; expected an end of at most 7, the last residue"),
    "overlapping ranges": ("2-4;4-6", "'4-6' after one that ends at 4; expected ascending ranges that do not overlap"),
    "descending ranges": ("4-6;2-3", "'2-3' after one that ends at 6; expected ascending ranges that do not overlap"),
}


@pytest.mark.parametrize(("cell", "found"), BAD_CELLS.values(), ids=BAD_CELLS)
def test_the_message_is_one_exact_line_for(cell, found, read, tmp_path):
    with pytest.raises(TableError) as raised:
        read(ROWS.replace("2-3;4-6", cell))
    assert str(raised.value) == f"{tmp_path}/t.tsv, row 2, column 'domains': found {found}"


def test_a_domain_ends_at_the_last_residue_and_not_at_the_stop(read):
    with pytest.raises(
        TableError, match="row 5, column 'domains': found '7-8'; expected an end of at most 7, the last"
    ):
        read(ROWS.replace("7-7", "7-8"))


@pytest.mark.parametrize(("column", "option"), [("family", "model.families"), ("domains", "model.domains")])
def test_a_missing_column_is_named_with_the_option_that_needs_it(read, column, option):
    message = f"found no column '{column}'; expected one, as it is to be learned; add it, or leave {option} out"
    with pytest.raises(TableError, match=message):
        read(ROWS.replace(column, "other", 1))
