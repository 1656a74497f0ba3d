"""The whole network: embedding, stem, encoder, pooling, head."""

from torch import Tensor, nn

from tfclass.networks.embeddings import FixedEmbedding, WordEmbedding
from tfclass.networks.encoders import NoEncoder, Recurrent, length_mask
from tfclass.networks.stems import ConvolutionStem, LookupStem, NoStem, StackStem


class Classifier(nn.Module):
    """From tokens to one logit per class; two classes are treated like any number.

    Parameters
    ----------
    embedding : nn.Module
        tokens_BL -> x_BLE, zero on padding.
    stem : nn.Module
        x_BLE, lengths_B -> x_BLE, lengths_B.
    encoder : nn.Module
        x_BLE, lengths_B -> states_BLF.
    pooling : nn.Module
        states_BLF, mask_BL -> pooled_BF.
    n_classes : int
        C.
    dropout : float
        On what the pooling gives, and on the hidden layer.
    hidden : int
        Units of a hidden layer between pooling and output; 0 for none.
    """

    def __init__(
        self,
        embedding: WordEmbedding | FixedEmbedding,
        stem: NoStem | ConvolutionStem | StackStem,
        encoder: NoEncoder | Recurrent,
        pooling: nn.Module,
        n_classes: int,
        dropout: float,
        hidden: int = 0,
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.stem = stem
        self.encoder = encoder
        self.pooling = pooling
        self.dropout = nn.Dropout(dropout)
        width = encoder.out_features
        layers = [nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout)] if hidden else []
        self.hidden = nn.Sequential(*layers)
        self.head = nn.Linear(hidden or width, n_classes)

    def forward(self, tokens_BL: Tensor, lengths_B: Tensor, front: LookupStem | None = None) -> Tensor:
        """Score a padded batch.

        Parameters
        ----------
        tokens_BL : int64 tensor, shape (B, L)
            0 on padding, which is on the right.
        lengths_B : int64 tensor, shape (B,)
            At least 1 each.
        front : LookupStem, optional
            From `lookup`; used in place of embedding and stem.

        Returns
        -------
        float tensor, shape (B, C)
            Logits.
        """
        if front is None:
            x_BLE, lengths_B = self.stem(self.embedding(tokens_BL), lengths_B)
        else:
            x_BLE, lengths_B = front(tokens_BL, lengths_B)
        states_BLF = self.encoder(x_BLE, lengths_B)
        pooled_BF = self.pooling(states_BLF, length_mask(lengths_B, states_BLF.shape[1]))
        return self.head(self.hidden(self.dropout(pooled_BF)))

    def lookup(self) -> LookupStem | None:
        """Turn embedding and stem, as they are now, into tables; None where that cannot be done."""
        vectors_VE = self.embedding.residue_vectors()
        if vectors_VE is None or not isinstance(self.stem, ConvolutionStem):
            return None
        return LookupStem(vectors_VE, self.stem)
