"""The summary of an input: its numbers against NumPy and SciPy, its page as a browser's parser reads it."""

import io
import json
import os
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import SMALL, bundle_of
from tfclass import Predictor
from tfclass.channels.calibration import Calibration, at_prevalence, estimate_prevalence
from tfclass.channels.thresholds import DecisionRule
from tfclass.inference.expected import ProbabilityCounts
from tfclass.inference.page import write_page
from tfclass.inference.rows import Prediction
from tfclass.inference.summary import MAX_BORDERLINE, MAX_LISTED, Run, Summary, write_json
from tfclass.inference.usual import CENSUSES, TAXA
from tfclass.models.factory import build
from tfclass.sequences.identifiers import entry_link
from tfclass.sequences.parsing import Record

RUN = Run("tfclass predict 'a b.fasta'", ["a b.fasta"], "rows.tsv", {"channel": "network"}, 1.5)
HOSTILE = [
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    '"onmouseover="alert(1)',
    "=cmd()|' /C calc'!A0",
    "a\tb;c=d,e%",
    "\u202egnp.exe",
    "lat\udce9",
    "\N{CJK UNIFIED IDEOGRAPH-4E2D}" * 100,
    "{{ 7 * 7 }}",
    "",
    "x" * 300,
]


@pytest.fixture
def predictor(small_bundle):
    """One with families and domains in its columns."""
    found = Predictor(replace(small_bundle, calibration=Calibration(1.5, (0.0, 0.0), prevalence=0.3)))
    found.scorer.columns = {"family": None, "domain": None, "network": None}
    found.columns = {**found.columns, "family": None}
    return found


def row(name, probability, threshold=0.5, length=200, notes="", **details):
    details = {"family": None, "domain": None, "network": probability, **details}
    if probability is None:
        return Prediction(name, length, "", None, threshold, "skipped", notes, details)
    label = "TF" if probability >= threshold else "nonTF"
    return Prediction(name, length, label, probability, threshold, "ok", notes, details)


def summary_of(predictor, rows, **options):
    summary = Summary(predictor, **options)
    assert list(summary.count(iter(rows))) == rows
    return summary


def page_of(content):
    stream = io.BytesIO()
    write_page(content, stream)
    return stream.getvalue().decode()


