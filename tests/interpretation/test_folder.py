"""The names of files, the index, and the figures."""

import re
import xml.etree.ElementTree as ElementTree
from io import BytesIO

import matplotlib.image
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.interpretation.conftest import random_explanation
from tests.interpretation.test_page import EVIL, Page
from tfclass.interpretation.figures import explanation_figure
from tfclass.interpretation.folder import file_name
from tfclass.interpretation.index import Index, spark
from tfclass.io.drawing import png, svg


@given(st.lists(st.text(max_size=300), max_size=20))
def test_every_record_has_a_safe_name_of_its_own(ids):
    names = [file_name(number, each) for number, each in enumerate(ids, start=1)]
    # Some file systems do not tell capitals from small letters.
    assert len({name.lower() for name in names}) == len(names)
    assert all(re.fullmatch(r"[0-9]{4,}(-[A-Za-z0-9][A-Za-z0-9._-]*)?", name) for name in names)
    assert all(len(name) <= 70 for name in names)


def test_the_names_of_hostile_ids():
    names = [file_name(3, each) for each in ("../../x", "", "a" * 300, "日本", "..", "sp|P1|A B", "con")]
    assert names == ["0003-x", "0003", "0003-" + "a" * 60, "0003", "0003", "0003-sp_P1_A_B", "0003-con"]
    assert file_name(123_456, "a") == "123456-a"


def test_the_index_has_every_record_and_escapes_all(explanation, row, facts, tmp_path):
    index = Index({"length": False, "label": True, "contribution_network": False})
    index.add(1, {**row, "contribution_network": -1.5}, "pages/0001-a.html", explanation, positive=True)
    index.add(2, {**row, "id": EVIL, "notes": EVIL, "label": EVIL}, "pages/0002.html", explanation, positive=False)
    index.add(3, {**row, "id": "", "label": "", "notes": "empty"}, "", None, positive=False)
    index.write(tmp_path / "index.html", EVIL, "TF", facts)
    text = (tmp_path / "index.html").read_text()
    page = Page(text)
    assert "3 records: 1 predicted TF, 1 skipped" in text
    assert [value for tag, name, value in page.attributes if name == "href"] == ["pages/0001-a.html", "pages/0002.html"]
    assert len(page.scripts) == 1
    assert text.count("<tr>") == 4
    assert "−1.50" in page.texts
    assert "Record 3" in page.texts


def test_the_small_picture_has_the_strongest_of_each_stretch():
    value_L = np.zeros(600)
    value_L[[5, 305]] = 4, -2
    text = str(spark(value_L))
    root = ElementTree.fromstring(text)
    up, down = (path.get("d") for path in root)
    # Of 24 units of height, 16 are above zero.
    assert up == "M0 16.0v-16.0h2.0v16.0z"
    assert down == "M60 16.0v8.0h2.0v-8.0z"
    assert len(spark(np.zeros(1))) < 200


def test_a_figure_is_a_picture_of_every_part(explanation):
    figure = explanation_figure(r"$\alpha$ _^{ <b> 蛋" + 300 * "x", explanation)
    # Two methods, attention with domains, segments, gates, mutations, and the bar of their colors.
    assert len(figure.axes) == 7
    pixels = matplotlib.image.imread(BytesIO(png(figure)))
    assert pixels.shape[1] == 1440
    assert pixels[..., :3].std() > 0.02
    assert ElementTree.fromstring(svg(figure)).tag.endswith("svg")


def test_a_figure_leaves_out_what_is_not_there():
    bare = random_explanation(1)._replace(gates=[], attention_L=None, domain_L=None, mutations_LA=None)
    assert len(explanation_figure("a", bare).axes) == 1
