"""What is searched of long and of repetitive sequences, and that a search can be interrupted."""

import gc
import os
import random
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfclass.bundle.bundle import find_bundle, load_bundle
from tfclass.channels.align_profiles import build_profile
from tfclass.search.hmmer import Library, Profile
from tfclass.search.hmmer_pieces import pieces
from tfclass.sequences.alphabet import Alphabet

ALPHABET = Alphabet()
FINGERS = "TGEKPYKCPECGKSFSRSDHLARHIRTH" * 3
RESIDUES = "ACDEFGHIKLMNPQRSTVWY"


def drawn(length, letters=RESIDUES, seed=0):
    return "".join(random.Random(seed).choices(letters, k=length))


def worn_fingers():
    """Zinc fingers too different from each other to be left out."""
    chance, finger = random.Random(0), "TGEKPYKCPECGKSFSRSDHLARHIRTH"
    return "".join(
        "".join(chance.choice(RESIDUES) if chance.random() < 0.3 else c for c in finger) for _ in range(3_000)
    )


def searched(sequence):
    """Which residues are in a piece."""
    tokens = ALPHABET.encode(sequence)
    is_in = np.zeros(len(tokens), dtype=bool)
    for start, end in pieces(tokens):
        assert 0 <= start < end <= len(tokens)
        assert end - start <= 100_000
        is_in[start:end] = True
    return is_in


@pytest.fixture(scope="module")
def shipped_library():
    return load_bundle(find_bundle("tf-bilstm")).channels["profile"].library


@given(st.text(RESIDUES + "X", min_size=1, max_size=3_500))
def test_a_sequence_of_usual_length_is_searched_as_a_whole(sequence):
    assert pieces(ALPHABET.encode(sequence)) == [(0, len(sequence))]


@pytest.mark.parametrize("length", [3_501, 3_999, 35_213, 100_000, 100_001, 195_000, 230_007])
def test_all_of_an_unrepetitive_sequence_is_searched(length):
    # Six blocks of repeats, more than any known protein has, change nothing.
    for sequence in (drawn(length), "Q" * 3_000 + drawn(length - 3_000), drawn(length - 499) + "SR" * 200 + "A" * 99):
        assert searched(sequence).all()
        found = pieces(ALPHABET.encode(sequence))
        # As before there were repeats to leave out: 100,000 at once, and what two pieces share.
        assert found == [(i, min(i + 100_000, length)) for i in range(0, max(1, length - 5_000), 95_000)]


@pytest.mark.parametrize("letters", ["QP", "STPG", "DERKSG", "STPGAQNE", "STPGAQNEDK"])
def test_of_few_kinds_of_residues_little_more_than_the_first_three_thousand_are_searched(letters):
    is_in = searched(drawn(300_000, letters))
    assert is_in[:3_000].all()
    assert is_in.sum() < 5_000


@pytest.mark.parametrize("unit", ["A", "Q", "SR", "GAGAGS", "X", FINGERS, drawn(150)], ids=lambda unit: unit[:8])
def test_of_repeats_the_first_three_thousand_residues_are_searched(unit):
    is_in = searched((unit * 500_000)[:500_000])
    assert is_in[:3_000].all()
    assert not is_in[3_200:].any()


@pytest.mark.parametrize("letters", ["SRQ", "ACGT", "EKDRS"])
def test_so_it_is_with_any_order_of_a_few_residues(letters):
    is_in = searched(drawn(200_000, letters))
    assert is_in[:3_000].all()
    assert is_in.sum() < 4_000


def test_what_is_no_repeat_is_searched_wherever_it_is():
    for place in (20_000, 20_220, 20_490, 50_003):
        island = drawn(90, seed=place)
        sequence = "A" * place + island + "Q" * 30_000 + drawn(700, seed=1) + "GS" * 5_000
        is_in = searched(sequence)
        assert is_in[place : place + 90].all()
        assert is_in[place + 90 + 30_000 : place + 90 + 30_700].all()
        assert is_in.sum() < 7_000


