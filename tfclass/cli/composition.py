"""Run a job under Hydra; its exceptions become errors of one line."""

import contextlib
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from tfclass.cli.typed_overrides import typed
from tfclass.config_errors import type_of_key, unknown_option
from tfclass.errors import ConfigError, TfclassError
from tfclass.overrides import override

_UNKNOWN = re.compile(r"Could not (?:override|delete)(?: from config\.)? '([^']+)'")
_UNFIT = re.compile(r"Error merging override [+]*([^=]+)=(.*)")
_QUOTES = "'\""


def run_with_hydra(name: str, kind: type, job: Callable[[Mapping[str, Any]], object], arguments: Sequence[str]) -> None:
    """Compose ``conf/NAME.yaml`` with the overrides given, and run `job` on the result.

    Parameters
    ----------
    name : str
        Of a file in ``conf``: ``train``, ``evaluate``, ``compare`` or ``sweep``.
    kind : type
        The configuration's dataclass, for the list of keys in messages.
    job : callable
        Gets the configuration as nested plain values.
    arguments : sequence of str
        The command line behind the verb: overrides and Hydra's own flags.

    Raises
    ------
    ConfigError
        A key or group is unknown, or of no effect here; a value cannot be read, or one is missing.
    """
    arguments = typed(arguments, kind)
    failures: list[BaseException] = []

    def task(config: DictConfig) -> None:
        if failures:
            return
        # Hydra would print several lines about an exception that leaves here; so it is raised outside.
        try:
            values = _values(config, name, kind, arguments)
            job({**values, **_network(HydraConfig.get().overrides.task)} if "network" in values else values)
        except BaseException as error:  # noqa: BLE001 - raised again below
            failures.append(error)
        finally:
            _remove_if_empty(Path(HydraConfig.get().runtime.output_dir))

    # Hydra takes its flags ahead of the overrides only; a sweep is naturally asked for at the end of the line.
    sweep = [a for a in arguments if a in ("-m", "--multirun")][:1]
    sys.argv = [f"tfclass {name}", *sweep, *(a for a in arguments if a not in ("-m", "--multirun"))]
    # For what goes wrong before the job: let the exception out instead of printing it and leaving with status 1.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        hydra.main(version_base="1.3", config_path="pkg://tfclass.conf", config_name=name)(task)()
    # The last ones come from a value of a type that Hydra does not expect, such as corpus=[1].
    except (HydraException, OmegaConfBaseException, ValueError, TypeError, AttributeError, LookupError) as error:
        raise _one_line(error, name, kind, arguments) from error
    if failures:
        raise failures[0]


def _values(config: DictConfig, name: str, kind: type, arguments: Sequence[str]) -> Mapping[str, Any]:
    try:
        return OmegaConf.to_container(config, resolve=True, throw_on_missing=True)  # type: ignore[return-value]
    except OmegaConfBaseException as error:
        raise _one_line(error, name, kind, arguments) from error


def _network(overrides: Sequence[str]) -> dict[str, str]:
    """Return the name of the network where the command line chose an encoder: the file of ``conf/model`` is not it."""
    given = {key: value for key, _, value in (override.lstrip("+").partition("=") for override in overrides)}
    return {"network": given["model.encoder"]} if "model.encoder" in given and "network" not in given else {}


def _remove_if_empty(folder: Path) -> None:
    # Hydra makes a folder for every job, also for one whose output goes elsewhere or that fails at once.
    with contextlib.suppress(OSError):
        folder.rmdir()
        folder.parent.rmdir()


def _one_line(error: Exception, name: str, kind: type, arguments: Sequence[str]) -> TfclassError:
    text = " ".join(str(error).split())
    if match := _UNKNOWN.search(text):
        # A key of the user's own, in a mapping, may be missing.
        is_missing = type_of_key(kind, match[1])[1]
        missing = f"{match[1]}: no such key; see tfclass {name} --cfg job"
        return ConfigError(missing if is_missing else unknown_option(kind, match[1]))
    if match := _UNFIT.search(text):
        return ConfigError(f"{match[1]}: found {match[2]}; expected keys and their values")
    if isinstance(error, MissingConfigException) and error.options is not None:
        group, _, option = str(error.missing_cfg_file).rpartition("/")
        return ConfigError(f"{group}: found {option!r}; expected one of {', '.join(error.options)}")
    key = str(getattr(error, "full_key", None) or "")
    if "Missing mandatory value" in text:
        key = key or text.split(": ", 1)[1].split()[0]
        return ConfigError(f"{key}: found no value; expected one to be given; add {key}=VALUE")
    written = next((a.partition("=")[2] for a in arguments if a.startswith(f"{key}=") and "${" in a), "")
    if written:
        as_text = override(key, written.strip(_QUOTES))
        return ConfigError(
            f"{key}: found {written!r}, which refers to no option; to have it as it stands, write {as_text}"
        )
    return ConfigError(f"configuration: {text}; see tfclass {name} --help")
