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
        ({"name": "lstn"}, "model.name: found 'lstn'; expected one of bilstm"),
        ({"pooling": "sum"}, "model.pooling: found 'sum'; expected one of attention, last, max, mean"),
        ({"stem": StemConfig(kernel=4)}, "model.stem.kernel: found 4; expected an odd width"),
    ],
    ids=["unknown network", "unknown pooling", "even kernel"],
)
def test_what_cannot_be_built_names_the_key_and_what_is_allowed(change, message, vocabulary):
    with pytest.raises(ConfigError) as raised:
        build(replace(SMALL, **change), vocabulary, 2)
    assert str(raised.value) == message


def test_padding_embeds_as_zero(vocabulary):
    assert (build(SMALL, vocabulary, 2).embedding.weight[0] == 0).all()
