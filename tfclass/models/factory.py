"""Names to networks. A new encoder or pooling is one class and one line here."""

import json
from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from torch import nn

from tfclass.config import ModelConfig
from tfclass.errors import ConfigError
from tfclass.limits import MAX_WEIGHTS_BYTES, in_words
from tfclass.models.embeddings import FixedEmbedding, KmerEmbedding, blosum62, one_hot, physicochemical
from tfclass.models.encoders import NoEncoder, Recurrent
from tfclass.models.lstm import LSTM
from tfclass.models.network import Classifier
from tfclass.models.pooling import AttentionPooling, LastPooling, MaxPooling, MeanPooling
from tfclass.models.regularisation import VariationalDropout, WeightDropout, set_forget_bias
from tfclass.models.size import weight_bytes
from tfclass.models.stacks import StackStem
from tfclass.models.stems import ConvolutionStem, NoStem
from tfclass.sequences.alphabet import Alphabet

_Layer = Callable[[int, int], nn.Module]
# What is about recurrent layers; `hidden` has no value that would mean none.
_RECURRENT = ("layers", "directions", "forget_bias", "residual", "layer_norm", "variational_dropout", "weight_dropout")


def _torch_lstm(width: int, hidden: int) -> nn.Module:
    return nn.LSTM(width, hidden, batch_first=True)


def _recurrent(layer: _Layer, directions: int | None = None) -> Callable[[int, ModelConfig], Recurrent]:
    """Make the builder of a recurrent encoder; `directions` is what its name promises, where it does."""

    def build_encoder(in_features: int, config: ModelConfig) -> Recurrent:
        if directions and config.directions not in (None, directions):
            action = "choose another model.encoder, or leave model.directions out"
            found = f"{config.directions} with model.encoder={config.encoder}"
            raise ConfigError("model.directions", found, str(directions), action, key="model.directions")
        for option in ("residual", "variational_dropout"):
            if getattr(config, option) and config.layers < 2:
                key, found = f"model.{option}", f"true with model.layers={config.layers}"
                raise ConfigError(key, found, "at least two layers: it acts between them", key=key)
        return Recurrent(
            lambda width, hidden: _regularised(layer(width, hidden), config),
            in_features,
            config.hidden,
            layers=config.layers,
            directions=directions or config.directions or 2,
            after=nn.LayerNorm if config.layer_norm else None,
            between=lambda _: (VariationalDropout if config.variational_dropout else nn.Dropout)(config.dropout),
            residual=config.residual,
        )

    return build_encoder


def _regularised(layer: nn.Module, config: ModelConfig) -> nn.Module:
    if config.forget_bias is not None:
        if not isinstance(layer, nn.LSTM | LSTM):
            found = f"{config.forget_bias} with model.encoder={config.encoder}"
            raise ConfigError("model.forget_bias", found, "null: it has no forget gate", key="model.forget_bias")
        set_forget_bias(layer, config.forget_bias)
    return WeightDropout(layer, config.weight_dropout) if config.weight_dropout else layer


def _no_encoder(in_features: int, config: ModelConfig) -> NoEncoder:
    usual = ModelConfig()
    for option in _RECURRENT:
        given, left_out = getattr(config, option), getattr(usual, option)
        if given != left_out:
            key, found = f"model.{option}", f"{json.dumps(given)} with model.encoder={config.encoder}"
            raise ConfigError(key, found, f"{json.dumps(left_out)}: it has no recurrent layer", key=key)
    return NoEncoder(in_features)


def _peephole(in_features: int, config: ModelConfig) -> Recurrent:
    return _recurrent(lambda width, hidden: LSTM(width, hidden, config.peephole))(in_features, config)


def _kmers(config: ModelConfig, alphabet: Alphabet) -> KmerEmbedding:
    return KmerEmbedding(alphabet, config.embedding_dim, config.kmer)


def _fixed(
    properties: Callable[[Alphabet], torch.Tensor],
) -> Callable[[ModelConfig, Alphabet], FixedEmbedding]:
    def build_embedding(config: ModelConfig, alphabet: Alphabet) -> FixedEmbedding:
        # Small tables of known values: computed on the CPU also where only the shapes of the network are asked for.
        with torch.device("cpu"):
            properties_VP = properties(alphabet)
        return FixedEmbedding(properties_VP, config.embedding_dim)

    return build_embedding


