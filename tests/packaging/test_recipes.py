"""The recipes under packaging/ and the workflows name the version, options and files that there are."""

import ast
import re
import shlex
import sys
from pathlib import Path
from xml.etree import ElementTree

import jinja2
import pytest
import typer
import yaml
from packaging.requirements import Requirement
from typer.testing import CliRunner

from tfclass.cli.app import app

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "packaging"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
GALAXY, NF_CORE = RECIPES / "galaxy" / "tfclass_predict", RECIPES / "nf-core" / "tfclass" / "predict"
SNAKEMAKE = RECIPES / "snakemake" / "tfclass" / "predict"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
# Of the index, as Conda calls them.
CONDA = {"matplotlib": "matplotlib-base", "torch": "pytorch", "typing-extensions": "typing_extensions"}


def read_yaml(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def predict():
    """The verb as typer made it, to parse words with."""
    return typer.main.get_group(app).get_command(None, "predict")  # type: ignore[arg-type]


def parse(predict, words):
    """Parse the words after `tfclass predict` as the command line does, but run nothing."""
    with predict.make_context("predict", list(words)) as context:
        return context.params


def run(*words):
    """Run the command line in this process, and return the lines that it writes."""
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    return done.stdout.splitlines()


def options_in(text):
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text))


def known_options(predict):
    return {option for parameter in predict.params for option in parameter.opts}


def test_all_name_one_version_and_one_address():
    version, home = PROJECT["version"], PROJECT["urls"]["Homepage"]
    # What the version command of each takes from the output: the last word of the first line.
    assert run("--version")[0].split() == ["tfclass", version]
    citation = read_yaml(ROOT / "CITATION.cff")
    assert (citation["version"], citation["repository-code"]) == (version, home)
    files = [path for path in RECIPES.rglob("*") if path.is_file() and path.suffix != ".fasta"]
    texts = {path: path.read_text(encoding="utf-8") for path in files}
    named = [each for text in texts.values() for each in re.findall(r"tfclass ?[=:]+(\d[\d.]*\d)", text)]
    assert named == [version] * 4
    addresses = {each for text in texts.values() for each in re.findall(r"https://github\.com/tfclass[\w/]*", text)}
    assert all(address.startswith(home) for address in addresses)


def test_the_recipe_of_bioconda_asks_for_what_the_project_asks_for(predict):
    template = jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(
        (RECIPES / "bioconda" / "meta.yaml").read_text(encoding="utf-8")
    )
    recipe = yaml.safe_load(template.render(PYTHON="python", pin_subpackage=lambda name, max_pin: f"{name} {max_pin}"))
    needed = {requirement.name: requirement.specifier for requirement in map(Requirement, PROJECT["dependencies"])}
    expected = {CONDA.get(name, name): specifier for name, specifier in needed.items()}
    expected["python"] = Requirement(f"python{PROJECT['requires-python']}").specifier
    run = map(Requirement, recipe["requirements"]["run"])
    assert {requirement.name: requirement.specifier for requirement in run} == expected
    assert recipe["package"] == {"name": PROJECT["name"], "version": PROJECT["version"]}
    assert recipe["build"]["entry_points"] == [f"{name} = {place}" for name, place in PROJECT["scripts"].items()]
    assert (recipe["about"]["license"], recipe["about"]["summary"]) == (PROJECT["license"], PROJECT["description"])
    (command,) = (each for each in recipe["test"]["commands"] if each.startswith("tfclass predict "))
    assert parse(predict, shlex.split(command.split("|")[0])[2:])["example"]


def test_the_module_of_nf_core_is_described_as_it_is(predict):
    main, meta = (NF_CORE / "main.nf").read_text(encoding="utf-8"), read_yaml(NF_CORE / "meta.yml")
    emitted = re.findall(r"emit: (\w+)$", main, re.M)
    assert list(meta["output"]) == emitted == ["tsv", "versions_tfclass"]
    (command,) = re.findall(r'eval\("(.*)"\), topic: versions', main)
    assert command == list(meta["topics"]["versions"][0][2])[0] == list(meta["output"]["versions_tfclass"][0][2])[0]
    script = main[main.index("script:") : main.index("stub:")]
    assert options_in(script) == {"--output", "--quiet", "--threads"} <= known_options(predict)
    test = (NF_CORE / "tests" / "main.nf.test").read_text(encoding="utf-8")
    assert set(re.findall(r"process\.out\.(\w+)\[", test)) <= set(emitted)
    (process,) = re.findall(r"^process (\w+) \{", main, re.M)
    assert f'process "{process}"' in test
    assert meta["name"].upper() == process


