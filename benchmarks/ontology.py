"""Do the terms of the label rules agree with the Gene Ontology? Compare them with an OBO file [1]_ [2]_.

Prints a line for each term that is missing, obsolete, merged, renamed, or not below the term of its rule, and exits
with status 1 where there is one.

Usage: python benchmarks/ontology.py go-basic.obo [--rules FILE]

References
----------
.. [1] The Gene Ontology Consortium, Genetics 224 (2023), 10.1093/genetics/iyad031.
.. [2] https://owlcollab.github.io/oboformat/doc/GO.format.obo-1_4.html
"""

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from tfclass.data.curation import LabelConfig, LabelRule, curation_config
from tfclass.errors import TableError, TfclassError
from tfclass.io.reading import DAMAGED, decompressed


class Ontology(NamedTuple):
    """The terms of an OBO file.

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
        """Return a term and all those from which ``is_a`` leads to it."""
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
        raise TableError(f"{path}: no such file; check the path") from None
    except (*DAMAGED, OSError, UnicodeDecodeError, LookupError) as error:
        raise TableError(f"{path}: found a file that cannot be read ({error}); expected an OBO file") from error
    if not names:
        raise TableError(f"{path}: found no term; expected an OBO file, such as go-basic.obo")
    return Ontology(names, parents, frozenset(obsolete), merged)


def compare_terms(rules: tuple[LabelRule, ...], ontology: Ontology) -> Iterator[str]:
    """Describe where the Gene Ontology terms of rules differ from an ontology, a line for each term."""
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


def main() -> None:
    """Print the differences."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ontology", type=Path)
    parser.add_argument("--rules", type=Path, help="a file shaped like conf/curation/swissprot.yaml")
    options = parser.parse_args()
    try:
        rules = curation_config(LabelConfig, "label", file=options.rules).rules
        differences = list(compare_terms(rules, read_obo(options.ontology)))
    except TfclassError as error:
        sys.exit(str(error))
    print(*differences, sep="\n")
    sys.exit(1 if differences else 0)


if __name__ == "__main__":
    main()
