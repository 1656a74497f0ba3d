"""The stacks of convolutions against torch's own layers run on each sequence alone."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from tfclass.models.encoders import length_mask
from tfclass.models.stacks import ConvolutionLayer, Places, StackStem


def test_stacks_give_in_evaluation_what_each_sequence_gives_alone():
    torch.manual_seed(0)
    lengths = [10, 1, 7]
    stem = StackStem(4, stacks=[[4, 4], [3]], channels=3, pool=2, dropout=0.5)
    x_BLE = torch.randn(3, 10, 4) * length_mask(torch.tensor(lengths), 10)[..., None]
    stem(x_BLE, torch.tensor(lengths))
    stem.eval()
    steps_BLF, _ = stem(x_BLE, torch.tensor(lengths))
    for row, length in enumerate(lengths):
        alone_BLF, _ = stem(x_BLE[row : row + 1, :length], torch.tensor([length]))
        torch.testing.assert_close(steps_BLF[row, : alone_BLF.shape[1]], alone_BLF[0])


@pytest.mark.parametrize("kernel", [1, 4, 5, 16])
def test_a_layer_of_a_stack_is_a_convolution_of_each_sequence_that_keeps_the_length(kernel):
    torch.manual_seed(0)
    layer = ConvolutionLayer(4, 3, kernel, dropout=0.0).eval()
    lengths = [9, 2, 20]
    sequences = [torch.randn(length, 4) for length in lengths]
    weight, bias = layer.convolution.weight, layer.convolution.bias
    # As torch pads for "same", which warns of the copy that it makes.
    margins = ((kernel - 1) // 2, kernel // 2)
    expected = [F.relu(layer.norm(F.conv1d(F.pad(x.T[None], margins), weight, bias)))[0].T for x in sequences]
    found_NF = layer(torch.cat(sequences), Places(torch.tensor(lengths), 20, gap=kernel // 2))
    torch.testing.assert_close(found_NF, torch.cat(expected))


def test_batch_statistics_are_those_of_real_positions_only():
    torch.manual_seed(0)
    layer = ConvolutionLayer(4, 3, kernel=1, dropout=0.0)
    x_NE = torch.randn(11, 4)
    layer(x_NE, Places(torch.tensor([9, 2]), 9, gap=0))
    convolved = layer.convolution(x_NE.T[None])[0].T
    # PyTorch moves running statistics a tenth of the way.
    torch.testing.assert_close(layer.norm.running_mean, 0.1 * convolved.mean(dim=0))
    torch.testing.assert_close(layer.norm.running_var, 0.9 + 0.1 * convolved.var(dim=0))


def test_a_batch_of_one_residue_is_normalised_by_what_was_learned():
    torch.manual_seed(0)
    layer = ConvolutionLayer(4, 3, kernel=3, dropout=0.0)
    x_NE, places = torch.randn(1, 4), Places(torch.tensor([1]), 1, gap=1)
    with torch.no_grad():
        layer.norm.running_mean.uniform_()
        layer.norm.running_var.uniform_(0.5, 2)
    trained = layer.train()(x_NE, places)
    torch.testing.assert_close(trained, layer.eval()(x_NE, places))
    trained.sum().backward()
    assert layer.convolution.weight.grad is not None


@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=5),
    padding=st.integers(0, 3),
    margins=st.tuples(st.integers(0, 4), st.integers(0, 4)),
)
def test_real_positions_are_moved_and_their_gradients_back(lengths, padding, margins):
    longest, gap = max(lengths) + padding, 3
    places = Places(torch.tensor(lengths), longest, gap)
    x_BLF = torch.randn(len(lengths), longest, 2, dtype=torch.float64, requires_grad=True)
    alone = [x_LF[:length] for x_LF, length in zip(x_BLF.detach(), lengths, strict=True)]
    rows_NF = places.rows(x_BLF)
    assert torch.equal(rows_NF, torch.cat(alone))
    padded_BLF = places.padded(rows_NF)
    assert torch.equal(padded_BLF, x_BLF * length_mask(torch.tensor(lengths), longest)[..., None])
    line_MF = places.laid_out(rows_NF, margins)
    between = torch.zeros(gap, 2, dtype=torch.float64)
    expected_MF = torch.cat([torch.zeros(margins[0], 2), *(part for x_LF in alone for part in (x_LF, between))])
    assert torch.equal(line_MF[: len(expected_MF)], expected_MF)
    assert not line_MF[len(expected_MF) :].any()
    assert len(expected_MF) + margins[1] <= len(line_MF) <= (len(expected_MF) + margins[1]) * 17 / 16
    assert torch.equal(places.picked(line_MF[margins[0] :]), rows_NF)

    def all_ways(x_BLF):
        line_MF = places.laid_out(places.rows(x_BLF), margins)
        return line_MF, places.padded(places.picked(line_MF[margins[0] : len(line_MF) - margins[1]]))

    assert torch.autograd.gradcheck(all_ways, x_BLF)


def test_lines_have_few_widths():
    # What a batch of up to 16,384 residues takes: each width has kernels of its own.
    widths = {len(Places(torch.tensor([n]), n, 8).laid_out(torch.zeros(n, 1), (0, 0))) for n in range(8193, 16377, 7)}
    assert len(widths) == 16


def test_the_rivals_have_as_many_weights_as_published(alphabet):
    from hydra import compose, initialize_config_module
    from omegaconf import OmegaConf

    from tfclass.config import ModelConfig, from_mapping
    from tfclass.models.factory import build

    def convolution_weights(name):
        with initialize_config_module("tfclass.conf", version_base="1.3"):
            composed = compose("train", [f"model={name}"]).model
        config = from_mapping(ModelConfig, OmegaConf.to_container(composed))  # type: ignore[arg-type]
        stem = build(config, alphabet, 2).stem
        kernels = sorted(layer.convolution.kernel_size[0] for layer in stem.layers)
        return kernels, stem.merge.convolution.weight.numel() + stem.merge.convolution.bias.numel()

    # Their Keras summary counts 262,656 weights in the merge of four stacks of 128.
    assert convolution_weights("cnn_bilstm") == ([4, 4, 4, 4, 4, 6, 6, 8, 12, 12, 16, 16], 262_656)
    assert convolution_weights("cnn") == ([4, 4, 4, 4, 4, 8, 12, 16, 16], 384 * 384 + 384)
