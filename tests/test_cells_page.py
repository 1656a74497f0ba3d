"""The page about the cells quotes the source as it is, leaves out no line of either pass, and its examples run."""

import ast
import inspect
import re
import textwrap
from pathlib import Path

import pytest

from docs.derivations import lstm_backward

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "background" / "cells.md").read_text(encoding="utf-8")
# A quotation is headed by the file it is from; what begins with ```python is an example.
QUOTATIONS = re.findall(r"^```\{code-block\} python\n:caption: (\S+)\n(.*?)^```$", PAGE, re.M | re.S)
EXAMPLE = re.compile(r"^```python\n(.*?)^```$(?:\n\n^```text\n(.*?)^```$)?", re.M | re.S)


def lines_of(code):
    """Lines without indentation; empty ones and comments left out."""
    stripped = (line.strip() for line in code.splitlines())
    return [line for line in stripped if line and not line.startswith("#")]


@pytest.mark.parametrize(("source", "quoted"), QUOTATIONS, ids=lambda part: part.split("\n")[0])
def test_what_is_quoted_stands_in_the_source_line_after_line(source, quoted):
    whole = "\n".join(lines_of((ROOT / source).read_text(encoding="utf-8")))
    assert "\n" + "\n".join(lines_of(quoted)) + "\n" in whole + "\n"


def test_every_block_of_code_is_a_quotation_an_example_or_its_output():
    n_examples = sum(1 + bool(printed) for _, printed in EXAMPLE.findall(PAGE))
    assert PAGE.count("```") == 2 * (len(QUOTATIONS) + n_examples)


@pytest.mark.parametrize("function", [lstm_backward.forward, lstm_backward.backward], ids=lambda f: f.__name__)
def test_the_loops_of_both_passes_are_quoted_in_full_and_in_order(function):
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    (loop,) = (node for node in ast.walk(tree) if isinstance(node, ast.For) and "t" in ast.unparse(node.target))
    body = "\n".join(inspect.getsource(function).splitlines()[loop.body[0].lineno - 1 : loop.end_lineno])
    quoted = [line for source, code in QUOTATIONS if source.endswith("lstm_backward.py") for line in lines_of(code)]
    places = [quoted.index(line) for line in lines_of(body) if line != "):"]
    assert places == sorted(places)


def test_the_examples_run_and_print_what_the_page_says(capsys):
    names = {}
    for code, printed in EXAMPLE.findall(PAGE):
        exec(compile(code, "cells.md", "exec"), names)
        assert capsys.readouterr().out == printed
    assert ((names["forget_L"] > 0) & (names["forget_L"] < 1)).all()
