r"""Prune a bidirectional LSTM to fewer units in each direction, and calibrate the result on the validation split.

The units that stay are those with the largest :math:`\sigma_j \sum_r \lVert W^{(r)}_{\cdot j} \rVert / m_r`:
:math:`\sigma_j` is the standard deviation of the state of unit j over the steps of the validation proteins,
:math:`W^{(r)}_{\cdot j}` are the weights by which reader r sees that state, and :math:`m_r` is the mean of their norms
over the units. Readers are the recurrence, the attention and the heads. Like other magnitudes [1]_ it only says where
to begin: the pruned network is to be trained further.

References
----------
.. [1] S. Han et al., "Learning both weights and connections for efficient neural networks", NeurIPS 2015,
   10.48550/arXiv.1506.02626.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import Tensor, nn

from recalibrate import read_validation, recalibrated
from script import run
from tfclass.bundle.bundle import Bundle, find_bundle, load_bundle
from tfclass.bundle.card import model_card
from tfclass.bundle.save import save_bundle
from tfclass.data.table import LabelledProteins
from tfclass.errors import BundleError
from tfclass.models.encoders import length_mask
from tfclass.models.factory import build
from tfclass.models.forward import MAX_RESIDUES, collate, evaluating, longest_first_batches
from tfclass.models.network import AttentionPooling, Classifier

# Of an LSTM, in torch's order: input, forget, cell, output.
N_GATES = 4


def prune(bundle: Bundle, units: int, table: Path) -> Bundle:
    """Return the bundle with at most `units` per direction, calibrated on the validation split of `table`.

    Parameters
    ----------
    units : int
        With as many as the network has, or more, it stays as it is.
    table : Path
        The labelled table that it was trained on.

    Raises
    ------
    BundleError
        The network is not a bidirectional LSTM of one layer.
    """
    config = bundle.config
    if len(_directions(bundle.model)) != 2 or config.layer_norm:
        raise BundleError(
            f"{bundle.name}: found encoder {config.encoder}, {config.layers} layers; expected bilstm of 1 layer "
            "without layer_norm: only its units can be pruned"
        )
    valid = read_validation(bundle, table)
    hidden = min(units, config.hidden)
    importance_DH = state_deviation(bundle.model, valid) * reading_norm(bundle.model)
    kept_DK = importance_DH.topk(hidden, dim=1).indices.sort(dim=1).values
    smaller = replace(config, hidden=hidden)
    if isinstance(bundle.model.pooling, AttentionPooling) and bundle.model.pooling.project is not None:
        # By default its width follows that of the LSTM.
        smaller = replace(smaller, attention_hidden=bundle.model.pooling.project.out_features)
    model = build(smaller, bundle.alphabet, len(bundle.classes))
    model.load_state_dict(_pruned_weights(bundle.model, kept_DK))
    origin = {"pruned_from": {"sha256": bundle.digest, "hidden": config.hidden}}
    return recalibrated(replace(bundle, config=smaller, model=model), valid, origin)


def state_deviation(model: Classifier, proteins: LabelledProteins) -> Tensor:
    """Return the standard deviation of the state of each unit over all steps of the proteins; float64, shape (D, H)."""
    sum_F = square_F = torch.zeros(model.encoder.out_features, dtype=torch.float64)
    steps = 0
    with evaluating(model), torch.inference_mode():
        for rows in longest_first_batches(proteins.lengths, MAX_RESIDUES):
            tokens_BL, lengths_B = collate([proteins.tokens[i] for i in rows])
            x_BSE, steps_B = model.stem(model.embedding(tokens_BL), lengths_B)
            states_BSF = model.encoder(x_BSE, steps_B)
            states_NF = states_BSF[length_mask(steps_B, states_BSF.shape[1])].double()
            sum_F = sum_F + states_NF.sum(dim=0)
            square_F = square_F + states_NF.square().sum(dim=0)
            steps += len(states_NF)
    return (square_F / steps - (sum_F / steps) ** 2).clamp(min=0).sqrt().view(2, -1)


@torch.no_grad()
def reading_norm(model: Classifier) -> Tensor:
    """Return the norm of the weights that read each unit, relative to the mean, summed over readers; shape (D, H)."""
    norms = [reader.weight.double().norm(dim=0) for reader in _readers(model)]
    recurrent = [layer.get_parameter("weight_hh_l0").double().norm(dim=0) for layer in _directions(model)]
    recurrent_DH = torch.stack(recurrent)
    outside_F = torch.stack([norm_F / norm_F.mean() for norm_F in norms]).sum(dim=0)
    return outside_F.view(2, -1) + recurrent_DH / recurrent_DH.mean(dim=1, keepdim=True)


def _readers(model: Classifier) -> list[nn.Linear]:
    """Return the layers that read the states, or their weighted mean."""
    pooled = [model.hidden[0]] if len(model.hidden) else [model.head, model.family_head]
    attention = list(model.pooling.children())[:1]
    return [each for each in (*pooled, model.domain_head, *attention) if isinstance(each, nn.Linear)]


def _directions(model: Classifier) -> list[nn.LSTM]:
    """Return the layers whose units can be pruned: the two directions of a bilstm of one layer."""
    return [each for each in model.encoder.modules() if isinstance(each, nn.LSTM)]


@torch.no_grad()
def _pruned_weights(model: Classifier, kept_DK: Tensor) -> dict[str, Tensor]:
    """Return the weights of the network that has only the kept units."""
    hidden = model.encoder.out_features // 2
    kept_of = dict(zip(_directions(model), kept_DK, strict=True))
    kept_F = torch.cat([kept_DK[0], hidden + kept_DK[1]])
    readers, weights = set(_readers(model)), model.state_dict()
    for name, module in model.named_modules():
        if isinstance(module, nn.LSTM):
            kept_K = kept_of[module]
            for key, value in module.named_parameters():
                of_gates = value.unflatten(0, (N_GATES, hidden))[:, kept_K].flatten(0, 1)
                weights[f"{name}.{key}"] = of_gates[:, kept_K] if key == "weight_hh_l0" else of_gates
        elif module in readers:
            weights[f"{name}.weight"] = module.get_parameter("weight")[:, kept_F]
    return weights


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    model: Annotated[str, typer.Argument(help="A bundle's folder, or the name of a shipped model.")],
    table: Annotated[Path, typer.Argument(help="The labelled table that it was trained on.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The bundle to write.")],
    units: Annotated[int, typer.Option(min=1, help="Units of each direction that stay.")],
) -> None:
    """Prune the LSTM of a network."""
    bundle = load_bundle(find_bundle(model))
    pruned = prune(bundle, units, table)
    save_bundle(pruned, output, model_card(pruned))
    typer.echo(f"{output}: {pruned.config.hidden} of {bundle.config.hidden} units per direction", err=True)


if __name__ == "__main__":
    run(app)
