"""Channels of evidence, held against HMMER asked directly and the equation in NumPy."""

import os
import subprocess
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
from scipy.special import softmax
from sklearn.metrics import matthews_corrcoef

from tfclass.bundle.channels import answer, calling_of, channels_of, choose_channel
from tfclass.bundle.evidence import Combiner, features
from tfclass.compression import decompressed
from tfclass.errors import ConfigError

CHANNELS = ("network", "profile", "combined")
probabilities = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 1.0, 0.5, 1e-300, 1 - 1e-16]))
margins = st.one_of(st.floats(-400, 4000), st.just(-np.inf))


@pytest.fixture(scope="module")
def frame(demo_table):
    return pd.read_csv(demo_table, sep="\t", keep_default_na=False).iloc[::7].reset_index(drop=True)


@pytest.fixture(scope="module")
def tokens(frame, vocabulary):
    return [vocabulary.encode(sequence) for sequence in frame["sequence"]]


@pytest.fixture(scope="module")
def hmmer(frame, witnesses_folder):
    """Margin of each protein and the profile it is of, by HMMER on the file in the bundle."""
    with (witnesses_folder / "profiles.h3m.zst").open("rb") as stream:
        content = decompressed(stream).read()
    (path := witnesses_folder.parent / "unpacked.h3m").write_bytes(content)
    alphabet = pyhmmer.easel.Alphabet.amino()
    named = [pyhmmer.easel.TextSequence(name=str(i), sequence=s) for i, s in enumerate(frame["sequence"])]
    margin_N, profile_N = np.full(len(frame), -np.inf), [None] * len(frame)
    with pyhmmer.plan7.HMMFile(path) as hmms:
        for hmm in hmms:
            # A pipeline for each profile, as `hmmsearch` has without threads; the score does not depend on it.
            pipeline = pyhmmer.plan7.Pipeline(alphabet, T=10.0)
            block = pyhmmer.easel.DigitalSequenceBlock(alphabet, [s.digitize(alphabet) for s in named])
            for hit in pipeline.search_hmm(hmm, block):
                margin, row = hit.score - hmm.cutoffs.gathering[0], int(hit.name)
                if margin > margin_N[row]:
                    margin_N[row], profile_N[row] = margin, hmm.name
    return margin_N, profile_N


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


def by_hand(combiner, network_N, margin_N):
    """The equation, protein by protein."""
    stated = []
    for p, m in zip(network_N, margin_N, strict=True):
        h = 0.0 if np.isneginf(m) else 1.0
        u = [min(max((m - low) / (high - low), 0.0), 1.0) for low, high in ((-20, 0), (0, 10), (10, 40))]
        z = 0.0
        if combiner.reading == "combined":
            z = -8.0 if p == 0 else 8.0 if p == 1 else min(max(np.log(p) - np.log1p(-p), -8.0), 8.0)
        terms = [z, z * h, h, *u] if combiner.reading == "combined" else [h, *u]
        log_odds = combiner.intercept + sum(w * term for w, term in zip(combiner.weights, terms, strict=True))
        stated.append(1 / (1 + np.exp(-log_odds)))
    return np.array(stated)


