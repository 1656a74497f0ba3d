"""Encoders: x_BLE, lengths_B -> states_BLF, the same call for all.

References
----------
.. [1] S. Hochreiter, J. Schmidhuber, "Long short-term memory", Neural Computation 9 (1997), 10.1162/neco.1997.9.8.1735.
.. [2] A. Graves, J. Schmidhuber, "Framewise phoneme classification with bidirectional LSTM and other neural network
   architectures", Neural Networks 18 (2005), 10.1016/j.neunet.2005.06.042.
"""

import torch
from torch import Tensor, nn


def length_mask(lengths_B: Tensor, longest: int) -> Tensor:
    """Mark the real positions.

    Parameters
    ----------
    lengths_B : int64 tensor, shape (B,)
    longest : int
        L.

    Returns
    -------
    bool tensor, shape (B, L)
        True before a sequence's end, False on padding.
    """
    return torch.arange(longest, device=lengths_B.device) < lengths_B[:, None]


def reversal_index(lengths_B: Tensor, longest: int) -> Tensor:
    """Index that reverses each sequence within its own length and leaves padding where it is.

    Parameters
    ----------
    lengths_B : int64 tensor, shape (B,)
    longest : int
        L.

    Returns
    -------
    int64 tensor, shape (B, L)
        Its own inverse.
    """
    position_L = torch.arange(longest, device=lengths_B.device)
    return torch.where(position_L < lengths_B[:, None], lengths_B[:, None] - 1 - position_L, position_L)


def reverse(x_BLF: Tensor, index_BL: Tensor) -> Tensor:
    """Reorder the positions of every sequence by an index from `reversal_index`."""
    return x_BLF.gather(1, index_BL[..., None].expand_as(x_BLF))


class BiLSTM(nn.Module):
    """Bidirectional LSTM, any depth, without packing.

    Each direction is a plain ``nn.LSTM`` over the padded batch. The backward one reads every sequence reversed within
    its own length, so that no state ever crosses padding on its way to a residue; its states are reversed back. The
    numbers are those of a packed bidirectional ``nn.LSTM`` and far sooner there: packing leaves the fused CPU kernel
    (``benchmarks/recurrence.py`` measures it).

    Parameters
    ----------
    in_features : int
        E.
    hidden : int
        H, per direction.
    layers : int
        Stacked layers; each reads both directions of the one below.
    dropout : float
        Between layers.
    """

    directions = 2

    def __init__(self, in_features: int, hidden: int, layers: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        widths = [in_features] + [2 * hidden] * (layers - 1)
        self.forwards = nn.ModuleList(nn.LSTM(width, hidden, batch_first=True) for width in widths)
        self.backwards = nn.ModuleList(nn.LSTM(width, hidden, batch_first=True) for width in widths)
        self.dropout = nn.Dropout(dropout)
        self.out_features = 2 * hidden

    def forward(self, x_BLE: Tensor, lengths_B: Tensor) -> Tensor:
        """Encode a padded batch.

        Parameters
        ----------
        x_BLE : float tensor, shape (B, L, E)
        lengths_B : int64 tensor, shape (B,)

        Returns
        -------
        float tensor, shape (B, L, 2H)
            Forward states first. What stands on padding is unspecified; `pooling` masks it.
        """
        index_BL = reversal_index(lengths_B, x_BLE.shape[1])
        states_BLF = x_BLE
        for layer, (forwards, backwards) in enumerate(zip(self.forwards, self.backwards, strict=True)):
            inputs_BLF = self.dropout(states_BLF) if layer else states_BLF
            ahead_BLH, _ = forwards(inputs_BLF)
            behind_BLH, _ = backwards(reverse(inputs_BLF, index_BL))
            states_BLF = torch.cat([ahead_BLH, reverse(behind_BLH, index_BL)], dim=-1)
        return states_BLF
