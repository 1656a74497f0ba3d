"""``tfclass``: the verbs, and how errors leave the program."""

import atexit
import logging
import os
import sys
from importlib import import_module
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from tfclass.cli.terminal import accept_all_characters, end_if_interrupted
from tfclass.environment import check_address_space, memory_error
from tfclass.errors import TfclassError, escaped

# Each has a module of its name, with a function of that name or an `app` of more verbs.
_VERBS = ("predict", "explain", "train", "evaluate", "sweep", "track", "ui", "data", "model", "profiles")
# Everything behind these, --help included, is for Hydra.
_HYDRA_VERBS = ("train", "evaluate", "sweep")
_HYDRA = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
_HELP = {"-h", "--help"}


class _Verbs(TyperGroup):
    """Import the module of a verb when the verb is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401, ARG002 - inherited
        return list(_VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401, ARG002 - inherited
        # All of them where the name is unknown, so that a similar one is suggested.
        for name in [cmd_name] if cmd_name in _VERBS else _VERBS:
            if name not in self.commands:
                self.commands[name] = _imported(name)
        return self.commands.get(cmd_name)


def _imported(name: str) -> Any:  # noqa: ANN401 - typer exports no type of a command
    module, parent = import_module(f"tfclass.cli.{name}"), typer.Typer()
    if hasattr(module, "app"):
        parent.add_typer(module.app, name=name)
    else:
        parent.command(name, context_settings=_HYDRA if name in _HYDRA_VERBS else None)(getattr(module, name))
    return typer.main.get_group(parent).commands[name]


app = typer.Typer(
    name="tfclass",
    cls=_Verbs,
    help="Which proteins are transcription factors? FASTA in, one calibrated probability per protein out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
# typer exports only this leaf of its usage errors.
_UsageError: type = typer.BadParameter.__mro__[1]


def _version(asked: bool) -> None:
    if asked:
        import platform

        import torch

        from tfclass import __version__

        cuda = torch.cuda.get_device_name() if torch.cuda.is_available() else "no CUDA device"
        typer.echo(f"tfclass {__version__}")
        typer.echo(f"Python {platform.python_version()}, torch {torch.__version__}, {cuda}, {os.cpu_count()} cores")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print versions and device, and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", envvar="TFCLASS_DEBUG", help="Show tracebacks.")] = False,
) -> None:
    os.environ["TFCLASS_DEBUG"] = "1" if debug else "0"
    if not _HELP.intersection(sys.argv):
        check_address_space()


def main() -> None:
    """Run the command line; every expected failure is one line on stderr and an exit status."""
    accept_all_characters()
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    status: list[int | None] = []
    # Registered before the libraries that are imported by the verbs, it is called after what these registered.
    atexit.register(end_if_interrupted, status)
    try:
        status.append(app(prog_name="tfclass", standalone_mode=False))
        sys.exit(status[0])
    except Exception as error:
        if isinstance(error, _UsageError):
            _leave_with_usage(error)
        expected = _expected(error)
        if expected is None or os.environ.get("TFCLASS_DEBUG") == "1":
            raise
        typer.echo(f"tfclass: {expected}", err=True)
        sys.exit(expected.exit_code)


def _expected(error: Exception) -> TfclassError | None:
    """Return the error to report on one line; None for what nobody foresaw."""
    if no_memory := memory_error(error):
        return no_memory
    if isinstance(error, TfclassError):
        return error
    # A name that the system does not take, or a folder that may not be looked into, may be named anywhere.
    if isinstance(error, OSError) and error.filename is not None:
        return TfclassError(f"{error.filename}: found a place that cannot be used ({error.strerror}); check the path")
    return None


def _leave_with_usage(error: Exception) -> NoReturn:
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "tfclass"
    message = error.format_message()  # type: ignore[attr-defined]
    if type(error).__name__ == "NoArgsIsHelpError":
        typer.echo(message, err=True)
    else:
        typer.echo(escaped(f"{command}: {' '.join(message.split()).rstrip('.')}; see {command} --help"), err=True)
    sys.exit(2)
