"""Names to networks. A new encoder or pooling is one class and one line here."""

from torch import nn

from tfclass.config import ModelConfig
from tfclass.errors import ConfigError
from tfclass.networks.classifier import Classifier
from tfclass.networks.encoders import BiLSTM
from tfclass.networks.pooling import AttentionPooling, LastPooling, MaxPooling, MeanPooling
from tfclass.networks.stems import ConvolutionStem, NoStem
from tfclass.sequence.vocabulary import PAD, Vocabulary

ENCODERS = {"bilstm": BiLSTM}
POOLINGS = {"attention": AttentionPooling, "last": LastPooling, "max": MaxPooling, "mean": MeanPooling}


def build(config: ModelConfig, vocabulary: Vocabulary, n_classes: int) -> Classifier:
    """Make a network with fresh weights.

    Parameters
    ----------
    config : ModelConfig
    vocabulary : Vocabulary
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
        An unknown name (the known ones are listed), or an even kernel.
    """
    encoder_kind = _known(ENCODERS, config.name, "model.name")
    pooling_kind = _known(POOLINGS, config.pooling, "model.pooling")
    embedding = nn.Embedding(vocabulary.size, config.embedding_dim, padding_idx=PAD)
    stem = _stem(config)
    encoder = encoder_kind(stem.out_features, config.hidden, config.layers, config.dropout)
    pooling = pooling_kind(encoder.out_features, encoder.directions)
    return Classifier(embedding, stem, encoder, pooling, n_classes, config.dropout)


def _stem(config: ModelConfig) -> NoStem | ConvolutionStem:
    stem = config.stem
    if stem.name == "none":
        return NoStem(config.embedding_dim)
    if stem.kernel % 2 == 0:
        raise ConfigError("model.stem.kernel", str(stem.kernel), "an odd width", key="model.stem.kernel")
    return ConvolutionStem(config.embedding_dim, stem.channels, stem.kernel, stem.pool)


def _known(kinds: dict[str, type], name: str, key: str) -> type:
    if name not in kinds:
        raise ConfigError(key, repr(name), "one of " + ", ".join(sorted(kinds)), key=key, value=name)
    return kinds[name]
