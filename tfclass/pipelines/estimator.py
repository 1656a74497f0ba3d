"""A scikit-learn classifier of protein sequences: our networks, trained by our trainer."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from tfclass import locate_model
from tfclass.bundle.bundle import load_bundle
from tfclass.bundle.card import channels_section, model_card
from tfclass.bundle.save import save_bundle
from tfclass.channels.calibration_fit import check_calibration
from tfclass.config import CorpusConfig, SplitConfig, TrainConfig, TrainingConfig, from_mapping, to_mapping
from tfclass.data.split import select_split
from tfclass.data.table import LabelledProteins
from tfclass.environment import prepare_torch
from tfclass.errors import ConfigError
from tfclass.inference.predictor import Predictor
from tfclass.io.files import temporary_folder
from tfclass.models.factory import build, network_config
from tfclass.pipelines.calibrate import as_bundle
from tfclass.pipelines.labelled import Labels, labelled_proteins, usable, with_validation
from tfclass.pipelines.train import pretrain
from tfclass.sequences.alphabet import Alphabet
from tfclass.training.init_from import load_matching_weights
from tfclass.training.memory import check_batches, memory_limit_named
from tfclass.training.trainer import Callbacks, Trainer
from tfclass.typing import FloatArray

Self = TypeVar("Self", bound="TFClassifier")
_DEFAULT = TrainingConfig.default()
# Parameters, and the options of the configuration that they set unless they are None.
_OPTIONS = {
    "hidden": "model.hidden",
    "dropout": "model.dropout",
    "epochs": "training.epochs",
    "minutes": "training.minutes",
    "learning_rate": "training.learning_rate",
    "max_residues": "training.max_residues",
    "patience": "training.patience",
    "validation_fraction": "split.valid",
    "device": "runtime.device",
}


class TFClassifier(ClassifierMixin, BaseEstimator):
    """Classify proteins by a recurrent network that is trained on labelled sequences.

    A part of the proteins is held back for validation: it chooses the epoch, the calibration and the threshold.

    Parameters
    ----------
    network : str
        A file of ``conf/model``: bilstm, lstm, gru, cnn, ...
    hidden : int, optional
        Units of the recurrent network per direction; by default as `network` says.
    dropout : float, optional
        By default as `network` says.
    epochs : int
        At most; see `patience`.
    minutes : float, optional
        Stop after this long in training steps.
    learning_rate : float
        The highest one, after warm-up.
    max_residues : int
        Padded residues in a batch.
    patience : int
        Epochs without a better validation average precision before training stops.
    validation_fraction : float
        Share of the proteins held back for validation, class by class.
    threshold : float or str, optional
        Least probability of the positive one of two classes to predict it, or a rule; see `Predictor`. By default the
        one with the greatest expected Matthews correlation on the validation part. Of more classes the likeliest is
        predicted.
    pos_label : object, optional
        The positive one of two labels; by default ``TF``, else the last one in sorted order.
    options : mapping of str to object, optional
        Any other option of the configuration by its name, such as ``{"model.stem.pool": 2}``.
    device : {'auto', 'cpu', 'cuda'}
        Where the network is trained and used.
    random_state : int, RandomState or None
        Of the validation part, the first weights, the batches and the dropout.
    verbose : bool
        Print a line after each epoch.

    Attributes
    ----------
    classes_ : ndarray, shape (C,)
        The labels, sorted.
    bundle_ : Bundle
        The network with its calibration, threshold and provenance.
    history_ : list of dict of str to float
        One entry per epoch; see `Progress`.
    n_iter_ : int
        Number of epochs.

    Examples
    --------
    >>> from tfclass.data.demo import generate_demo
    >>> demo = generate_demo(30)
    >>> classifier = TFClassifier(hidden=8, epochs=1, random_state=0).fit(demo["sequence"], demo["label"])
    >>> classifier.predict_proba(["MKVLAA"]).shape
    (1, 2)
    """

    def __init__(
        self,
        network: str = "bilstm",
        *,
        hidden: int | None = None,
        dropout: float | None = None,
        epochs: int = _DEFAULT.epochs,
        minutes: float | None = _DEFAULT.minutes,
        learning_rate: float = _DEFAULT.learning_rate,
        max_residues: int = _DEFAULT.max_residues,
        patience: int = _DEFAULT.patience,
        validation_fraction: float = 0.1,
        threshold: float | str | None = None,
        pos_label: object = None,
        options: Mapping[str, Any] | None = None,
        device: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: bool = False,
    ) -> None:
        self.network, self.hidden, self.dropout = network, hidden, dropout
        self.epochs, self.minutes, self.learning_rate = epochs, minutes, learning_rate
        self.max_residues, self.patience, self.validation_fraction = max_residues, patience, validation_fraction
        self.threshold, self.pos_label, self.options, self.device = threshold, pos_label, options, device
        self.random_state, self.verbose = random_state, verbose

    def fit(self: Self, X: Any, y: Any, groups: Any = None) -> Self:  # noqa: ANN401
        """Train a network.

        Parameters
        ----------
        X : object
            Proteins in whatever `as_records` takes.
        y : array-like, shape (N,)
            Their labels, of two classes or more.
        groups : array-like, shape (N,), optional
            Cluster of each protein: whole clusters are held back for validation. Without it single proteins are, and
            the scores on them are too high where they have relatives among the others.

        Raises
        ------
        InputError
            A protein or label cannot be used, their numbers differ, or a class has too few proteins.
        ConfigError
            A parameter is not allowed.
        NonFiniteLossError
            The learning rate is too high.
        """
        config = self._config(grouped=groups is not None)
        classes, proteins = labelled_proteins(X, y, groups, self.pos_label)
        proteins = with_validation(proteins, config.split)
        parts = [select_split(proteins, name, "X") for name in ("train", "valid")]
        with memory_limit_named(config.training.max_residues), temporary_folder() as folder:
            # The random numbers of the caller go on as if nothing had been trained.
            with torch.random.fork_rng():
                trainer = self._trainer(config, parts, folder)
                progress = trainer.run()
            bundle, _ = as_bundle(config, trainer, progress, proteins, {})
        # The parts are dealt out by no rule that a table can be split by.
        del bundle.provenance["corpus"]["split_options"]
        self.classes_, self.bundle_ = classes, replace(bundle, model=bundle.model.eval())
        self.history_, self.n_iter_ = progress.history, len(progress.history)
        return self

    def predict(self, X: Any) -> Labels:  # noqa: ANN401
        """Predict the label of each protein, shape (N,).

        Raises
        ------
        InputError
            A protein cannot be scored: it is empty, too long, or has an illegal character.
        """
        predictor = self._predictor()
        records, _ = usable(X, self.bundle_.alphabet)
        place_of = {str(label): place for place, label in enumerate(self.classes_)}
        return self.classes_[[place_of[row.label] for row in predictor.predict(records)]]

    def predict_proba(self, X: Any) -> FloatArray:  # noqa: ANN401
        """Return the calibrated probability of each class, in the order of `classes_`, shape (N, C).

        Raises
        ------
        InputError
            See `predict`.
        """
        predictor = self._predictor()
        records, _ = usable(X, self.bundle_.alphabet)
        return predictor.predict_proba(records)[:, [self.bundle_.classes.index(str(label)) for label in self.classes_]]

    def save(self, folder: "str | os.PathLike[str]") -> None:
        """Write the model as a bundle with a card, for ``tfclass predict --model``, which has its own ``--threshold``.

        Raises
        ------
        OutputError
            The folder cannot be written.
        """
        check_is_fitted(self)
        bundle = self.bundle_
        save_bundle(bundle, Path(folder), model_card(bundle) + (channels_section(bundle) if bundle.channels else ""))

    @classmethod
    def from_bundle(cls: type[Self], model: "str | os.PathLike[str]", **parameters: Any) -> Self:  # noqa: ANN401
        """Return a fitted classifier with the model of a bundle, whose labels are texts.

        Parameters
        ----------
        model : str or PathLike
            See `Predictor.load`.
        **parameters
            Of the classifier; those that are about training have no effect before `fit`.

        Raises
        ------
        BundleError, TrackingError
            There is no such model, or it cannot be used.
        """
        bundle = load_bundle(locate_model(model) if isinstance(model, str) else Path(model))
        classifier = cls(**parameters)
        classifier.classes_, classifier.bundle_ = np.unique(bundle.classes), bundle
        return classifier

    def __sklearn_tags__(self) -> Any:  # noqa: ANN401 - of scikit-learn's own type since 1.6
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.string = False, True
        return tags

    def _predictor(self) -> Predictor:
        check_is_fitted(self)
        threshold = self.threshold if len(self.classes_) == 2 else None
        return Predictor(self.bundle_, threshold=threshold, device=prepare_torch(self.device, 0))

    def _config(self, *, grouped: bool) -> TrainConfig:
        """Return the configuration of the training that the parameters describe."""
        config = TrainConfig.default(
            corpus=CorpusConfig.default(path="", name="python"),
            model=network_config(self.network),
            split=SplitConfig.default(policy="cluster" if grouped else "random"),
            network=self.network,
            name=f"python-{self.network}",
            run_dir=".",
        )
        values = to_mapping(config)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        given = {key: getattr(self, name) for name, key in _OPTIONS.items()}
        chosen = {key: value for key, value in given.items() if value is not None}
        for key, value in (chosen | {"split.seed": seed, "runtime.seed": seed} | dict(self.options or {})).items():
            *groups, name = key.split(".")
            place = values
            for group in groups:
                place = place.setdefault(group, {})
            place[name] = value
        config = from_mapping(TrainConfig, values)
        if config.model.families or config.model.domains:
            raise ConfigError(
                "model.families, model.domains: found heads to train, but y has labels alone; leave them out"
            )
        return config

    def _trainer(self, config: TrainConfig, parts: Sequence[LabelledProteins], folder: Path) -> Trainer:
        """Return the trainer of a new network."""
        training, validation = parts
        alphabet, device = Alphabet(), prepare_torch(config.runtime.device, 0)
        check_calibration(config.training.calibration, len(training.classes))
        residues = len(training.labels) * int(training.lengths.max())
        check_batches(config.model, config.training.max_residues, residues, device)
        torch.manual_seed(config.runtime.seed)
        model = build(config.model, alphabet, len(training.classes)).to(device)
        name = config.training.init_from
        start = load_matching_weights(name, model, alphabet) if name else None
        callbacks = Callbacks(on_epoch=_print_epoch) if self.verbose else Callbacks()
        return Trainer(
            model,
            training,
            validation,
            config.training,
            alphabet=alphabet,
            seed=config.runtime.seed,
            folder=folder,
            callbacks=callbacks,
            pretraining_seconds=pretrain(model, config, training, start, callbacks),
        )


def _print_epoch(entry: Mapping[str, float]) -> None:
    loss, score = entry["train_loss"], entry["valid_ap"]
    print(f"epoch {entry['epoch'] + 1:.0f}: training loss {loss:.4f}, validation average precision {score:.4f}")
