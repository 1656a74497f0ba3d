"""Several inputs: each is looked at before any is read to its end, and no byte of a stream is lost."""

import io
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfclass.errors import FastaError
from tfclass.sequences.fasta import read_fasta, read_inputs

GOOD = ">a one\nMKV\nLA\n>b\nMM\n"
# Content of a second input, and what is said of it.
BAD = {
    "missing": (None, "found no such file; check the path"),
    "empty": (b"", "found no records; expected at least one FASTA record; is the file complete?"),
    "blank": (b"\n \n", "found no records; expected at least one FASTA record; is the file complete?"),
    "empty inside gzip": (bytes.fromhex("1f8b08000000000000ff03000000000000000000"), "found no records"),
    "a table": (b"id\tsequence\n", "found what looks like a table with tabs between its cells"),
    "FASTQ": (b"@a\nMKV\n", "found what looks like a FASTQ file"),
    "headers only": (b">a\n>b\n", "found 2 headers without a sequence"),
    "cut short": (b"\x1f\x8b\x08\x00", "found compressed data that is cut short or damaged"),
}


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "good.fa"
    path.write_text(GOOD * 20_000)
    return path


def standard_input(monkeypatch, content):
    reading, writing = os.pipe()
    threading.Thread(target=fill, args=(os.fdopen(writing, "wb"), content), daemon=True).start()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(os.fdopen(reading, "rb")))


def fill(stream, content):
    with stream:
        stream.write(content)


@pytest.mark.parametrize(("content", "message"), BAD.values(), ids=BAD)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_bad_file_is_refused_before_anything_is_read(good, tmp_path, content, message, place):
    bad = tmp_path / "bad.fa"
    if content is not None:
        bad.write_bytes(content)
    sources = [str(good), str(good)]
    sources.insert(place, str(bad))
    with pytest.raises(FastaError, match=message) as caught:
        read_inputs(sources)
    assert str(caught.value).startswith(str(bad))


@pytest.mark.parametrize("content", [b"", b"no header\n"], ids=["empty", "no FASTA"])
def test_bad_standard_input_after_a_file_is_refused_at_once(good, monkeypatch, content):
    standard_input(monkeypatch, content)
    with pytest.raises(FastaError, match="^standard input"):
        read_inputs([str(good), "-"])


def test_a_missing_file_after_a_stream_of_python_is_not_taken_for_that_stream(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(GOOD.encode())))
    with pytest.raises(FastaError, match="^none.fa: found no such file"):
        read_inputs(["-", "none.fa"])


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_stream_loses_no_byte_in_any_place(good, monkeypatch, place):
    content = "".join(f">s{number} x\nMKV{'LA' * number}\n" for number in range(2_000)).encode()
    standard_input(monkeypatch, content)
    sources = [str(good), str(good)]
    sources.insert(place, "-")
    expected = [[*read_fasta(good)], [*read_fasta(good)]]
    expected.insert(place, list(read_fasta(io.BytesIO(content))))
    assert list(read_inputs(sources)) == sum(expected, [])


def test_a_file_given_twice_is_read_twice_and_a_stream_is_refused(good, monkeypatch):
    assert len(list(read_inputs([str(good), str(good)]))) == 80_000
    for sources in (["-", "-"], ["-", "/dev/fd/{}"], [str(good), "-", str(good), "-"]):
        standard_input(monkeypatch, GOOD.encode())
        sources = [source.format(sys.stdin.fileno()) for source in sources]
        with pytest.raises(FastaError, match="found a stream that is named twice; expected each stream once"):
            read_inputs(sources)


@pytest.mark.parametrize("name", ["+.fa", "--.fa", "~.fa", "-"])
def test_a_file_of_any_name_may_be_given_twice(tmp_path, monkeypatch, name):
    (tmp_path / name).write_text(GOOD)
    monkeypatch.chdir(tmp_path)
    path = f"./{name}" if name == "-" else name
    assert len(list(read_inputs([path, path]))) == 4


def test_named_pipes_that_are_filled_one_after_another_do_not_wait_for_each_other(good, tmp_path):
    pipes = [str(tmp_path / name) for name in ("first", "second", "third")]
    for pipe in pipes:
        os.mkfifo(pipe)

    def write():
        for pipe in pipes:
            Path(pipe).write_bytes(good.read_bytes())

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    found = []
    reader = threading.Thread(target=lambda: found.extend(read_inputs([str(good), *pipes])), daemon=True)
    reader.start()
    reader.join(timeout=60)
    assert not reader.is_alive()
    assert found == list(read_fasta(good)) * 4


def test_more_inputs_than_may_be_open_at_a_time(tmp_path):
    for number in range(200):
        (tmp_path / f"{number:03}.fa").write_text(f">r{number}\nMKV\n")
    code = (
        "import glob, resource\nfrom tfclass.sequences.fasta import read_inputs\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (30, 30))\n"
        "print([record.id for record in read_inputs(sorted(glob.glob('*.fa')))] == [f'r{n}' for n in range(200)])"
    )
    finished = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, timeout=60)
    assert (finished.stdout, finished.stderr) == (b"True\n", b"")


def test_an_address_after_a_file_is_checked_first(good, tmp_path):
    address = f"file://{tmp_path}/none.fa"
    with pytest.raises(FastaError, match="found nothing there, or no answer"):
        read_inputs([str(good), address])
    assert len(list(read_inputs([f"file://{good}", f"file://{good}"]))) == 80_000


records = st.lists(st.tuples(st.text("abc", min_size=1), st.text("MKV", min_size=1)), min_size=1, max_size=4)


@settings(max_examples=30, deadline=None)
@given(st.lists(records, min_size=1, max_size=4))
def test_the_records_are_those_of_each_input_in_turn(tmp_path_factory, inputs):
    folder = tmp_path_factory.mktemp("inputs")
    paths = [str(Path(folder, str(number))) for number in range(len(inputs))]
    for path, pairs in zip(paths, inputs, strict=True):
        Path(path).write_text("".join(f">{name}\n{sequence}\n" for name, sequence in pairs))
    assert [(record.id, record.sequence) for record in read_inputs(paths)] == sum(inputs, [])
