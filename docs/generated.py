"""Generate the reference of commands and configuration from the typer app and the config classes."""

import re
from collections.abc import Iterator
from dataclasses import fields
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import typer
import yaml
from pydantic import TypeAdapter
from typer.cli import get_docs_for_click

from tfclass.cli.app import app as tfclass
from tfclass.config import CompareConfig, Config, EvaluateConfig, JobConfig, SweepConfig, TrainConfig, file_values

if TYPE_CHECKING:
    from sphinx.application import Sphinx

GROUPS: dict[str, type[Config]] = {
    each.name: each.type
    for job in (TrainConfig, SweepConfig)
    for each in fields(job)  # type: ignore[arg-type]
    if isinstance(each.type, type) and issubclass(each.type, Config)
}
_KEY = re.compile(r"( *)(\w+):(?: .*)?")


def commands() -> str:
    """Return the help of every command as Markdown, below a heading for each."""
    command = typer.main.get_command(tfclass)
    text = get_docs_for_click(obj=command, ctx=typer.Context(command, info_name="tfclass"), name="tfclass")
    # The page has a title. Lists of commands repeat, cut short, what follows them, and --help is the same everywhere.
    text = re.sub(r"\*\*(Commands\*\*:\n\n(\* .*\n)+|Usage\*\*:\n\n)", "", text.partition("\n")[2])
    text = re.sub(r"^\* `(-h, )?--help`.*\n", "", text, flags=re.M)
    return re.sub(r"^(#+) `(.*)`$", r"\1 \2", text, flags=re.M)


def configuration() -> str:
    """Return the keys of every group of the configuration as Markdown tables, below a heading for each."""
    commands = {"train": TrainConfig, "evaluate": EvaluateConfig, "evaluate compare": CompareConfig}
    groups = [_section(name, kind, f"{name}.") for name, kind in GROUPS.items()]
    return "\n".join(groups + [_section(f"Further keys of tfclass {name}", kind) for name, kind in commands.items()])


def _section(title: str, kind: type[Config], path: str = "") -> str:
    rows = "\n".join(_rows(kind, path))
    about = " ".join((kind.__doc__ or "").split())
    return f"## {title}\n\n{about}\n\n| key | values | default | meaning |\n|---|---|---|---|\n{rows}\n"


def _rows(kind: type[Config], path: str) -> Iterator[str]:
    properties = TypeAdapter(kind).json_schema()["properties"]
    default, meaning = file_values(kind._file, kind._key), meanings(kind._file, kind._key)
    for each in fields(kind):  # type: ignore[arg-type]
        if isinstance(each.type, type) and issubclass(each.type, Config):
            # The groups of a command have tables of their own.
            if not issubclass(kind, (JobConfig, CompareConfig)):
                yield from _rows(each.type, f"{path}{each.name}.")
            continue
        shown = _default(kind, default.get(each.name, "???"))
        cells = (f"`{path}{each.name}`", allowed(properties[each.name]), shown, meaning.get(each.name, ""))
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def allowed(schema: dict[str, Any]) -> str:
    """Describe the values that a JSON schema allows."""
    if "anyOf" in schema:
        return " or ".join(map(allowed, schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    kind = {"null": "`null`", "array": "list", "object": "mapping", "string": "text", "boolean": "`true`, `false`"}
    return f"{kind.get(schema['type'], schema['type'])}{_limits(schema)}"


def _limits(schema: dict[str, Any]) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    # The largest numbers that a computer holds say nothing.
    return "".join(
        f" {sign} {schema[key]:g}" for key, sign in signs.items() if key in schema and abs(schema[key]) < 2**31 - 1
    )


def _default(kind: type[Config], value: Any) -> str:  # noqa: ANN401 - any value of YAML
    if value in ("", "???"):
        return "empty" if value == "" else "needed"
    text = yaml.safe_dump(value, default_flow_style=True, width=200).removesuffix("...\n").strip()
    return f"`{text}`" if len(text) < 80 else f"see `conf/{kind._file}.yaml`"


def meanings(file: str, section: str = "") -> dict[str, str]:
    """Return the comment above each key of a file in ``conf/``, or of a section of it."""
    found: dict[str, str] = {}
    comment: list[str] = []
    parent = ""
    for line in files("tfclass.conf").joinpath(f"{file}.yaml").read_text("utf-8").splitlines():
        if line.lstrip().startswith("#"):
            comment.append(line.lstrip("# "))
            continue
        if key := _KEY.fullmatch(line):
            parent = parent if key[1] else key[2]
            if (len(key[1]), parent) == (2, section) or (key[1], section) == ("", ""):
                found[key[2]] = " ".join(comment)
        comment = []
    return found


PARTS = {"reference/cli": commands, "reference/configuration": configuration}


def setup(app: "Sphinx") -> dict[str, bool]:
    """Add the parts to their pages, which are read anew with each build."""

    def add(_app: "Sphinx", page: str, source: list[str]) -> None:
        if part := PARTS.get(page):
            source[0] += "\n" + part()

    app.connect("source-read", add)
    app.connect("env-get-outdated", lambda *_: list(PARTS))
    return {"parallel_read_safe": True}
