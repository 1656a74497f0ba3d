"""Checkpoints: everything that a training needs to continue to the same numbers.

The only module that uses torch's own file format, and only with ``weights_only=True``: no code is run on loading.
"""

import io
import pickle
import struct
import zipfile
from dataclasses import field, fields
from pathlib import Path
from typing import Any

import torch
from pydantic import ConfigDict, ValidationError
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from tfclass.errors import CheckpointError
from tfclass.io.files import whole_file
from tfclass.io.reading import DAMAGED
from tfclass.limits import in_words

NAME = "checkpoint.pt"
# What zipfile, pickle and torch raise on altered bytes.
_DAMAGED = (
    *(*DAMAGED, zipfile.BadZipFile, pickle.UnpicklingError, struct.error, OSError, RecursionError),
    *(RuntimeError, ValueError, LookupError, TypeError, AttributeError),
)
# Besides the weights: names, the history, the states of random generators.
_OTHER_BYTES = 1 << 26
# Keys that every entry of the history has.
_ENTRY = {"epoch", "train_loss", "train_seconds", "train_residues", "valid_loss", "valid_ap"}
_PARTS = {"fingerprint", "progress", "model", "optimizer", "rng", "cuda_rng"}


@dataclass(config=ConfigDict(strict=True, arbitrary_types_allowed=True))
class Progress:
    """The state of a training, apart from network, optimiser and random generators.

    Attributes
    ----------
    epoch, step : int
        The next batch to train on; both start at 0.
    loss_sum, norm_sum, n_seen, residues_seen, seconds : float, float, int, int, float
        Of the epoch so far: loss times proteins, gradient norm times batches, proteins, their residues, time in
        training steps.
    pretraining_seconds : float
        Time before the first training step, in which the k-mers got their vectors.
    head_losses : dict of str to (float, float)
        Of the epoch so far, for each auxiliary head: loss times weight, weight.
    best_epoch, best_score : int, float
        The best validation average precision so far; epoch -1 before there is one.
    best_weights : dict of str to tensor
        The network at `best_epoch`, on the CPU.
    history : list of dict of str to float
        One entry per finished epoch: ``epoch, train_loss, gradient_norm, train_seconds, train_residues,
        train_residues_per_second, valid_loss, valid_ap, learning_rate``; with auxiliary heads
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

    def __post_init__(self) -> None:
        counts = (self.epoch, self.step, self.n_seen, self.residues_seen)
        if min(counts) < 0 or (self.step > 0) != (self.n_seen > 0) or len(self.history) != self.epoch:
            raise ValueError("counts that do not agree")
        if not -1 <= self.best_epoch < max(self.epoch, 1) or (self.best_epoch < 0) == bool(self.best_weights):
            raise ValueError("an impossible best epoch")
        if any(not entry.keys() >= _ENTRY for entry in self.history):
            raise ValueError("an epoch without its scores")

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
        """Add the epoch's entry to the history and go to the start of the next one."""
        entry = {
            "epoch": float(self.epoch),
            "train_loss": self.mean_loss,
            "gradient_norm": self.norm_sum / self.step,
            "train_seconds": self.seconds,
            "train_residues": float(self.residues_seen),
            "train_residues_per_second": self.residues_seen / max(self.seconds, 1e-9),
        }
        entry |= {f"train_{name}_loss": total / weight for name, (total, weight) in self.head_losses.items() if weight}
        self.history.append(entry | scores)
        self.head_losses = {}
        self.epoch, self.step = self.epoch + 1, 0
        self.loss_sum, self.norm_sum, self.n_seen, self.residues_seen, self.seconds = 0.0, 0.0, 0, 0, 0.0


