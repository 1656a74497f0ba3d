"""The parts of an explanation against the modules and programs that they come from."""

import numpy as np
import pyhmmer
import pytest
import torch
from pyhmmer.easel import Alphabet as HmmerAlphabet
from pyhmmer.easel import DigitalSequenceBlock, TextSequence

from tests.conftest import SMALL, bundle_of
from tfclass.bundle.scorer import Scorer
from tfclass.channels.calibration import Calibration
from tfclass.errors import ConfigError
from tfclass.interpretation.explanation import explain
from tfclass.models.factory import build
from tfclass.search.hmmer_alignment import alignments


@pytest.fixture(scope="module")
def tokens(demo_proteins):
    return [demo_proteins.tokens[i] for i in np.flatnonzero(demo_proteins.is_positive)[:12]]


@pytest.mark.parametrize("channel", ["network", "combined", "profile", "homology"])
def test_what_the_channels_add_sums_to_the_log_odds(with_homology, tokens, channel):
    scorer = Scorer(with_homology, channel)
    scored = scorer.score(tokens)
    added = scorer.contributions(scored)
    assert set(added) == set(scorer.channels) | ({"intercept"} if channel != "network" else set())
    probability_N = scored.probability_NC[:, 1]
    np.testing.assert_allclose(sum(added.values()), np.log(probability_N / (1 - probability_N)), atol=1e-9)


def test_each_channel_is_charged_with_its_own_weights(with_profiles, tokens):
    scorer = Scorer(with_profiles)
    scored = scorer.score(tokens)
    stacking, added = with_profiles.stacked["combined"], scorer.contributions(scored)
    log_odds_N = scorer.channels["network"].features(scored.scores["network"])[:, 0]
    features_NK = scorer.channels["profile"].features(scored.scores["profile"])
    expected_N = stacking.weights[0] * log_odds_N + stacking.weights[1] * log_odds_N * features_NK[:, 0]
    np.testing.assert_allclose(added["network"], expected_N)
    best_N = scorer.channels["profile"].group(scored.scores["profile"])
    offset_N = np.append(stacking.offsets, 0.0)[best_N]
    np.testing.assert_allclose(added["profile"], features_NK @ np.array(stacking.weights[2:]) + offset_N)


def test_an_alignment_has_the_lines_that_hmmer_prints(library, tokens, alphabet):
    hmmer = HmmerAlphabet.amino()
    for profile in library.profiles:
        for sequence in tokens:
            text = TextSequence(name=b"a", sequence=alphabet.decode(sequence)).digitize(hmmer)
            (top,) = pyhmmer.hmmsearch([profile.hmm], DigitalSequenceBlock(hmmer, [text]), cpus=1, T=0.0, domT=0.0)
            printed = [str(domain.alignment) for hit in top for domain in hit.domains if domain.score >= 5]
            found = [each for each in alignments(profile.hmm, sequence, alphabet) if each.bits >= 5]
            assert len(found) == len(printed)
            for each in found:
                lines = (each.consensus, each.match, each.residues, each.confidence)
                assert any(all(line.strip() in text for line in lines) for text in printed)
                assert each.residues.replace("-", "").upper() == alphabet.decode(sequence[each.start - 1 : each.end])


def test_an_explanation_has_one_value_for_each_residue(with_profiles, tokens, alphabet):
    scorer = Scorer(with_profiles)
    done = []
    found = explain(scorer, tokens[0], ["mutagenesis", "gradient_x_input"], done.append)
    length = len(tokens[0])
    assert found.residues == alphabet.decode(tokens[0])
    assert found.class_name == "TF"
    assert list(found.attributions) == ["gradient_x_input"]
    assert found.mutations_LA.shape == (length, 20)
    assert found.attention_L.shape == found.domain_L.shape == (length,)
    assert found.attention_L.sum() == pytest.approx(1)
    logit_L = scorer.score(tokens[:1]).scores["network"].domains[0]
    np.testing.assert_allclose(found.domain_L, 1 / (1 + np.exp(-logit_L.astype(float))))
    (layer,) = found.gates
    assert [gates.f.shape for gates in layer] == [(-(-length // found.pool), SMALL.hidden)] * 2
    assert done[-1] == 1
    assert done == sorted(done)


def test_attention_is_shared_by_the_residues_of_a_step(with_profiles, tokens):
    weights = []
    hook = with_profiles.model.pooling.register_forward_pre_hook(
        lambda module, arguments: weights.append(module.weights(*arguments)[0])
    )
    Scorer(with_profiles, "network").score(tokens[:1])
    hook.remove()
    found = explain(Scorer(with_profiles), tokens[0], ["gradient_x_input"])
    pool, length = found.pool, len(tokens[0])
    for step, weight in enumerate(weights[0].tolist()):
        members = found.attention_L[step * pool : min((step + 1) * pool, length)]
        np.testing.assert_allclose(members, weight / len(members), rtol=1e-5)


def test_a_network_without_gates_attention_and_other_heads_is_explained(alphabet, tokens):
    config = SMALL.default(encoder="gru", pooling="max", hidden=6, embedding_dim=8)
    torch.manual_seed(0)
    model = build(config, alphabet, n_classes=3).eval()
    classes = ("none", "activator", "repressor")
    bundle = bundle_of("three", model, config, Calibration(1.0, (0.0, 0.0, 0.0)), classes, None)
    scorer = Scorer(bundle)
    found = explain(scorer, tokens[0], ["occlusion"])
    predicted = int(scorer.score(tokens[:1]).probability_NC[0].argmax())
    assert (found.class_name, found.gates, found.attention_L, found.domain_L) == (classes[predicted], [], None, None)
    probability = scorer.score(tokens[:1]).probability_NC[0, predicted]
    assert found.contributions == {"network": pytest.approx(np.log(probability / (1 - probability)))}


def test_unknown_methods_and_channels_without_a_network_are_refused(with_profiles, tokens):
    with pytest.raises(ConfigError, match="found 'magic'; expected integrated_gradients, "):
        explain(Scorer(with_profiles), tokens[0], ["magic"])
    with pytest.raises(ConfigError, match="channel: found 'profile'; expected one with the network"):
        explain(Scorer(with_profiles, "profile"), tokens[0], ["occlusion"])
