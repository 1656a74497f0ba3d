"""The head of a model card, as the Hugging Face Hub reads it."""

import re
from dataclasses import replace

import pytest
import yaml

from tfclass.bundle.bundle import load_bundle, read_card, shipped
from tfclass.bundle.card import with_head, without_head
from tfclass.errors import BundleError

FACTS = {"corpus": {"name": "proteins: Ü"}, "validation": {"mcc": 0.91234, "average_precision": 0.5, "auroc": None}}


def head_of(card):
    return next(yaml.safe_load_all(card))


def test_validation_scores_are_in_the_head(small_bundle):
    bundle = replace(small_bundle, provenance=FACTS)
    card = with_head(bundle, "# small\n\n---\n\ntext\n")
    assert card.endswith("---\n\n# small\n\n---\n\ntext\n")
    head = head_of(card)
    assert (head["library_name"], head["pipeline_tag"]) == ("tfclass", "text-classification")
    assert head["metrics"] == ["matthews_correlation", "average_precision"]
    ((model,), (result,)) = head["model-index"], head["model-index"][0]["results"]
    assert model["name"] == "small"
    assert result["dataset"] == {"type": "proteins: Ü", "name": "proteins: Ü", "split": "validation"}
    assert [metric["value"] for metric in result["metrics"]] == [0.9123, 0.5]
    # Once it is there, it stays as it is.
    assert with_head(bundle, card) == card
    assert without_head(card) == "# small\n\n---\n\ntext\n"


@pytest.mark.parametrize("facts", [{}, {"validation": 3, "corpus": {}}, {"validation": {"mcc": 0.5}, "corpus": "x"}])
def test_a_model_without_scores_has_a_head_without_them(small_bundle, facts):
    head = head_of(with_head(replace(small_bundle, provenance=facts), "# small\n"))
    assert set(head) == {"library_name", "pipeline_tag", "tags"}


def test_what_the_author_says_stays_and_the_model_is_named_anew(small_bundle):
    own = "---\r\nlicense: mit\r\ntags: [tomato]\r\nmodel-index:\r\n- name: before\r\n  results: []\r\n---\r\n# Card\n"
    card = with_head(replace(small_bundle, provenance=FACTS), own)
    head = head_of(card)
    assert (head["license"], head["tags"], head["library_name"]) == ("mit", ["tomato"], "tfclass")
    assert head["model-index"] == [{"name": "small", "results": []}]
    assert without_head(card) == "# Card\n"


@pytest.mark.parametrize(
    "head", ["a: [", "- a\n- b", "", "a: b: c", "a: &x [*x", "!!python/object:os.system {}", "[" * 5000]
)
def test_a_head_that_is_no_mapping_is_one_line(small_bundle, head):
    with pytest.raises(BundleError, match="small, card: found a head that is no YAML mapping") as caught:
        with_head(small_bundle, f"---\n{head}\n---\n# Card\n")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("folder", shipped().values(), ids=list(shipped()))
def test_the_scores_in_the_head_of_a_shipped_model_are_those_of_its_tables(folder):
    bundle, card = load_bundle(folder), read_card(folder)
    assert with_head(bundle, card) == card
    head, text = head_of(card), without_head(card)
    (model,) = head["model-index"]
    assert (head["license"], model["name"]) == ("mit", bundle.name)
    tables = dict(re.findall(r"^\| (average precision|MCC) \| combined .*\n\|[-|]+\n((?:\|.*\n)+)", text, re.M))
    for result in model["results"]:
        scores = {metric["name"]: metric["value"] for metric in result["metrics"]}
        for name, table in tables.items():
            rows = table.replace("*", "").splitlines()
            (row,) = (row for row in rows if row.startswith(f"| {result['dataset']['name']} |"))
            assert row.split("|")[2].startswith(f" {scores.pop(name):.3f} ["), (name, row)
        for name, value in scores.items():
            assert re.search(rf"On the test split .*\b{name} (is )?{value:.3f}\b", text, re.S), name
