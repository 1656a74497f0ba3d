"""DNA-binding domains by name: accessions in Pfam and InterPro, the families that have them, and what they are.

The table is ``domains.tsv`` beside this file. An empty cell of an accession means that there is none, or none that is
sure. A family, or a name that a table of known domains has, belongs to one domain.
"""

from functools import cache
from importlib.resources import files
from typing import NamedTuple


class Domain(NamedTuple):
    """A kind of DNA-binding domain.

    Attributes
    ----------
    name : str
        For people.
    pfam, interpro : str
        Its accessions, such as ``PF00010`` and ``IPR011598``; empty where there is none.
    families : tuple of str
        Families of proteins that have it, and names that Pfam gives it; its own name alone, where it has no others.
    description : str
        A few words.
    """

    name: str
    pfam: str
    interpro: str
    families: tuple[str, ...]
    description: str


@cache
def known_domains() -> tuple[Domain, ...]:
    """Read the table."""
    lines = files("tfclass.channels").joinpath("domains.tsv").read_text(encoding="utf-8").splitlines()[1:]
    cells = (line.split("\t") for line in lines)
    return tuple(
        Domain(name, pfam, interpro, tuple(families.split(";")) if families else (name,), description)
        for name, pfam, interpro, families, description in cells
    )


def domain_of_family(family: str) -> Domain | None:
    """Return the domain of the proteins of a family, or of a known domain's name; None where it is unknown.

    Examples
    --------
    >>> domain_of_family("HD-ZIP")[:3]
    ('Homeodomain', 'PF00046', 'IPR001356')
    """
    return _by_family().get(family)


def domain_of_accession(pfam: str) -> Domain | None:
    """Return the first domain of an accession in Pfam; None where it is unknown."""
    return _by_accession().get(pfam)


@cache
def _by_family() -> dict[str, Domain]:
    return {family: domain for domain in known_domains() for family in domain.families}


@cache
def _by_accession() -> dict[str, Domain]:
    return {domain.pfam: domain for domain in reversed(known_domains()) if domain.pfam}
