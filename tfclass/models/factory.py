"""Build a network from its configuration. A new recurrent network, embedding or pooling is one class and one line."""

import json
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from tfclass.config import ModelConfig, file_values, from_mapping, to_mapping
from tfclass.errors import ConfigError
from tfclass.limits import MAX_WEIGHTS_BYTES, in_words
from tfclass.models.encoders import IdentityEncoder, Recurrent, VariationalDropout, WeightDropout, set_forget_bias
from tfclass.models.front import (
    ConvolutionStem,
    FixedEmbedding,
    KmerEmbedding,
    NoStem,
    blosum62,
    one_hot,
    physicochemical,
)
from tfclass.models.network import AttentionPooling, Classifier, LastPooling, MaxPooling, MeanPooling
from tfclass.sequences.alphabet import Alphabet

if TYPE_CHECKING:
    from tfclass.models.stacks import StackStem

# Tables of the known properties of residues; None: learned. The vectors of `skipgram` are not drawn at random
# (`tfclass.training.skipgram`).
EMBEDDINGS: dict[str, Callable[[Alphabet], torch.Tensor] | None] = {
    "learned": None,
    "skipgram": None,
    "one_hot": one_hot,
    "blosum62": blosum62,
    "physicochemical": physicochemical,
}


def _peephole_lstm(width: int, config: ModelConfig) -> nn.Module:
    # Few models have it.
    from tfclass.models.lstm import LSTM

    return LSTM(width, config.hidden, config.peephole)


# One direction of one layer, from its input width; None: no encoder.
ENCODERS: dict[str, Callable[[int, ModelConfig], nn.Module] | None] = {
    "identity": None,
    "bilstm": lambda width, config: nn.LSTM(width, config.hidden, batch_first=True),
    "lstm": lambda width, config: nn.LSTM(width, config.hidden, batch_first=True),
    "peephole_lstm": _peephole_lstm,
    "gru": lambda width, config: nn.GRU(width, config.hidden, batch_first=True),
    "rnn": lambda width, config: nn.RNN(width, config.hidden, batch_first=True),
}
# Where the name of an encoder says it; else `model.directions` does.
DIRECTIONS = {"identity": 0, "bilstm": 2, "lstm": 1}
POOLINGS = {"attention": AttentionPooling, "last": LastPooling, "max": MaxPooling, "mean": MeanPooling}

# From here on all layers have the same shapes.
_FEW_LAYERS = 3
_RECURRENT = ("layers", "directions", "forget_bias", "residual", "layer_norm", "variational_dropout", "weight_dropout")


def network_config(name: str) -> ModelConfig:
    """Read the options of a network, a file of ``conf/model`` without its ending; `ConfigError` for any other name."""
    paths = (files("tfclass.conf") / "model").iterdir()
    known = sorted(path.name.removesuffix(".yaml") for path in paths if path.name.endswith(".yaml"))
    if name not in known:
        raise ConfigError(f"network: found {name!r}; expected one of {', '.join(known)}")
    values = to_mapping(ModelConfig.default())
    # Every file builds on that of the defaults.
    for key, value in file_values(f"model/{name}").items():
        if key != "defaults":
            values[key] = values[key] | value if isinstance(value, dict) else value
    return from_mapping(ModelConfig, values, "model")