def test_the_wrapper_of_snakemake_uses_what_it_describes(predict):
    wrapper = (SNAKEMAKE / "wrapper.py").read_text(encoding="utf-8")
    constants = [node.value for node in ast.walk(ast.parse(wrapper)) if isinstance(node, ast.Constant)]
    strings = " ".join(value for value in constants if isinstance(value, str))
    assert options_in(strings) == {"--output", "--summary", "--threads"} <= known_options(predict)
    meta, rule = read_yaml(SNAKEMAKE / "meta.yaml"), (SNAKEMAKE / "test" / "Snakefile").read_text(encoding="utf-8")
    for part in ("input", "output"):
        named = {name for entry in meta[part] for name in entry}
        assert set(re.findall(rf"snakemake\.{part}\.(\w+)", wrapper)) - {"get"} == named
        (block,) = re.findall(rf"^    {part}:\n((?:        .*\n)+)", rule, re.M)
        assert set(re.findall(r"(\w+)=", block)) == named
    (extra,) = re.findall(r'extra="(.*)"', rule)
    assert parse(predict, ["proteins.fasta", *shlex.split(extra)])["taxon"] == "animals"
    assert (SNAKEMAKE / "test" / "proteins.fasta").is_file()


def test_the_tool_of_galaxy_offers_what_the_command_takes(predict):
    tool = ElementTree.parse(GALAXY / "tfclass_predict.xml").getroot()
    command = tool.findtext("command")
    assert options_in(command) <= known_options(predict)
    for parameter in tool.iterfind("inputs/param[@argument]"):
        name = parameter.get("argument").removeprefix("--").replace("-", "_")
        assert f"${name}" in command
        for option in parameter.iterfind("option"):
            value = option.get("value")
            name = {"format": "output_format"}.get(name, name)
            assert parse(predict, ["in.fasta", parameter.get("argument"), value])[name] == value
    for value in ("0.5", "max-mcc", "fdr=0.05", "recall=.9", "", "50", "fdr=5"):
        allowed = re.search(tool.findtext("inputs/param[@argument='--threshold']/validator"), value)
        assert (allowed is None) == (value in ("50", "fdr=5"))


def test_the_tests_of_galaxy_pass(tmp_path):
    tool, data = ElementTree.parse(GALAXY / "tfclass_predict.xml").getroot(), GALAXY / "test-data"
    first, second = tool.iterfind("tests/test")
    for test in (first, second):
        given = {parameter.get("name"): parameter.get("value") for parameter in test.iterfind("param")}
        options = [word for name, value in given.items() if name != "fasta" for word in (f"--{name}", value)]
        summary = ["--summary", str(tmp_path / "summary.html")] if "taxon" in given else []
        lines = run("predict", str(data / given["fasta"]), "-q", *options, *summary)
        expected = test.find("output[@name='predictions']/assert_contents")
        assert len(lines) == int(expected.find("has_n_lines").get("n"))
        for line in expected.iterfind("has_line"):
            assert line.get("line") in lines
        for line in expected.iterfind("has_line_matching"):
            assert any(re.fullmatch(line.get("expression"), each) for each in lines)


def test_the_image_copies_all_that_the_wheel_is_made_of():
    lines = (RECIPES / "docker" / "Dockerfile").read_text(encoding="utf-8").splitlines()
    copies = [line.split()[1:-1] for line in lines if line.startswith("COPY ") and "--from" not in line]
    copied = {source for sources in copies for source in sources}
    assert all((ROOT / source).exists() for source in copied)
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    assert {
        *setuptools["package-dir"].values(),
        PROJECT["readme"],
        *PROJECT["license-files"],
        "pyproject.toml",
    } <= copied
    assert [line for line in lines if line.startswith("USER ")] == ["USER 1000"]
    (check,) = (line for line in lines if line.startswith("HEALTHCHECK "))
    assert check.endswith('CMD ["tfclass", "--version"]')


@pytest.mark.parametrize("path", WORKFLOWS, ids=[path.stem for path in WORKFLOWS])
def test_workflows_run_what_there_is_on_every_supported_python(path, predict):
    workflow, text = read_yaml(path), path.read_text(encoding="utf-8")
    supported = [each.rsplit(" ")[-1] for each in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", each)]
    for job in workflow["jobs"].values():
        versions = job.get("strategy", {}).get("matrix", {}).get("python-version", supported)
        assert versions == supported
        # An action is named by its commit, which nobody can move.
        uses = [job.get("uses"), *(step.get("uses") for step in job.get("steps", []))]
        assert all(each.startswith("./") or re.search(r"@[0-9a-f]{40}$", each) for each in uses if each)
        for run in (step["run"] for step in job.get("steps", []) if "run" in step):
            if run.startswith("make "):
                assert re.search(rf"^{run.split()[1]}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
            if run.startswith("tfclass predict "):
                assert parse(predict, shlex.split(run.split("|")[0])[2:])["example"]
    assert "secrets." not in text
