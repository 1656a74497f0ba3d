"""The terms of label rules, held against the Gene Ontology itself: an OBO file that the user has [1]_ [2]_.

References
----------
.. [1] The Gene Ontology Consortium, Genetics 224 (2023), 10.1093/genetics/iyad031.
.. [2] https://owlcollab.github.io/oboformat/doc/GO.format.obo-1_4.html
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from tfclass.data.labels import Rule
from tfclass.errors import TableError
from tfclass.io.compression import DAMAGED, decompressed


class Ontology(NamedTuple):
    """What an OBO file says of its terms.

    Attributes
    ----------
    names : dict of str to str
        Of terms that are not obsolete, by id.
    parents : dict of str to tuple of str
        What each of them ``is_a``.
    merged : dict of str to str
        Alternative id -> the term that it stands for now.
    """

    names: dict[str, str]
    parents: dict[str, tuple[str, ...]]
    obsolete: frozenset[str]
    merged: dict[str, str]

    def below(self, root: str) -> set[str]:
        """Give a term and all those from which ``is_a`` leads to it."""
        children: dict[str, list[str]] = {}
        for term, parents in self.parents.items():
            for parent in parents:
                children.setdefault(parent, []).append(term)
        found, left = {root}, [root]
        while left:
            new = set(children.get(left.pop(), [])) - found
            found |= new
            left += new
        return found


def read_obo(path: Path) -> Ontology:
    """Read the terms of an OBO file, such as ``go-basic.obo``, plain or compressed.

    Raises
    ------
    TableError
        The file cannot be read, or has no term.
    """
    names, parents, obsolete, merged = {}, {}, set(), {}
    try:
        for tags in _stanzas(path):
            term = tags["id"][0]
            if "true" in tags.get("is_obsolete", []):
                obsolete.add(term)
                continue
            names[term] = tags["name"][0]
            # A comment with the parent's name stands behind its id.
            parents[term] = tuple(value.split()[0] for value in tags.get("is_a", []))
            merged |= dict.fromkeys(tags.get("alt_id", []), term)
    except FileNotFoundError:
        raise TableError(str(path), "no such file", action="check the path", path=str(path)) from None
    except (*DAMAGED, OSError, UnicodeDecodeError, LookupError) as error:
        raise TableError(str(path), f"a file that cannot be read ({error})", "an OBO file", path=str(path)) from error
    if not names:
        raise TableError(str(path), "no term", "an OBO file, such as go-basic.obo", path=str(path))
    return Ontology(names, parents, frozenset(obsolete), merged)


def compare_terms(rules: tuple[Rule, ...], ontology: Ontology) -> Iterator[str]:
    """Tell where the Gene Ontology terms of rules differ from an ontology, a line for each term."""
    before: set[str] = set()
    for rule in rules:
        own = {term: name for term, name in rule.terms.items() if term.startswith("GO:")}
        for term, name in own.items():
            if found := _found(term, name, ontology):
                yield f"{rule.name}: {term} ({name}) {found}"
        if rule.below:
            below = ontology.below(rule.below)
            for term in sorted(below - own.keys() - before):
                yield f"{rule.name}: lacks {term} ({ontology.names.get(term, 'unknown')}), which is below {rule.below}"
            for term in sorted((own.keys() & ontology.names.keys()) - below):
                yield f"{rule.name}: {term} ({own[term]}) is not below {rule.below}"
        before |= own.keys()


def _found(term: str, name: str, ontology: Ontology) -> str:
    if term in ontology.names:
        there = ontology.names[term]
        return "" if name in ("", there) else f"is called {there!r} there"
    if term in ontology.merged:
        return f"is {ontology.merged[term]} there"
    return "is obsolete there" if term in ontology.obsolete else "is not there"


def _stanzas(path: Path) -> Iterator[Mapping[str, list[str]]]:
    """Read the tags of each term: name of the tag -> its values."""
    tags: dict[str, list[str]] | None = None
    with path.open("rb") as packed:
        for raw in decompressed(packed):
            line = raw.decode("utf-8").strip()
            if line.startswith("["):
                if tags is not None:
                    yield tags
                tags = {} if line == "[Term]" else None
            elif tags is not None and ": " in line:
                tag, value = line.split(": ", 1)
                tags.setdefault(tag, []).append(value)
    if tags is not None:
        yield tags
