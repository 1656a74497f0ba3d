"""Checkpoints: everything that training needs to go on to the very numbers it would have reached.

The only module that uses torch's own file format, and only with ``weights_only=True``: no code is run on loading.
"""

import pickle
import struct
import zipfile
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor, nn

from tfclass.compression import DAMAGED
from tfclass.errors import CheckpointError
from tfclass.files import whole_file

NAME = "checkpoint.pt"
# What zipfile, pickle and torch make of bytes that were altered.
_DAMAGED = (
    *(*DAMAGED, zipfile.BadZipFile, pickle.UnpicklingError, struct.error, OSError),
    *(RuntimeError, ValueError, LookupError, TypeError, AttributeError),
)


_PARTS = {"fingerprint", "progress", "model", "optimizer", "rng", "cuda_rng"}


@dataclass
class Progress:
    """Where training stands.

    Attributes
    ----------
    epoch, step : int
        The next batch to train on; both start at 0.
    loss_sum, norm_sum, n_seen, residues_seen, seconds : float, float, int, int, float
        Of the epoch so far: loss times proteins, gradient norm times batches, proteins, their residues, time in
        training steps.
    pretraining_seconds : float
        Time before the first training step, in which the words got their vectors.
    head_losses : dict of str to (float, float)
        Of the epoch so far, for each head beside the classes' own: loss times weight, weight.
    best_epoch, best_score : int, float
        The best validation average precision yet; epoch -1 before there is one.
    best_weights : dict of str to tensor
        The network at `best_epoch`, on the CPU.
    history : list of dict of str to float
        One entry per finished epoch: ``epoch, train_loss, gradient_norm, train_seconds, train_residues,
        train_residues_per_second, valid_loss, valid_ap, learning_rate``; with heads beside the classes' own
        ``train_family_loss, train_domain_loss, valid_family_accuracy, valid_domain_f1``. ``train_loss`` is that of the
        classes alone.
    """

    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    norm_sum: float = 0.0
    n_seen: int = 0
    residues_seen: int = 0
    seconds: float = 0.0
    pretraining_seconds: float = 0.0
    head_losses: dict[str, tuple[float, float]] = field(default_factory=dict)
    best_epoch: int = -1
    best_score: float = float("-inf")
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)

    @property
    def mean_loss(self) -> float:
        """Training loss of the classes, per protein, in the epoch so far."""
        return self.loss_sum / self.n_seen

    @property
    def seconds_in_all(self) -> float:
        """Time in the pretraining and in training steps, of all epochs."""
        return self.pretraining_seconds + self.seconds + sum(entry["train_seconds"] for entry in self.history)

    def count(self, loss: float, gradient_norm: float, n_proteins: int, n_residues: int, seconds: float) -> None:
        """Record one training step."""
        self.step += 1
        self.loss_sum += loss * n_proteins
        self.norm_sum += gradient_norm
        self.n_seen += n_proteins
        self.residues_seen += n_residues
        self.seconds += seconds

    def count_head(self, name: str, loss: float, weight: float) -> None:
        """Record the loss of a head in a training step."""
        total, weights = self.head_losses.get(name, (0.0, 0.0))
        self.head_losses[name] = (total + loss * weight, weights + weight)

    def end_epoch(self, **scores: float) -> None:
        """Write the epoch's entry in the history and stand at the start of the next one."""
        self.history.append(
            {
                "epoch": float(self.epoch),
                "train_loss": self.mean_loss,
                "gradient_norm": self.norm_sum / self.step,
                "train_seconds": self.seconds,
                "train_residues": float(self.residues_seen),
                "train_residues_per_second": self.residues_seen / max(self.seconds, 1e-9),
                **{
                    f"train_{name}_loss": total / weight for name, (total, weight) in self.head_losses.items() if weight
                },
                **scores,
            }
        )
        self.head_losses = {}
        self.epoch, self.step = self.epoch + 1, 0
        self.loss_sum, self.norm_sum, self.n_seen, self.residues_seen, self.seconds = 0.0, 0.0, 0, 0, 0.0


def save_checkpoint(
    folder: Path,
    fingerprint: str,
    progress: Progress,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
) -> None:
    """Write ``checkpoint.pt`` whole or not at all.

    Parameters
    ----------
    folder : Path
        Must exist.
    fingerprint : str
        Of configuration and corpus; must match on loading.
    progress : Progress
    model : Module
    optimizer : Optimizer
        Its state and the random generators' are kept too.

    Raises
    ------
    OutputError
        It cannot be written; an earlier checkpoint stays as it was.
    """
    content = {
        "fingerprint": fingerprint,
        "progress": {f.name: getattr(progress, f.name) for f in fields(progress)},
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "rng": torch.get_rng_state(),
        "cuda_rng": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }
    with whole_file(folder / NAME) as stream:
        checked = _Checked(stream)
        try:
            torch.save(content, checked)
        except RuntimeError as error:
            # Torch does not say why a write failed.
            raise checked.error or error from error


class _Checked:
    """A file that keeps the error of a write that failed."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        """Write, as a file does."""
        try:
            return self.stream.write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        """Hand all that was written to the system."""
        self.stream.flush()


def load_checkpoint(folder: Path, fingerprint: str, model: nn.Module, optimizer: torch.optim.Optimizer) -> Progress:
    """Restore `model`, `optimizer` and the random generators; see `save_checkpoint`.

    Returns
    -------
    Progress

    Raises
    ------
    CheckpointError
        There is none, it is damaged, or it belongs to another configuration or corpus.
    """
    path = folder / NAME
    content = _read(path)
    if content["fingerprint"] != fingerprint:
        expected = "one made with this configuration and corpus"
        action = "resume with the options of the interrupted run, or start a new one"
        raise CheckpointError(str(path), "a checkpoint of another training", expected, action, path=str(path))
    model.load_state_dict(content["model"])
    optimizer.load_state_dict(content["optimizer"])
    torch.set_rng_state(content["rng"])
    if content["cuda_rng"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(content["cuda_rng"])
    return Progress(**content["progress"])


def _read(path: Path) -> dict[str, Any]:
    try:
        # Torch writes checksums, and does not look at them when it reads.
        with zipfile.ZipFile(path) as parts:
            altered = parts.testzip()
        if altered:
            raise zipfile.BadZipFile(f"the checksum of {altered} does not match")
        content = torch.load(path, map_location="cpu", weights_only=True)
        is_ours = content.keys() == _PARTS and content["progress"].keys() == {f.name for f in fields(Progress)}
    except FileNotFoundError:
        action = "name the folder of an interrupted run"
        raise CheckpointError(str(path), "no checkpoint", action=action, path=str(path)) from None
    except _DAMAGED as error:
        raise CheckpointError(str(path), f"a damaged checkpoint ({error})", path=str(path)) from error
    if not is_ours:
        expected = "one of this version of tfclass"
        raise CheckpointError(str(path), "no checkpoint, or another version's", expected, path=str(path))
    return content
