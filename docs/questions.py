"""The check that readers find what ``questions.yaml`` asks, by the search and from the start page."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from sphinx.application import Sphinx

QUESTIONS: list[dict[str, str]] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text("utf-8"))
SHOWN, CLICKS = 5, 2


def unanswered(
    titles: Mapping[str, Collection[str]], terms: Mapping[str, Collection[str]], contents: Mapping[str, Collection[str]]
) -> list[str]:
    """Return a line for each question whose page is too far down in the search, or too far from the start page.

    Parameters
    ----------
    titles, terms : mapping
        word -> pages that have it in a title or heading; in their text.
    contents : mapping
        page -> pages in its tables of contents.
    """
    near = {"index"}
    for _ in range(CLICKS):
        near |= {page for start in near for page in contents.get(start, ())}
    lines = []
    for question in QUESTIONS:
        page, words = question["page"], question["search"].split()
        if page not in near:
            lines.append(f"{question['ask']} {page} is more than {CLICKS} clicks from the start page")
        elif page not in (results := found(words, titles, terms))[:SHOWN]:
            lines.append(f"{question['ask']} A search for {words} finds {results[:SHOWN]}, without {page}")
    return lines


def found(words: list[str], titles: Mapping[str, Collection[str]], terms: Mapping[str, Collection[str]]) -> list[str]:
    """Return the pages that have all words, those with most in titles first, as the search of the pages ranks them."""
    points: dict[str, int] = {}
    for number, word in enumerate(words):
        here = {page: 5 for page in terms.get(word, ())} | {page: 15 for page in titles.get(word, ())}
        points = {page: points.get(page, 0) + value for page, value in here.items() if number == 0 or page in points}
    return sorted(points, key=lambda page: -points[page])


def _check(app: "Sphinx", exception: Exception | None) -> None:
    if exception or app.builder.format != "html":
        return
    indexer: Any = app.builder.indexer  # type: ignore[attr-defined] - of a builder of HTML
    frozen = indexer.freeze()

    def pages_of(key: str) -> dict[str, list[str]]:
        numbers = {word: [at] if isinstance(at, int) else at for word, at in frozen[key].items()}
        stems = {word: indexer.lang.stem(word) for question in QUESTIONS for word in question["search"].split()}
        return {word: [frozen["docnames"][at] for at in numbers.get(stem, [])] for word, stem in stems.items()}

    from sphinx.util import logging

    for line in unanswered(pages_of("titleterms"), pages_of("terms"), app.env.toctree_includes):
        logging.getLogger(__name__).warning("questions.yaml: %s", line)


def setup(app: "Sphinx") -> dict[str, bool]:
    """Check the questions when the pages are built."""
    app.connect("build-finished", _check)
    return {"parallel_read_safe": True}
