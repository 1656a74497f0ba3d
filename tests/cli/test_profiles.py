"""``tfclass profiles`` on the command line."""

import os
import signal

import pytest


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"])
def test_an_interrupted_command_ends_in_one_line_and_leaves_no_file(
    number, status, start_tfclass, demo_table, tmp_path
):
    waiting = tmp_path / "domains.tsv"
    os.mkfifo(waiting)
    options = ("-o", "profiles.h3m.zst", "--domains", waiting.name)
    process = start_tfclass("profiles", "build", demo_table, *options)
    # Opened as soon as the command reads it, and then it gives nothing.
    with waiting.open("wb"):
        process.send_signal(number)
        _, error = process.communicate()
    assert (process.returncode, error) == (status, b"tfclass: interrupted\n")
    assert list(tmp_path.iterdir()) == [waiting]
