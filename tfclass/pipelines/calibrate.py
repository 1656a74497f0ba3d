"""A trained network to a bundle: its calibration, threshold and operating points."""

from typing import Any, NamedTuple

from tfclass.bundle.bundle import Bundle
from tfclass.channels.calibration_fit import Choice, choose_calibration
from tfclass.channels.threshold_fit import expected_mcc_threshold, operating_points
from tfclass.channels.thresholds import OperatingPoint
from tfclass.config import EvaluationConfig, TrainConfig, TrainingConfig
from tfclass.data.table import LabelledProteins
from tfclass.evaluation.metrics import all_metrics
from tfclass.evaluation.scored import Scored
from tfclass.models.forward import logits_of
from tfclass.models.network import Classifier
from tfclass.pipelines.descriptions import model_name
from tfclass.pipelines.provenance import training_provenance
from tfclass.training.checkpoint import Progress
from tfclass.training.losses import class_weights
from tfclass.training.trainer import Trainer
from tfclass.typing import FloatArray


class Calibrated(NamedTuple):
    """Calibration, threshold and operating points of a network, and its scores, all on the validation split."""

    choice: Choice
    threshold: float | None
    operating_points: tuple[OperatingPoint, ...]
    scores: dict[str, float]


def calibrate(
    model: Classifier,
    validation: LabelledProteins,
    weight_C: FloatArray,
    training: TrainingConfig,
    evaluation: EvaluationConfig,
) -> Calibrated:
    """Calibrate a network on the validation split, and choose its threshold.

    Parameters
    ----------
    weight_C : ndarray of float64, shape (C,)
        Class weights of the training.
    """
    logits_NC = logits_of(model, validation.tokens, training.max_residues)
    clusters_N = validation.frame["cluster"].to_numpy(dtype=str)
    choice = choose_calibration(logits_NC, validation.labels, clusters_N, weight_C, training.calibration)
    probability_NC = choice.calibration.probability(logits_NC)
    threshold, points = None, ()
    if len(validation.classes) == 2:
        threshold = expected_mcc_threshold(probability_NC[:, 1])
        points = operating_points(probability_NC[:, 1])
    scored = Scored(probability_NC, validation.labels, threshold)
    return Calibrated(choice, threshold, points, all_metrics(scored, evaluation.n_calibration_bins))


def as_bundle(
    config: TrainConfig, trainer: Trainer, progress: Progress, proteins: LabelledProteins, origin: dict[str, Any]
) -> tuple[Bundle, dict[str, float]]:
    """Calibrate a trained network; return it as a bundle, not saved, and its scores on validation."""
    weight_C = class_weights(trainer.training, config.training).numpy().astype(float)
    fitted = calibrate(trainer.model, trainer.validation, weight_C, config.training, config.evaluation)
    scores = fitted.scores
    best = progress.history[progress.best_epoch]
    heads = ("family_accuracy", "domain_f1")
    scores |= {name: best[f"valid_{name}"] for name in heads if f"valid_{name}" in best}
    provenance = training_provenance(config, trainer, progress, proteins, scores)
    provenance |= {"calibration": fitted.choice.as_json(), **origin}
    bundle = Bundle(
        name=model_name(config),
        classes=proteins.classes,
        letters=trainer.alphabet.letters,
        config=config.model,
        calibration=fitted.choice.calibration,
        threshold=fitted.threshold,
        operating_points=fitted.operating_points,
        provenance=provenance,
        model=trainer.model,
    )
    return bundle, scores
