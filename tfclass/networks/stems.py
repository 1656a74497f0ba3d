"""Stems: what shortens a sequence before the encoder reads it."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tfclass.networks.encoders import length_mask


class NoStem(nn.Module):
    """Hand residues on as they are.

    Parameters
    ----------
    in_features : int
        E.
    """

    def __init__(self, in_features: int) -> None:
        super().__init__()
        self.out_features = in_features

    def forward(self, x_BLE: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        """Return the arguments."""
        return x_BLE, lengths_B


class ConvolutionStem(nn.Module):
    """A convolution that sees short motifs, then max-pooling that cuts the recurrent steps by its width.

    Parameters
    ----------
    in_features : int
        E.
    channels : int
        Filters.
    kernel : int
        Width of a filter in residues; odd, so that it is centred.
    pool : int
        Residues per step handed to the encoder.
    """

    def __init__(self, in_features: int, channels: int, kernel: int, pool: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(in_features, channels, kernel, padding=kernel // 2)
        self.pool = pool
        self.out_features = channels

    def forward(self, x_BLE: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        """Detect motifs and shorten.

        Parameters
        ----------
        x_BLE : float tensor, shape (B, L, E)
            Zero on padding, as the convolution sees past a sequence's end.
        lengths_B : int64 tensor, shape (B,)

        Returns
        -------
        steps_BLF : float tensor, shape (B, ceil(L / pool), channels)
        lengths_B : int64 tensor, shape (B,)
            ``ceil(length / pool)``: the last, shorter window counts.
        """
        found_BFL = F.relu(self.convolution(x_BLE.transpose(1, 2)))
        # Zero is the least a rectified filter gives, so padding never wins a window.
        found_BFL = found_BFL * length_mask(lengths_B, x_BLE.shape[1])[:, None, :]
        steps_BFL = F.max_pool1d(found_BFL, self.pool, ceil_mode=True)
        return steps_BFL.transpose(1, 2), torch.div(lengths_B + self.pool - 1, self.pool, rounding_mode="floor")