EMBEDDINGS: dict[str, Callable[[ModelConfig, Alphabet], KmerEmbedding | FixedEmbedding]] = {
    "learned": _kmers,
    # The same network; its first vectors are not drawn at random (`tfclass.training.skipgram`).
    "skipgram": _kmers,
    "one_hot": _fixed(one_hot),
    "blosum62": _fixed(blosum62),
    "physicochemical": _fixed(physicochemical),
}
ENCODERS: dict[str, Callable[[int, ModelConfig], NoEncoder | Recurrent]] = {
    "identity": _no_encoder,
    "bilstm": _recurrent(_torch_lstm, directions=2),
    "lstm": _recurrent(_torch_lstm, directions=1),
    "peephole_lstm": _peephole,
    "gru": _recurrent(lambda width, hidden: nn.GRU(width, hidden, batch_first=True)),
    "rnn": _recurrent(lambda width, hidden: nn.RNN(width, hidden, batch_first=True)),
}
POOLINGS = {"attention": AttentionPooling, "last": LastPooling, "max": MaxPooling, "mean": MeanPooling}

T = TypeVar("T")


def build(config: ModelConfig, alphabet: Alphabet, n_classes: int) -> Classifier:
    """Make a network with fresh weights.

    Parameters
    ----------
    alphabet : Alphabet
        V, padding included.
    n_classes : int
        C, at least 2.

    Returns
    -------
    Classifier
        In training mode, on the CPU; weights drawn from torch's global generator.

    Raises
    ------
    ConfigError
        An unknown name (the known ones are listed), options that do not fit together, or a network of more than
        `MAX_WEIGHTS_BYTES`.
    """
    check_size(config, alphabet, n_classes)
    return _make(config, alphabet, n_classes)


def check_size(config: ModelConfig, alphabet: Alphabet, n_classes: int) -> int:
    """Return the bytes that the weights of a network take, without allocating them.

    Raises
    ------
    ConfigError
        As `build`.
    """
    n_bytes = weight_bytes(lambda smaller: _make(smaller, alphabet, n_classes), config)
    if n_bytes > MAX_WEIGHTS_BYTES:
        expected = f"at most {in_words(MAX_WEIGHTS_BYTES)}"
        action = "choose smaller widths or fewer layers"
        raise ConfigError("model", f"a network of {in_words(n_bytes)}", expected, action, key="model")
    return int(n_bytes)


def _make(config: ModelConfig, alphabet: Alphabet, n_classes: int) -> Classifier:
    make_encoder = _known(ENCODERS, config.encoder, "model.encoder")
    if config.kmer > 1 and EMBEDDINGS.get(config.embedding, _kmers) is not _kmers:
        found = f"{config.kmer} with model.embedding={config.embedding}"
        expected = "1: only embeddings learned and skipgram have k-mers"
        raise ConfigError("model.kmer", found, expected, key="model.kmer")
    if config.peephole != ModelConfig().peephole and config.encoder != "peephole_lstm":
        key, found = "model.peephole", f"{config.peephole} with model.encoder={config.encoder}"
        raise ConfigError(key, found, f"{ModelConfig().peephole}: only peephole_lstm has peepholes", key=key)
    embedding = _known(EMBEDDINGS, config.embedding, "model.embedding")(config, alphabet)
    stem = _stem(config)
    encoder = make_encoder(stem.out_features, config)
    pooling = _pooling(encoder, config)
    return Classifier(
        embedding,
        stem,
        encoder,
        pooling,
        n_classes,
        config.dropout,
        config.head_hidden,
        n_families=_n_families(config),
        domains=config.domains,
    )


def _n_families(config: ModelConfig) -> int:
    names = config.families
    if "" in names or len(set(names)) < len(names) or len(names) == 1:
        expected = "two names or more, no two alike, or none at all"
        raise ConfigError("model.families", ", ".join(map(repr, names)), expected, key="model.families")
    return len(names)


def _pooling(encoder: NoEncoder | Recurrent, config: ModelConfig) -> nn.Module:
    kind = _known(POOLINGS, config.pooling, "model.pooling")
    if config.attention_hidden is None:
        return kind(encoder.out_features, encoder.directions)
    if kind is not AttentionPooling:
        key, found = "model.attention_hidden", f"{config.attention_hidden} with model.pooling={config.pooling}"
        raise ConfigError(key, found, "null: it has no attention", key=key)
    return AttentionPooling(encoder.out_features, encoder.directions, config.attention_hidden)


def _stem(config: ModelConfig) -> NoStem | ConvolutionStem | StackStem:
    stem = config.stem
    if stem.name == "none":
        return NoStem(config.embedding_dim)
    if stem.name == "stacks":
        return StackStem(config.embedding_dim, stem.stacks, stem.channels, stem.pool, config.dropout)
    if stem.kernel % 2 == 0:
        raise ConfigError("model.stem.kernel", str(stem.kernel), "an odd width", key="model.stem.kernel")
    return ConvolutionStem(config.embedding_dim, stem.channels, stem.kernel, stem.pool)


def _known(kinds: Mapping[str, T], name: str, key: str) -> T:
    if name not in kinds:
        raise ConfigError(key, repr(name), "one of " + ", ".join(sorted(kinds)), key=key, value=name)
    return kinds[name]
