"""What a training or evaluation can be told: a frozen dataclass for each group of ``conf/``, checked before it starts.

Nothing here knows Hydra: the same classes are built from the JSON in a bundle, so a model never needs Hydra to be
loaded. Networks are chosen by name, never by a class path, so a configuration cannot call code.
"""

from collections.abc import Mapping
from dataclasses import asdict, field
from itertools import pairwise
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from pydantic_core import PydanticCustomError

from tfclass.config_errors import first_problem
from tfclass.errors import ConfigError
from tfclass.limits import MAX_FAMILIES, MAX_LAYERS
from tfclass.names import FolderText, Names, PathText, Text

_STRICT = ConfigDict(extra="forbid")

# Whole numbers that 32 bits hold, seeds that 63 hold, and real numbers that 32 hold: the libraries below take no more.
Positive = Annotated[int, Field(ge=1, le=2**31 - 1)]
Natural = Annotated[int, Field(ge=0, le=2**31 - 1)]
Seed = Annotated[int, Field(ge=0, le=2**63 - 1)]
# Residues that a kernel or a pooling spans.
Span = Annotated[int, Field(ge=1, le=10_000)]
Stack = Annotated[tuple[Span, ...], Field(max_length=100)]
Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
Share = Annotated[float, Field(gt=0.0, lt=1.0)]
NonNegative = Annotated[float, Field(ge=0.0, le=1e38, allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0.0, le=1e38, allow_inf_nan=False)]


