"""Rows on a terminal: what fits its width, with the values of the TSV; the bar that measures the input."""

import gzip
import io
import os
import pty
import re
import select
from itertools import islice

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

from tfclass import Predictor
from tfclass.cli.predict_table import print_table
from tfclass.cli.terminal import Bar, InputBar
from tfclass.inference.rows import Prediction
from tfclass.sequences.fasta import read_inputs

IDS = ["a", "x" * 300, "\N{CJK UNIFIED IDEOGRAPH-4E2D}" * 40, "\x1b[2J", "[red]b[/red]", "", "\u202egnp"]


@pytest.fixture(scope="module")
def predictor(with_profiles_folder):
    return Predictor.load(with_profiles_folder)


def row(predictor, name, probability, **details):
    empty = dict.fromkeys(predictor.scorer.columns)
    if probability is None:
        return Prediction(name, 0, "", None, 0.5, "skipped", "no_id;empty", empty)
    label = "TF" if probability >= 0.5 else "nonTF"
    return Prediction(name, 300, label, probability, 0.5, "ok", "", {**empty, **details})


def printed(predictor, rows, width, **options):
    stream = io.StringIO()
    console = Console(file=stream, width=width, highlight=False, markup=False, soft_wrap=True, **options)
    print_table(rows, console, predictor)
    return stream.getvalue()


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_every_row_is_one_line_of_at_most_the_width(predictor, width):
    rows = [row(predictor, name, 0.9, family="Zinc cluster", domain="1-2;" * 40, profile="p" * 99) for name in IDS]
    rows += [row(predictor, name, None) for name in IDS]
    header, *lines = printed(predictor, rows, width, force_terminal=False).splitlines()
    assert header.split()[0] == "id"
    assert all(cell_len(line) <= width for line in lines[: len(rows)])
    assert "\x1b" not in "".join(lines)
    assert [line.split()[0] for line in lines[:1]] == ["a"]
    for line in lines[len(IDS) : len(rows)]:
        assert "skipped" in line


def test_cells_are_those_of_the_row_under_their_headings(predictor):
    rows = [row(predictor, "first", 0.912345, family="bZIP", domain="9-90", profile="bZIP", profile_bits=45.54)]
    rows += [row(predictor, "second", 0.000012)]
    header, first, second = printed(predictor, rows, 200).splitlines()[:3]
    assert first.split() == ["first", "300", "TF", "0.912345", "bZIP", "9-90", "bZIP", "45.5"]
    assert second.split() == ["second", "300", "nonTF", "0.000012"]
    for name, value in (("label", "TF"), ("family", "bZIP"), ("domain", "9-90")):
        assert header.index(name) == first.index(value)


def test_what_has_no_room_is_named(predictor):
    rows = [row(predictor, "first", 0.9, family="bZIP", domain="9-90", profile="bZIP", profile_bits=45.5)]
    last = printed(predictor, rows, 60).splitlines()[-1]
    assert re.fullmatch(
        r"(?:(?:network|profile|profile_bits|notes)(?:, )?)+: no room here; see -o FILE or --format tsv", last
    )
    assert "no room" not in printed(predictor, rows, 200)


def test_rows_come_before_the_last_one_is_computed(predictor):
    stream, seen = io.StringIO(), []

    def rows():
        for n in range(1200):
            seen.append(stream.getvalue().count("\n"))
            yield row(predictor, f"r{n}", 0.9)

    print_table(rows(), Console(file=stream, width=80), predictor)
    assert seen[499] == 0
    assert seen[-1] == 1200
    assert stream.getvalue().count("\n") >= 1201


class Recorded(Bar):
    def __init__(self):
        super().__init__()
        self.shown = []

    def update(self, text, done=None, total=None):
        self.shown.append((text, done, total))


@pytest.mark.parametrize("packed", [False, True])
def test_the_bar_measures_bytes_of_the_files_and_moves_within_a_window(tmp_path, packed):
    letters = np.array(list("ACDEFGHIKLMNPQRSTVWY"))[np.random.default_rng(0).integers(0, 20, (4000, 320))]
    text = "".join(f">r{n}\n{''.join(residues)}\n" for n, residues in enumerate(letters)).encode()
    paths = [tmp_path / "a", tmp_path / "b"]
    for path in paths:
        path.write_bytes(gzip.compress(text, mtime=0) if packed else text)
    bar = Recorded()
    meter = InputBar(bar, [*map(str, paths)])
    records = meter.read(read_inputs([*map(str, paths)], on_read=meter.on_read))
    for size in (3000, 4000, 1000):
        # The last window is known to be the last when there is no further record.
        window = list(islice(records, size + (size == 1000)))
        for share in (0.25, 0.5, 1.0):
            meter.on_window(share, size)
        assert len(list(meter.scored(window))) == size
    total = sum(path.stat().st_size for path in paths)
    done = [each[1] for each in bar.shown]
    assert {each[2] for each in bar.shown} == {total}
    assert done == sorted(done)
    assert len(set(done)) >= (4 if packed else 8)
    assert done[-1] == total
    if not packed:
        assert done[1] == pytest.approx(total * 1500 / 8000, rel=0.15)
    assert bar.shown[-1][0].startswith("8,000 proteins")


def test_a_pipe_has_no_total(tmp_path):
    bar = Recorded()
    meter = InputBar(bar, ["-", __file__])
    meter.on_window(0.5, 10)
    assert [(text.split(",")[0], *rest) for text, *rest in bar.shown] == [("5 proteins", None, None)]


@pytest.mark.parametrize("options", [(), ("--format", "tsv"), ("--format", "jsonl")], ids=["table", "tsv", "jsonl"])
def test_on_a_terminal_rows_are_whole_lines_beside_the_bar(start_tfclass, tmp_path, small_bundle_folder, options):
    (tmp_path / "in.fasta").write_text("".join(f">r{n}\nMKVLAGHW\n" for n in range(50)))
    leader, follower = pty.openpty()
    streams, environment = {"stdout": follower, "stderr": follower}, {"TERM": "xterm", "COLUMNS": "80", "NO_COLOR": "1"}
    process = start_tfclass("predict", "in.fasta", "--model", small_bundle_folder, *options, **streams, **environment)
    os.close(follower)
    shown = b""
    while select.select([leader], [], [], 120)[0]:
        try:
            block = os.read(leader, 65536)
        except OSError:
            break
        if not block:
            break
        shown += block
    os.close(leader)
    process.communicate()
    assert process.returncode == 0
    assert not re.search(rb"\x1b\[[0-9;]*3[0-7]", shown)
    # What a line holds after the bar was erased from it.
    lines = [re.split(r"\x1b\[2K|\r", line)[-1] for line in shown.decode().replace("\r\n", "\n").split("\n")]
    plain = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in lines]
    beginning = '{"id": "r' if options[-1:] == ("jsonl",) else "r"
    rows = [line for line in plain if line.startswith(beginning)]
    assert len(rows) == 50
    assert ("id\tlength" in "".join(plain)) == (options[-1:] == ("tsv",))
    assert any(line.startswith("50 of 50 records predicted TF") or " of 50 records" in line for line in plain)
