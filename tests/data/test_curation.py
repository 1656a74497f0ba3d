"""Rules for labels from a file of one's own: plain YAML of a modest size, or one line that says what is wrong."""

import resource
from pathlib import Path

import pytest

from tfclass.data.curation import AuditConfig, LabelConfig, curation_config
from tfclass.errors import ConfigError
from tfclass.limits import MAX_YAML_BYTES

# Ten aliases to ten aliases, eight times: a hundred million texts, were they written out.
LAUGHS = "a: &a [x]\n" + "".join(
    f"{new}: &{new} [{', '.join(['*' + old] * 10)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
HOSTILE = {
    "a call": ("audit: !!python/object/apply:os.mkdir [pwned]", "an alias or a tag in line 1"),
    "a bomb of aliases": (f"{LAUGHS}audit: {{identity: *i}}", "an alias or a tag in line 2"),
    "a value that holds itself": ("audit: &a\n  identity: *a", "an alias or a tag in line 2"),
    "an empty number": ("audit: {identity: !!float ''}", "an alias or a tag in line 1"),
    "no time": ("audit: {identity: !!timestamp x}", "an alias or a tag in line 1"),
    "no date": ("audit: 2001-99-99", "month must be in 1..12"),
    "nested 100,000 deep": ("audit: " + "[" * 100_000, "nested more than 50 deep"),
    "nested in blocks": ("audit:\n" + "".join(" " * n + "a:\n" for n in range(1, 200)), "nested more than 50 deep"),
    "a number of 5,000 digits": ("audit: {identity: " + "9" * 5000 + "}", "Exceeds the limit"),
    "null characters": ("audit: \0", "unacceptable character #x0000"),
    "too large": ("#" * MAX_YAML_BYTES + "\n", "more than 1.0 MiB"),
    "another part": ("label: {}", "'audit'"),
    "no mapping": ("- audit", "list indices must be integers"),
}


@pytest.mark.parametrize(("text", "reason"), HOSTILE.values(), ids=HOSTILE)
def test_it_is_refused_in_one_line_and_calls_nothing(text, reason, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "rules.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        curation_config(AuditConfig, "audit", file=path)
    assert str(caught.value).startswith(f"{path}: found something that cannot be used ({reason}")
    assert len(str(caught.value)) < 600
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_without_end_is_read_to_the_limit_only():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ConfigError, match=r"/dev/zero: .*more than 1.0 MiB"):
        curation_config(AuditConfig, "audit", file=Path("/dev/zero"))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024


@pytest.mark.parametrize(
    ("value", "shown"),
    [("x" * 100_000, "'" + "x" * 199 + "..."), ("0x" + "f" * 5000, "a number with more digits than Python writes")],
)
def test_a_long_value_is_shown_in_part(value, shown, tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text(f"audit: {{identity: {value}}}")
    with pytest.raises(ConfigError) as caught:
        curation_config(AuditConfig, "audit", file=path)
    assert str(caught.value).startswith(f"curation.audit.identity: found {shown}; expected ")


def test_what_the_file_leaves_out_is_as_it_ships_and_stays_so(tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text("audit: {identity: 0.9}\nlabel: {otherwise: ambiguous}\n")
    shipped = curation_config(AuditConfig, "audit")
    assert curation_config(AuditConfig, "audit", file=path) == AuditConfig(
        identity=0.9, coverage=shipped.coverage, sensitivity=shipped.sensitivity
    )
    assert curation_config(LabelConfig, "label", file=path).otherwise == "ambiguous"
    assert curation_config(AuditConfig, "audit") == shipped
