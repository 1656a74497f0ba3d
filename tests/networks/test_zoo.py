"""Names become networks, and wrong names a list of the right ones."""

from dataclasses import replace

import pytest

from tests.conftest import SMALL
from tfclass.config import StemConfig
from tfclass.errors import ConfigError
from tfclass.networks.zoo import build


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "lstn"}, "model.name: found 'lstn'; expected one of bilstm, gru, lstm, none, peephole_lstm, rnn"),
        ({"pooling": "sum"}, "model.pooling: found 'sum'; expected one of attention, last, max, mean"),
        ({"stem": StemConfig(kernel=4)}, "model.stem.kernel: found 4; expected an odd width"),
        (
            {"name": "lstm", "directions": 2},
            "model.directions: found 2 with model.name=lstm; expected 1; choose another model.name, or leave "
            "model.directions out",
        ),
        (
            {"name": "gru", "forget_bias": 1.0},
            "model.forget_bias: found 1.0 with model.name=gru; expected null: it has no forget gate",
        ),
        (
            {"name": "none", "layer_norm": True},
            "model.layer_norm: found true with model.name=none; expected false: it has no recurrent layer",
        ),
        (
            {"name": "lstm", "peephole": "full"},
            "model.peephole: found full with model.name=lstm; expected diagonal: only peephole_lstm has peepholes",
        ),
        (
            {"residual": True},
            "model.residual: found true with model.layers=1; expected at least two layers: it acts between them",
        ),
        (
            {"embedding": "blosum"},
            "model.embedding: found 'blosum'; expected one of blosum62, learned, one_hot, physicochemical, skipgram",
        ),
        (
            {"embedding": "one_hot", "word": 3},
            "model.word: found 3 with model.embedding=one_hot; expected 1: only embeddings learned and skipgram know "
            "words",
        ),
        (
            {"pooling": "mean", "attention_hidden": 0},
            "model.attention_hidden: found 0 with model.pooling=mean; expected null: it has no attention",
        ),
        (
            {"families": ("zinc", "")},
            "model.families: found 'zinc', ''; expected two names or more, no two alike, or none at all",
        ),
        (
            {"families": ("a", "a")},
            "model.families: found 'a', 'a'; expected two names or more, no two alike, or none at all",
        ),
        ({"families": ("a",)}, "model.families: found 'a'; expected two names or more, no two alike, or none at all"),
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
def test_what_cannot_be_built_names_the_key_and_what_is_allowed(change, message, vocabulary):
    with pytest.raises(ConfigError) as raised:
        build(replace(SMALL, **change), vocabulary, 2)
    assert str(raised.value) == message


def test_padding_embeds_as_zero(vocabulary):
    assert (build(SMALL, vocabulary, 2).embedding.weight[0] == 0).all()
