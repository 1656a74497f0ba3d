"""Skip-gram against brute force, NumPy in float64, and a language whose meaning is known."""

import numpy as np
import pytest
import torch
from scipy.special import expit

from tfclass.config import SkipgramConfig, TrainingConfig
from tfclass.models.front import KmerEmbedding
from tfclass.training.skipgram import KmerPairs, pretrain_kmers, skipgram_loss, skipgram_vectors
from tfclass.training.trainer import Callbacks, Interrupted


@pytest.fixture
def embedding(alphabet):
    def make(k, dim=8):
        torch.manual_seed(0)
        return KmerEmbedding(alphabet, dim, k)

    return make


def allowed_pairs(proteins, k, window):
    pairs = set()
    for protein in proteins:
        kmers = [int("".join(f"{t:02d}" for t in protein[i : i + k])) for i in range(len(protein) - k + 1)]
        for place, kmer in enumerate(kmers):
            for step in range(1, window + 1):
                pairs |= {
                    (kmer, kmers[other]) for other in (place - k * step, place + k * step) if 0 <= other < len(kmers)
                }
    return pairs


@pytest.mark.parametrize("k", [1, 2, 3], ids=lambda k: f"{k}-mers")
def test_pairs_are_all_those_of_a_loop_and_no_others(k, embedding):
    rng = np.random.default_rng(3)
    proteins = [rng.integers(1, 27, length).astype(np.uint8) for length in (9, 1, 2, 14, 3)]
    pairs = KmerPairs(embedding(k), proteins, window=2)
    kmers, near = pairs.draw(rng, 20_000)

    def letters(kmer):
        return int("".join(f"{kmer // 27**place % 27:02d}" for place in reversed(range(k))))

    drawn = {(letters(kmer), letters(other)) for kmer, other in zip(kmers.tolist(), near.tolist(), strict=True)}
    assert drawn == allowed_pairs([protein.tolist() for protein in proteins], k, window=2)


def test_loss_equals_the_equation_in_numpy():
    rng = np.random.default_rng(0)
    kmers, near, drawn = (rng.normal(size=(n, 5)) for n in (6, 6, 4))
    good = np.log(expit((kmers * near).sum(axis=1)))
    bad = np.log(expit(-kmers @ drawn.T)).mean(axis=1)
    ours = skipgram_loss(*(torch.from_numpy(part) for part in (kmers, near, drawn)), negative_weight=3.0)
    assert float(ours) == pytest.approx(-(good + 3 * bad).mean(), rel=1e-12)


def test_kmers_with_the_same_neighbours_get_similar_vectors(embedding):
    # A language of two topics: its proteins speak of one or the other, never of both.
    rng = np.random.default_rng(1)
    topics = ([1, 2, 3, 4], [5, 6, 7, 8])
    proteins = [rng.choice(topics[i % 2], 60).astype(np.uint8) for i in range(60)]
    config = SkipgramConfig.default(window=3, pairs=200_000, learning_rate=0.02)
    vectors = skipgram_vectors(KmerPairs(embedding(1), proteins, 3), embedding(1), config, seed=0)
    unit = torch.nn.functional.normalize(vectors[1:9] - vectors[1:9].mean(dim=0), dim=1)
    similarity = (unit @ unit.T).numpy()
    same = np.kron(np.eye(2), np.ones((4, 4))).astype(bool)
    assert similarity[same].min() > 0.9 > 0 > similarity[~same].max()


def test_only_kmers_that_were_seen_change(embedding):
    target = embedding(2)
    before = target.weight.detach().clone()
    protein = np.array([1, 2, 3, 1, 2, 2, 1, 3, 3, 2, 1] * 3, dtype=np.uint8)
    pretrain_kmers(target, [protein], TrainingConfig.default(skipgram=SkipgramConfig.default(pairs=20_000)), seed=0)
    seen = sorted({int(a) * 27 + int(b) for a, b in zip(protein[:-1], protein[1:], strict=True)})
    unseen = sorted(set(range(27**2)) - set(seen))
    assert torch.equal(target.weight[unseen], before[unseen])
    learned = target.weight[seen].detach()
    torch.testing.assert_close(learned.mean(dim=0), torch.zeros(8), atol=1e-5, rtol=0)
    assert float(learned.std()) == pytest.approx(0.2, abs=0.01)
    assert target.weight.requires_grad


def test_vectors_have_the_same_width_after_any_number_of_pairs(embedding):
    rng = np.random.default_rng(0)
    proteins = [rng.choice(20, 300, p=np.arange(1, 21) / 210).astype(np.uint8) + 1 for _ in range(20)]
    target = embedding(1)
    for pairs in (50_000, 500_000):
        pretrain_kmers(
            target,
            proteins,
            TrainingConfig.default(skipgram=SkipgramConfig.default(pairs=pairs, learning_rate=0.05)),
            seed=0,
        )
        assert float(target.weight[1:21].detach().std()) == pytest.approx(0.2, abs=0.01)


def test_proteins_shorter_than_a_kmer_change_nothing(embedding):
    target = embedding(3)
    before = target.weight.detach().clone()
    pretrain_kmers(
        target,
        [np.array([4], dtype=np.uint8), np.array([4, 5], dtype=np.uint8)],
        TrainingConfig.default(skipgram=SkipgramConfig.default()),
        seed=0,
    )
    assert torch.equal(target.weight, before)


def test_same_seed_gives_the_same_vectors(embedding):
    proteins = [np.random.default_rng(0).integers(1, 21, 80).astype(np.uint8)]
    left, right = embedding(2), embedding(2)
    for target in (left, right):
        pretrain_kmers(target, proteins, TrainingConfig.default(skipgram=SkipgramConfig.default(pairs=10_000)), seed=4)
    assert torch.equal(left.weight, right.weight)


def test_pretraining_takes_at_most_a_quarter_of_the_minutes(embedding):
    proteins = [np.random.default_rng(0).integers(1, 21, 300).astype(np.uint8)]
    shares = []
    callbacks = Callbacks(on_pretraining=lambda share, seconds: shares.append((share, seconds)))
    # Two seconds in all, and pairs for many minutes.
    config = TrainingConfig.default(minutes=2 / 60, skipgram=SkipgramConfig.default(pairs=500_000_000))
    seconds = pretrain_kmers(embedding(2), proteins, config, 0, callbacks)
    assert 0.5 <= seconds < 1.5
    assert [share for share, _ in shares] == sorted(share for share, _ in shares)
    assert shares[-1][0] == 1.0
    assert shares[-1][1] >= 0.5


def test_without_a_limit_every_pair_is_used_and_progress_is_reported(embedding):
    proteins = [np.random.default_rng(0).integers(1, 21, 300).astype(np.uint8)]
    shares = []
    callbacks = Callbacks(on_pretraining=lambda share, _: shares.append(share))
    pretrain_kmers(
        embedding(2), proteins, TrainingConfig.default(skipgram=SkipgramConfig.default(pairs=4 * 8192)), 0, callbacks
    )
    assert shares == [0.25, 0.5, 0.75, 1.0]


def test_it_stops_on_request_and_leaves_the_embedding_alone(embedding):
    target = embedding(2)
    before = target.weight.detach().clone()
    proteins = [np.random.default_rng(0).integers(1, 21, 300).astype(np.uint8)]
    with pytest.raises(Interrupted):
        pretrain_kmers(target, proteins, TrainingConfig.default(), 0, Callbacks(should_stop=lambda: True))
    assert torch.equal(target.weight, before)
