"""A channel in one file: the share of lysine and arginine, of which DNA-binding domains have more than others."""

import json

import numpy as np

from tfclass.channels.base import Channel, Column


class ChargeChannel(Channel):
    """Share of K and R, compared with the mean of the training proteins."""

    name = "charge"
    file = "charge.json"
    n_features = 2
    columns = {"charge": Column("number", 3)}  # noqa: RUF012

    def __init__(self, alphabet, mean):
        self.tokens, self.mean = alphabet.encode("KR"), mean

    def score(self, tokens, threads=1, on_progress=None):
        return [float(np.isin(protein, self.tokens).mean()) for protein in tokens]

    def features(self, scores):
        rows = [(0.0, 0.0) if share is None else (1.0, share - self.mean) for share in scores]
        return np.array(rows).reshape(-1, 2)

    def cells(self, scores, row, sequence, *, positive):
        return {} if scores[row] is None else {"charge": round(scores[row], 3)}

    def describe(self):
        return f"the share of K and R, {self.mean:.1%} on average"

    def to_bytes(self):
        return json.dumps(self.mean).encode()

    @classmethod
    def from_bytes(cls, content, alphabet, classes, where):
        return cls(alphabet, json.loads(content))

    @classmethod
    def from_training(cls, proteins, alphabet, source, where):
        return cls(alphabet, float(np.mean(cls(alphabet, 0.0).score(proteins.tokens))))