def build(config: ModelConfig, alphabet: Alphabet, n_classes: int) -> Classifier:
    """Build a network with fresh weights.

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
    return _build(config, alphabet, n_classes)


def check_size(config: ModelConfig, alphabet: Alphabet, n_classes: int) -> int:
    """Return the bytes of the weights of a network, without allocating them.

    Raises
    ------
    ConfigError
        As `build`.
    """
    _check_options(config)
    n_bytes = _weight_bytes(lambda smaller: _build(smaller, alphabet, n_classes), config)
    if n_bytes > MAX_WEIGHTS_BYTES:
        raise ConfigError(
            f"model: found a network of {in_words(n_bytes)}; expected at most {in_words(MAX_WEIGHTS_BYTES)}; "
            "choose smaller widths or fewer layers"
        )
    return int(n_bytes)


def _check_options(config: ModelConfig) -> None:
    encoder, directions = config.encoder, DIRECTIONS.get(config.encoder, config.directions)
    for key, known in (("encoder", ENCODERS), ("embedding", EMBEDDINGS), ("pooling", POOLINGS)):
        if getattr(config, key) not in known:
            names = ", ".join(sorted(known))
            raise ConfigError(f"model.{key}: found {getattr(config, key)!r}; expected one of {names}")
    # An option that may not be changed, unless the condition holds; the option that forbids it; what is expected.
    rules = [
        *((option, encoder != "identity", "encoder", "it has no recurrent layer") for option in _RECURRENT),
        ("directions", config.directions == directions, "encoder", f"its name says {directions}"),
        ("residual", config.layers > 1, "layers", "it needs at least two layers"),
        ("variational_dropout", config.layers > 1, "layers", "it needs at least two layers"),
        ("forget_bias", encoder.endswith("lstm"), "encoder", "only LSTMs have a forget gate"),
        ("peephole", encoder == "peephole_lstm", "encoder", "only peephole_lstm has peepholes"),
        ("kmer", EMBEDDINGS[config.embedding] is None, "embedding", "only learned and skipgram have k-mers"),
        ("attention_hidden", config.pooling == "attention", "pooling", "it has no attention"),
    ]
    usual = ModelConfig.default()
    for option, allowed, other, reason in rules:
        found, default = getattr(config, option), getattr(usual, option)
        if not allowed and found != default:
            raise ConfigError(
                f"model.{option}: found {json.dumps(found)} with model.{other}={getattr(config, other)}; "
                f"expected {json.dumps(default)}: {reason}"
            )
    if config.stem.name == "convolution" and config.stem.kernel % 2 == 0:
        raise ConfigError(f"model.stem.kernel: found {config.stem.kernel}; expected an odd width")
    families = config.families
    if "" in families or len(set(families)) < len(families) or len(families) == 1:
        found = ", ".join(map(repr, families))
        raise ConfigError(f"model.families: found {found}; expected two different names or more, or none at all")


def _build(config: ModelConfig, alphabet: Alphabet, n_classes: int) -> Classifier:
    embedding = _embedding(config, alphabet)
    stem = _stem(config)
    encoder = build_encoder(stem.out_features, config)
    # Only `attention` may have the option; see `_check_options`.
    options = {} if config.attention_hidden is None else {"hidden": config.attention_hidden}
    pooling = POOLINGS[config.pooling](encoder.out_features, encoder.directions, **options)
    return Classifier(
        embedding,
        stem,
        encoder,
        pooling,
        n_classes,
        config.dropout,
        config.head_hidden,
        n_families=len(config.families),
        domains=config.domains,
    )


def _embedding(config: ModelConfig, alphabet: Alphabet) -> KmerEmbedding | FixedEmbedding:
    properties = EMBEDDINGS[config.embedding]
    if properties is None:
        return KmerEmbedding(alphabet, config.embedding_dim, config.kmer)
    # A small table of known values: computed on the CPU also where only shapes are asked for.
    with torch.device("cpu"):
        properties_VP = properties(alphabet)
    return FixedEmbedding(properties_VP, config.embedding_dim)


def _stem(config: ModelConfig) -> "NoStem | ConvolutionStem | StackStem":
    stem = config.stem
    if stem.name == "none":
        return NoStem(config.embedding_dim)
    if stem.name == "stacks":
        from tfclass.models.stacks import StackStem

        return StackStem(config.embedding_dim, stem.stacks, stem.channels, stem.pool, config.dropout)
    return ConvolutionStem(config.embedding_dim, stem.channels, stem.kernel, stem.pool)


def build_encoder(in_features: int, config: ModelConfig) -> IdentityEncoder | Recurrent:
    """Build the encoder of a network, without checking the options."""
    make_layer = ENCODERS[config.encoder]
    if make_layer is None:
        return IdentityEncoder(in_features)

    def regularised_layer(width: int, _: int) -> nn.Module:
        layer = make_layer(width, config)
        if config.forget_bias is not None:
            set_forget_bias(layer, config.forget_bias)  # type: ignore[arg-type]
        return WeightDropout(layer, config.weight_dropout) if config.weight_dropout else layer

    return Recurrent(
        regularised_layer,
        in_features,
        config.hidden,
        layers=config.layers,
        directions=DIRECTIONS.get(config.encoder, config.directions or 2),
        post_layer=nn.LayerNorm if config.layer_norm else nn.Identity,
        inter_layer=lambda _: (VariationalDropout if config.variational_dropout else nn.Dropout)(config.dropout),
        residual=config.residual,
    )


def _weight_bytes(make: Callable[[ModelConfig], nn.Module], config: ModelConfig) -> float:
    """Compute the bytes of the weights and buffers of the network that `make` builds.

    It is built on torch's device ``meta``, which knows shapes but holds no values, with few layers: every layer beyond
    the second adds as much as the third one does.

    Returns
    -------
    float
        Infinite if a single tensor has more elements than fit into 64 bits.
    """
    few = min(config.layers, _FEW_LAYERS)
    try:
        n_bytes = _on_meta(make, replace(config, layers=few))
        if config.layers > few:
            of_one_layer = n_bytes - _on_meta(make, replace(config, layers=few - 1))
            n_bytes += (config.layers - few) * of_one_layer
    except (RuntimeError, OverflowError, TypeError):
        # Torch's refusal of dimensions beyond 64 bits; on this device only shapes can fail.
        return float("inf")
    return float(n_bytes)


def _on_meta(make: Callable[[ModelConfig], nn.Module], config: ModelConfig) -> int:
    with torch.device("meta"), _NoInitialValues():
        tensors = make(config).state_dict().values()
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


class _NoInitialValues(TorchFunctionMode):
    """Skip the random initial values: on ``meta`` there are none, and torch needs a second to find that out."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
        given = kwargs or {}
        if getattr(func, "__module__", "") == nn.init.__name__ or func in (torch.Tensor.uniform_, torch.Tensor.normal_):
            return args[0] if args else given["tensor"]
        return func(*args, **given)
