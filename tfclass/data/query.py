"""What is asked of UniProt: the search, its fields, and the patience to have with the server."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from tfclass.config import NonNegative, Positive, Rate


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class FetchConfig:
    """What is asked of UniProt, and how patiently; ``curation.fetch`` of ``conf/corpus/swissprot.yaml``."""

    url: str
    query: str
    fields: Annotated[tuple[str, ...], Field(min_length=1)]
    size: Annotated[int, Field(ge=1, le=500)] = 500
    stream: bool = False
    rate: Rate = 3.0
    timeout: Rate = 90.0
    retries: Positive = 8
    backoff: NonNegative = 1.0
    longest_wait: NonNegative = 600.0
    evidence_term: Annotated[str, Field(pattern=r"^GO:[0-9]{7}$")] = "GO:0003700"
    experimental: tuple[str, ...] = ("exp",)


def with_evidence(query: str, term: str, codes: Sequence[str]) -> str:
    """Narrow a search to entries that have a Gene Ontology term, or one below it, on evidence of certain kinds.

    Parameters
    ----------
    codes : sequence of str
        Evidence codes in lower case. UniProt has a search field for each, in which it also puts the terms above those
        of an entry.

    Examples
    --------
    >>> with_evidence("reviewed:true", "GO:0003700", ["exp", "ida"])
    '(reviewed:true) AND ((go_exp:0003700) OR (go_ida:0003700))'
    """
    wanted = " OR ".join(f"(go_{code}:{term.removeprefix('GO:')})" for code in codes)
    return f"({query}) AND ({wanted})"
