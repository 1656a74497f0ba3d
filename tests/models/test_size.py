"""The size of a network, computed from its configuration, against the network itself."""

from dataclasses import replace

import pytest
import torch

from tfclass.config import ModelConfig, StemConfig
from tfclass.errors import ConfigError
from tfclass.models.factory import EMBEDDINGS, ENCODERS, POOLINGS, build, check_size
from tfclass.sequences.alphabet import Alphabet

ALPHABET = Alphabet()
CONFIGS = {
    **{f"encoder {name}": ModelConfig.default(encoder=name) for name in ENCODERS},
    **{f"embedding {name}": ModelConfig.default(embedding=name) for name in EMBEDDINGS},
    **{f"pooling {name}": ModelConfig.default(pooling=name) for name in POOLINGS},
    **{
        f"stem {name}": ModelConfig.default(stem=StemConfig.default(name=name))
        for name in ("none", "convolution", "stacks")
    },
    **{f"{layers} layers": ModelConfig.default(layers=layers, layer_norm=True) for layers in (2, 3, 4, 7)},
    "3-mers": ModelConfig.default(kmer=3),
    "heads": ModelConfig.default(families=("a", "b", "c"), domains=True, head_hidden=5),
    "peepholes": ModelConfig.default(
        encoder="peephole_lstm", peephole="full", layers=5, forget_bias=1.0, residual=True
    ),
    "dropouts": ModelConfig.default(layers=4, weight_dropout=0.2, variational_dropout=True, forget_bias=1.0),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
@pytest.mark.parametrize("n_classes", [2, 5])
def test_the_size_is_that_of_the_network(config, n_classes):
    state = torch.get_rng_state()
    n_bytes = check_size(config, ALPHABET, n_classes)
    assert torch.equal(torch.get_rng_state(), state)
    network = build(config, ALPHABET, n_classes)
    assert n_bytes == sum(t.numel() * t.element_size() for t in network.state_dict().values())


@pytest.mark.parametrize(
    ("values", "size"),
    [
        ({"hidden": 60_000}, "134.3 GiB"),
        ({"hidden": 10_000_000}, "3.6 PiB"),
        ({"embedding_dim": 2_000_000_000}, "10.4 TiB"),
        ({"layers": 1_000}, "1.5 GiB"),
        ({"embedding_dim": 400, "kmer": 4}, "814.2 MiB"),
        ({"embedding_dim": 2**31 - 1, "stem": StemConfig.default(channels=2**31 - 1)}, "1024 PiB or more"),
    ],
)
def test_a_network_too_large_for_memory_is_refused_before_it_is_built(values, size):
    with pytest.raises(ConfigError) as caught:
        build(replace(ModelConfig.default(), **values), ALPHABET, 2)
    expected = "expected at most 512.0 MiB; choose smaller widths or fewer layers"
    assert str(caught.value) == f"model: found a network of {size}; {expected}"