class TestAnswers:
    def test_profiles_alone_answer_as_hmmer_and_the_equation_do_without_the_network(self, witnesses, tokens, hmmer):
        margin_N, profile_N = hmmer
        assert np.isfinite(margin_N).any()
        assert np.isneginf(margin_N).any()
        answers = answer(replace(witnesses, model=None), tokens, "profile")
        expected_N = by_hand(witnesses.combiners["profile"], np.zeros(len(tokens)), margin_N)
        np.testing.assert_allclose(answers.probability_NC[:, 1], expected_N, rtol=1e-4)
        np.testing.assert_allclose(answers.probability_NC.sum(axis=1), 1.0)
        names = [witnesses.profiles.profiles[e.profile].name if e.profile >= 0 else None for e in answers.evidence]
        assert names == profile_N
        np.testing.assert_allclose([e.margin for e in answers.evidence], margin_N, atol=1e-3)
        assert (answers.network_NC, answers.family_NK, answers.domains) == (None, None, None)

    def test_the_network_alone_answers_as_it_does_without_profiles(self, witnesses, tokens):
        answers = answer(witnesses, tokens, "network")
        plain = answer(replace(witnesses, profiles=None, combiners={}), tokens, "network")
        np.testing.assert_array_equal(answers.probability_NC, plain.probability_NC)
        np.testing.assert_array_equal(answers.network_NC, answers.probability_NC)
        assert answers.evidence is None
        expected_NC, family_NK, domains = network(witnesses, tokens)
        np.testing.assert_allclose(answers.probability_NC, expected_NC, atol=1e-5)
        np.testing.assert_allclose(answers.family_NK, family_NK, atol=1e-5)
        for ours, theirs in zip(answers.domains, domains, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-5)

    def test_both_together_answer_as_the_equation_does_of_both(self, witnesses, tokens, hmmer):
        answers = answer(witnesses, tokens, "combined")
        network_NC, family_NK, _ = network(witnesses, tokens)
        expected_N = by_hand(witnesses.combiners["combined"], network_NC[:, 1], hmmer[0])
        np.testing.assert_allclose(answers.probability_NC[:, 1], expected_N, atol=1e-4)
        np.testing.assert_allclose(answers.network_NC, network_NC, atol=1e-5)
        np.testing.assert_allclose(answers.family_NK, family_NK, atol=1e-5)
        assert [e.profile >= 0 for e in answers.evidence] == np.isfinite(hmmer[0]).tolist()

    @pytest.mark.parametrize("channel", CHANNELS)
    def test_no_proteins_give_no_answers(self, witnesses, channel):
        assert answer(witnesses, [], channel).probability_NC.shape == (0, 2)

    @given(st.randoms(), st.integers(1, 30))
    @settings(deadline=None, max_examples=15)
    def test_of_a_protein_they_depend_on_nothing_but_that_protein(self, witnesses, tokens, random, n):
        rows = random.sample(range(len(tokens)), min(n, len(tokens)))
        whole = answer(witnesses, tokens, "combined")
        some = answer(witnesses, [tokens[i] for i in rows], "combined", max_residues=random.randint(1, 5000))
        np.testing.assert_allclose(some.probability_NC, whole.probability_NC[rows], atol=1e-5)
        assert some.evidence == [whole.evidence[i] for i in rows]

    def test_threads_change_nothing(self, witnesses, tokens):
        alone = answer(witnesses, tokens, "profile")
        torch.set_num_threads(2)
        try:
            assert answer(witnesses, tokens, "profile").evidence == alone.evidence
        finally:
            torch.set_num_threads(1)

    def test_a_network_without_heads_says_nothing_of_families_and_domains(self, small_bundle, tokens):
        answers = answer(small_bundle, tokens[:3], "network")
        assert (answers.family_NK, answers.domains, answers.evidence) == (None, None, None)


