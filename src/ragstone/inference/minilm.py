"""all-MiniLM-L6-v2 as an ONNX graph, built from its weights without torch.

A BERT encoder (Devlin et al., 2019) of six layers, with mean pooling over the real
tokens and scaling to length 1 inside the graph, so that (texts, 384) comes out. The
graph holds no weights: `Model.tensors` are handed to the runtime beside it, so nothing
of 90 MB is written to disk and the bytes that run are the bytes that were hashed.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper
from safetensors.numpy import load

DIMENSIONS = 384
LAYERS = 6
HEADS = 12
HEAD_SIZE = DIMENSIONS // HEADS
EPSILON = 1e-12  # layer_norm_eps of the model's config.json
OPSET = 20  # the first with Gelu
MASKED = -1e9  # added to the attention score of padding

Weights = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Model:
    """A serialised graph, and the tensors it names but does not hold."""

    graph: bytes
    tensors: dict[str, NDArray[np.float32]]


def build(weights: bytes) -> Model:
    """Build the graph from the bytes of `model.safetensors`.

    Inputs `ids` and `mask` are int64 of shape (texts, tokens); the output `vectors` is
    float32 of shape (texts, 384) with rows of length 1.
    """
    tensors = _tensors(load(weights))
    constants = [
        helper.make_tensor("split_heads", TensorProto.INT64, [4], [0, 0, HEADS, HEAD_SIZE]),
        helper.make_tensor("join_heads", TensorProto.INT64, [3], [0, 0, DIMENSIONS]),
        helper.make_tensor("zero", TensorProto.INT64, [1], [0]),
        helper.make_tensor("one", TensorProto.INT64, [1], [1]),
        helper.make_tensor("two", TensorProto.INT64, [1], [2]),
        helper.make_tensor("masked", TensorProto.FLOAT, [], [MASKED]),
        helper.make_tensor("real", TensorProto.FLOAT, [], [1.0]),
    ]
    nodes = _embed()
    for layer in range(LAYERS):
        nodes += _layer(layer)
    nodes += _pool()
    graph = helper.make_graph(
        nodes,
        "all-MiniLM-L6-v2",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["texts", "tokens"]) for name in ("ids", "mask")],
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["texts", DIMENSIONS])],
        [*constants, *(_reference(name, tensor) for name, tensor in tensors.items())],
    )
    model: ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    return Model(model.SerializeToString(), tensors)


def _tensors(weights: Weights) -> Weights:
    """The weights as the graph wants them: (in, out) matrices, query, key and value as one."""
    tensors = {
        "words": weights["embeddings.word_embeddings.weight"],
        # Every text is one segment: its type vector is a constant, added here once.
        "positions": weights["embeddings.position_embeddings.weight"]
        + weights["embeddings.token_type_embeddings.weight"][0],
        "embed.norm.weight": weights["embeddings.LayerNorm.weight"],
        "embed.norm.bias": weights["embeddings.LayerNorm.bias"],
    }
    for layer in range(LAYERS):
        source = f"encoder.layer.{layer}."
        for kind in ("weight", "bias"):
            query, key, value = (weights[f"{source}attention.self.{part}.{kind}"] for part in ("query", "key", "value"))
            # Attention scores are divided by the root of the head size: done to the query, once.
            tensors[f"{layer}.qkv.{kind}"] = np.concatenate([query / np.float32(sqrt(HEAD_SIZE)), key, value])
            for ours, theirs in _PARTS.items():
                tensors[f"{layer}.{ours}.{kind}"] = weights[f"{source}{theirs}.{kind}"]
    return {name: np.ascontiguousarray(tensor.T if _is_matrix(name) else tensor) for name, tensor in tensors.items()}


_PARTS = {
    "joined": "attention.output.dense",
    "attention.norm": "attention.output.LayerNorm",
    "wide": "intermediate.dense",
    "narrow": "output.dense",
    "norm": "output.LayerNorm",
}


def _is_matrix(name: str) -> bool:
    return name.endswith((".qkv.weight", ".joined.weight", ".wide.weight", ".narrow.weight"))


def _reference(name: str, tensor: NDArray[np.float32]) -> TensorProto:
    """A tensor without its values; the runtime is given them by this name."""
    proto = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=tensor.shape)
    proto.data_location = TensorProto.EXTERNAL
    proto.external_data.add(key="location", value="memory")
    return proto


def _node(kind: str, inputs: str, output: str, **attributes: float | list[int]) -> NodeProto:
    node = helper.make_node(kind, inputs.split(), output.split())
    node.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
    return node


def _embed() -> list[NodeProto]:
    return [
        _node("Shape", "ids", "length", start=1, end=2),
        _node("Slice", "positions zero length zero", "places"),
        _node("Gather", "words ids", "named"),
        _node("Add", "named places", "placed"),
        _node("LayerNormalization", "placed embed.norm.weight embed.norm.bias", "0.in", epsilon=EPSILON),
        _node("Cast", "mask", "kept", to=TensorProto.FLOAT),
        _node("Sub", "real kept", "dropped"),
        _node("Mul", "dropped masked", "penalty"),
        _node("Unsqueeze", "penalty one", "penalty.heads"),
        _node("Unsqueeze", "penalty.heads two", "penalty.scores"),
    ]


def _layer(layer: int) -> list[NodeProto]:
    nodes = [
        _node("MatMul", "in qkv.weight", "qkv.product"),
        _node("Add", "qkv.product qkv.bias", "qkv"),
        _node("Split", "qkv", "query key value", axis=-1, num_outputs=3),
        *(_node("Reshape", f"{part} split_heads", f"{part}.split") for part in ("query", "key", "value")),
        _node("Transpose", "query.split", "query.heads", perm=[0, 2, 1, 3]),
        _node("Transpose", "key.split", "key.heads", perm=[0, 2, 3, 1]),
        _node("Transpose", "value.split", "value.heads", perm=[0, 2, 1, 3]),
        _node("MatMul", "query.heads key.heads", "scores"),
        _node("Add", "scores penalty.scores", "scores.masked"),
        _node("Softmax", "scores.masked", "shares", axis=-1),
        _node("MatMul", "shares value.heads", "mixed"),
        _node("Transpose", "mixed", "mixed.split", perm=[0, 2, 1, 3]),
        _node("Reshape", "mixed.split join_heads", "mixed.joined"),
        _node("MatMul", "mixed.joined joined.weight", "joined.product"),
        _node("Add", "joined.product joined.bias", "joined"),
        _node("Add", "joined in", "attended"),
        _node("LayerNormalization", "attended attention.norm.weight attention.norm.bias", "middle", epsilon=EPSILON),
        _node("MatMul", "middle wide.weight", "wide.product"),
        _node("Add", "wide.product wide.bias", "wide"),
        _node("Gelu", "wide", "active"),
        _node("MatMul", "active narrow.weight", "narrow.product"),
        _node("Add", "narrow.product narrow.bias", "narrow"),
        _node("Add", "narrow middle", "out"),
        _node("LayerNormalization", "out norm.weight norm.bias", "normed", epsilon=EPSILON),
    ]
    for node in nodes:
        node.input[:] = [name if name in _SHARED else f"{layer}.{name}" for name in node.input]
        node.output[:] = [f"{layer + 1}.in" if name == "normed" else f"{layer}.{name}" for name in node.output]
    return nodes


_SHARED = {"split_heads", "join_heads", "penalty.scores"}


def _pool() -> list[NodeProto]:
    return [
        _node("Unsqueeze", "kept two", "kept.wide"),
        _node("Mul", f"{LAYERS}.in kept.wide", "kept.tokens"),
        # The mean's divisor is left out: scaling to length 1 cancels it.
        _node("ReduceSum", "kept.tokens one", "sum", keepdims=0),
        _node("LpNormalization", "sum", "vectors", axis=-1, p=2),
    ]