class Parsed(HTMLParser):
    """Tags with their attributes, and the text of each kind of tag."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self._open = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._open.append(tag)

    def handle_endtag(self, tag):
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data):
        if self._open and self._open[-1] not in ("style", "script") and data.strip():
            self.texts.append(data.strip())


class TestNumbers:
    @settings(max_examples=30, deadline=None)
    @given(st.lists(st.floats(0, 1).map(lambda p: round(p, 6)), min_size=1, max_size=200))
    def test_sums_of_probabilities_are_numpys(self, values):
        rule = DecisionRule(0.5, (), 0.3)
        counts = ProbabilityCounts(rule)
        for value in values:
            counts.add(value, value >= 0.5)
        found, p = counts.expected(None), np.array(values)
        assert found.number == pytest.approx(p.sum(), abs=1e-6 * len(p))
        shown = found.assumptions[0]
        margin = 1.96 * np.sqrt((p * (1 - p)).sum())
        # The mean of a bin stands for its probabilities.
        assert shown.interval.high - shown.number <= margin * 1.01 + 1e-6
        assert shown.interval.high == pytest.approx(min(len(p), p.sum() + margin), rel=0.01, abs=1e-3)
        assert shown.false == pytest.approx((1 - p[p >= 0.5]).sum(), abs=1e-6 * len(p))
        assert shown.missed == pytest.approx(p[p < 0.5].sum(), abs=1e-6 * len(p))
        moved = at_prevalence(p, 0.3, estimate_prevalence(p, 0.3)).sum()
        assert found.interval.low <= moved + 0.05
        assert moved - 0.05 <= found.interval.high
        assert 0 <= found.interval.low <= found.number <= found.interval.high <= len(p)

    def test_a_moved_prevalence_gives_the_same_assumptions(self):
        rng, rule = np.random.default_rng(0), DecisionRule(0.5, (), 0.3)
        p = rng.beta(0.2, 1.5, 3000)
        moved = at_prevalence(p, 0.3, 0.05)
        plain, shifted = ProbabilityCounts(rule), ProbabilityCounts(rule)
        for a, b in zip(p, moved, strict=True):
            plain.add(a, False)
            shifted.add(b, False)
        of = lambda counts, at: {round(each.prevalence, 3): each.number for each in counts.expected(at).assumptions}  # noqa: E731
        by_plain, by_shifted = of(plain, None), of(shifted, 0.05)
        assert by_shifted[0.05] == pytest.approx(moved.sum(), rel=1e-6)
        for prevalence, number in by_plain.items():
            assert by_shifted[prevalence] == pytest.approx(number, rel=0.01)

    def test_probabilities_near_0_and_near_1_are_told_apart(self):
        counts, p = ProbabilityCounts(DecisionRule(0.5, (), 0.3)), np.array([1e-6, 1e-3, 0.1, 0.9, 0.999, 0.999999])
        for value in p:
            counts.add(value, value >= 0.5)
        for shown_at in (0.01, 0.9):
            [number] = [each.number for each in counts.expected(shown_at).assumptions if each.prevalence == 0.3]
            assert number == pytest.approx(at_prevalence(p, shown_at, 0.3).sum(), rel=1e-9)

    def test_a_model_without_a_prevalence_has_one_assumption(self):
        counts = ProbabilityCounts(DecisionRule(0.5))
        counts.add(0.25, False)
        [only] = counts.expected(None).assumptions
        assert (only.prevalence, only.number) == (None, 0.25)

    def test_every_row_is_counted_and_the_nearest_are_listed(self, predictor):
        rng = np.random.default_rng(1)
        p = np.round(rng.random(9000), 6)
        rows = [row(f"p{n}", float(value), family=["", "bZIP", "MYB"][n % 3] or None) for n, value in enumerate(p)]
        rows += [row("e", None, length=0, notes="empty")]
        rows += [row("s", None, notes="no_id;illegal '1' at 3"), row("t", None, notes="illegal '?' at 2")]
        content = summary_of(predictor, rows).content(RUN)
        positive = p >= 0.5
        assert content["counts"] == {
            "records": 9003,
            "skipped": 3,
            "scored": 9000,
            "residues": 9000 * 200,
            "predicted": positive.sum(),
            "share": positive.mean(),
        }
        assert content["expected"]["number"] == pytest.approx(p.sum())
        assert content["expected"]["level"] == 0.95
        counts, _ = np.histogram(p, np.linspace(0, 1, 51))
        assert [bar["n"] for bar in content["histogram"]] == counts.tolist()
        assert sum(bar["predicted"] for bar in content["histogram"]) == positive.sum()
        families = np.array(["", "bZIP", "MYB"])[np.arange(9000) % 3]
        expected = {name: int((families[positive] == name).sum()) for name in ("", "bZIP", "MYB")}
        assert {each["name"]: each["n"] for each in content["groups"]} == expected
        listed = [each["number"] - 1 for each in content["predicted"]["proteins"]]
        assert listed == np.flatnonzero(positive)[np.argsort(-p[positive], kind="stable")][:MAX_LISTED].tolist()
        odds = np.abs(np.log(p / (1 - p)))
        for name, side in (("above", positive), ("below", ~positive)):
            found = content["borderline"][name]
            assert found["total"] == (odds[side] <= np.log(10)).sum()
            nearest = np.sort(odds[side])[:MAX_BORDERLINE]
            shown = [odds[each["number"] - 1] for each in found["proteins"]]
            np.testing.assert_allclose(shown, nearest, atol=1e-4)
        assert [(each["name"], each["n"], each["examples"]) for each in content["skipped"]] == [
            ("illegal", 2, ["s", "t"]),
            ("empty", 1, ["e"]),
        ]
        assert [(each["name"], each["n"]) for each in content["notes"]] == [("no_id", 1)]

    def test_a_note_has_the_ids_of_its_first_five_rows_and_long_ones_are_cut(self, predictor):
        names = ["x" * 300, "x" * 301, "c", "d", "e", "f", "g"]
        content = summary_of(predictor, [row(name, 0.9, notes="duplicate_id") for name in names]).content(RUN)
        [note] = content["notes"]
        assert (note["n"], note["examples"]) == (7, ["x" * 300, "x" * 299 + "…", "c", "d", "e"])

    def test_json_holds_the_content(self, predictor):
        content = summary_of(predictor, [row(name, 0.9) for name in HOSTILE]).content(RUN)
        stream = io.BytesIO()
        write_json(content, stream)
        read = json.loads(stream.getvalue())
        assert read == json.loads(json.dumps(content))
        assert read["predicted"]["proteins"][0]["id"] == HOSTILE[0]
        assert read["command"] == RUN.command

    def test_shares_are_those_of_the_counts_and_sources_have_a_doi(self):
        assert {each.taxon for each in CENSUSES} == set(TAXA)
        genes = {"Zea mays": 45_796, "Mus musculus": 23_873, "Saccharomyces cerevisiae": 6_569}
        for each in CENSUSES:
            assert re.fullmatch(r"10\.[0-9]{4}/\S+", each.doi)
            assert 0 <= each.low <= each.high < 0.12
            if each.genome in genes:
                assert each.low == pytest.approx(each.n_factors / genes[each.genome], abs=6e-4)

    def test_a_model_of_several_classes_has_classes_and_no_expected_number(self, alphabet):
        import torch

        torch.manual_seed(0)
        classes = ("bZIP", "MYB", "WRKY")
        model = build(SMALL, alphabet, n_classes=3).eval()
        bundle = bundle_of("three", model, SMALL, Calibration(1.0, (0.0,) * 3), classes, threshold=None)
        predictor = Predictor(bundle)
        summary = Summary(predictor)
        records = [Record(f"r{n}", "", "MKVLAGHWMKV"[: n + 2]) for n in range(9)] + [Record("no", "", "")]
        rows = list(summary.count(predictor.predict(records)))
        content = summary.content(RUN)
        assert (content["expected"], content["usual"], content["decision"]["rule"]) == (None, [], None)
        assert content["counts"]["predicted"] == 9
        assert {each["name"]: each["n"] for each in content["groups"]} == {
            name: sum(each.label == name for each in rows) for name in {each.label for each in rows if each.label}
        }
        texts = Parsed(page_of(content)).texts
        assert "Classes in a b.fasta" in texts
        assert "No protein is predicted" not in " ".join(texts)


class TestPage:
    def test_hostile_ids_are_text_and_nothing_else(self, predictor):
        rows = [row(name, 0.9, family=name[:40], domain="10-60", notes="duplicate_id") for name in HOSTILE]
        rows += [row(name, None, notes="empty") for name in HOSTILE]
        harmless = [each._replace(id="p", details={**each.details, "family": "bZIP"}) for each in rows]
        run = RUN._replace(command="tfclass predict '</script>'", inputs=["<b>.fasta"], options={"<i>": "<u>"})
        found, plain = (
            Parsed(page_of(summary_of(predictor, each).content(given)))
            for each, given in ((rows, run), (harmless, RUN))
        )
        assert {tag for tag, _ in found.tags} == {tag for tag, _ in plain.tags}
        assert sum(tag == "script" for tag, _ in found.tags) == 1
        assert not any(name.startswith("on") for _, attributes in found.tags for name in attributes)
        for name in HOSTILE[:4]:
            assert name in found.texts
        assert any("\\u202egnp.exe" in text for text in found.texts)

    def test_it_needs_nothing_from_elsewhere(self, predictor):
        text = page_of(summary_of(predictor, [row("P12345", 0.9, domain="1-10")]).content(RUN))
        for tag, attributes in Parsed(text).tags:
            assert tag not in ("link", "img", "iframe", "object", "base", "form")
            assert "src" not in attributes
        assert "url(" not in text
        assert "@import" not in text
        assert "default-src 'none'" in text

    def test_a_domain_is_drawn_to_scale(self, predictor):
        rows = [row(f"p{n}", 0.9, length=200) for n in range(50)] + [
            row("long", 0.95, length=1000, domain="101-200;301-400")
        ]
        tags = Parsed(page_of(summary_of(predictor, rows).content(RUN))).tags
        drawn = [attributes["style"] for tag, attributes in tags if tag == "i" and "style" in attributes]
        assert [style for style in drawn if "10.0%" in style] == ["left:10.0%;width:10.0%", "left:30.0%;width:10.0%"]
        longest = [attributes for tag, attributes in tags if tag == "div" and attributes.get("class") == "long"]
        assert [each["style"] for each in longest] == ["width:100.0%"]

    @pytest.mark.parametrize("rows", [[row("a", 0.1)], [row("a", None, notes="empty")], [row("a", 0.0), row("b", 1.0)]])
    def test_it_can_be_made_of_little(self, predictor, rows):
        texts = " ".join(Parsed(page_of(summary_of(predictor, rows).content(RUN))).texts)
        assert ("No protein is predicted TF." in texts) == (rows[-1].label != "TF")
        assert ("No protein was scored." in texts) == (rows[0].status == "skipped")

    def test_a_hundred_thousand_hostile_proteins_take_less_than_three_megabytes(self, predictor):
        rows = (
            row("\"&<>'`" * 60, 0.9, domain="10-60;70-90", family="bZIP", notes="duplicate_id") for _ in range(100_000)
        )
        summary = Summary(predictor)
        assert sum(1 for _ in summary.count(rows)) == 100_000
        text = page_of(summary.content(RUN))
        assert len(text.encode()) < 3_000_000
        assert f"The {MAX_LISTED:,} likeliest of 100,000; all are in rows.tsv." in text

    @pytest.mark.parametrize(("n_families", "n_others"), [(20, 0), (21, 0), (22, 2), (30, 10)])
    def test_twenty_families_have_a_bar_of_their_own_and_the_others_share_one(self, predictor, n_families, n_others):
        rows = [row("p", 0.9, family=f"f{n:02}") for n in range(n_families) for _ in range(31 - n)]
        rows += [row("p", 0.9, family=None)] * 50
        page = Parsed(page_of(summary_of(predictor, rows).content(RUN)))
        names = [f"f{n:02}" for n in range(n_families - n_others)] + [f"{n_others} others"] * (n_others > 0)
        shown = page.texts[page.texts.index("f00") :]
        assert shown[: 2 * len(names) + 2 : 2] == [*names, "not known"]
        counts = [31 - n for n in range(n_families)]
        expected = counts[: n_families - n_others] + [sum(counts[n_families - n_others :])] * (n_others > 0) + [50]
        assert shown[1 : 2 * len(names) + 2 : 2] == [str(n) for n in expected]
        rest = sum(tag == "div" and each.get("class") == "rest" for tag, each in page.tags)
        assert rest == 1 + (n_others > 0)

    @pytest.mark.parametrize(
        ("inputs", "title"),
        [
            (["a b.fasta"], "a b.fasta"),
            (["/x/y/z.fa", "b.fa", "-"], "z.fa and 2 more"),
            (["folder/"], "folder/"),
            (["y" * 90], "y" * 79 + "…"),
        ],
    )
    def test_the_title_names_the_first_input_without_its_folder(self, predictor, inputs, title):
        content = summary_of(predictor, [row("a", 0.9)]).content(RUN._replace(inputs=inputs))
        assert any(title in text.split(" in ")[-1] for text in Parsed(page_of(content)).texts[:3])

    def test_shares_are_percentages_and_bars_logarithms(self, predictor):
        rows = [row("a", 0.99)] * 99 + [row("b", 0.01)] * 7 + [row("c", 0.31)]
        page = Parsed(page_of(summary_of(predictor, rows).content(RUN)))
        assert any("92.5\u00a0%" in text for text in page.texts)
        bars = [each for tag, each in page.tags if "title" in each]
        heights = {each["title"]: each["style"] for each in bars if "height:0.0%" not in each["style"]}
        assert heights == {
            "0.00 to 0.02: 7 proteins": "height:45.2%",
            "0.30 to 0.32: 1 proteins": "height:15.1%",
            "0.98 to 1.00: 99 proteins": "height:100.0%",
        }
        ticks = [each["style"] for _, each in page.tags if each.get("class") == "tick"]
        assert ticks == ["bottom:15.1%", "bottom:52.1%"]

    def test_a_taxon_is_marked(self, predictor):
        content = summary_of(predictor, [row("a", 0.9)], taxon="plants").content(RUN)
        tags = Parsed(page_of(content)).tags
        assert sum(attributes.get("class") == "strip chosen" for _, attributes in tags) == 1

    @pytest.mark.skipif(shutil.which("chromium") is None, reason="no Chromium here")
    def test_a_browser_sorts_and_runs_nothing_else(self, predictor, tmp_path):
        rows = [row(name, 0.6 + 0.01 * n, length=900 - n) for n, name in enumerate(HOSTILE)]
        text = page_of(summary_of(predictor, rows).content(RUN))
        (tmp_path / "page.html").write_text(text, encoding="utf-8")
        options = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--dump-dom",
        ]
        command = ["chromium", *options, (tmp_path / "page.html").as_uri()]
        shown = subprocess.run(command, capture_output=True, timeout=120, env={**os.environ, "HOME": str(tmp_path)})
        dom = Parsed(shown.stdout.decode())
        # The script of the page ran: headings are buttons, and the filter is there.
        headings = text[text.index('id="proteins"') :].split("</thead>")[0].count("<th ")
        assert sum(tag == "button" for tag, _ in dom.tags) == headings
        assert not any(tag == "img" for tag, _ in dom.tags)
        assert ("div", {"class": "filter", "id": "filter"}) in dom.tags


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("WP_000000001.1", "WP_000000001.1"),
        ("NP_414879.3", "NP_414879.3"),
        ("gi|16128336|ref|NP_414885.1|", "NP_414885.1"),
        ("gb|AAC73113.1|", "AAC73113.1"),
        ("AAC73113.1", "AAC73113.1"),
        ("lcl|NC_000913.3_prot_NP_414542.1_1", "NP_414542.1"),
        *(
            (other, None)
            for other in ("AAC73113", "np_414879.3", "NP_1.1", "NP_414879.3/../x", "NM_000001.1", "AB12345.1")
        ),
    ],
)
def test_ids_of_ncbi_lead_there(name, place):
    assert entry_link(name) == (place and f"https://www.ncbi.nlm.nih.gov/protein/{place}")