def save_checkpoint(
    folder: Path, fingerprint: str, progress: Progress, model: nn.Module, optimizer: torch.optim.Optimizer
) -> None:
    """Write ``checkpoint.pt`` whole or not at all, with the states of torch's random generators.

    Parameters
    ----------
    folder : Path
        Must exist.
    fingerprint : str
        Of configuration and corpus; must match on loading.

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
    # In memory first: torch does not say why writing to a file failed.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with whole_file(folder / NAME) as stream:
        stream.write(buffer.getbuffer())


def load_checkpoint(folder: Path, fingerprint: str, model: nn.Module, optimizer: torch.optim.Optimizer) -> Progress:
    """Restore `model`, `optimizer` and the random generators; see `save_checkpoint`.

    Raises
    ------
    CheckpointError
        There is none, it is damaged, or it belongs to another configuration or corpus.
    """
    path = folder / NAME
    try:
        content = _read(path, _max_bytes(model))
        if content.keys() != _PARTS or content["progress"].keys() != {f.name for f in fields(Progress)}:
            raise CheckpointError(
                f"{path}: found no checkpoint, or another version's; expected one of this version of tfclass"
            )
        if content["fingerprint"] != fingerprint:
            raise CheckpointError(
                f"{path}: found a checkpoint of another training; expected one made with this configuration and "
                "corpus; resume with the options of the interrupted run, or start a new one"
            )
        progress = Progress(**content["progress"])
        _check(content, model, optimizer)
        model.load_state_dict(content["model"])
        optimizer.load_state_dict(content["optimizer"])
        torch.set_rng_state(content["rng"])
        if content["cuda_rng"] and torch.cuda.is_available():
            # One for each GPU that the machine had.
            torch.cuda.set_rng_state_all(content["cuda_rng"][: torch.cuda.device_count()])
    except FileNotFoundError:
        raise CheckpointError(f"{path}: found no checkpoint; name the folder of an interrupted run") from None
    except _DAMAGED as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error).strip()
        reason = (reason or "unreadable").splitlines()[0][:200]
        raise CheckpointError(f"{path}: found a damaged checkpoint ({reason}); start anew") from error
    return progress


def _read(path: Path, limit: int) -> dict[str, Any]:
    if path.exists() and not (path.is_file() and path.stat().st_size <= limit):
        raise ValueError(f"no plain file of at most {in_words(limit)}")
    # Torch writes checksums, but does not verify them.
    with zipfile.ZipFile(path) as parts:
        # Torch does not compress the parts, so together they are no larger than the file.
        if sum(part.file_size for part in parts.infolist()) > limit:
            raise zipfile.BadZipFile("parts larger than the file")
        altered = parts.testzip()
    if altered:
        raise zipfile.BadZipFile(f"the checksum of {altered} does not match")
    return torch.load(path, map_location="cpu", weights_only=True)


def _check(content: dict[str, Any], model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Check that tensors have the types and shapes of this training; `ValueError` and its kin otherwise."""
    best_weights = content["progress"]["best_weights"]
    for weights in (content["model"], best_weights or model.state_dict()):
        if _shapes(weights) != _shapes(model.state_dict()):
            raise ValueError("weights of another network")
    moments, groups = content["optimizer"]["state"], content["optimizer"]["param_groups"]
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    # Before the first step there is none.
    if moments and [_shapes(moments[i]) for i in range(len(parameters))] != [_moments(p) for p in parameters]:
        raise ValueError("an optimiser of another network")
    if _options(groups) != _options(optimizer.state_dict()["param_groups"]):
        raise ValueError("an optimiser with other options")


def _options(groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    # The learning rate differs at every step.
    return [{key: value for key, value in group.items() if key != "lr"} for group in groups]


def _shapes(tensors: dict[str, Tensor]) -> dict[str, tuple[Any, ...]]:
    return {name: (tensor.shape, tensor.dtype, tensor.layout) for name, tensor in tensors.items()}


def _moments(parameter: Tensor) -> dict[str, tuple[Any, ...]]:
    like = (parameter.shape, parameter.dtype, parameter.layout)
    return {"step": (torch.Size(), torch.float32, torch.strided), "exp_avg": like, "exp_avg_sq": like}


def _max_bytes(model: nn.Module) -> int:
    """Return how large a checkpoint of this network can be: weights, the best ones, and AdamW's two means of each."""
    weights = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
    return 8 * weights + _OTHER_BYTES
