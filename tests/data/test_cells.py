"""Text tables: where one cell and one row end, and in which words a table is refused."""

import csv
import gzip
import io

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tfclass.config import CorpusConfig
from tfclass.data.cells import table_rows
from tfclass.data.clusters import cluster_corpus
from tfclass.data.importer import import_corpus, import_proteins
from tfclass.data.manifest import write_tsv
from tfclass.data.sources import from_fastas, from_labels, from_table
from tfclass.data.table import read_table
from tfclass.errors import FastaError, TableError
from tfclass.io.tsv import tsv_cell, tsv_cells
from tfclass.sequences.alphabet import Alphabet

GOOD = "id\tlabel\tsequence\na\tTF\tMKALLV\nb\tnonTF\tMKALVV\n"
NAMES = ["a", "b", "c", "d"]
LABELS = ["TF", "nonTF", "TF", "nonTF"]
SEQUENCES = ["MKALLV", "MKALVV", "MKALLW", "MKALWW"]
NO_QUOTE = "double each quote that is part of the text and put the cell in quotes; a cell has no line end"


def table_of(content, folder, name="t.tsv"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


class TestTheTextOfACell:
    @given(st.lists(st.text(), min_size=1, max_size=5))
    @example(['"a', 'b"', '""', '"'])
    def test_reads_back_here_in_csv_and_in_pandas(self, cells):
        # Tabs and line ends would end a cell: they become blanks. NUL is nothing that pandas reads.
        cells = ["x", *(cell.translate(str.maketrans("\t\r\n\0", "    ")) for cell in cells)]
        line = "\t".join(map(tsv_cell, cells))
        assert tsv_cells(line) == cells
        assert list(csv.reader(io.StringIO(line, newline=""), delimiter="\t", strict=True)) == [cells]
        theirs = pd.read_csv(io.StringIO(line), sep="\t", header=None, dtype=str, keep_default_na=False)
        assert theirs.to_numpy().tolist() == [cells]

    @given(st.text(), st.integers(1, 3))
    def test_never_ends_a_cell_or_a_row(self, text, times):
        line = "\t".join([tsv_cell(text)] * times)
        assert "\n" not in line
        assert "\r" not in line
        assert line.count("\t") == times - 1

    @given(st.lists(st.text('"ab \t', max_size=6), min_size=1, max_size=4))
    def test_is_read_as_csv_reads_it_where_that_finds_no_fault(self, parts):
        line = "x\t" + "\t".join(parts)
        try:
            theirs = next(csv.reader([line], delimiter="\t", strict=True))
        except csv.Error:
            return
        assert tsv_cells(line) == theirs

    @pytest.mark.parametrize(
        ("line", "cells"),
        [
            ("a\tb", ["a", "b"]),
            ("", [""]),
            ("\t", ["", ""]),
            ('5"\tb', ['5"', "b"]),
            ("3'\t5'", ["3'", "5'"]),
            ('"a"\tb', ["a", "b"]),
            ('"a ""x"""\tb', ['a "x"', "b"]),
            ('"a\tb"\tc', ["a\tb", "c"]),
            ('""\t', ["", ""]),
            ('"Candidatus" x\tb', ['"Candidatus" x', "b"]),
            ('b\t"a"', ["b", "a"]),
        ],
    )
    def test_is(self, line, cells):
        assert tsv_cells(line) == cells


def rows_of(*rows, separator="\t"):
    return "".join(separator.join(row) + "\n" for row in rows)


READERS = {
    "import": lambda path: import_proteins(from_table(path, {}), Alphabet()),
    "train": lambda path: read_table(CorpusConfig.default(path=str(path)), Alphabet()),
}
# Name, content and message; each is refused in the same words wherever a table is read.
REFUSED = {
    "semicolons": (
        "t.csv",
        GOOD.replace("\t", ";"),
        "t.csv, row 1: found semicolons between the cells; expected commas between them, as in a file named .csv",
    ),
    "semicolons in TSV": (
        "t.tsv",
        GOOD.replace("\t", ";"),
        "t.tsv, row 1: found semicolons between the cells; expected tabs between them, as in a file named .tsv",
    ),
    "tabs in CSV": (
        "t.csv",
        GOOD,
        "t.csv, row 1: found tabs between the cells; expected commas between them, as in a file named .csv; or",
    ),
    "commas in TSV": (
        "t.tsv",
        GOOD.replace("\t", ","),
        "t.tsv, row 1: found commas between the cells; expected tabs between them, as in a file named .tsv; or",
    ),
    "commas in text": (
        "t.txt",
        GOOD.replace("\t", ","),
        "t.txt, row 1: found commas between the cells; expected tabs between them, as in a file named .txt; or",
    ),
    "bars": (
        "t.tsv",
        GOOD.replace("\t", "|"),
        "t.tsv, row 1: found bars between the cells; expected tabs between them, as in a file named .tsv",
    ),
    "blanks": (
        "t.tsv",
        GOOD.replace("\t", "  "),
        "t.tsv, row 1: found blanks between the cells; expected tabs between them, as in a file named .tsv",
    ),
    "commas in packed TSV": (
        "t.tsv.gz",
        gzip.compress(GOOD.replace("\t", ",").encode()),
        "t.tsv.gz, row 1: found commas between the cells; expected tabs between them, as in a file named .tsv; or",
    ),
    "one column": (
        "t.tsv",
        "id\na\n",
        "t.tsv, row 1: found one cell ('id'); expected cells with tabs between them, as in a file named .tsv",
    ),
    "FASTA": (
        "t.tsv",
        ">a\nMKV\n",
        "t.tsv, row 1: found what looks like a FASTA file; expected cells with tabs between them, as",
    ),
    "JSON": (
        "t.tsv",
        '{"id": "a"}\n',
        "t.tsv, row 1: found what looks like a JSON file; expected cells with tabs between them, as",
    ),
    "a web page": ("t.csv", "<html>\n", "t.csv, row 1: found what looks like an HTML or XML page; expected cells with"),
    "UTF-16, as a spreadsheet writes it": (
        "t.tsv",
        GOOD.encode("utf-16"),
        "t.tsv: found UTF-16 text (save it as UTF-8); expected a table as text",
    ),
    "Excel": (
        "t.csv",
        b"PK\x03\x04\x14\0[Content_Types].xml",
        "t.csv: found an Excel or Word document; expected a table",
    ),
    "Parquet under another name": ("t.tsv", b"PAR1\x15\0\x15", "t.tsv: found a Parquet file; expected a table as text"),
    "bytes of zero": ("t.tsv", bytes(99), "t.tsv: found binary data; expected a table as text"),
    "Latin-1": (
        "t.tsv",
        GOOD.encode() + b"lat\xe9\tTF\tMKV\n",
        "t.tsv, row 4: found a byte that is no UTF-8 (b'\\xe9'); expected UTF-8; save the table as UTF-8",
    ),
    "an open quote": (
        "t.tsv",
        GOOD + '"c\tTF\tMKV\nd\tTF\tMKL\ne"\tTF\tMKK\n',
        f"t.tsv, row 4: found a quote that does not close in its cell ('\"c\\tTF\\tMKV'); {NO_QUOTE}",
    ),
    "an open quote in CSV": (
        "t.csv",
        GOOD.replace("\t", ",") + '"c,TF,MKV\nd,TF,MKL\ne",TF,MKK\n',
        f"t.csv, row 4: found a quote that does not close in its cell ('\"c,TF,MKV'); {NO_QUOTE}",
    ),
    "an open quote at the end": (
        "t.csv",
        GOOD.replace("\t", ",") + 'c,TF,"MKV',
        f"t.csv, row 4: found a quote that does not close in its cell ('\"MKV'); {NO_QUOTE}",
    ),
    "text behind a quote in CSV": (
        "t.csv",
        GOOD.replace("\t", ",") + '"c"x,TF,MKV\n',
        f"t.csv, row 4: found a quote that does not close in its cell ('\"c\"x,TF,MKV'); {NO_QUOTE}",
    ),
    "a line end within quotes": (
        "t.csv",
        'id,label,sequence\n"a\nb",TF,MKALLV\nc,nonTF,MKALVV\n',
        f"t.csv, row 2: found a quote that does not close in its cell ('\"a'); {NO_QUOTE}",
    ),
    "a row with a cell too many": (
        "t.tsv",
        GOOD + "c\tTF\tMKV\t\n",
        "t.tsv, row 4: found 4 fields; expected 3 as in the",
    ),
    "an id with a tab": (
        "t.csv",
        'id,label,sequence\n"c\td",nonTF,MKALVV\ne,TF,MKV\n',
        "t.csv, row 2, column 'id': found 'c\\td'; expected a name without tabs, line ends and other",
    ),
    "an id with a null byte": (
        "t.csv",
        "id,label,sequence\n" + "a,nonTF,MKALVVMKALVV\n" * 99 + "c\0,TF,MKV\n",
        "t.csv, row 101, column 'id': found 'c\\x00'; expected a name without tabs, line ends and other",
    ),
}


@pytest.mark.parametrize(("name", "content", "message"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("how", READERS)
def test_a_table_is_refused_in_these_words(name, content, message, how, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = table_of(content, tmp_path, name).relative_to(tmp_path)
    with pytest.raises(TableError) as caught:
        READERS[how](path)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_an_id_with_a_line_end_in_parquet_is_refused_by_its_row(tmp_path):
    frame = pd.DataFrame({"id": ["a", "b\nc"], "label": LABELS[:2], "sequence": SEQUENCES[:2]})
    frame.to_parquet(tmp_path / "t.parquet")
    with pytest.raises(
        TableError, match=r"t\.parquet, row 3, column 'id': found 'b\\nc'; expected a name without tabs"
    ):
        import_proteins(from_table(tmp_path / "t.parquet", {}), Alphabet())
    with pytest.raises(
        TableError, match=r"t\.parquet, row 3, column 'id': found 'b\\nc'; expected a name without tabs"
    ):
        read_table(CorpusConfig.default(path=str(tmp_path / "t.parquet")), Alphabet())


class TestQuotesInIds:
    NAMES = ('"a', 'b"', '"c"', 'd"e', '"')

    def test_a_table_that_was_imported_reads_back_everywhere(self, tmp_path):
        sequences = [*SEQUENCES, "MKAYY"]
        text = rows_of(
            ("id", "label", "sequence"),
            *(map(tsv_cell, r) for r in zip(self.NAMES, [*LABELS, "TF"], sequences, strict=True)),
        )
        import_corpus(from_table(table_of(text, tmp_path), {}), tmp_path / "o.tsv")
        made = (tmp_path / "o.tsv").read_text()
        assert pd.read_csv(io.StringIO(made), sep="\t", dtype=str)["id"].tolist() == list(self.NAMES)
        assert [row[0] for row in csv.reader(io.StringIO(made), delimiter="\t")][1:] == list(self.NAMES)
        assert read_table(CorpusConfig.default(path=str(tmp_path / "o.tsv")), Alphabet()).frame["id"].tolist() == list(
            self.NAMES
        )

    def test_rows_that_were_lost_read_back(self, tmp_path):
        path = tmp_path / "p.fa"
        path.write_text('>"a x\nMK1\n>b"\nMKV\n')
        (tmp_path / "n.fa").write_text(">c\nMKL\n")
        import_corpus(from_fastas({path: "TF", tmp_path / "n.fa": "nonTF"}), tmp_path / "o.tsv")
        lost = (tmp_path / "o.lost.tsv").read_text()
        assert list(csv.reader(io.StringIO(lost), delimiter="\t"))[1:] == [
            ["p.fa", "1", '"a', "TF", "illegal letter", "illegal '1' at 3"]
        ]
        assert pd.read_csv(io.StringIO(lost), sep="\t")["id"].tolist() == ['"a']

    def test_quotes_in_label_and_cluster_files_match(self, tmp_path):
        fasta = tmp_path / "all.fa"
        fasta.write_text(
            "".join(f">{name}\n{sequence}\n" for name, sequence in zip(self.NAMES, SEQUENCES, strict=False))
        )
        labels = table_of(
            rows_of(*(map(tsv_cell, row) for row in zip(self.NAMES, LABELS, strict=False))), tmp_path, "l.tsv"
        )
        import_corpus(from_labels(fasta, labels), tmp_path / "o.tsv")
        given_ = table_of(rows_of(*((tsv_cell(name), tsv_cell(name)) for name in self.NAMES)), tmp_path, "c.tsv")
        cluster_corpus(tmp_path / "o.tsv", tmp_path / "c.out.tsv", given_)
        frame = read_table(CorpusConfig.default(path=str(tmp_path / "c.out.tsv")), Alphabet()).frame
        assert frame["id"].tolist() == frame["cluster"].tolist() == list(self.NAMES[:4])

    @pytest.mark.parametrize("content", ['"a\tTF\nb\tTF\nc"\tTF\n', '"a,TF\nb,TF\nc",TF\n'])
    def test_an_open_quote_in_a_label_file_is_refused_with_its_row(self, content, tmp_path):
        (tmp_path / "all.fa").write_text(">a\nMKV\n")
        labels = table_of(content, tmp_path, "l.csv" if "," in content else "l.tsv")
        with pytest.raises(TableError, match=r"l\..sv, row 1: found a quote that does not close in its cell"):
            from_labels(tmp_path / "all.fa", labels)

    @given(st.lists(st.text("\"\\ab'\x1b é", min_size=1, max_size=6).filter(str.strip), min_size=1, unique=True))
    def test_names_with_quotes_are_read_back(self, tmp_path_factory, names):
        path = tmp_path_factory.mktemp("t") / "t.tsv"
        write_tsv(pd.DataFrame({"id": names, "other": names}), path)
        assert [row for _, row in table_rows(path)][1:] == [[name, name] for name in names]


class TestLabelFiles:
    FASTA = "".join(f">{name} x\n{sequence}\n" for name, sequence in zip(NAMES, SEQUENCES, strict=True))

    def imported(self, labels, folder, name="l.tsv"):
        (folder / "all.fa").write_text(self.FASTA)
        return import_proteins(from_labels(folder / "all.fa", table_of(labels, folder, name)), Alphabet())

    @pytest.mark.parametrize(("before", "behind"), [("", " "), (" ", ""), ("  ", "   "), ("\u00a0", "\u00a0")])
    def test_blanks_around_ids_and_labels_are_removed(self, before, behind, tmp_path):
        rows = [(f"{before}{n}{behind}", f"{before}{label}{behind}") for n, label in zip(NAMES, LABELS, strict=True)]
        frame = self.imported(rows_of(*rows), tmp_path).frame
        assert frame[["id", "label"]].to_numpy().tolist() == list(map(list, zip(NAMES, LABELS, strict=True)))

    def test_ids_that_are_not_utf8_match_by_their_escapes(self, tmp_path):
        (tmp_path / "all.fa").write_bytes(b">lat\xe9\nMKV\n>b\nMKL\n")
        labels = table_of("lat\\xe9\tTF\nb\tnonTF\n", tmp_path, "l.tsv")
        made = import_proteins(from_labels(tmp_path / "all.fa", labels), Alphabet())
        assert made.frame["id"].tolist() == [r"lat\xe9", "b"]

    @pytest.mark.parametrize(
        ("separator", "name", "message"),
        [
            (
                ";",
                "l.csv",
                "row 1: found semicolons between the cells; expected commas between them, as in a file named .csv",
            ),
            (
                ",",
                "l.tsv",
                "row 1: found commas between the cells; expected tabs between them, as in a file named .tsv; or",
            ),
            (
                "\t",
                "l.csv",
                "row 1: found tabs between the cells; expected commas between them, as in a file named .csv; or",
            ),
            (
                " ",
                "l.txt",
                "row 1: found blanks between the cells; expected tabs between them, as in a file named .txt",
            ),
        ],
    )
    def test_another_separator_is_named(self, separator, name, message, tmp_path):
        with pytest.raises(TableError) as caught:
            self.imported(rows_of(*zip(NAMES, LABELS, strict=True), separator=separator), tmp_path, name)
        assert message in str(caught.value)

    def test_an_id_may_look_like_a_file_of_another_kind(self, tmp_path):
        (tmp_path / "all.fa").write_text(">PAR1\nMKV\n>MUSCLE\nMKL\n")
        labels = table_of("PAR1\tTF\nMUSCLE\tnonTF\n", tmp_path, "l.tsv")
        made = import_proteins(from_labels(tmp_path / "all.fa", labels), Alphabet())
        assert made.frame["id"].tolist() == ["PAR1", "MUSCLE"]


class TestImport:
    def fastas(self, positives, folder):
        (folder / "p.fa").write_bytes(positives)
        (folder / "n.fa").write_bytes(b">n\nMKLLLL\n")
        return from_fastas({folder / "p.fa": "TF", folder / "n.fa": "nonTF"})

    @pytest.mark.parametrize(
        ("content", "ids", "notes"),
        [
            (b">a\nMKV>b\nMKA\n", ["a", "b"], {"header_within_line": 2}),
            (b">a\nMKV\n\xef\xbb\xbf>b\nMKA\n", ["a", "b"], {}),
            (b">a\nMKV\n >b\nMKA\n", ["a", "b"], {}),
            (b">lat\xe9\nMKV\n>lat\xe8\nMKA\n", [r"lat\xe9", r"lat\xe8"], {"id_escaped": 2}),
            (b">a\nMK\tV\n>b\nMK A\n", ["a", "b"], {}),
            (b">a\nMKV\n>b\n" + b"MKVLA" * 40_001 + b"\n", ["a"], {}),
        ],
    )
    def test_every_record_is_kept_or_listed_as_lost(self, content, ids, notes, tmp_path):
        source = self.fastas(content, tmp_path)
        made = import_proteins(source, Alphabet())
        assert made.frame["id"].tolist() == [*ids, "n"]
        assert dict(source.notes) == notes
        assert len(made.frame) + len(made.lost) == 3

    def test_a_record_that_is_too_long_is_named(self, tmp_path):
        made = import_proteins(self.fastas(b">a\nMKV\n>b\n" + b"MKVLA" * 40_001, tmp_path), Alphabet())
        assert made.lost.to_numpy().tolist() == [["p.fa", "2", "b", "TF", "too long", "200,005 characters"]]

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b">P1;a\ntitle\nMKV*\n", "p.fa, line 1: found what looks like a PIR record"),
            (b">a\nMKV\n" + bytes(512) + b">b\nMK\n", "p.fa, line 3: found NUL bytes, as in a tar archive"),
            (">a\nMKV\n".encode("utf-16"), "p.fa, line 1: found UTF-16 text"),
        ],
    )
    def test_files_that_would_lose_records_are_refused(self, content, message, tmp_path):
        with pytest.raises(FastaError) as caught:
            import_proteins(self.fastas(content, tmp_path), Alphabet())
        assert message in str(caught.value)

    def test_empty_value_words_are_counted_and_warned_about(self, tmp_path, caplog):
        path = table_of(GOOD + "c\tTF\tnan\nd\tTF\tNone\n", tmp_path)
        made = import_proteins(from_table(path, {}), Alphabet())
        assert made.changes == {"looks_like_empty_value": 2, "nonstandard": 1}
        read_table(CorpusConfig.default(path=str(path)), Alphabet())
        assert caplog.messages == [
            f"warning: {path}, row 4, column 'sequence': found 'nan', which looks like an empty value, in 2 rows; "
            "expected residue letters"
        ]

    def test_a_label_to_rename_that_is_not_there_is_refused(self, tmp_path):
        path = table_of(GOOD, tmp_path)
        with pytest.raises(TableError) as caught:
            import_proteins(from_table(path, {}), Alphabet(), rename={"yes": "TF"})
        assert str(caught.value) == (
            f"{path}: found no label 'yes' to rename; expected one of 'TF', 'nonTF'; "
            "--rename OLD=NEW takes OLD from the source"
        )

    def test_blanks_around_cells_are_removed(self, tmp_path):
        path = table_of(GOOD + " c \tTF \t MKW\n", tmp_path)
        made = import_proteins(from_table(path, {}), Alphabet())
        assert made.frame.iloc[2].tolist() == ["c", "TF", "MKW"]

    def test_line_ends_and_tabs_in_further_columns_become_blanks(self, tmp_path):
        further = ["one\ntwo", "a\tb"]
        frame = pd.DataFrame({"id": NAMES[:2], "label": LABELS[:2], "about": further, "sequence": SEQUENCES[:2]})
        frame.to_parquet(tmp_path / "t.parquet")
        import_corpus(from_table(tmp_path / "t.parquet", {}), tmp_path / "o.tsv")
        assert (tmp_path / "o.tsv").read_text().splitlines()[1:] == [
            "a\tTF\tone two\tMKALLV",
            "b\tnonTF\ta b\tMKALVV",
        ]
