"""Models in MLflow: logged, registered as versions, and fetched by address.

The alias ``champion`` moves to a new version only when the version passes its checks and its validation average
precision is better than the champion's, on the very same validation proteins. A version trained on real proteins takes
the alias from one trained on generated proteins, whatever their scores, and never loses it to one.
"""

import atexit
import json
import re
import shlex
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

from tfclass.bundle.bundle import DESCRIPTION, Bundle, load_bundle, read_card
from tfclass.bundle.card import without_head
from tfclass.config import TrackingConfig
from tfclass.errors import BundleError, TrackingError
from tfclass.inference.predictor import Predictor
from tfclass.inference.rows import COLUMNS
from tfclass.io.files import temporary_folder
from tfclass.sequences.fasta import Record as Protein
from tfclass.tracking.connection import (
    ARTIFACTS,
    as_global,
    download,
    held,
    short_waits,
    sqlite_file,
    store_exists,
    tracking_uri,
)
from tfclass.tracking.record import Record

if TYPE_CHECKING:
    import mlflow
    import pandas as pd
    from mlflow.entities import LoggedModel
    from mlflow.models import ModelSignature

ALIAS = "champion"
SCORE, PROTEINS, GENERATED = "validation_average_precision", "validation_sha256", "generated"
_ABOUT = (
    "Transcription factor or not, with a calibrated probability. The alias `champion` is the version with the best "
    "average precision on its validation proteins, which are the same for all versions with the same tag "
    f"`{PROTEINS}`; a version trained on real proteins comes before those with the tag `{GENERATED}` true. "
    "Use: `tfclass predict proteins.fasta --model models:/{name}@champion`."
)
# What a version is tried on: ubiquitin.
EXAMPLE = "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG"
# What a database has room for.
_MAX_DESCRIPTION = 5000
_PYFUNC = Path(__file__).with_name("pyfunc.py")


def fetch_model(name: str) -> Path:
    """Fetch a model by its MLflow address, for as long as Python runs; return the folder of its bundle, unchecked.

    Raises
    ------
    BundleError
        There is no such model.
    TrackingError
        The store is no database.
    """
    config = TrackingConfig.default()
    stack = ExitStack()
    fetched = stack.enter_context(temporary_folder())
    atexit.register(stack.close)
    try:
        folder = download(name, fetched, config, BundleError)
        # A logged model holds the bundle among its artifacts.
        found = [path.parent for path in sorted(folder.rglob(DESCRIPTION))]
        if not found:
            raise BundleError(f"{name}: a model without a bundle; name one that tfclass logged")
        return found[0]
    except BundleError:
        _check_place(name, config)
        raise


def _check_place(name: str, config: TrackingConfig) -> None:
    """Refuse a model whose files are not where a store on this machine recorded them, as after a project has moved.

    MLflow records absolute paths. The place where the files are now is named, if it is beside the store.
    """
    store = tracking_uri(config)
    if store.startswith("http") or not store_exists(store):
        return
    with short_waits(config.timeout), as_global(store):
        place = _recorded_place(name)
    if place is None or place.parent.exists():
        return
    action = "if the project was moved, move it back, or name the folder of a bundle with --model"
    database = sqlite_file(store)
    if database is not None and ARTIFACTS in place.parts:
        tail = place.parts[place.parts.index(ARTIFACTS) :]
        now = sorted(database.resolve().parent.joinpath(*tail).rglob(DESCRIPTION))
        action = f"if the project was moved, use --model {shlex.quote(str(now[0].parent))}" if now else action
    raise BundleError(f"{name}: no files at {place}, where MLflow recorded them; {action}")


def _recorded_place(name: str) -> Path | None:
    """Return the local path of a model's files in MLflow's records; None if they are on a server, or unknown."""
    from mlflow.store.artifact.models_artifact_repo import ModelsArtifactRepository
    from mlflow.store.artifact.runs_artifact_repo import RunsArtifactRepository

    repository = ModelsArtifactRepository if name.startswith("models:/") else RunsArtifactRepository
    try:
        address = urlsplit(str(repository.get_underlying_uri(name)))
    except Exception:  # noqa: BLE001 - MLflow raises its own and SQLAlchemy's; the caller reports the first error
        return None
    return Path(url2pathname(address.path)) if address.scheme in ("", "file") else None


def log_model(uri: str, folder: Path, record: Record) -> str:
    """Log the bundle of a run, as files and as an MLflow model, and register it where the run says so.

    Returns
    -------
    str
        The outcome of the registration, in words; empty without one.

    Raises
    ------
    Exception
        Whatever MLflow and its parts raise; or the bundle is no longer the one that was made.
    """
    import mlflow

    facts, run_id, place = record.facts, record.run_id, folder / record.facts.bundle
    bundle = load_bundle(place)
    if bundle.digest != facts.bundle_sha256:
        raise TrackingError(f"{place}: another model than this run made; restore that one (checksum mismatch)")
    # `log_model` and `load_model` of MLflow know only the global store.
    with as_global(uri):
        client = mlflow.MlflowClient()
        client.log_artifacts(run_id, str(place), "bundle")
        experiment_id = client.get_run(run_id).info.experiment_id
        found = client.search_logged_models([experiment_id], f"tags.bundle_sha256 = '{bundle.digest}'")
        model = next((each for each in found if each.source_run_id == run_id and each.status == "READY"), None)
        model = model or _log_pyfunc(client, place, bundle, run_id)
        if record.registered or not (record.config.register and facts.validation_sha256):
            return record.registered
        with held(uri, record.config.timeout):
            return _register(client, record, model, bundle, without_head(read_card(place)))


