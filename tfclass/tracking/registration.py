"""A trained bundle as a version of a registered model, and which version is the champion.

The alias ``champion`` moves to a new version only when the version passes its checks and its validation average
precision is better than the champion's, on the very same validation proteins. A version trained on real proteins takes
the alias from one trained on generated proteins, whatever their scores, and never loses it to one.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from tfclass.bundle.bundle import CARD, Bundle
from tfclass.inference.predictor import Predictor
from tfclass.inference.rows import COLUMNS, KINDS
from tfclass.sequences.fasta import Record

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

ALIAS = "champion"
SCORE, PROTEINS, GENERATED = "validation_average_precision", "validation_sha256", "generated"
_ABOUT = (
    "Transcription factor or not, with a calibrated probability. The alias `champion` is the version with the best "
    "average precision on its validation proteins, which are the same for all versions with the same tag "
    f"`{PROTEINS}`; a version trained on real proteins comes before those with the tag `{GENERATED}` true. "
    "Use: `tfclass predict proteins.fasta --model models:/{name}@champion`."
)
# What a database has room for.
_DESCRIPTION_LENGTH = 5000


class Candidate(NamedTuple):
    """A logged model that is to become a version.

    Attributes
    ----------
    name : str
        Of the registered model; it is made when there is none.
    model_uri : str
        Of the logged model.
    run_id : str
        Whose model it is; a second version of one run is not made.
    folder : Path
        Its bundle.
    bundle : Bundle
        What lies in that folder.
    """

    name: str
    model_uri: str
    run_id: str
    folder: Path
    bundle: Bundle


def signature_of(bundle: Bundle) -> "ModelSignature":
    """Describe to MLflow what the model of a bundle takes and gives: the columns of `tfclass predict`."""
    from mlflow.models import ModelSignature
    from mlflow.types.schema import AnyType, ColSpec, Schema

    types = {"text": "string", "category": "string", "integer": "long", "number": "double"}
    always = set(COLUMNS) - {"probability", "threshold"}
    given = Predictor(bundle).columns
    # Ids are often integers, which MLflow would refuse for texts; the model itself checks every cell.
    inputs = Schema([ColSpec(AnyType(), "id"), ColSpec(AnyType(), "sequence")])
    return ModelSignature(inputs, Schema([ColSpec(types[KINDS[c]], c, required=c in always) for c in given]))


def register_version(new: Candidate, validation: str, example: pd.DataFrame) -> str:
    """Make a logged model a version, and the champion where it deserves that.

    Parameters
    ----------
    validation : str
        Digest of the validation proteins; only versions with the same one are compared.
    example : DataFrame
        Columns ``id`` and ``sequence``; what the model is tried on.

    Returns
    -------
    str
        What was done, in words.

    Raises
    ------
    MlflowException
        The registry cannot be used.
    """
    import mlflow

    client = mlflow.MlflowClient()
    name = new.name
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name, description=_ABOUT.format(name=name))
    number = _version(new, validation)
    version = f"{name} version {number}"
    problem = _problem(f"models:/{name}/{number}", new.bundle, example)
    client.set_model_version_tag(name, number, "checks", problem or "passed")
    if problem:
        return f"{version}, not {ALIAS}: {problem}"
    is_better, reason = _against_champion(name, number)
    if not is_better:
        return f"{version}, not {ALIAS}: {reason}; to use this version: --model models:/{name}/{number}"
    client.set_registered_model_alias(name, ALIAS, number)
    return f"{version}, {ALIAS}: {reason}"


def _version(new: Candidate, validation: str) -> str:
    import mlflow

    client = mlflow.MlflowClient()
    existing = client.search_model_versions(f"name = '{new.name}' and run_id = '{new.run_id}'")
    if existing:
        return str(existing[0].version)
    facts = new.bundle.provenance
    tags = {
        SCORE: f"{facts['validation']['average_precision']:.6f}",
        PROTEINS: validation,
        GENERATED: str(new.bundle.trained_on_generated).lower(),
        "corpus": facts["corpus"]["name"],
        "corpus_sha256": facts["corpus"]["sha256"],
        "bundle_sha256": new.bundle.digest,
        "network": new.bundle.network,
    }
    card = (new.folder / CARD).read_text(encoding="utf-8")[:_DESCRIPTION_LENGTH]
    model_id = new.model_uri.removeprefix("models:/")
    version = client.create_model_version(
        new.name, new.model_uri, new.run_id, tags, description=card, model_id=model_id
    )
    # What the page of the logged model names its versions by.
    client.set_logged_model_tags(
        model_id, {"mlflow.modelVersions": json.dumps([{"name": new.name, "version": version.version}])}
    )
    return str(version.version)


def _problem(address: str, bundle: Bundle, example: pd.DataFrame) -> str:
    """Say what is wrong with a version's answer to the example; nothing when it is the predictor's own."""
    import mlflow

    answer = mlflow.pyfunc.load_model(address).predict(example)  # type: ignore[attr-defined]
    rows = zip(example["id"], example["sequence"], strict=True)
    expected = [row.probability for row in Predictor(bundle).predict(Record(i, i, s) for i, s in rows)]
    if answer["probability"].tolist() != expected:
        return f"it answers {answer['probability'].tolist()} where the bundle gives {expected}"
    return ""


def _against_champion(name: str, number: str) -> tuple[bool, str]:
    """Tell whether a version is to take the champion's place, and why."""
    import mlflow

    client = mlflow.MlflowClient()
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
