"""The promises of the training loop, each on a corpus that trains in a second."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.special import softmax

from tests.conftest import SMALL
from tfclass.config import CorpusConfig, StemConfig, TrainingConfig
from tfclass.data.demo import FAMILIES, generate_demo
from tfclass.data.table import read_table
from tfclass.errors import NonFiniteLossError
from tfclass.evaluation.metrics import average_precision
from tfclass.models.factory import build
from tfclass.models.forward import logits_of
from tfclass.training.checkpoint import NAME, Progress
from tfclass.training.losses import TrainingLoss, class_weights
from tfclass.training.schedule import learning_rate
from tfclass.training.trainer import Callbacks, Interrupted, Trainer

HEADS = replace(SMALL, families=tuple(FAMILIES), domains=True)
QUICK = TrainingConfig.default(epochs=3, max_residues=2048, learning_rate=0.01, patience=10)


@pytest.fixture(scope="module")
def parts(demo_table, alphabet):
    proteins = read_table(CorpusConfig.default(path=str(demo_table)), alphabet, tuple(FAMILIES), domains=True)
    splits = proteins.frame["split"].to_numpy()
    return proteins.select(splits == "train"), proteins.select(splits == "valid")


@pytest.fixture
def trainer(parts, alphabet, tmp_path):
    """Make trainers that start from the same weights; keyword arguments replace the defaults."""

    def make(config=QUICK, model_config=SMALL, folder=tmp_path, callbacks=None, **options):
        torch.manual_seed(0)
        model = build(model_config, alphabet, 2)
        train, valid = options.pop("parts", parts)
        return Trainer(
            model, train, valid, config, alphabet=alphabet, seed=5, folder=folder, callbacks=callbacks, **options
        )

    return make


def without_times(history):
    timed = ("train_seconds", "train_residues_per_second")
    return [{key: value for key, value in entry.items() if key not in timed} for entry in history]


def assert_same_training(left: Progress, right: Progress):
    assert without_times(left.history) == without_times(right.history)
    assert left.best_weights.keys() == right.best_weights.keys()
    for name, weight in left.best_weights.items():
        assert torch.equal(weight, right.best_weights[name]), name


def test_same_seed_gives_the_same_numbers(trainer):
    assert_same_training(trainer().run(), trainer().run())


def test_validation_runs_in_evaluation_mode_and_training_mode_returns(trainer, parts):
    modes = []
    tested = trainer(model_config=replace(SMALL, dropout=0.9))
    tested.model.pooling.register_forward_hook(lambda module, *_: modes.append(module.training))
    history = tested.run().history
    assert set(modes) == {True, False}
    best = max(history, key=lambda entry: entry["valid_ap"])
    logits_NC = logits_of(tested.model, parts[1].tokens, 512)
    exact = F.cross_entropy(torch.from_numpy(logits_NC), torch.from_numpy(parts[1].labels))
    assert best["valid_loss"] == pytest.approx(float(exact), abs=1e-6)


def test_the_best_weights_are_restored_not_the_last(trainer, parts):
    # A rate this high makes the last epoch worse than an earlier one.
    tested = trainer(replace(QUICK, epochs=6, learning_rate=0.3, clip_norm=100.0, warmup_epochs=0.0))
    progress = tested.run()
    scores = [entry["valid_ap"] for entry in progress.history]
    assert progress.best_epoch == int(np.argmax(scores))
    assert progress.best_epoch < len(scores) - 1
    scores_NC = softmax(logits_of(tested.model, parts[1].tokens, 2048), axis=1)
    restored = average_precision(scores_NC, parts[1].labels)
    assert restored == pytest.approx(max(scores), abs=1e-9)


def test_training_stops_when_patience_is_spent(trainer):
    # Next to no learning rate: nothing after the first epochs can be better.
    progress = trainer(replace(QUICK, epochs=30, learning_rate=1e-12, patience=2)).run()
    assert len(progress.history) == progress.best_epoch + 1 + 2


@pytest.mark.parametrize("model_config", [SMALL, HEADS], ids=["classes only", "all heads"])
@pytest.mark.parametrize("stop_after", [1, 4, 7], ids=lambda n: f"stopped after batch {n}")
def test_an_interrupted_training_resumes_to_the_same_numbers(trainer, tmp_path, stop_after, model_config):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    whole = trainer(model_config=model_config, folder=tmp_path / "a").run()
    steps = []
    callbacks = Callbacks(on_step=lambda *step: steps.append(step), should_stop=lambda: len(steps) == stop_after)
    with pytest.raises(Interrupted):
        trainer(model_config=model_config, folder=tmp_path / "b", callbacks=callbacks).run()
    torch.manual_seed(999)
    resumed = trainer(model_config=model_config, folder=tmp_path / "b").run(resume=True)
    assert_same_training(resumed, whole)


def test_the_history_has_the_metrics_of_the_heads_of_the_network(trainer):
    of_heads = {"train_family_loss", "train_domain_loss", "valid_family_accuracy", "valid_domain_f1"}
    (with_heads,) = trainer(replace(QUICK, epochs=1), HEADS).run().history
    (without,) = trainer(replace(QUICK, epochs=1)).run().history
    assert with_heads.keys() - without.keys() == of_heads
    assert without.keys() - with_heads.keys() == set()


def test_heads_of_no_weight_leave_the_classes_as_they_were(trainer):
    # Without dropout, which draws as many numbers as there are units.
    config = replace(QUICK, family_weight=0.0, domain_weight=0.0, clip_norm=1e9)
    with_heads = trainer(config, replace(HEADS, dropout=0.0)).run()
    without = trainer(config, replace(SMALL, dropout=0.0)).run()
    for left, right in zip(with_heads.history, without.history, strict=True):
        assert left["train_loss"] == pytest.approx(right["train_loss"], rel=1e-6)
        assert left["valid_ap"] == pytest.approx(right["valid_ap"], rel=1e-6)


def test_domains_and_families_are_learned(alphabet, tmp_path, trainer):
    # Without shuffled domains, which take more proteins to learn from.
    frame = generate_demo(n_clusters=600, seed=2)
    path = tmp_path / "demo.tsv"
    frame[~frame["family"].str.startswith("shuffled")].to_csv(path, sep="\t", index=False)
    proteins = read_table(CorpusConfig.default(path=str(path)), alphabet, tuple(FAMILIES), domains=True)
    splits = proteins.frame["split"].to_numpy()
    parts = proteins.select(splits == "train"), proteins.select(splits == "valid")
    config = replace(QUICK, epochs=10, max_residues=1024, family_weight=0.5)
    model_config = replace(HEADS, stem=StemConfig.default(channels=32, kernel=7, pool=3), hidden=24)
    progress = trainer(config, model_config, parts=parts).run()
    best = progress.history[progress.best_epoch]
    inside = np.concatenate([d for d in parts[1].annotations.domains if d.any()])
    # Calling every residue is the best that can be done by chance.
    chance = 2 * inside.mean() / (1 + inside.mean())
    assert best["valid_domain_f1"] > chance + 0.15
    assert best["valid_family_accuracy"] > 0.75


def test_a_finished_training_resumes_to_nothing_more(trainer):
    first = trainer().run()
    steps = []
    again = trainer(callbacks=Callbacks(on_step=lambda *step: steps.append(step))).run(resume=True)
    assert steps == []
    assert_same_training(first, again)


def test_a_checkpoint_is_written_within_an_epoch_when_time_is_up(trainer, tmp_path):
    seen = []
    callbacks = Callbacks(on_step=lambda epoch, *_: seen.append((epoch, (tmp_path / NAME).exists())))
    trainer(replace(QUICK, checkpoint_minutes=0.0), callbacks=callbacks).run()
    assert seen[0] == (0, False)
    assert seen[1] == (0, True)


def test_a_limit_on_time_ends_training_within_an_epoch_and_anneals_by_the_clock(trainer, monkeypatch):
    # A clock on which every training step takes a second, whatever the machine.
    seconds = itertools.count()
    monkeypatch.setattr("tfclass.training.trainer.time.monotonic", lambda: next(seconds) / 2)
    config = replace(QUICK, epochs=50, minutes=0.25, warmup_epochs=0.0, checkpoint_minutes=1e9)
    shares = []
    progress = trainer(config, callbacks=Callbacks(on_step=lambda _, done, __: shares.append(done))).run()
    steps = [round(entry["train_seconds"] / progress.history[0]["train_seconds"], 2) for entry in progress.history]
    assert sum(entry["train_seconds"] for entry in progress.history) >= 15
    assert steps[-1] < 1, "the last epoch was cut short"
    assert shares == sorted(shares)
    assert shares[-1] >= 1 > shares[-2]
    assert progress.history[-1]["learning_rate"] < 0.02 * config.learning_rate
    assert progress.history[-1]["train_residues"] < progress.history[0]["train_residues"]


def test_a_training_stopped_when_its_time_was_up_is_still_validated(trainer, monkeypatch):
    config = replace(QUICK, minutes=1e-9)
    with pytest.raises(Interrupted):
        trainer(config, callbacks=Callbacks(should_stop=lambda: True)).run()
    resumed = trainer(config).run(resume=True)
    assert len(resumed.history) == 1
    assert resumed.best_epoch == 0


def test_a_non_finite_loss_stops_before_the_optimiser_moves(trainer, tmp_path):
    def spoil(epoch, *_):
        if epoch == 1:
            in_second_epoch.append(epoch)
        if len(in_second_epoch) == 2:
            with torch.no_grad():
                tested.model.head.bias.fill_(torch.nan)
            spoilt.update({k: v.clone() for k, v in tested.model.state_dict().items()})

    spoilt, in_second_epoch = {}, []
    tested = trainer(callbacks=Callbacks(on_step=spoil))
    with pytest.raises(NonFiniteLossError) as raised:
        tested.run()
    assert str(raised.value).startswith("training, epoch 2, batch 3: found a loss of nan (batch of ")
    assert raised.value.exit_code == 1
    for name, weight in tested.model.state_dict().items():
        torch.testing.assert_close(weight, spoilt[name], atol=0, rtol=0, equal_nan=True)
    # The checkpoint is the last good one: going on from it gives what an unspoilt training gives.
    resumed = trainer().run(resume=True)
    (tmp_path / "fresh").mkdir()
    assert_same_training(resumed, trainer(folder=tmp_path / "fresh").run())


def test_a_non_finite_gradient_stops_before_the_optimiser_moves(trainer):
    tested = trainer()
    before = {k: v.clone() for k, v in tested.model.state_dict().items()}
    tested.model.head.weight.register_hook(lambda gradient: gradient * torch.inf)
    with pytest.raises(NonFiniteLossError, match="epoch 1, batch 1: found a gradient norm of (inf|nan)"):
        tested.run()
    for name, weight in tested.model.state_dict().items():
        assert torch.equal(weight, before[name])


@pytest.mark.slow
def test_a_small_network_overfits_32_proteins(trainer, parts):
    few = parts[0].select(np.arange(len(parts[0].labels)) < 32)
    config = TrainingConfig.default(
        epochs=60, max_residues=1024, learning_rate=0.02, residue_dropout=0.0, patience=60, weight_decay=0.0
    )
    progress = trainer(config, replace(SMALL, dropout=0.0), parts=(few, few)).run()
    assert progress.history[-1]["train_loss"] < 0.01
    assert progress.best_score == pytest.approx(1.0)


def test_the_learning_rate_warms_up_then_follows_half_a_cosine():
    config = TrainingConfig.default(epochs=10, learning_rate=0.4, warmup_epochs=2.0)
    rates = [learning_rate(config, epoch) for epoch in (0.0, 1.0, 2.0, 6.0, 10.0)]
    assert rates == pytest.approx([0.002, 0.2, 0.4, 0.2, 0.0])


def test_balanced_weights_are_scikit_learns(parts):
    from sklearn.utils.class_weight import compute_class_weight

    expected = compute_class_weight("balanced", classes=np.array([0, 1]), y=parts[0].labels)
    weights_C = class_weights(parts[0], TrainingConfig.default(class_weight="balanced"))
    np.testing.assert_allclose(weights_C.numpy(), expected, rtol=1e-6)
    assert class_weights(parts[0], TrainingConfig.default()).tolist() == [1.0, 1.0]


def test_bfloat16_on_a_cpu_gives_nearly_the_same_loss(trainer):
    losses = [
        trainer(replace(QUICK, epochs=1, amp=amp, residue_dropout=0.0)).run().history[0]["train_loss"]
        for amp in ("gpu", "never", "always")
    ]
    assert losses[0] == losses[1]
    assert losses[2] != losses[1]
    assert losses[2] == pytest.approx(losses[1], abs=0.02)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_mixed_precision_gives_nearly_the_same_loss(trainer):
    losses = []
    for amp in ("never", "gpu"):
        tested = trainer(replace(QUICK, epochs=1, amp=amp, residue_dropout=0.0))
        tested.model.cuda()
        tested.device = torch.device("cuda")
        tested.loss = TrainingLoss(tested.training, tested.config, tested.model.stem.pool, tested.device)
        losses.append(tested.run().history[0]["train_loss"])
    assert losses[1] == pytest.approx(losses[0], abs=0.02)


def test_the_pretraining_counts_for_the_minutes_and_is_not_lost(trainer, tmp_path):
    config = TrainingConfig.default(epochs=50, minutes=1.0, patience=50)
    stopped = trainer(config, pretraining_seconds=60.0, callbacks=Callbacks(should_stop=lambda: True))
    with pytest.raises(Interrupted):
        stopped.run()
    progress = trainer(config).run(resume=True)
    assert [entry["epoch"] for entry in progress.history] == [0.0]
    assert progress.pretraining_seconds == 60.0
    assert progress.seconds_in_all == 60.0 + progress.history[0]["train_seconds"]
    # A single step, in which the clock had run out.
    assert progress.history[0]["train_residues"] <= config.max_residues
