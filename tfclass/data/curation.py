"""Options of ``tfclass data``; their values are in ``conf/curation/swissprot.yaml`` and nowhere else."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from tfclass.config import NonNegative, Positive, Rate, file_values, from_mapping
from tfclass.errors import ConfigError
from tfclass.limits import MAX_DEPTH, MAX_YAML_BYTES, in_words

_STRICT = ConfigDict(extra="forbid")

Term = Annotated[str, Field(pattern=r"^(GO:[0-9]{7}|KW-[0-9]{4})$")]
Label = Literal["TF", "nonTF_hard", "nonTF", "ambiguous"]
Proportion = Annotated[float, Field(ge=0.0, le=1.0)]
Sensitivity = Annotated[float, Field(ge=1.0, le=7.5)]
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class FetchConfig:
    """The search of UniProt, its fields, and the limits of the client; ``fetch``."""

    url: str
    query: str
    fields: Annotated[tuple[str, ...], Field(min_length=1)]
    size: Annotated[int, Field(ge=1, le=500)]
    rate: Rate
    timeout: Rate
    retries: Positive
    backoff: NonNegative
    longest_wait: NonNegative
    evidence_term: Annotated[str, Field(pattern=r"^GO:[0-9]{7}$")]
    experimental: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class LabelRule:
    """The label of entries that have one of these terms, its source and its reason.

    With `below`, the terms are meant to be that one and all below it in the ontology, without those of earlier rules.
    """

    name: str
    label: Label
    source: str = ""
    why: str = ""
    below: Term | None = None
    terms: Annotated[dict[Term, str], Field(min_length=1)]


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class LabelConfig:
    """Rules for labels and kingdoms; ``label``."""

    rules: Annotated[tuple[LabelRule, ...], Field(min_length=1)]
    otherwise: Label
    drop_fragments: bool
    conflicts: Literal["leave_out", "positive"]
    kingdoms: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class ClusterConfig:
    """Clustering by MMseqs2 (see `tfclass.search.mmseqs.cluster`); ``cluster``."""

    identity: Proportion
    coverage: Proportion
    coverage_mode: Literal[0, 1, 2]
    sensitivity: Sensitivity | None


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class AuditConfig:
    """The limit of an audit, and the sensitivity of its search; ``audit``.

    A held-out protein is above the limit with more than `identity` to a training protein, where at least `coverage` of
    the residues of either of the two is inside the alignment.
    """

    identity: Proportion
    coverage: Proportion
    sensitivity: Sensitivity


def curation_config(kind: type[T], part: str, given: Mapping[str, Any] | None = None, *, file: Path | None = None) -> T:
    """Build the options of one verb from a part of the YAML that ships.

    Parameters
    ----------
    given : mapping, optional
        Values in their place; None stands for a value that is not given.
    file : Path, optional
        Another YAML file of this shape, whose values go before those that ship.

    Raises
    ------
    ConfigError
        The file cannot be used; or a key is unknown, or a value is not allowed.
    """
    values = dict(file_values("curation/swissprot", part))
    if file is not None:
        values |= _part_of(file, part)
    values |= {key: value for key, value in (given or {}).items() if value is not None}
    return from_mapping(kind, values, f"curation.{part}")


def with_evidence(query: str, term: str, codes: Sequence[str]) -> str:
    """Restrict a search to entries with a Gene Ontology term, or one below it, on evidence of certain codes.

    UniProt has a search field for each code in lower case, which also holds the terms above those of an entry.

    Examples
    --------
    >>> with_evidence("reviewed:true", "GO:0003700", ["exp", "ida"])
    '(reviewed:true) AND ((go_exp:0003700) OR (go_ida:0003700))'
    """
    wanted = " OR ".join(f"(go_{code}:{term.removeprefix('GO:')})" for code in codes)
    return f"({query}) AND ({wanted})"


def _part_of(file: Path, part: str) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_YAML_BYTES + 1)
        _check_plain(content)
        return dict(yaml.safe_load(content)[part])
    except (OSError, yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        text = " ".join(str(error).split())
        expected = f"a YAML file with {part!r}, as in conf/curation/swissprot.yaml"
        raise ConfigError(f"{file}: found something that cannot be used ({text}); expected {expected}") from error


def _check_plain(content: bytes) -> None:
    """Refuse what may make a small file a large value, a deep one, or another type: ValueError or YAMLError."""
    if len(content) > MAX_YAML_BYTES:
        raise ValueError(f"more than {in_words(MAX_YAML_BYTES)}")
    depth = 0
    for event in yaml.parse(content, yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise ValueError(f"nested more than {MAX_DEPTH} deep")
        if isinstance(event, yaml.AliasEvent) or getattr(event, "tag", None):
            raise ValueError(f"an alias or a tag in line {event.start_mark.line + 1}")
