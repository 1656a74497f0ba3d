"""Homology of the scored proteins to those that the model was trained on."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pydantic.dataclasses import dataclass

from tfclass.data.leakage import identities
from tfclass.data.table import LabelledProteins
from tfclass.errors import MissingExtraError
from tfclass.search.mmseqs import MAX_E_VALUE, MAX_HITS, SENSITIVITY, mmseqs_version, nearest, search

# Hits that may well be chance still rank the proteins that have no better ones.
_MAX_WEAK_E_VALUE = 10.0
_LEVELS = (0.3, 0.5, 0.7, 0.9)


@dataclass(frozen=True)
class LeftOut:
    """A part of a report that could not be computed; `left_out` is the reason."""

    left_out: str
    title: str = ""


class Homologues(NamedTuple):
    """Hits of the test proteins among the training proteins, up to an e-value of 10; or the reason why there are none.

    `how` names program and settings.
    """

    hits: pd.DataFrame | None
    reason: str = ""
    how: str = ""


def find_homologues(train: LabelledProteins | None, test: LabelledProteins, *, threads: int = 1) -> Homologues:
    """Search the training proteins for homologues of the test proteins, where that is possible."""
    if train is None:
        return Homologues(None, "the table has no train split; nothing is known of what the model was trained on")
    try:
        how = f"MMseqs2 {mmseqs_version()}, sensitivity {SENSITIVITY:g}"
        hits = search(
            test.tokens,
            train.tokens,
            sensitivity=SENSITIVITY,
            max_e_value=_MAX_WEAK_E_VALUE,
            threads=threads,
            max_hits=MAX_HITS,
        )
    except MissingExtraError as error:
        return Homologues(None, str(error))
    return Homologues(hits, how=how)


@dataclass(frozen=True)
class Neighbour:
    """The nearest training protein; `identity` is that within the local alignment, from 0 to 1."""

    id: str
    label: str
    identity: float


class Nearest(NamedTuple):
    """The nearest training homologue of each scored protein.

    Attributes
    ----------
    frame : DataFrame
        ``id``, ``label`` and ``identity`` of each; "", "" and NaN where there is none.
    unknown : str
        Why nothing is known of homologues; empty when a search was made.
    """

    train: LabelledProteins | None
    frame: pd.DataFrame
    unknown: str = ""
    how: str = ""

    @classmethod
    def among(cls, train: LabelledProteins | None, homologues: Homologues, n_proteins: int) -> "Nearest":
        """Take the best hit of each of `n_proteins` from a search among the training proteins."""
        if train is None or homologues.hits is None:
            frame = pd.DataFrame({"id": "", "label": "", "identity": np.nan}, index=range(n_proteins))
            return cls(train, frame, homologues.reason or "there are no training proteins")
        best = nearest(homologues.hits, n_proteins)
        # Without a homologue the row is -1, which is none of the index.
        rows = train.frame[["id", "label"]].reset_index(drop=True).reindex(best["target"].to_numpy()).fillna("")
        return cls(train, rows.assign(identity=best["identity"].to_numpy(np.float64)), how=homologues.how)

    def neighbour(self, row: int) -> Neighbour | None:
        """Return the nearest homologue of a protein; None where there is none."""
        record = self.frame.iloc[row]
        return None if np.isnan(record["identity"]) else Neighbour(*record)


@dataclass(frozen=True)
class Above:
    """Number and fraction of the scored proteins above an identity."""

    n: int
    share: float


@dataclass(frozen=True)
class Identities:
    """Identities of the scored proteins to their nearest training proteins; the histogram has ten bins from 0 to 1."""

    n_with_homologue: int
    n_without: int
    median: float | None
    histogram: list[int]
    above: dict[str, Above]


@dataclass(frozen=True)
class Leakage:
    """Numbers of scored proteins whose sequence or cluster a training protein has too, and their homologues."""

    n_train: int
    identical_sequences: int
    shared_clusters: int
    max_e_value: float
    search: str
    identity: Identities | LeftOut


def leakage_audit(test: LabelledProteins, closest: Nearest) -> Leakage | LeftOut:
    """Compare the scored proteins with the training proteins."""
    train = closest.train
    if train is None:
        return LeftOut(closest.unknown)
    identity_N = closest.frame["identity"].to_numpy()
    trained = {tokens.tobytes() for tokens in train.tokens}
    above = {f"{level:.1f}": int((identity_N > level).sum()) for level in _LEVELS}
    shares = {level: Above(n, n / len(test.tokens)) for level, n in above.items()}
    found: dict[str, Any] = identities(identity_N)
    return Leakage(
        n_train=len(train.labels),
        identical_sequences=sum(tokens.tobytes() in trained for tokens in test.tokens),
        shared_clusters=int(test.frame["cluster"].isin(set(train.frame["cluster"])).sum()),
        max_e_value=MAX_E_VALUE,
        search=closest.how,
        identity=LeftOut(closest.unknown) if closest.unknown else Identities(**found, above=shares),
    )
