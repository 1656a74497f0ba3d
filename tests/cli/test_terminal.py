"""Streams of any encoding take any text."""

import io
import sys
from functools import partial

import pytest

from tfclass.cli import terminal

TEXT = "AP \N{MINUS SIGN}0.02 \N{EN DASH} 5\N{NO-BREAK SPACE}% \N{CJK UNIFIED IDEOGRAPH-4E2D} \udce9 ok"
WRITTEN = {
    "ascii": b"AP -0.02 - 5 % \\u4e2d \\udce9 ok",
    "latin-1": b"AP -0.02 - 5\xa0% \\u4e2d \\udce9 ok",
    "cp1252": b"AP -0.02 \x96 5\xa0% \\u4e2d \\udce9 ok",
    "cp936": b"AP -0.02 \xa8C 5 % \xd6\xd0 \\udce9 ok",
    "koi8-r": b"AP -0.02 - 5\x9a% \\u4e2d \\udce9 ok",
    "utf-8": TEXT.replace("\udce9", "\\udce9").encode(),
}


@pytest.mark.parametrize("name", ["stdout", "stderr"])
@pytest.mark.parametrize("encoding", WRITTEN)
def test_what_an_encoding_lacks_is_written_plainly(monkeypatch, encoding, name):
    content = io.BytesIO()
    monkeypatch.setattr(sys, name, io.TextIOWrapper(content, encoding=encoding))
    terminal.accept_all_characters()
    stream = getattr(sys, name)
    stream.write(TEXT)
    stream.flush()
    assert content.getvalue() == WRITTEN[encoding]


def test_closed_streams_and_streams_of_another_kind_stay_as_they_are(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    terminal.accept_all_characters()
    assert (sys.stdout, sys.stderr.getvalue()) == (None, "")


def encode(encoding):
    """Encode the standard streams as PYTHONIOENCODING has an interpreter do."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding=encoding)


@pytest.mark.parametrize("encoding", ["ascii", "cp936", "koi8-r"])
@pytest.mark.parametrize(
    "arguments", [["--help"], ["predict", "--help"], ["model", "show", "tf-bilstm"], ["model", "list"]], ids=" ".join
)
def test_verbs_that_print_do_so_in_any_encoding(start_tfclass, arguments, encoding):
    process = start_tfclass(*arguments, first=partial(encode, encoding))
    out, err = process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert out.decode(encoding)


def test_rows_stay_in_utf8(start_tfclass, tmp_path, small_bundle_folder):
    (tmp_path / "in.fasta").write_text(">sp\N{LATIN SMALL LETTER A WITH DIAERESIS}t\nMKV\n", encoding="utf-8")
    words = ("predict", "in.fasta", "--model", small_bundle_folder)
    out, _ = start_tfclass(*words, first=partial(encode, "cp936")).communicate()
    assert out.splitlines()[1].startswith("sp\N{LATIN SMALL LETTER A WITH DIAERESIS}t\t3\t".encode())
