"""Several processes train as one does: the same history and weights, and each goes on from the other's checkpoints."""

import os
import socket
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.training.test_trainer import HEADS, parts, without_times
from tests.training.test_trainer_by_hand import CONFIG
from tfclass.errors import ConfigError
from tfclass.models.factory import build
from tfclass.models.forward import shuffled_batches
from tfclass.sequences.alphabet import Alphabet
from tfclass.training.checkpoint import NAME
from tfclass.training.distributed import Processes, process_group
from tfclass.training.trainer import Callbacks, Interrupted, Trainer

__all__ = ["parts"]

SIZE, SEED, STOP_AFTER = 3, 5, 4
# Dropout alone draws other numbers in several processes.
MODEL = replace(HEADS, dropout=0.0)


@pytest.fixture(scope="module")
def few(parts):
    """So many proteins that the last batch has fewer than there are processes."""
    few = tuple(part.select(np.arange(len(part.labels)) < n) for part, n in zip(parts, (105, 32), strict=True))
    sizes = [
        len(rows)
        for epoch in range(CONFIG.epochs)
        for rows in shuffled_batches(few[0].lengths, CONFIG.max_residues, np.random.default_rng([SEED, epoch]))
    ]
    assert min(sizes) < SIZE < max(sizes)
    return few


def trainer_of(few, folder, processes=None, stop_after=0):
    """Make a trainer, which asks for an end after a number of steps."""
    torch.manual_seed(0)
    steps = []
    callbacks = Callbacks(on_step=lambda *step: steps.append(step), should_stop=lambda: len(steps) == stop_after)
    folder.mkdir(exist_ok=True)
    options = {"alphabet": Alphabet(), "seed": SEED, "folder": folder, "callbacks": callbacks, "processes": processes}
    return Trainer(build(MODEL, Alphabet(), 2), *few, CONFIG, **options)


def train_in(rank, port, few, folder):
    """Train from the beginning, from a checkpoint of a single process, and until this process asks for an end."""
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(SIZE)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    results = {}
    with process_group() as processes:
        for name in ("whole", "resumed"):
            trainer = trainer_of(few, folder / name, processes)
            progress = trainer.run(resume=name == "resumed")
            results[name] = (progress.history, trainer.model.state_dict())
        torch.save(results, folder / f"{rank}.pt")
        try:
            # The last process alone asks.
            trainer_of(few, folder / "stopped", processes, STOP_AFTER * (rank == SIZE - 1)).run()
        except Interrupted:
            torch.save(results, folder / "interrupted.pt")
            raise


@pytest.fixture(scope="module")
def single(few, tmp_path_factory):
    trainer = trainer_of(few, tmp_path_factory.mktemp("single"))
    return trainer.run().history, trainer.model.state_dict()


@pytest.fixture(scope="module")
def several(few, processes, tmp_path_factory):
    """The folder in which several processes trained; the result of each; how each has ended."""
    folder = tmp_path_factory.mktemp("several")
    with pytest.raises(Interrupted):
        trainer_of(few, folder / "resumed", stop_after=STOP_AFTER).run()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = [processes.Process(target=train_in, args=(rank, port, few, folder)) for rank in range(SIZE)]
    for process in started:
        process.start()
    for process in started:
        process.join(120)
        process.kill()
    results = [torch.load(folder / f"{rank}.pt") for rank in range(SIZE)]
    return folder, results, [process.exitcode for process in started]


def assert_close(left, right):
    (history, weights), (other_history, other_weights) = left, right
    for entry, other in zip(without_times(history), without_times(other_history), strict=True):
        assert entry == pytest.approx(other, rel=1e-5)
    for name, weight in weights.items():
        torch.testing.assert_close(weight, other_weights[name], rtol=1e-4, atol=1e-5)


def test_several_processes_train_as_one_does(several, single):
    _, results, _ = several
    for each in results:
        assert_close(each["whole"], single)


def test_all_processes_have_the_very_same_weights(several):
    _, (first, *others), _ = several
    for other in others:
        assert all(torch.equal(weight, other["whole"][1][name]) for name, weight in first["whole"][1].items())


def test_several_processes_go_on_from_the_checkpoint_of_one(several, single):
    _, results, _ = several
    for each in results:
        assert_close(each["resumed"], single)


def test_one_process_that_is_asked_to_stop_ends_all_and_a_single_one_goes_on(several, single, few):
    folder, _, exit_codes = several
    # The first one raises, as a single process does; the others end in silence.
    assert exit_codes == [1, 130, 130]
    assert (folder / "interrupted.pt").exists()
    content = torch.load(folder / "stopped" / NAME)
    assert content["progress"]["step"] == STOP_AFTER
    trainer = trainer_of(few, folder / "stopped")
    assert_close((trainer.run(resume=True).history, trainer.model.state_dict()), single)


def test_parts_of_a_batch_are_disjoint_and_complete_or_all_of_it():
    rows = np.arange(10)
    parts = [rows[Processes(rank, 4).part(10).rows] for rank in range(4)]
    assert sorted(np.concatenate(parts)) == [*rows]
    assert [rows[:3][Processes(rank, 4).part(3).rows].tolist() for rank in range(4)] == [[0, 1, 2]] * 4


def test_more_processes_than_proteins_in_a_batch_are_refused():
    lengths = np.full(99, 300)
    Processes(0, 3).check_batches(lengths, 900)
    message = "found 900, which makes batches of 3.0 proteins; expected at least one for each of 4 processes; raise it"
    with pytest.raises(ConfigError, match=message):
        Processes(0, 4).check_batches(lengths, 900)


def test_a_process_that_lacks_what_torchrun_says_is_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(ConfigError, match="several processes that do not find each other .*'RANK'.*torchrun"):
        process_group().__enter__()
