"""The stacks of convolutions against torch's own layers run on each sequence alone."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from tfclass.models.encoders import length_mask
from tfclass.models.stacks import ConvolutionLayer, Line, StackStem


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
    found_NF = layer(torch.cat(sequences), Line(lengths, gap=kernel // 2))
    torch.testing.assert_close(found_NF, torch.cat(expected))


def test_batch_statistics_are_those_of_real_positions_only():
    torch.manual_seed(0)
    layer = ConvolutionLayer(4, 3, kernel=1, dropout=0.0)
    x_NE = torch.randn(11, 4)
    layer(x_NE, Line([9, 2], gap=0))
    convolved = layer.convolution(x_NE.T[None])[0].T
    # PyTorch moves running statistics a tenth of the way.
    torch.testing.assert_close(layer.norm.running_mean, 0.1 * convolved.mean(dim=0))
    torch.testing.assert_close(layer.norm.running_var, 0.9 + 0.1 * convolved.var(dim=0))


def test_a_batch_of_one_residue_is_normalised_by_what_was_learned():
    torch.manual_seed(0)
    layer = ConvolutionLayer(4, 3, kernel=3, dropout=0.0)
    x_NE, line = torch.randn(1, 4), Line([1], gap=1)
    with torch.no_grad():
        layer.norm.running_mean.uniform_()
        layer.norm.running_var.uniform_(0.5, 2)
    trained = layer.train()(x_NE, line)
    torch.testing.assert_close(trained, layer.eval()(x_NE, line))
    trained.sum().backward()
    assert layer.convolution.weight.grad is not None


@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=5),
    margins=st.tuples(st.integers(0, 4), st.integers(0, 4)),
)
def test_residues_are_laid_in_a_line_and_their_gradients_back(lengths, margins):
    line, gap = Line(lengths, 3), torch.zeros(3, 2, dtype=torch.float64)
    x_NF = torch.randn(sum(lengths), 2, dtype=torch.float64, requires_grad=True)
    joined_MF = line.join(x_NF, margins)
    expected_MF = torch.cat([torch.zeros(margins[0], 2), *(part for x in x_NF.split(lengths) for part in (x, gap))])
    assert torch.equal(joined_MF[: len(expected_MF)], expected_MF)
    assert not joined_MF[len(expected_MF) :].any()
    assert len(expected_MF) + margins[1] <= len(joined_MF) <= (len(expected_MF) + margins[1]) * 17 / 16
    assert torch.equal(line.split(joined_MF[margins[0] :]), x_NF)
    assert torch.autograd.gradcheck(lambda x_NF: line.join(x_NF, margins), x_NF)
    assert torch.autograd.gradcheck(
        line.split, joined_MF[margins[0] : len(joined_MF) - margins[1]].detach().requires_grad_()
    )


def test_padding_beyond_the_longest_sequence_changes_nothing():
    stem = StackStem(4, stacks=[[4, 4], [3]], channels=3, pool=2, dropout=0.5).eval()
    x_BLE, lengths_B = torch.randn(2, 10, 4), torch.tensor([10, 3])
    steps_BLF, _ = stem(x_BLE, lengths_B)
    padded_BLF, _ = stem(F.pad(x_BLE, (0, 0, 0, 4)), lengths_B)
    assert padded_BLF.shape == (2, 7, 6)
    assert torch.equal(padded_BLF[:, :5], steps_BLF)
    assert not padded_BLF[:, 5:].any()


def test_lines_have_few_widths():
    # For batches of up to 16,384 residues: each width has kernels of its own.
    widths = {len(Line([n], 8).join(torch.zeros(n, 1), (0, 0))) for n in range(8193, 16377, 7)}
    assert len(widths) == 16


def test_the_networks_of_the_field_have_as_many_weights_as_published(alphabet):
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
