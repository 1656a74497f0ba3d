"""Checkpoints that were edited, damaged or made up: one line each, in little time and memory."""

import io
import os
import resource
import time
import zipfile
from dataclasses import replace

import pytest
import torch

from tests.conftest import SMALL
from tfclass.config import CorpusConfig, TrainingConfig
from tfclass.data.split import select_split
from tfclass.data.table import read_table
from tfclass.errors import CheckpointError
from tfclass.models.factory import build
from tfclass.training.checkpoint import NAME
from tfclass.training.trainer import Callbacks, Interrupted, Trainer

QUICK = TrainingConfig.default(epochs=3, max_residues=2048)


@pytest.fixture(scope="module")
def parts(demo_table, alphabet):
    proteins = read_table(CorpusConfig.default(path=str(demo_table)), alphabet)
    return [select_split(proteins, name, str(demo_table)) for name in ("train", "valid")]


def trainer(parts, alphabet, folder, callbacks=None, model=SMALL):
    torch.manual_seed(0)
    network = build(model, alphabet, 2)
    return Trainer(network, *parts, QUICK, alphabet=alphabet, seed=0, folder=folder, callbacks=callbacks)


@pytest.fixture(scope="module")
def content(parts, alphabet, tmp_path_factory):
    """A checkpoint of the second epoch, after a few batches of it."""
    folder = tmp_path_factory.mktemp("run")
    steps = []
    callbacks = Callbacks(
        on_step=lambda epoch, *_: steps.append(epoch), should_stop=lambda: steps[-1] == 1 and steps.count(1) == 2
    )
    with pytest.raises(Interrupted):
        trainer(parts, alphabet, folder, callbacks).run()
    return (folder / NAME).read_bytes()


def changed(place, value):
    """Make a change of the content: `value` at the `place` (keys apart by a slash), which ``...`` removes."""

    def change(content):
        *path, last = place.split("/")
        for key in path:
            content = content[int(key) if isinstance(content, list) or key.isdigit() else key]
        if value is ...:
            del content[last]
        else:
            content[int(last) if isinstance(content, list) else last] = value
        return content

    change.__name__ = f"{place}={type(value).__name__}"
    return change


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


EDITED = [
    changed("progress/epoch", "1"),
    changed("progress/epoch", 1.0),
    changed("progress/epoch", -1),
    changed("progress/epoch", 0),
    changed("progress/epoch", 2),
    changed("progress/epoch", True),
    changed("progress/step", -1),
    changed("progress/step", None),
    changed("progress/n_seen", 0),
    changed("progress/loss_sum", "nan"),
    changed("progress/seconds", [1.0]),
    changed("progress/pretraining_seconds", None),
    changed("progress/best_epoch", 5),
    changed("progress/best_epoch", -1),
    changed("progress/best_epoch", -2),
    changed("progress/best_score", "high"),
    changed("progress/best_weights", {}),
    changed("progress/best_weights", []),
    changed("progress/best_weights", {"w": torch.ones(2)}),
    changed("progress/history", []),
    changed("progress/history", None),
    changed("progress/history/0", {}),
    changed("progress/history/0/valid_ap", "0.5"),
    changed("progress/history/0/train_seconds", ...),
    changed("progress/history", nested(200)),
    changed("progress/head_losses", {"family": 1.0}),
    changed("progress", None),
    changed("progress", {}),
    changed("model", {}),
    changed("model", [1]),
    changed("model/head.bias", torch.ones(3)),
    changed("model/head.bias", torch.ones(2, dtype=torch.float64)),
    changed("model/head.bias", torch.ones(2).to_sparse()),
    changed("model/head.bias", torch.zeros(1).expand(10**12)),
    changed("model/head.bias", "0"),
    changed("model/other", torch.ones(1)),
    changed("optimizer", None),
    changed("optimizer/state/0/exp_avg", torch.ones(1)),
    changed("optimizer/state/0/step", "1"),
    changed("optimizer/state", {"a": 1}),
    changed("optimizer/param_groups", []),
    changed("optimizer/param_groups/0/betas", (2.0, 2.0)),
    changed("optimizer/param_groups/0/weight_decay", float("inf")),
    changed("optimizer/param_groups/0/params", [0]),
    changed("rng", None),
    changed("rng", torch.zeros(5, dtype=torch.uint8)),
    changed("rng", torch.zeros(5)),
    changed("fingerprint", 3),
    changed("cuda_rng", ...),
]


@pytest.mark.parametrize("change", EDITED, ids=lambda change: change.__name__)
def test_an_edited_checkpoint_is_refused_in_one_line(change, content, parts, alphabet, tmp_path):
    edited = torch.load(io.BytesIO(content), weights_only=True)
    change(edited)
    torch.save(edited, tmp_path / NAME)
    check_refused(parts, alphabet, tmp_path)


def check_refused(parts, alphabet, folder):
    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CheckpointError) as raised:
        trainer(parts, alphabet, folder).run(resume=True)
    assert str(raised.value).startswith(f"{folder / NAME}: found ")
    assert "\n" not in str(raised.value)
    assert time.monotonic() - started < 20
    # In KiB on Linux.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500 << 10


def archive(path, parts, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression, compresslevel=1) as whole:
        for name, data in parts.items():
            whole.writestr(name, data)


def a_bomb(path):
    archive(path, {"archive/data.pkl": bytes(1 << 30)}, zipfile.ZIP_DEFLATED)


def a_sparse_file(path):
    with path.open("wb") as stream:
        stream.truncate(100 << 30)


def a_pickle(path):
    path.write_bytes(b"cos\nsystem\n(S'echo must not be printed'\ntR.")


MADE_UP = {
    "random bytes": lambda path: path.write_bytes(os.urandom(5000)),
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("{}"),
    "a pickle that runs a program": a_pickle,
    "an empty archive": lambda path: archive(path, {}),
    "an archive of other things": lambda path: archive(path, {"a.txt": b"a"}),
    "a random pickle in an archive": lambda path: archive(
        path, {"archive/data.pkl": os.urandom(300), "archive/version": b"3\n", "archive/byteorder": b"little"}
    ),
    "an archive that unpacks to a gigabyte": a_bomb,
    "a sparse file of 100 GiB": a_sparse_file,
    "a folder": lambda path: path.mkdir(),
    "a pipe": os.mkfifo,
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    "a tensor": lambda path: torch.save(torch.ones(3), path),
    "a list": lambda path: torch.save([1, 2], path),
}


@pytest.mark.parametrize("make", MADE_UP.values(), ids=MADE_UP.keys())
def test_other_files_are_refused_in_one_line(make, parts, alphabet, tmp_path):
    make(tmp_path / NAME)
    check_refused(parts, alphabet, tmp_path)


def test_a_checkpoint_of_another_network_is_refused(content, parts, alphabet, tmp_path):
    (tmp_path / NAME).write_bytes(content)
    with pytest.raises(CheckpointError, match="found a damaged checkpoint .weights of another network."):
        trainer(parts, alphabet, tmp_path, model=replace(SMALL, hidden=7)).run(resume=True)


def test_the_unchanged_checkpoint_is_accepted(content, parts, alphabet, tmp_path):
    (tmp_path / NAME).write_bytes(content)
    assert len(trainer(parts, alphabet, tmp_path).run(resume=True).history) == 3
