"""Average the weights of two networks, one trained from the other, and calibrate the result on the validation split.

Networks that share most of their training lie in one basin of the loss, and the mean of their weights is often better
than either [1]_. A weight that the first lacks, or has in another shape, is that of the second.

References
----------
.. [1] M. Wortsman et al., "Model soups: averaging weights of multiple fine-tuned models improves accuracy without
   increasing inference time", ICML 2022, 10.48550/arXiv.2203.05482.
"""

from pathlib import Path
from typing import Annotated

import torch
import typer

from recalibrate import read_validation, recalibrated
from script import run
from tfclass.bundle.bundle import Bundle, find_bundle, load_bundle
from tfclass.bundle.card import model_card
from tfclass.bundle.save import save_bundle
from tfclass.errors import BundleError


def average(first: Bundle, second: Bundle, share: float, table: Path) -> Bundle:
    """Return the second bundle with averaged weights, calibrated on the validation split of `table`.

    Parameters
    ----------
    share : float
        Weight of the second network, from 0 to 1; the first has the rest.
    table : Path
        The labelled table that both were trained on.

    Raises
    ------
    BundleError
        They have other classes or letters, or no weight in common.
    """
    if (first.classes, first.letters) != (second.classes, second.letters):
        raise BundleError(f"{first.name}, {second.name}: other classes or letters; only like networks have a mean")
    given, weights = first.model.state_dict(), second.model.state_dict()
    common = [key for key, weight in weights.items() if key in given and given[key].shape == weight.shape]
    if not {key for key, _ in second.model.named_parameters()} & set(common):
        raise BundleError(f"{first.name}, {second.name}: no weight in common; only networks of one shape have a mean")
    mixed = {key: torch.lerp(given[key], weights[key], share) for key in common if weights[key].is_floating_point()}
    second.model.load_state_dict(weights | mixed)
    mean_of = {first.digest: 1 - share, second.digest: share}
    return recalibrated(second, read_validation(second, table), {"mean_of": mean_of})


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    first: Annotated[str, typer.Argument(help="A bundle's folder, or the name of a shipped model.")],
    second: Annotated[str, typer.Argument(help="Likewise; the one whose families and options stay.")],
    table: Annotated[Path, typer.Argument(help="The labelled table that both were trained on.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The bundle to write.")],
    share: Annotated[float, typer.Option(min=0, max=1, help="Weight of the second network in the mean.")] = 0.5,
) -> None:
    """Average the weights of two networks."""
    mean = average(load_bundle(find_bundle(first)), load_bundle(find_bundle(second)), share, table)
    save_bundle(mean, output, model_card(mean))
    typer.echo(f"{output}: threshold {mean.threshold:.4g}", err=True)


if __name__ == "__main__":
    run(app)
