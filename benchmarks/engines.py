"""Is there a faster way to run the recurrent part than torch in float32?

A bidirectional LSTM with the same weights in torch (float32, bfloat16, dynamic int8), ONNX Runtime and OpenVINO, in one
process, on a batch as scoring makes them. What is not installed is left out (`pip install onnx onnxruntime openvino`);
tfclass needs none of it.

Usage: python benchmarks/engines.py [--threads 1] [--repeats 7]
"""

import argparse
import importlib.util
import warnings
from collections.abc import Callable

import numpy as np
import torch
from recurrence import median_seconds
from torch import Tensor, nn

from tfclass.models.encoders import Recurrent, length_mask

B, H = 46, 128
# E and lengths: of embedded residues, and of what a convolution stem with pooling over 3 hands on.
INPUTS = {"residues": (64, 300, 400), "stem": (128, 100, 134)}


def main():
    """Print a table for each kind of input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1, help="tfclass scores a batch on each core")
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    # torch's dynamic quantisation announces its own end.
    warnings.simplefilter("ignore")
    print(f"B {B}, H {H}, {options.threads} threads, torch {torch.__version__}\n")
    for name, (width, shortest, longest) in INPUTS.items():
        lengths_B = torch.randint(shortest, longest + 1, (B,)).sort(descending=True).values
        compare(name, width, lengths_B, options.threads, options.repeats)


@torch.inference_mode()
def compare(name: str, width: int, lengths_B: Tensor, threads: int, repeats: int):
    """Speed of each engine, and its largest difference from torch in float32."""
    encoder = Recurrent(lambda e, h: nn.LSTM(e, h, batch_first=True), width, H).eval()
    x_BLE = torch.randn(B, int(lengths_B.max()), width)
    engines: dict[str, Callable[[], Tensor]] = {"torch": lambda: encoder(x_BLE, lengths_B)}
    engines["torch, bfloat16"] = lambda: reduced(encoder, x_BLE, lengths_B)
    quantized = torch.ao.quantization.quantize_dynamic(encoder, {nn.LSTM}, dtype=torch.qint8)
    engines["torch, dynamic int8"] = lambda: quantized(x_BLE, lengths_B)
    if importlib.util.find_spec("onnx"):
        model = as_onnx(encoder, width)
        for kind, make in {"onnxruntime": onnx_runtime, "openvino": open_vino}.items():
            if importlib.util.find_spec(kind):
                engines[kind] = make(model, x_BLE, lengths_B, threads)
    seconds = median_seconds(list(engines.values()), repeats)
    mask_BL1 = length_mask(lengths_B, x_BLE.shape[1])[..., None]
    exact_BLF = encoder(x_BLE, lengths_B)
    print(f"{name + f', E {width}':<26}{'steps/s':>12}{'ratio':>8}{'difference':>13}")
    for (engine, run), taken in zip(engines.items(), seconds, strict=True):
        difference = float(((run().float() - exact_BLF) * mask_BL1).abs().max())
        rate = int(lengths_B.sum()) / taken
        print(f"{engine:<26}{rate:>12,.0f}{seconds[0] / taken:>7.2f}x{difference:>13.1e}")
    print()


def reduced(encoder: nn.Module, x_BLE: Tensor, lengths_B: Tensor) -> Tensor:
    """Encode in bfloat16."""
    with torch.autocast("cpu", torch.bfloat16):
        return encoder(x_BLE, lengths_B)


def as_onnx(encoder: Recurrent, width: int) -> bytes:
    """Write the encoder as one bidirectional LSTM of ONNX, which knows lengths by itself."""
    from onnx import TensorProto, helper, numpy_helper  # type: ignore[import-not-found]

    def reordered(name: str) -> np.ndarray:
        # Rows of the gates: i, f, g, o in torch; i, o, f, g in ONNX.
        parts = (getattr(module, name).detach().chunk(4) for module in (encoder.forwards[0], encoder.backwards[0]))
        return torch.stack([torch.cat([i, o, f, g]) for i, f, g, o in parts]).numpy()

    weights = {"W": reordered("weight_ih_l0"), "R": reordered("weight_hh_l0")}
    weights["B"] = np.concatenate([reordered("bias_ih_l0"), reordered("bias_hh_l0")], axis=1)
    node = helper.make_node("LSTM", ["X", *weights, "lengths"], ["Y"], direction="bidirectional", hidden_size=H)
    inputs = [
        helper.make_tensor_value_info("X", TensorProto.FLOAT, ["L", "N", width]),
        helper.make_tensor_value_info("lengths", TensorProto.INT32, ["N"]),
    ]
    outputs = [helper.make_tensor_value_info("Y", TensorProto.FLOAT, ["L", 2, "N", H])]
    initial = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph([node], "bilstm", inputs, outputs, initial)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    return model.SerializeToString()


def onnx_runtime(model: bytes, x_BLE: Tensor, lengths_B: Tensor, threads: int) -> Callable[[], Tensor]:
    """Make the call of an ONNX Runtime session."""
    import onnxruntime  # type: ignore[import-not-found]

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    inputs = {"X": x_BLE.transpose(0, 1).contiguous().numpy(), "lengths": lengths_B.int().numpy()}
    return lambda: batch_first(session.run(None, inputs)[0])


def open_vino(model: bytes, x_BLE: Tensor, lengths_B: Tensor, threads: int) -> Callable[[], Tensor]:
    """Make the call of an OpenVINO request in float32."""
    import openvino  # type: ignore[import-not-found]

    hints = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    core = openvino.Core()
    request = core.compile_model(core.read_model(model), "CPU", hints).create_infer_request()
    inputs = {"X": x_BLE.transpose(0, 1).contiguous().numpy(), "lengths": lengths_B.int().numpy()}
    return lambda: batch_first(request.infer(inputs)[0])


def batch_first(y_L2BH: np.ndarray) -> Tensor:
    """Bring the output of ONNX into the order of tfclass."""
    return torch.from_numpy(y_L2BH).permute(2, 0, 1, 3).flatten(2)


if __name__ == "__main__":
    main()