def _rising(edges: tuple[float, ...]) -> tuple[float, ...]:
    if any(low >= high for low, high in pairwise(edges)):
        raise PydanticCustomError("rising", "rising numbers")
    return edges


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class CorpusConfig:
    """Where the labelled proteins are, and which labels mean what."""

    path: PathText
    name: Annotated[Text, Field(max_length=150)] = "corpus"
    classes: Names | None = ("nonTF", "TF")
    aliases: dict[str, str] = field(default_factory=lambda: {"nonTF_hard": "nonTF"})


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class SplitConfig:
    """How proteins are put into train, valid and test."""

    policy: Literal["column", "cluster", "folds", "random"] = "column"
    valid: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.1
    test: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.1
    folds: Annotated[int, Field(ge=3, le=100)] = 5
    fold: Natural = 0
    max_members: Positive | None = None
    seed: Seed = 0

    def __post_init__(self) -> None:
        if self.fold >= self.folds:
            expected = f"0 to {self.folds - 1}, as split.folds says"
            raise ConfigError("split.fold", str(self.fold), expected, key="split.fold", value=self.fold)
        if self.max_members is not None and self.policy in ("column", "random"):
            key, found = "split.max_members", f"{self.max_members} with split.policy={self.policy}"
            raise ConfigError(key, found, "null: only the policies cluster and folds thin clusters out", key=key)


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class StemConfig:
    """What stands between the embedding and the encoder: nothing, a convolution, or parallel stacks of them."""

    name: Literal["none", "convolution", "stacks"] = "convolution"
    channels: Positive = 128
    kernel: Span = 11
    stacks: Annotated[tuple[Stack, ...], Field(max_length=100)] = ((4, 4, 16), (12, 8, 4), (16, 4, 4))
    pool: Span = 3


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class ModelConfig:
    """The network, by names and numbers; the names are resolved in `tfclass.models.factory`."""

    encoder: str = "bilstm"
    embedding: str = "learned"
    embedding_dim: Positive = 64
    kmer: Annotated[int, Field(ge=1, le=4)] = 1
    stem: StemConfig = field(default_factory=StemConfig)
    hidden: Positive = 128
    layers: Annotated[int, Field(ge=1, le=MAX_LAYERS)] = 1
    directions: Literal[1, 2] | None = None
    peephole: Literal["diagonal", "full"] = "diagonal"
    forget_bias: Annotated[float, Field(ge=-1e38, le=1e38, allow_inf_nan=False)] | None = None
    residual: bool = False
    layer_norm: bool = False
    variational_dropout: bool = False
    weight_dropout: Fraction = 0.0
    pooling: str = "attention"
    attention_hidden: Natural | None = None
    head_hidden: Natural = 0
    dropout: Fraction = 0.3
    families: Annotated[tuple[Text, ...], Field(max_length=MAX_FAMILIES)] = ()
    domains: bool = False


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class SkipgramConfig:
    """How the k-mers of ``model.embedding=skipgram`` get their first vectors."""

    window: Positive = 5
    negative_weight: Rate = 5.0
    pairs: Positive = 20_000_000
    learning_rate: Rate = 2e-3


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class CalibrationConfig:
    """How logits become probabilities; ``auto`` lets the validation split choose, by cross-validation over clusters."""

    method: Literal["auto", "none", "temperature", "platt", "isotonic"] = "auto"
    folds: Annotated[int, Field(ge=2, le=1000)] = 5
    seed: Seed = 0


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class TrainingConfig:
    """How the network is trained."""

    epochs: Positive = 20
    minutes: Rate | None = None
    max_residues: Positive = 16384
    learning_rate: Rate = 2e-3
    warmup_epochs: NonNegative = 0.5
    weight_decay: NonNegative = 0.01
    clip_norm: Rate = 1.0
    class_weight: Literal["none", "balanced"] = "none"
    family_weight: NonNegative = 0.2
    domain_weight: NonNegative = 1.0
    residue_dropout: Fraction = 0.05
    residue_substitution: Fraction = 0.0
    patience: Positive = 5
    amp: Literal["never", "gpu", "always"] = "gpu"
    checkpoint_minutes: NonNegative = 10.0
    init_from: PathText = ""
    skipgram: SkipgramConfig = field(default_factory=SkipgramConfig)
    calibration: CalibrationConfig = field(default_factory=CalibrationConfig)


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class EvaluationConfig:
    """What is scored, and how sure the score is."""

    split: str = "test"
    n_bootstrap: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    confidence: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.95
    n_calibration_bins: Annotated[int, Field(ge=1, le=10_000)] = 15
    baselines: bool = True
    length_edges: Annotated[tuple[Positive, ...], Field(min_length=1), AfterValidator(_rising)] = (200, 400, 700, 1000)
    identity_edges: Annotated[tuple[Share, ...], Field(min_length=1), AfterValidator(_rising)] = (0.3, 0.5, 0.7)
    min_members: Positive = 10
    seed: Seed = 0


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class TrackingConfig:
    """Where MLflow keeps its records; an empty `uri` means ``mlflow.db`` in the working directory."""

    enabled: bool = True
    uri: PathText = ""
    experiment: str = "tfclass"
    run_name: str = ""
    register: str = "tfclass"
    system_seconds: NonNegative = 10.0
    timeout: Annotated[float, Field(ge=1.0, allow_inf_nan=False)] = 20.0


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class RuntimeConfig:
    """The machine: device, threads, randomness."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: Natural = 0
    seed: Seed = 0
    deterministic: bool = False


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class TrainConfig:
    """All of ``conf/train.yaml``."""

    corpus: CorpusConfig
    split: SplitConfig = field(default_factory=SplitConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)
    name: Text = ""
    network: Text = ""
    run_dir: FolderText
    bundle: PathText = ""
    resume: PathText = ""


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class StudyConfig:
    """How a sweep searches; an empty `storage` means ``study.db`` in the sweep's folder."""

    name: str = "study"
    storage: PathText = ""
    heartbeat_seconds: Positive = 30
    n_trials: Positive = 20
    sampler: Literal["tpe", "random"] = "tpe"
    seed: Seed = 0
    startup_trials: Positive = 5
    pruner: Literal["median", "hyperband", "none"] = "median"
    warmup_epochs: Natural = 2
    space: dict[str, Any]


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class SweepConfig:
    """All of ``conf/sweep.yaml``."""

    corpus: CorpusConfig
    split: SplitConfig = field(default_factory=SplitConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)
    study: StudyConfig
    network: str = ""
    run_dir: FolderText


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class EvaluateConfig:
    """All of ``conf/evaluate.yaml``."""

    corpus: CorpusConfig
    split: SplitConfig = field(default_factory=SplitConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)
    bundle: PathText
    channel: str | None = None
    report: PathText


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class CompareConfig:
    """All of ``conf/compare.yaml``."""

    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    report: PathText


T = TypeVar("T")


def from_mapping(kind: type[T], values: Mapping[str, Any], where: str = "") -> T:
    """Build a configuration and check every key and value.

    Parameters
    ----------
    kind : type
        One of the dataclasses of this module.
    values : mapping
        Nested plain values, as from YAML or JSON.
    where : str, optional
        Prefix for the keys in messages.

    Raises
    ------
    ConfigError
        A key is unknown or missing, or a value is not allowed; only the first is named. ``facts["key"]`` is its path.

    Examples
    --------
    >>> from_mapping(StemConfig, {"pool": 0}, where="model.stem")
    Traceback (most recent call last):
    tfclass.errors.ConfigError: model.stem.pool: found 0; expected greater than or equal to 1
    """
    if not isinstance(values, Mapping):
        raise ConfigError(where or "configuration", repr(values), "keys and their values", key=where)
    try:
        return TypeAdapter(kind).validate_python(dict(values))
    except ValidationError as error:
        raise first_problem(kind, error, where) from None


def to_mapping(config: Any) -> dict[str, Any]:  # noqa: ANN401
    """Give a configuration as nested plain values, ready for JSON."""
    return asdict(config)
