"""Checkpoints: everything that training needs to go on to the very numbers it would have reached.

The only module that uses torch's own file format, and only with ``weights_only=True``: no code is run on loading.
"""

import pickle
import struct
import typing
import zipfile
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, BinaryIO

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from tfclass.errors import CheckpointError
from tfclass.io.compression import DAMAGED
from tfclass.io.files import whole_file
from tfclass.limits import in_words

NAME = "checkpoint.pt"
# What zipfile, pickle and torch make of bytes that were altered.
_DAMAGED = (
    *(*DAMAGED, zipfile.BadZipFile, pickle.UnpicklingError, struct.error, OSError),
    *(RuntimeError, ValueError, LookupError, TypeError, AttributeError),
)


# Besides the weights: names, the history, the states of random generators.
_OTHER_BYTES = 1 << 26
# What an epoch's entry in the history has at least.
_ENTRY = {"epoch", "train_loss", "train_seconds", "train_residues", "valid_loss", "valid_ap"}
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
            torch.save(content, checked)  # type: ignore[arg-type]
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

    Raises
    ------
    CheckpointError
        There is none, it is damaged, or it belongs to another configuration or corpus.
    """
    path = folder / NAME
    content = _read(path, _bytes_at_most(model))
    if content["fingerprint"] != fingerprint:
        expected = "one made with this configuration and corpus"
        action = "resume with the options of the interrupted run, or start a new one"
        raise CheckpointError(str(path), "a checkpoint of another training", expected, action, path=str(path))
    try:
        _check(content, model, optimizer)
        model.load_state_dict(content["model"])
        optimizer.load_state_dict(content["optimizer"])
        torch.set_rng_state(content["rng"])
        if content["cuda_rng"] and torch.cuda.is_available():
            torch.cuda.set_rng_state_all(content["cuda_rng"])
    except (*_DAMAGED, RecursionError) as error:
        raise _damaged(path, str(error)) from error
    return Progress(**content["progress"])


def check_progress(progress: Progress, model: nn.Module, folder: Path) -> None:
    """Make sure that what a checkpoint says of a training goes together, and with the network; `CheckpointError`."""
    counts = (progress.epoch, progress.step, progress.n_seen, progress.residues_seen)
    if min(counts) < 0 or (progress.step > 0) != (progress.n_seen > 0) or len(progress.history) != progress.epoch:
        reason = "counts that do not go together"
    elif not -1 <= progress.best_epoch < max(progress.epoch, 1) or (progress.best_epoch < 0) == bool(
        progress.best_weights
    ):
        reason = "a best epoch that was not"
    elif any(not entry.keys() >= _ENTRY for entry in progress.history):
        reason = "an epoch without its scores"
    elif progress.best_weights and _shapes(progress.best_weights) != _shapes(model.state_dict()):
        reason = "best weights of another network"
    else:
        return
    raise _damaged(folder / NAME, reason)


def _check(content: dict[str, Any], model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Make sure that values are of the types and shapes of this training; `ValueError` and its kin where not."""
    for name, hint in typing.get_type_hints(Progress).items():
        if name != "best_weights":
            TypeAdapter(hint).validate_python(content["progress"][name], strict=True)
    # Whether they are this network's is asked when they are needed.
    _shapes(content["progress"]["best_weights"])
    if _shapes(content["model"]) != _shapes(model.state_dict()):
        raise ValueError("weights of another network")
    moments, groups = content["optimizer"]["state"], content["optimizer"]["param_groups"]
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    # Before the first step there is none.
    if moments and [_shapes(moments[i]) for i in range(len(parameters))] != [_moments(p) for p in parameters]:
        raise ValueError("an optimiser of another network")
    if _options(groups) != _options(optimizer.state_dict()["param_groups"]):
        raise ValueError("an optimiser with other options")


def _options(groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    # The learning rate is another one at every step.
    return [{key: value for key, value in group.items() if key != "lr"} for group in groups]


def _shapes(tensors: dict[str, Tensor]) -> dict[str, tuple[Any, ...]]:
    return {name: (tensor.shape, tensor.dtype, tensor.layout) for name, tensor in tensors.items()}


def _moments(parameter: Tensor) -> dict[str, tuple[Any, ...]]:
    like = (parameter.shape, parameter.dtype, parameter.layout)
    return {"step": (torch.Size(), torch.float32, torch.strided), "exp_avg": like, "exp_avg_sq": like}


def _bytes_at_most(model: nn.Module) -> int:
    """Return how large a checkpoint of this network can be: weights, the best ones, and AdamW's two means of each."""
    weights = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
    return 8 * weights + _OTHER_BYTES


def _read(path: Path, most: int) -> dict[str, Any]:
    try:
        if path.exists() and not (path.is_file() and path.stat().st_size <= most):
            raise ValueError(f"no plain file of at most {in_words(most)}")
        # Torch writes checksums, and does not look at them when it reads.
        with zipfile.ZipFile(path) as parts:
            # Nor does it pack them, so that none can be larger than the file.
            if sum(part.file_size for part in parts.infolist()) > most:
                raise zipfile.BadZipFile("parts larger than the file")
            altered = parts.testzip()
        if altered:
            raise zipfile.BadZipFile(f"the checksum of {altered} does not match")
        content = torch.load(path, map_location="cpu", weights_only=True)
        is_ours = content.keys() == _PARTS and content["progress"].keys() == {f.name for f in fields(Progress)}
    except FileNotFoundError:
        action = "name the folder of an interrupted run"
        raise CheckpointError(str(path), "no checkpoint", action=action, path=str(path)) from None
    except (*_DAMAGED, RecursionError) as error:
        raise _damaged(path, str(error)) from error
    if not is_ours:
        expected = "one of this version of tfclass"
        raise CheckpointError(str(path), "no checkpoint, or another version's", expected, path=str(path))
    return content


def _damaged(path: Path, reason: str) -> CheckpointError:
    found = f"a damaged checkpoint ({reason.strip().splitlines()[0][:200] if reason.strip() else 'unreadable'})"
    return CheckpointError(str(path), found, action="start anew", path=str(path))
