"""The rules of ``rules.yaml``: names of families, and what of the teacher's predictions becomes a pseudo-label."""

import re
from collections.abc import Mapping
from dataclasses import field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

import pandas as pd
import yaml
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from tfclass.channels.build_profiles import Naming
from tfclass.channels.domains import domain_of_family
from tfclass.config import from_mapping
from tfclass.errors import ConfigError
from tfclass.search.hmmer import OF_CLUSTER
from tfclass.typing import BoolArray

SHIPPED = Path(__file__).with_name("rules.yaml")
Probability = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class Rules:
    """The content of ``rules.yaml``, where each key is explained."""

    families: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    too_broad: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    family_share: Probability = 0.9
    positive_probability: Probability = 0.8
    negative_probability: Probability = 0.01
    contradiction_margin: float = 20.0
    repeats: Mapping[str, Annotated[int, Field(ge=1)]] = field(default_factory=dict)
    sparse: tuple[str, ...] = ()
    sparse_species: tuple[str, ...] = ()
    mislabelled: Mapping[str, str] = field(default_factory=dict)
    other_parts: tuple[str, ...] = ()

    def family_of(self, given: str, source: str = "") -> str:
        """Return the one name of a family; empty where no pattern matches, or the name is too broad.

        Parameters
        ----------
        given : str
            Its name in a source, or several joined by ``;``, ``+`` or ``,``: the first that matches counts.
        source : str
            The source of the name.
        """
        broad = {name for pattern, names in self.too_broad.items() if fnmatchcase(source, pattern) for name in names}
        for part in (given, *re.split(r"[;+,]", given)):
            for name, patterns in self.families.items():
                if any(fnmatchcase(part, pattern) for pattern in patterns):
                    return "" if name in broad else name
        return ""

    def families_of(self, frame: pd.DataFrame) -> list[str]:
        """Return the family of each row, from its columns ``family`` and ``source``."""
        given = frame.reindex(columns=["family", "source"], fill_value="")
        return [self.family_of(*row) for row in given.itertuples(index=False)]

    def naming(self, seed: str, family: str) -> Naming:
        """Return name and Pfam accession of a profile, from the known domain or the cluster that it began with.

        Members of another family than the domain's own leave it without one: a trihelix is no MADF.
        """
        of_cluster = seed.startswith(OF_CLUSTER)
        key = family if of_cluster else seed
        sure = None if of_cluster or self.family_of(seed) in ("", family) else ""
        domain = domain_of_family(key)
        if domain is None:
            return Naming(key or f"relatives of {seed.removeprefix(OF_CLUSTER)}", "", sure)
        is_other = of_cluster and domain.name in self.other_parts
        return Naming(domain.name, "" if is_other else domain.pfam, sure)

    def is_believed(self, frame: pd.DataFrame) -> BoolArray:
        """Return which rows have a label that is not known to be wrong, by their column ``id``."""
        return ~frame["id"].isin(list(self.mislabelled)).to_numpy()

    def is_sparse(self, frame: pd.DataFrame) -> BoolArray:
        """Return which rows are of a kingdom with few clusters to a family, from their column ``kingdom``."""
        return frame.reindex(columns=["kingdom"])["kingdom"].isin(self.sparse).to_numpy()

    def is_of_sparse_species(self, header: str) -> bool:
        """Return whether the header of an unlabelled protein names a species of these kingdoms."""
        return any(fnmatchcase(header, pattern) for pattern in self.sparse_species)


def read_rules(path: Path = SHIPPED) -> Rules:
    """Read rules from a YAML file; `ConfigError` where it cannot be read, or has other keys or values."""
    try:
        content = yaml.safe_load(path.read_bytes())
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}); expected YAML as in {SHIPPED.name}") from error
    return from_mapping(Rules, content, where=str(path))
