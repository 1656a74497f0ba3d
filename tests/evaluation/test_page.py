"""The page: whole in itself, nothing of a user's is taken for markup, no number is missing without a reason."""

import base64
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from tests.evaluation.test_report import FIVE, NOT_SEARCHED, baseline, found, proteins, report_of, scored
from tfclass.config import CorpusConfig, EvaluateConfig, EvaluationConfig
from tfclass.evaluation.homologues import LeftOut
from tfclass.evaluation.page import render_page
from tfclass.io.drawing import svg

VOID = {"meta", "img", "br", "link", "hr"}
EVIL = '<script>alert("1")</script>'


class Page(HTMLParser):
    """The elements, links, texts and tables of a page; fails where tags are not balanced."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.links, self.sources, self.ids = [], [], [], [], set()
        self.text, self.tables, self.notes = "", [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.tags.append((tag, values))
        self.links += [values["href"]] if "href" in values else []
        self.sources += [values["src"]] if "src" in values else []
        self.ids.add(values.get("id"))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" in self.open:
            return
        self.text += data
        if {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += f"^{data}" if self.open[-1] == "sup" else data


@pytest.fixture(scope="module")
def render(alphabet, small_bundle):
    """Make the page of a report on given labels; its figures only where they are looked at, since they take longest."""

    def render(
        labels,
        classes=("nonTF", "TF"),
        *,
        train=None,
        homologues=NOT_SEARCHED,
        baselines=None,
        name="small",
        drawn=False,
        **columns,
    ):
        labels = np.asarray(labels, dtype=np.int64)
        test = proteins(labels, classes, alphabet, **columns)
        config = EvaluateConfig.default(
            corpus=CorpusConfig.default(path="t.tsv", classes=classes),
            evaluation=EvaluationConfig.default(n_bootstrap=20),
            bundle="b",
            report="r",
        )
        bundle = replace(small_bundle, name=name, classes=classes, threshold=0.5 if len(classes) == 2 else None)
        others = {"other": baseline(labels, len(classes))} if baselines is None else baselines
        report = report_of(config, bundle, test, scored(labels, len(classes), skill=0.2), others, train, homologues)
        drawings = {key: svg(figure) for key, figure in report.figures.items()} if drawn else {}
        return render_page(report.content, drawings)

    return render


CASES = {
    "a binary split": (np.arange(90) % 3 == 0, ("nonTF", "TF")),
    "five classes": (np.arange(60) % 5, FIVE),
    "five classes of which one is there": (np.full(20, 2), FIVE),
    "a split without a positive": (np.zeros(30, int), ("nonTF", "TF")),
    "a split of positives alone": (np.ones(30, int), ("nonTF", "TF")),
    "a single protein": (np.ones(1, int), ("nonTF", "TF")),
}


@pytest.fixture(scope="module", params=CASES.values(), ids=CASES.keys())
def text(request, render):
    """The page of each case, with its figures."""
    return render(*request.param, drawn=True)


def test_a_page_needs_nothing_else(text):
    page = Page(text)
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "link", "iframe", "object", "form", "base"})
    assert all(source.startswith("data:image/svg+xml;base64,") for source in page.sources)
    assert page.sources
    outside = [link for link in page.links if not link.startswith("#")]
    assert all(link.startswith("https://www.uniprot.org/uniprotkb/") for link in outside)
    assert "url(" not in text
    assert "@import" not in text
    for link in page.links:
        assert not link.startswith("#") or link[1:] in page.ids, link


def test_every_figure_is_a_drawing_with_words_for_those_who_cannot_see_it(text):
    pictures = [values for tag, values in Page(text).tags if tag == "img"]
    for values in pictures:
        root = ET.fromstring(base64.b64decode(values["src"].partition(",")[2]))
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert len(values["alt"]) > 20


def test_no_cell_is_nan_and_every_dash_among_numbers_has_a_note(text):
    page = Page(text)
    assert page.tables
    for table in page.tables:
        for row in table:
            for cell in row:
                assert not re.search(r"\b(nan|none|null|inf|undefined)\b", cell, re.I) or "none" in cell, cell
    # The tables of scores come first; those of names and of homologues may have a dash for what is not known.
    for table in page.tables[:2]:
        assert not [cell for row in table for cell in row if cell == "–"]


def test_a_split_without_a_positive_gives_the_reason_below_the_table(render):
    text = Page(render(np.zeros(30, int))).text
    assert "no positive protein" in text
    assert "small cannot be compared with the other: no positive protein." in text


def test_the_headline_has_model_baselines_prevalence_and_lead_in_one_table(render):
    table = Page(render(np.arange(90) % 3 == 0)).tables[0]
    assert table[0][-2:] == ["lead in average precision", "lead in MCC"]
    assert table[0][-3] == "prevalence"
    assert [row[0] for row in table[1:]] == ["small (the model)", "other"]
    for row in table[1:]:
        assert row[-3] == "33.3\u00a0%"
        assert re.fullmatch(r"\d\.\d{3}\[\d\.\d{3}, \d\.\d{3}\]", row[1])
    assert re.fullmatch(r"[+−]\d\.\d{3}\[[+−]\d\.\d{3}, [+−]\d\.\d{3}\]", table[2][-1])


def test_what_a_user_named_is_text_and_never_markup(render, alphabet):
    classes = ("<b>not</b>", f"TF{EVIL}")
    labels = np.arange(60) % 2
    train = proteins(labels, classes, alphabet, seed=4, id=[f"{EVIL}{i}" for i in range(60)])
    text = render(
        labels,
        classes,
        train=train,
        homologues=found(np.arange(60), np.full(60, 0.4)),
        baselines={"gone": LeftOut(EVIL, "<i>gone</i>"), "other": baseline(labels, 2)},
        name=EVIL,
        drawn=True,
        id=[f"{EVIL}{i}" for i in range(60)],
        kingdom=[f'"><img src=x onerror=alert({i % 3})>' for i in range(60)],
        source="javascript:alert(1)",
        split="test",
    )
    page = Page(text)
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "b", "i"})
    assert all(not name.startswith("on") for _, values in page.tags for name in values)
    assert all(source.startswith("data:image/svg+xml;base64,") for source in page.sources)
    assert page.links
    assert all(link.startswith("#") for link in page.links)
    assert EVIL in page.text
    for _, values in page.tags:
        if "src" in values:
            drawing = base64.b64decode(values["src"].partition(",")[2])
            assert not [e for e in ET.fromstring(drawing).iter() if e.tag.endswith("script")]


def test_accessions_lead_to_uniprot_and_other_ids_do_not(render):
    ids = ["P12345", "sp|Q9H9S0|NANOG_HUMAN", "AT5G15210.1", *(f"x{i}" for i in range(57))]
    page = Page(render(np.arange(60) % 2, id=ids, baselines={}))
    outside = {link for link in page.links if not link.startswith("#")}
    assert outside <= {f"https://www.uniprot.org/uniprotkb/{a}/entry" for a in ("P12345", "Q9H9S0")}


def test_what_was_not_done_is_said_with_what_to_do(render):
    text = Page(render(np.arange(60) % 2, baselines={"top_hit": LeftOut(NOT_SEARCHED.reason, "the top hit")})).text
    assert "Not compared with the top hit: MMseqs2 is not installed; pip install 'tfclass[homology]'." in text
    assert f"Not audited: {NOT_SEARCHED.reason}" in text
    assert "Not shown by identity to the nearest training protein: " in text


def test_the_audit_is_shown_where_there_are_training_proteins(render, alphabet):
    labels = np.arange(60) % 2
    train = proteins(labels, ("nonTF", "TF"), alphabet, seed=4)
    page = Page(render(labels, train=train, homologues=found(np.arange(60), np.linspace(0.05, 1, 60))))
    assert "What the scored proteins share with the 60 training proteins." in page.text
    rows = {row[0]: row[1] for table in page.tables for row in table if len(row) == 2}
    assert rows["identity above 50\u00a0%"].startswith("32 (")
    assert rows["without any training homologue"] == "0"


def test_a_page_is_the_same_for_the_same_report(render):
    labels = np.arange(30) % 2
    first, second = (re.sub(r"Made .* s\.", "", render(labels, drawn=True)) for _ in range(2))
    assert first == second


def test_ids_of_any_alphabet_are_shown(render):
    page = Page(render(np.arange(30) % 2, id=[f"タンパク質 {i} & <{i}>" for i in range(30)], baselines={}))
    assert "タンパク質 " in page.text
