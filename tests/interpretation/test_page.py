"""Pages as a browser reads them: what is escaped, what is packed, what needs a network."""

import base64
import html
import json
import re
import shutil
import subprocess
import zlib
from html.parser import HTMLParser

import numpy as np
import pyhmmer
import pytest
from pyhmmer.easel import Alphabet as HmmerAlphabet
from pyhmmer.easel import DigitalSequenceBlock, TextSequence

from tests.interpretation.conftest import random_explanation
from tfclass.interpretation.page import alignment_text, contribution_steps, render_page
from tfclass.interpretation.tables import BY_CHEMISTRY, tracks_of
from tfclass.search.hmmer_alignment import alignments
from tfclass.sequences.alphabet import AMINO_ACIDS

EVIL = "</script><script>document.title='pwned'</script><b a=\"'x'\">&amp;\x1b[2J\u202e"
VOID = {"meta", "br", "link", "hr", "img", "input"}


class Page(HTMLParser):
    """Tags, attributes and texts of a page; it fails where tags do not close in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.attributes, self.texts, self.scripts = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        (self.scripts if self.open[-1:] == ["script"] else self.texts).append(data)


def unpacked(text):
    """Return the data of a page, and its arrays as the script reads them."""
    data = json.loads("".join(Page(text).scripts[:1]))
    block, arrays = zlib.decompress(base64.b64decode(data["packed"])), {}
    for name, (bits, start, count, unit) in data["arrays"].items():
        kind = "<i2" if bits == 16 else "i1"
        arrays[name] = (np.frombuffer(block, kind, count, start) * unit, unit)
    return data, arrays


def test_the_numbers_of_a_page_are_those_of_the_explanation(explanation, row, facts):
    data, arrays = unpacked(render_page(1, row, explanation, facts))
    assert data["residues"] == explanation.residues
    for name, expected_L in tracks_of(explanation).items():
        values, unit = arrays[name]
        np.testing.assert_allclose(values, expected_L, atol=0.51 * unit)
        assert unit <= np.abs(expected_L).max() / 32_000
    values, unit = arrays["mutations"]
    columns = [AMINO_ACIDS.index(letter) for letter in BY_CHEMISTRY]
    np.testing.assert_allclose(values.reshape(-1, 20), explanation.mutations_LA[:, columns], atol=0.51 * unit)
    units = data["units"]
    for place, symbol in enumerate("fiogc"):
        for direction, gates in zip(("forward", "backward"), explanation.gates[0], strict=True):
            one = next(m for m in units["maps"][place::5] if direction in m["title"])
            values, unit = arrays[one["key"]]
            expected_SH = getattr(gates, symbol).numpy()[:, units["order"][0]]
            np.testing.assert_allclose(values.reshape(expected_SH.shape), expected_SH, atol=0.51 * unit)


def test_units_of_a_long_protein_are_means_of_several_steps(row, facts):
    explanation = random_explanation(3_001, units=128)
    data, arrays = unpacked(render_page(1, row, explanation, facts))
    size, order = data["units"]["bin"], data["units"]["order"][0]
    assert size == data["units"]["pool"] == 3
    values, unit = arrays["units 0 backward candidate"]
    found = values.reshape(-1, 128)
    expected_SH = explanation.gates[0][1].g.numpy()[:, order]
    for column in (0, 500, 1000):
        mean_H = expected_SH[column * size : (column + 1) * size].mean(axis=0)
        np.testing.assert_allclose(found[column], mean_H, atol=0.51 * unit)


def test_the_page_of_2000_residues_is_under_three_megabytes(row, facts):
    assert len(render_page(1, row, random_explanation(2_000, pool=1), facts).encode()) < 3_000_000


def test_nothing_from_outside_reaches_the_page_as_markup(explanation, row, facts):
    profile = explanation.profile._replace(name=EVIL, family=EVIL, accession=EVIL)
    evil = {**row, "id": EVIL, "label": EVIL, "family": EVIL, "domain": EVIL, "notes": EVIL}
    text = render_page(1, evil, explanation._replace(profile=profile, class_name=EVIL), facts._replace(model=EVIL))
    page, plain = Page(text), Page(render_page(1, {**row, "notes": "x"}, explanation, facts))
    assert len(page.scripts) == len(plain.scripts) == 2
    assert page.scripts[1] == plain.scripts[1]
    assert not {name for tag, name, _ in page.attributes if name.startswith("on")}
    assert [tag for tag, _, _ in page.attributes] == [tag for tag, _, _ in plain.attributes]
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert sum("document.title='pwned'" in each for each in page.texts) > 5


def test_a_page_needs_nothing_from_elsewhere(explanation, row, facts):
    text = render_page(1, row, explanation, facts)
    links = [value for _, name, value in Page(text).attributes if name in ("src", "href", "action", "srcset")]
    assert set(links) == {"../index.html", "#tracks"}
    assert "default-src 'none'" in text
    assert not re.search(r"https?://|@import|url\(", text)


def test_contributions_are_bars_that_begin_where_the_one_before_ends(explanation, row):
    steps, zero, threshold = contribution_steps(row, explanation)
    *parts, total = steps
    assert [each.name for each in parts] == ["Intercept", "Network", "Profile"]
    assert sum(each.value for each in parts) == pytest.approx(total.value)
    place = zero
    for each in parts:
        begin, end = (each.left, each.left + each.width) if each.value > 0 else (each.left + each.width, each.left)
        assert begin == pytest.approx(place)
        place = end
    assert place == pytest.approx(total.left + total.width if total.value > 0 else total.left)
    # The threshold of 0.5 has log-odds of 0.
    assert threshold == pytest.approx(zero)
    assert contribution_steps({**row, "threshold": None}, explanation)[2] is None


def test_a_network_without_gates_says_what_it_has(row, facts):
    explanation = random_explanation(50)._replace(gates=[], attention_L=None, domain_L=None, mutations_LA=None)
    text = render_page(1, row, explanation, facts._replace(network="gru"))
    assert "This network (gru) has no input, forget and output gates" in text
    assert "This network has no attention" in text
    assert unpacked(text)[0]["gates"] == []


def test_positions_are_those_of_the_sequence_as_given(explanation, row, facts):
    with_gap = explanation._replace(position_L=explanation.position_L + (explanation.position_L > 3) * 2)
    data, _ = unpacked(render_page(1, row, with_gap, facts))
    assert data["positions"][:5] == [1, 2, 3, 6, 7]
    assert unpacked(render_page(1, row, explanation, facts))[0]["positions"] is None


def test_an_alignment_is_written_as_hmmer_does(library, demo_proteins, alphabet):
    hmmer, checked = HmmerAlphabet.amino(), 0
    for tokens in [demo_proteins.tokens[i] for i in np.flatnonzero(demo_proteins.is_positive)[:6]]:
        text = TextSequence(name=b"a", sequence=alphabet.decode(tokens)).digitize(hmmer)
        for profile in library.profiles[:3]:
            (top,) = pyhmmer.hmmsearch([profile.hmm], DigitalSequenceBlock(hmmer, [text]), cpus=1, T=0.0, domT=0.0)
            printed = [str(domain.alignment).splitlines() for hit in top for domain in hit.domains]
            for each in alignments(profile.hmm, tokens, alphabet):
                written = alignment_text(each, profile.name[:16], np.arange(1, len(tokens) + 1)).splitlines()[2:]
                consensus = "".join(line.split()[-2] for line in written[::5])
                residues = "".join(line.split()[-2] for line in written[2::5])
                lines = [line.split() for block in printed for line in block]
                assert any(line[-2:-1] == [consensus] for line in lines) or len(consensus) > 60
                assert residues.replace("-", "").upper() == alphabet.decode(tokens[each.start - 1 : each.end])
                assert int(written[2].split()[1]) == each.start
                assert int(written[-2].split()[-1]) == each.end
                checked += 1
    assert checked


@pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed")
def test_a_browser_draws_the_tracks(explanation, row, facts, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(render_page(1, {**row, "id": EVIL}, explanation, facts))
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000", "--dump-dom"]
    command = ["chromium", *options, f"--user-data-dir={tmp_path}", path.as_uri()]
    made = subprocess.run(command, capture_output=True, text=True, timeout=120)
    sequence = re.search(r'<div id="sequence">(.*?)</div>', made.stdout, re.S)
    assert sequence is not None
    assert re.sub(r"<[^>]*>|\s", "", html.unescape(sequence[1])) == explanation.residues
    # Overview, sequence, segments, two methods, attention, domains, mutations, five gates, units.
    assert made.stdout.count("<canvas") == 14
    assert "<title>pwned" not in made.stdout