def test_a_domain_among_repeats_is_found_at_its_place(shipped_library):
    sequence = "A" * 60_000 + FINGERS + "QG" * 60_000
    hits = shipped_library.hits([ALPHABET.encode(sequence)], ALPHABET, 2)
    alone = shipped_library.hits([ALPHABET.encode(FINGERS)], ALPHABET, 2)
    assert {hit.profile for hit in hits} & {hit.profile for hit in alone}
    # An envelope may reach into what is on either side.
    assert all(59_900 < start < end < 60_200 for hit in hits for start, end in hit.envelopes)


def test_two_million_residues_of_one_kind_take_seconds(shipped_library):
    started = time.monotonic()
    assert shipped_library.hits([ALPHABET.encode("A" * 2_000_000)], ALPHABET, 2) == []
    # Without leaving any out it would be half an hour.
    assert time.monotonic() - started < 60


@pytest.mark.parametrize("threads", [1, 2])
def test_a_signal_interrupts_a_search_that_goes_on_in_another_thread(threads):
    def interrupt(*_):
        raise KeyboardInterrupt

    # A profile of ten fingers fits so many of them in so many ways that HMMER takes seconds.
    fingers, length = worn_fingers(), 280
    arrays = [fingers[start : start + length] for start in range(0, 60 * length, length)]
    library = Library([Profile(build_profile("fingers", arrays), "fingers", "", 16.0)])
    known, before = set(threading.enumerate()), signal.signal(signal.SIGALRM, interrupt)
    # Python loses what a handler raises in a callback of its garbage collector, which has much to do among the tests.
    gc.disable()
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        with pytest.raises(KeyboardInterrupt):
            library.hits([ALPHABET.encode(fingers)], ALPHABET, threads)
        searching = set(threading.enumerate()) - known
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
        gc.enable()
    # The thread that was interrupted did not wait for HMMER; and no other one may keep the process from ending.
    assert searching
    assert all(thread.daemon for thread in searching)


COMMAND = """
import atexit, os, sys, time
import pyhmmer
from tfclass.cli.app import main

class Finalized:
    def __del__(self, write=os.write):
        write(2, b"finalized")

def observed(*arguments, search=pyhmmer.hmmsearch, **options):
    atexit.register(os.write, 2, b"atexit\\n")
    open("searching", "x").close()
    if HANGS:
        time.sleep(3600)
    return search(*arguments, **options)

pyhmmer.hmmsearch, sys.observer = lambda *a, **o: (yield from observed(*a, **o)), Finalized()
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "status", "hangs"),
    [
        pytest.param(signal.SIGTERM, 143, False, id="SIGTERM-HMMER"),
        pytest.param(signal.SIGTERM, 143, True, id="SIGTERM-a step without end"),
        pytest.param(signal.SIGINT, 130, False, id="Ctrl-C-HMMER"),
        pytest.param(signal.SIGINT, 130, True, id="Ctrl-C-a step without end"),
    ],
)
def test_a_signal_ends_the_command_and_not_what_is_searched(number, status, hangs, tmp_path):
    (tmp_path / "in.fasta").write_text(f">worn\n{worn_fingers()}\n")
    (tmp_path / "temporary").mkdir()
    command = [sys.executable, "-c", COMMAND.replace("HANGS", str(hangs)), "predict", "in.fasta", "-o", "out.tsv", "-q"]
    environment = {**os.environ, "TMPDIR": str(tmp_path / "temporary")}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE)
    while not (tmp_path / "searching").exists():
        assert process.poll() is None
        time.sleep(0.02)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(number)
    _, error = process.communicate(timeout=120)
    # Functions registered with atexit are called; modules are not freed, which takes longest.
    assert (process.returncode, error) == (status, b"tfclass: interrupted\natexit\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.fasta", "searching", "temporary"]
    assert list((tmp_path / "temporary").iterdir()) == []
    assert not [child for child in children if child.is_running()]


def test_what_goes_wrong_in_a_search_is_raised_where_it_was_asked_for(shipped_library, monkeypatch):
    def fail(*_, **__):
        yield from ()
        raise OverflowError("as HMMER has it")

    monkeypatch.setattr("tfclass.search.hmmer.pyhmmer.hmmsearch", fail)
    with pytest.raises(OverflowError, match="as HMMER has it"):
        shipped_library.hits([ALPHABET.encode("MKV")], ALPHABET)
