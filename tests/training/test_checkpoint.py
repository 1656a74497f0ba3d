"""Checkpoints are whole, safe to load, and belong to one training."""

import sys

import numpy as np
import pytest
import torch
from torch import nn

from tfclass.errors import CheckpointError, OutputError
from tfclass.training.checkpoint import NAME, Progress, load_checkpoint, save_checkpoint


def save(folder, fingerprint="f"):
    model = nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    entry = dict.fromkeys(("epoch", "train_loss", "train_seconds", "train_residues", "valid_loss", "valid_ap"), 1.0)
    best = {"best_epoch": 1, "best_score": 0.5, "best_weights": nn.Linear(2, 2).state_dict()}
    progress = Progress(epoch=3, step=2, n_seen=5, history=[entry] * 3, **best)
    save_checkpoint(folder, fingerprint, progress, model, optimizer)
    return model, optimizer, progress


def test_a_checkpoint_restores_everything(tmp_path):
    model, _, progress = save(tmp_path)
    expected = torch.rand(3)
    save(tmp_path)
    model, _, progress = save(tmp_path)
    torch.set_rng_state(torch.load(tmp_path / NAME, weights_only=True)["rng"])
    expected = torch.rand(3)
    other = nn.Linear(2, 2)
    loaded = load_checkpoint(tmp_path, "f", other, torch.optim.AdamW(other.parameters()))
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(other.weight, model.weight)
    assert (loaded.epoch, loaded.step, loaded.best_score) == (3, 2, 0.5)
    assert torch.equal(loaded.best_weights["weight"], progress.best_weights["weight"])


@pytest.mark.parametrize("kept", [0, 10, 500], ids=["empty", "a few bytes", "cut short"])
def test_a_damaged_checkpoint_is_refused(tmp_path, kept):
    model, optimizer, _ = save(tmp_path)
    content = (tmp_path / NAME).read_bytes()
    (tmp_path / NAME).write_bytes(content[:kept])
    with pytest.raises(CheckpointError, match="found a damaged checkpoint"):
        load_checkpoint(tmp_path, "f", model, optimizer)


def test_no_altered_bit_is_ever_loaded(tmp_path):
    model, optimizer, progress = save(tmp_path)
    content = (tmp_path / NAME).read_bytes()
    expected = [*model.state_dict().values(), progress.best_weights["weight"]]
    rng = np.random.default_rng(0)
    refused = 0
    for place in rng.choice(len(content), 400, replace=False):
        altered = bytearray(content)
        altered[place] ^= 1 << rng.integers(8)
        (tmp_path / NAME).write_bytes(altered)
        other = nn.Linear(2, 2)
        try:
            loaded = load_checkpoint(tmp_path, "f", other, torch.optim.AdamW(other.parameters()))
        except CheckpointError:
            refused += 1
        else:
            # A bit of padding, or of what zip says twice.
            found = [*other.state_dict().values(), loaded.best_weights["weight"]]
            assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert refused > 200


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("this must not be printed",))

    model, optimizer, _ = save(tmp_path)
    torch.save({"fingerprint": Evil()}, tmp_path / NAME)
    with pytest.raises(CheckpointError, match="found a damaged checkpoint"):
        load_checkpoint(tmp_path, "f", model, optimizer)


def test_a_file_of_torchs_that_is_no_checkpoint_or_another_versions_is_refused(tmp_path):
    model, optimizer, _ = save(tmp_path)
    other = torch.load(tmp_path / NAME, weights_only=True)
    del other["progress"]["best_score"]
    for content in (other, {"fingerprint": "f"}, model.state_dict()):
        torch.save(content, tmp_path / NAME)
        with pytest.raises(CheckpointError, match=r"checkpoint.pt: found no checkpoint, or another version's"):
            load_checkpoint(tmp_path, "f", model, optimizer)


def test_a_missing_checkpoint_and_one_of_another_training_are_refused(tmp_path):
    model, optimizer, _ = save(tmp_path)
    with pytest.raises(CheckpointError, match="found a checkpoint of another training; expected one made with this"):
        load_checkpoint(tmp_path, "other", model, optimizer)
    with pytest.raises(CheckpointError, match="found no checkpoint; name the folder of an interrupted run"):
        load_checkpoint(tmp_path / "nowhere", "f", model, optimizer)


@pytest.mark.skipif(sys.platform == "win32", reason="a limit on the size of files is the system's")
@pytest.mark.parametrize("limit", [0, 100, 3000], ids=lambda limit: f"{limit} bytes")
def test_a_failed_write_leaves_the_old_checkpoint(tmp_path, limit):
    import resource

    save(tmp_path)
    before = (tmp_path / NAME).read_bytes()
    allowed = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, allowed[1]))
    try:
        with pytest.raises(
            OutputError, match=r"checkpoint.pt: found a place that cannot be written \(File too large\)"
        ):
            save(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, allowed)
    assert (tmp_path / NAME).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [NAME]