def _log_pyfunc(client: "mlflow.MlflowClient", place: Path, bundle: Bundle, run_id: str) -> "LoggedModel":
    import mlflow

    # A model is linked only to the active run; `nested` allows for one that the caller has open.
    with mlflow.start_run(run_id=run_id, nested=True, log_system_metrics=False):
        # The default torch flavour would export the graph for one device; this one is the Predictor itself.
        logged = mlflow.pyfunc.log_model(  # type: ignore[attr-defined]
            # MLflow takes no other name than one without these.
            name=re.sub(r"[/:.%\"']", "_", bundle.name) or "model",
            python_model=str(_PYFUNC),
            artifacts={"bundle": str(place.resolve())},
            signature=_signature(bundle),
            input_example=_example(),
            pip_requirements=["tfclass"],
            params={"network": bundle.network, "corpus": bundle.provenance.get("corpus", {}).get("name", "")},
            tags={"bundle_sha256": bundle.digest},
            # MLflow takes the run's metrics of this step for the model's: none has it. Ours are linked by name.
            step=-1,
        )
    # Leaving the block ended the run.
    client.update_run(run_id, status="RUNNING")
    return client.get_logged_model(logged.model_id)


def _signature(bundle: Bundle) -> "ModelSignature":
    """Describe to MLflow what the model of a bundle takes and gives: the columns of `tfclass predict`."""
    from mlflow.models import ModelSignature
    from mlflow.types.schema import AnyType, ColSpec, Schema

    types = {"text": "string", "category": "string", "integer": "long", "number": "double"}
    always = set(COLUMNS) - {"probability", "threshold"}
    # Ids are often integers, which MLflow would refuse for texts; the model itself checks every cell.
    inputs = Schema([ColSpec(AnyType(), "id"), ColSpec(AnyType(), "sequence")])
    columns = Predictor(bundle).columns.items()
    return ModelSignature(
        inputs, Schema([ColSpec(types[column.kind], name, required=name in always) for name, column in columns])
    )


def _example() -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame({"id": ["ubiquitin"], "sequence": [EXAMPLE]})


def _register(client: "mlflow.MlflowClient", record: Record, model: "LoggedModel", bundle: Bundle, card: str) -> str:
    """Make a logged model a version, and the champion where it deserves that; return what was done, in words."""
    name = record.config.register
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name, description=_ABOUT.format(name=name))
    versions = client.search_model_versions(f"name = '{name}' and run_id = '{record.run_id}'")
    if versions:
        number = str(versions[0].version)
    else:
        facts, id_ = bundle.provenance, model.model_id
        tags = {
            SCORE: f"{facts['validation']['average_precision']:.6f}",
            PROTEINS: record.facts.validation_sha256,
            GENERATED: str(bundle.trained_on_generated).lower(),
            "corpus": facts["corpus"]["name"],
            "corpus_sha256": facts["corpus"]["sha256"],
            "bundle_sha256": bundle.digest,
            "network": bundle.network,
        }
        card, address = card[:_MAX_DESCRIPTION], model.model_uri
        made = client.create_model_version(name, address, record.run_id, tags, description=card, model_id=id_)
        # What the page of the logged model names its versions by.
        shown = json.dumps([{"name": name, "version": made.version}])
        client.set_logged_model_tags(id_, {"mlflow.modelVersions": shown})
        number = str(made.version)
    problem = _problem(f"models:/{name}/{number}", bundle)
    client.set_model_version_tag(name, number, "checks", problem or "passed")
    is_better, reason = (False, problem) if problem else _against_champion(client, name, number)
    if is_better:
        client.set_registered_model_alias(name, ALIAS, number)
        return f"{name} version {number}, {ALIAS}: {reason}"
    action = "" if problem else f"; to use this version: --model models:/{name}/{number}"
    return f"{name} version {number}, not {ALIAS}: {reason}{action}"


def _problem(address: str, bundle: Bundle) -> str:
    """Describe what is wrong with a version's answer to the example; nothing when it is the predictor's own."""
    import mlflow

    answer = mlflow.pyfunc.load_model(address).predict(_example())["probability"].tolist()  # type: ignore[attr-defined]
    expected = [row.probability for row in Predictor(bundle).predict([Protein("ubiquitin", "ubiquitin", EXAMPLE)])]
    return "" if answer == expected else f"it answers {answer} where the bundle gives {expected}"


def _against_champion(client: "mlflow.MlflowClient", name: str, number: str) -> tuple[bool, str]:
    """Decide whether a version takes the champion's place, and why."""
    new = client.get_model_version(name, number)
    score = float(new.tags[SCORE])
    # Asked for by its alias, a champion that the registry cannot tell now looks like one that is not there.
    champion_number = client.get_registered_model(name).aliases.get(ALIAS)
    if champion_number is None:
        return True, f"the first, with a validation average precision of {score:.4f}"
    if str(champion_number) == number:
        return True, "as it was"
    champion, before = client.get_model_version(name, str(champion_number)), f"version {champion_number}"
    generated = new.tags.get(GENERATED) == "true"
    if generated != (champion.tags.get(GENERATED) == "true"):
        if generated:
            return False, f"it was trained on generated proteins, {before} on real ones"
        return True, f"{before} was trained on generated proteins; validation average precision {score:.4f}"
    if champion.tags.get(PROTEINS) != new.tags[PROTEINS]:
        return False, f"{before} was validated on other proteins, so scores cannot be compared"
    best = float(champion.tags[SCORE])
    if score <= best:
        return False, f"validation average precision {score:.4f}, {before} has {best:.4f}"
    return True, f"validation average precision {score:.4f}, {before} had {best:.4f}"