class TestCombiner:
    @given(
        st.lists(st.tuples(probabilities, margins), min_size=1, max_size=9), st.sampled_from(["profile", "combined"])
    )
    def test_a_reading_is_the_equation_on_the_page(self, found, reading):
        network_N, margin_N = (np.array(values) for values in zip(*found, strict=True))
        weights = tuple(np.random.default_rng(0).normal(size={"profile": 4, "combined": 6}[reading]))
        combiner = Combiner(reading, -0.7, weights, 0.5, 0.3)
        stated_N = combiner.probability(network_N, margin_N)
        np.testing.assert_allclose(stated_N, by_hand(combiner, network_N, margin_N), rtol=1e-9)

    def test_profiles_alone_do_not_look_at_the_network(self):
        margin_N = np.array([-np.inf, -30.0, 0.0, 50.0])
        unknown_N = np.full(4, np.nan)
        assert np.isfinite(features("profile", unknown_N, margin_N)).all()

    WRONG = {
        "too few weights": ({"weights": [1.0]}, "profile evidence has 4 weights"),
        "weights of the other reading": ({"reading": "combined"}, "combined evidence has 6 weights"),
        "a reading that is none": ({"reading": "network"}, "'profile' or 'combined'"),
        "an infinite weight": ({"weights": [1.0, 2.0, 3.0, float("inf")]}, "finite number"),
        "a threshold above one": ({"threshold": 1.5}, "less than or equal to 1"),
        "a prevalence of none": ({"prevalence": 0.0}, "greater than 0"),
        "another key": ({"bias": 1.0}, "nexpected"),
    }

    @pytest.mark.parametrize(("values", "message"), WRONG.values(), ids=WRONG.keys())
    def test_it_is_refused_with(self, values, message):
        whole = {"reading": "profile", "intercept": 0.0, "weights": [0.0] * 4, "threshold": 0.5, "prevalence": 0.3}
        assert TypeAdapter(Combiner).validate_python(whole).operating_points == ()
        with pytest.raises(ValidationError, match=message):
            TypeAdapter(Combiner).validate_python(whole | values)

    def test_both_readings_find_the_generated_transcription_factors(self, witnesses, demo_table, vocabulary):
        frame = pd.read_csv(demo_table, sep="\t", keep_default_na=False)
        positive_N = (frame["label"] == "TF").to_numpy()
        tokens = [vocabulary.encode(s) for s in frame["sequence"]]
        for channel in ("profile", "combined"):
            calling = calling_of(witnesses, channel)
            probability_N = answer(witnesses, tokens, channel).probability_NC[:, 1]
            assert matthews_corrcoef(positive_N, probability_N >= calling.threshold) > 0.5
            assert calling.prevalence == positive_N.mean()
            # Its own points were counted on these proteins.
            for point in calling.operating_points:
                called_N = probability_N >= point.threshold
                assert called_N[positive_N].mean() == pytest.approx(point.recall)
                assert 1 - positive_N[called_N].mean() == pytest.approx(point.fdr)


class TestChoice:
    def test_a_bundle_without_profiles_has_the_network_alone(self, small_bundle, witnesses):
        assert channels_of(small_bundle) == ("network",)
        assert choose_channel(small_bundle) == "network"
        assert channels_of(witnesses) == CHANNELS
        assert choose_channel(witnesses) == "combined"
        alone = replace(witnesses, combiners={"profile": witnesses.combiners["profile"]})
        assert (channels_of(alone), choose_channel(alone)) == (("network", "profile"), "network")

    def test_a_channel_that_is_not_there_is_one_line(self, small_bundle, witnesses):
        with pytest.raises(ConfigError) as caught:
            choose_channel(small_bundle, "combined")
        assert str(caught.value) == "evidence: found 'combined'; expected network, which is all that small has"
        with pytest.raises(ConfigError, match="expected network or profile, which is all that witnesses has"):
            choose_channel(replace(witnesses, combiners={"profile": witnesses.combiners["profile"]}), "combined")

    def test_each_channel_calls_by_its_own_numbers(self, witnesses):
        calibration = witnesses.calibration
        assert calling_of(witnesses, "network") == (0.5, (), calibration.prevalence)
        for channel in ("profile", "combined"):
            combiner = witnesses.combiners[channel]
            assert calling_of(witnesses, channel) == (
                combiner.threshold,
                combiner.operating_points,
                combiner.prevalence,
            )


@pytest.mark.parametrize(
    "code",
    [
        "import tfclass; from tfclass import Predictor",
        "from tfclass.cli.main import app; from typer.testing import CliRunner; CliRunner().invoke(app, ['--help'])",
        "from tfclass import Predictor; Predictor.load({small!r})",
    ],
    ids=["importing", "help", "a model without profiles"],
)
def test_hmmer_is_not_waited_for_by(code, small_bundle_folder):
    code = code.format(small=str(small_bundle_folder))
    asks = "; import sys; print(sorted({m.split('.')[0] for m in sys.modules} & {'pyhmmer', 'pyfamsa'}))"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code + asks]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert done.stdout.splitlines()[-1:] == ["[]"], done.stderr
