"""Readers find what they ask for: over the sources of the pages, what the build checks with Sphinx's own index."""

import json
import re
from pathlib import Path

import pytest

from docs import generated, questions

DOCS = Path(__file__).parents[1] / "docs"
WORD = re.compile(r"\w+")


def text_of(path):
    if path.suffix == ".ipynb":
        cells = json.loads(path.read_text("utf-8"))["cells"]
        return "\n".join("".join(cell["source"]) for cell in cells)
    part = generated.PARTS.get(path.relative_to(DOCS).with_suffix("").as_posix(), str)
    return path.read_text("utf-8") + part()


@pytest.fixture(scope="module")
def pages():
    """The text of every page, by its name."""
    found = [path for kind in ("md", "ipynb") for path in DOCS.glob(f"**/*.{kind}") if "_build" not in path.parts]
    return {path.relative_to(DOCS).with_suffix("").as_posix(): text_of(path) for path in found}


@pytest.fixture(scope="module")
def contents(pages):
    """The pages that a page has in its tables of contents."""
    tables = {page: re.findall(r"```\{toctree\}\n(.*?)```", text, re.S) for page, text in pages.items()}
    return {
        page: [
            f"{page.rpartition('/')[0]}/{entry}".lstrip("/") for entry in re.findall(r"^[\w/-]+$", "".join(of), re.M)
        ]
        for page, of in tables.items()
    }


def words_of(pages, pattern):
    found = {}
    for page, text in pages.items():
        for word in set(WORD.findall(" ".join(re.findall(pattern, text, re.M)).lower())):
            found.setdefault(word, []).append(page)
    return found


def test_every_question_is_answered_within_two_clicks(pages, contents):
    assert len(questions.QUESTIONS) >= 20
    assert questions.unanswered(words_of(pages, "^#+ (.*)$"), words_of(pages, "^(.*)$"), contents) == []


def test_every_page_is_in_one_table_of_contents(pages, contents):
    listed = ["index", *(entry for entries in contents.values() for entry in entries)]
    assert sorted(listed) == sorted(pages)


def test_a_page_that_is_not_found_or_is_too_far_away_is_named(pages, contents):
    no_title = questions.unanswered({}, {}, contents)
    assert len(no_title) == len(questions.QUESTIONS)
    assert no_title[0].endswith("finds [], without tutorials/first-prediction")
    assert all("clicks from the start page" in line for line in questions.unanswered({}, {}, {"index": ["a"]}))


def test_titles_count_more_than_text_and_every_word_is_needed():
    titles, terms = {"dask": ["b"]}, {"dask": ["a", "b", "c"], "cluster": ["a", "b"]}
    assert questions.found(["dask", "cluster"], titles, terms) == ["b", "a"]
