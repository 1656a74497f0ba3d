"""Starting from another network: what fits is copied, the rest is left as it was drawn."""

from dataclasses import replace

import pytest
import torch

from tests.conftest import SMALL
from tfclass.bundle.bundle import load_bundle
from tfclass.bundle.save import save_bundle
from tfclass.errors import BundleError, ConfigError
from tfclass.models.factory import build
from tfclass.sequences.alphabet import Alphabet
from tfclass.training.init_from import load_matching_weights


def fresh(config, alphabet, n_classes=2):
    torch.manual_seed(7)
    return build(config, alphabet, n_classes)


def test_weights_of_the_same_name_and_shape_are_copied_and_the_rest_stays(small_bundle_folder, alphabet, caplog):
    config = replace(SMALL, families=("a", "b"), domains=True, attention_hidden=0)
    model = fresh(config, alphabet, n_classes=3)
    with caplog.at_level("INFO", "tfclass"):
        start = load_matching_weights(str(small_bundle_folder), model, alphabet)
    bundle = load_bundle(small_bundle_folder)
    given, before = bundle.model.state_dict(), fresh(config, alphabet, n_classes=3).state_dict()
    other = {"head.weight", "head.bias", "pooling.score.weight"}
    other |= {"family_head.weight", "family_head.bias", "domain_head.weight", "domain_head.bias"}
    assert set(start.fresh) == other
    assert set(start.copied) == model.state_dict().keys() - other
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, before[name] if name in other else given[name]), name
    assert start.digest == bundle.digest
    assert f"{small_bundle_folder}: {len(start.copied)} weights copied, {len(other)} start fresh" in caplog.text


def test_init_from_the_same_network_copies_every_weight(small_bundle_folder, alphabet):
    model = fresh(SMALL, alphabet)
    assert load_matching_weights(str(small_bundle_folder), model, alphabet).fresh == ()
    given = load_bundle(small_bundle_folder).model.state_dict()
    assert all(torch.equal(weight, given[name]) for name, weight in model.state_dict().items())


def test_init_from_a_missing_bundle_is_refused(alphabet):
    with pytest.raises(BundleError, match="nowhere: found no such model; expected a folder with a bundle"):
        load_matching_weights("nowhere", fresh(SMALL, alphabet), alphabet)


def test_init_from_a_network_without_matching_weights_is_refused(small_bundle, tmp_path, alphabet):
    # Both have the table of BLOSUM62, which is not learned.
    config = replace(SMALL, embedding="blosum62")
    folder = tmp_path / "b"
    save_bundle(replace(small_bundle, model=fresh(config, alphabet), config=config), folder, card="")
    model = fresh(replace(config, embedding_dim=9, hidden=7, stem=replace(SMALL.stem, channels=3)), alphabet, 3)
    with pytest.raises(ConfigError) as raised:
        load_matching_weights(str(folder), model, alphabet)
    assert str(raised.value) == (
        f"training.init_from: found a model that shares no weight with this one ({folder}); "
        "expected one with parts of the same names and shapes"
    )


def test_init_from_a_network_of_another_alphabet_is_refused(small_bundle, tmp_path, alphabet):
    other = Alphabet("ACDEFGHIKLMNPQRSTVWYXBJOUZ")
    save_bundle(replace(small_bundle, letters=other.letters), tmp_path / "b", card="")
    with pytest.raises(ConfigError) as raised:
        load_matching_weights(str(tmp_path / "b"), fresh(SMALL, alphabet), alphabet)
    assert str(raised.value) == (
        f"training.init_from: found a model of the alphabet {other.letters} ({tmp_path / 'b'}); "
        f"expected one of {alphabet.letters}"
    )
