"""Names become networks, and wrong names a list of the right ones."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from tests.conftest import SMALL
from tfclass.config import StemConfig
from tfclass.errors import ConfigError
from tfclass.models.encoders import VariationalDropout, WeightDropout
from tfclass.models.factory import build
from tfclass.models.front import blosum62, one_hot, physicochemical
from tfclass.models.lstm import LSTM
from tfclass.models.network import LastPooling, MaxPooling, MeanPooling
from tfclass.sequences.alphabet import Alphabet


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"encoder": "lstn"},
            "model.encoder: found 'lstn'; expected one of bilstm, gru, identity, lstm, peephole_lstm, rnn",
        ),
        ({"pooling": "sum"}, "model.pooling: found 'sum'; expected one of attention, last, max, mean"),
        ({"stem": StemConfig.default(kernel=4)}, "model.stem.kernel: found 4; expected an odd width"),
        (
            {"encoder": "lstm", "directions": 2},
            "model.directions: found 2 with model.encoder=lstm; expected null: its name says 1",
        ),
        (
            {"encoder": "gru", "forget_bias": 1.0},
            "model.forget_bias: found 1.0 with model.encoder=gru; expected null: only LSTMs have a forget gate",
        ),
        (
            {"encoder": "identity", "layer_norm": True},
            "model.layer_norm: found true with model.encoder=identity; expected false: it has no recurrent layer",
        ),
        (
            {"encoder": "lstm", "peephole": "full"},
            'model.peephole: found "full" with model.encoder=lstm; expected "diagonal": only peephole_lstm has '
            "peepholes",
        ),
        (
            {"residual": True},
            "model.residual: found true with model.layers=1; expected false: it needs at least two layers",
        ),
        (
            {"embedding": "blosum"},
            "model.embedding: found 'blosum'; expected one of blosum62, learned, one_hot, physicochemical, skipgram",
        ),
        (
            {"embedding": "one_hot", "kmer": 3},
            "model.kmer: found 3 with model.embedding=one_hot; expected 1: only learned and skipgram have k-mers",
        ),
        (
            {"pooling": "mean", "attention_hidden": 0},
            "model.attention_hidden: found 0 with model.pooling=mean; expected null: it has no attention",
        ),
        (
            {"families": ("zinc", "")},
            "model.families: found 'zinc', ''; expected two different names or more, or none at all",
        ),
        (
            {"families": ("a", "a")},
            "model.families: found 'a', 'a'; expected two different names or more, or none at all",
        ),
        ({"families": ("a",)}, "model.families: found 'a'; expected two different names or more, or none at all"),
    ],
    ids=["unknown network", "unknown pooling", "even kernel", "two directions of one", "forget bias of none"]
    + ["an option of no layer", "peepholes of none"]
    + [
        "a residual of one layer",
        "unknown embedding",
        "words of letters",
        "attention of a mean",
        "a family without a name",
        "a family twice",
        "a single family",
    ],
)
def test_an_invalid_option_is_refused_with_its_key_and_the_allowed_values(change, message, alphabet):
    with pytest.raises(ConfigError) as raised:
        build(replace(SMALL, **change), alphabet, 2)
    assert str(raised.value) == message


def test_padding_embeds_as_zero(alphabet):
    assert (build(SMALL, alphabet, 2).embedding.weight[0] == 0).all()


def modules(network, kind):
    return [module for module in network.modules() if isinstance(module, kind)]


def n_modules(network, kind):
    return len(modules(network, kind))


def of_type(found, kind):
    return [module for module in found if type(module) is kind]


def embeds_by(network, properties):
    table_VP, expected_VP = network.embedding.properties_VP, properties(Alphabet())
    return table_VP.shape == expected_VP.shape and torch.equal(table_VP, expected_VP)


def forget_bias(layer):
    rows = slice(layer.hidden_size, 2 * layer.hidden_size)
    return (layer.bias_ih_l0[rows] + layer.bias_hh_l0[rows]).tolist()


@pytest.mark.parametrize(
    ("change", "is_built"),
    [
        ({"encoder": "bilstm"}, lambda net: n_modules(net, nn.LSTM) == 2 and net.encoder.out_features == 12),
        ({"encoder": "lstm"}, lambda net: n_modules(net, nn.LSTM) == 1 and net.encoder.out_features == 6),
        ({"encoder": "gru"}, lambda net: n_modules(net, nn.GRU) == 2 and n_modules(net, nn.RNN) == 0),
        ({"encoder": "rnn"}, lambda net: n_modules(net, nn.RNN) == 2 and n_modules(net, nn.GRU) == 0),
        ({"encoder": "rnn", "directions": 1}, lambda net: n_modules(net, nn.RNN) == 1),
        ({"encoder": "identity"}, lambda net: n_modules(net, nn.RNNBase) == 0 and net.encoder.out_features == 12),
        ({"encoder": "peephole_lstm"}, lambda net: [m.weight_c.shape for m in modules(net, LSTM)] == [(3, 6)] * 2),
        (
            {"encoder": "peephole_lstm", "peephole": "full"},
            lambda net: [m.weight_c.shape for m in modules(net, LSTM)] == [(3, 6, 6)] * 2,
        ),
        ({"hidden": 9}, lambda net: [m.hidden_size for m in modules(net, nn.LSTM)] == [9, 9]),
        ({"layers": 3}, lambda net: n_modules(net, nn.LSTM) == 6 and not net.encoder.residual),
        ({"layers": 2, "residual": True}, lambda net: net.encoder.residual),
        (
            {"layers": 2, "dropout": 0.4},
            lambda net: [(type(m), m.p) for m in net.encoder.inter_layer] == [(nn.Dropout, 0.4)],
        ),
        (
            {"layers": 2, "dropout": 0.4, "variational_dropout": True},
            lambda net: of_type(net.encoder.inter_layer, VariationalDropout)[0].p == 0.4,
        ),
        (
            {"layers": 2, "layer_norm": True},
            lambda net: [m.normalized_shape for m in net.encoder.post_layer] == [(12,)] * 2,
        ),
        ({"weight_dropout": 0.3}, lambda net: [m.p for m in modules(net, WeightDropout)] == [0.3, 0.3]),
        ({"weight_dropout": 0.0}, lambda net: not modules(net, WeightDropout)),
        (
            {"forget_bias": 1.5},
            lambda net: [forget_bias(m) for m in modules(net, nn.LSTM)] == [pytest.approx([1.5] * 6)] * 2,
        ),
        ({"head_hidden": 7}, lambda net: net.hidden[0].out_features == net.head.in_features == 7),
        ({"head_hidden": 0}, lambda net: len(net.hidden) == 0 and net.head.in_features == 12),
        ({"families": ("a", "b", "c")}, lambda net: net.family_head.out_features == 3 and net.domain_head is None),
        ({"domains": True}, lambda net: net.domain_head.out_features == 1 and net.family_head is None),
        ({"pooling": "mean"}, lambda net: isinstance(net.pooling, MeanPooling)),
        ({"pooling": "max"}, lambda net: isinstance(net.pooling, MaxPooling)),
        ({"pooling": "last"}, lambda net: isinstance(net.pooling, LastPooling)),
        (
            {"stem": StemConfig.default(channels=5, kernel=9, pool=4)},
            lambda net: (net.stem.convolution.weight.shape, net.stem.pool) == ((5, 8, 9), 4),
        ),
        ({"embedding_dim": 3, "kmer": 2}, lambda net: net.embedding.weight.shape == (27**2, 3)),
        ({"embedding": "one_hot"}, lambda net: embeds_by(net, one_hot)),
        ({"embedding": "blosum62"}, lambda net: embeds_by(net, blosum62)),
        (
            {"embedding": "physicochemical"},
            lambda net: embeds_by(net, physicochemical),
        ),
    ],
    ids=lambda value: " ".join(map(str, value.items())) if isinstance(value, dict) else "",
)
def test_every_option_reaches_the_part_that_it_is_of(change, is_built, alphabet):
    assert is_built(build(replace(SMALL, **change), alphabet, 2))


STACKS = {"encoder": "identity", "stem": StemConfig.default(name="stacks", stacks=((3,),), channels=6, pool=2)}


@pytest.mark.parametrize(
    ("change", "acts"),
    [
        ({"dropout": 0.5}, True),
        ({"dropout": 0.0}, False),
        ({"dropout": 0.0, "layers": 2, "weight_dropout": 0.5}, True),
        (
            {
                "encoder": "identity",
                "stem": StemConfig.default(name="stacks", stacks=((3,),), channels=6, pool=2),
                "dropout": 0.5,
            },
            True,
        ),
        (
            {
                "encoder": "identity",
                "stem": StemConfig.default(name="stacks", stacks=((3,),), channels=6, pool=2),
                "dropout": 0.0,
            },
            False,
        ),
    ],
    ids=["dropout", "none", "of weights", "in stacks", "none in stacks"],
)
def test_dropout_acts_in_training_alone(change, acts, alphabet):
    torch.manual_seed(0)
    network = build(replace(SMALL, **change), alphabet, 2)
    tokens_BL, lengths_B = torch.randint(1, 27, (4, 30)), torch.full((4,), 30)
    assert torch.equal(network(tokens_BL, lengths_B), network(tokens_BL, lengths_B)) != acts
    network.eval()
    assert torch.equal(network(tokens_BL, lengths_B), network(tokens_BL, lengths_B))


def test_the_stacks_of_a_stem_drop_features_of_their_own(alphabet):
    torch.manual_seed(0)
    stem = build(replace(SMALL, dropout=0.5, **STACKS), alphabet, 2).stem
    x_BLE, lengths_B = torch.randn(4, 30, 8), torch.full((4,), 30)
    assert not torch.equal(stem(x_BLE, lengths_B)[0], stem(x_BLE, lengths_B)[0])
