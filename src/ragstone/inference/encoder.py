"""The encoder of all-MiniLM-L6-v2: the verified files of the model package, and a session of ONNX Runtime.

The files come from the package ragstone-minilm, which `packages/ragstone-minilm/build.py`
builds from the original weights.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, RuntimeException

from ragstone.errors import ModelFileError, ModelUnavailable

MODEL_PACKAGE = "ragstone_minilm"
GRAPH_FILE = "model.onnx"
WEIGHTS_FILE = "model.onnx.data"  # the graph refers to it by this name
TOKENIZER_FILE = "tokenizer.json"

# The files of ragstone-minilm 1.1.
SHA256 = {
    GRAPH_FILE: "4b3a30e64fbb52fe7965bb6992dd1aec021e7f346848c5a2986e3749af07a65b",
    WEIGHTS_FILE: "7ed3d67a820cde32a0d699b26b3926a84fd7917b7a4c81459be70a35d7bdb18d",
    TOKENIZER_FILE: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    # What `judge.py` reads; it holds the names.
    "judge.onnx": "9e643af8ab50f48380507bb594411316a28b89a3a7eb98eae429d916a169f640",
    "judge.onnx.data": "ff0198b8ce259189a5a2f6e01b27ade56adda02a2cc1a37cbc393e08ff7c81ca",
}

_FIX = (
    f"Install the package {MODEL_PACKAGE.replace('_', '-')} (in a clone: `make setup`; `make wheels` builds it "
    f"into dist/), or set RAGSTONE_EMBEDDING__MODEL_FOLDER to a folder with its files {', '.join(SHA256)}."
)


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """Contents of the model's files, verified by their hashes."""

    graph: bytes
    weights: bytes
    tokenizer: bytes


def read_model_files(folder: Path | None) -> ModelFiles:
    """Read the model from `folder`, or from the installed model package.

    The returned bytes are the hashed ones, so a later change of a file has no effect.
    Hashing 90 MB takes about 60 ms.

    Raises:
        ModelFileError: a file is missing, unreadable or not the pinned one.
    """
    folder = folder or package_folder()
    return ModelFiles(
        graph=read_model_file(folder / GRAPH_FILE),
        weights=read_model_file(folder / WEIGHTS_FILE),
        tokenizer=read_model_file(folder / TOKENIZER_FILE),
    )


def package_folder() -> Path:
    """The folder of the installed model package.

    Raises:
        ModelFileError: it is not installed.
    """
    spec = find_spec(MODEL_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ModelFileError(f"The embedding model is not installed. {_FIX}")
    return Path(spec.submodule_search_locations[0])


def read_model_file(path: Path) -> bytes:
    """The content of a file of the model package, verified by its hash.

    Raises:
        ModelFileError: it is missing, unreadable or not the pinned one.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error
    _compare(path, hashlib.sha256(content).hexdigest())
    return content


def mapped_model_file(path: Path) -> NDArray[np.uint8]:
    """The same as a read-only map: only pages that are used take memory, in the system's file cache.

    The hash is that of the file when it is opened: overwriting the file later changes the map.

    Raises:
        ModelFileError: as `read_model_file`.
    """
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            content = np.memmap(file, np.uint8, mode="r")
    except OSError as error:
        raise _unreadable(path, error) from error
    _compare(path, digest)
    return content


def _unreadable(path: Path, error: OSError) -> ModelFileError:
    return ModelFileError(f"Cannot read the model file {path} ({error.strerror}). {_FIX}")


def _compare(path: Path, digest: str) -> None:
    if digest != SHA256[path.name]:
        raise ModelFileError(f"The model file {path} is not the pinned one: its SHA-256 differs. {_FIX}")


class EncoderSession:
    """Session of the encoder; several threads may use it at once."""

    def __init__(self, files: ModelFiles, *, threads: int | None = None) -> None:
        """Load the encoder; `threads` compute one batch together (default: one per core this process may use)."""
        options = session_options(threads)
        # From memory, not by path, so that the verified bytes are loaded.
        options.add_external_initializers_from_files_in_memory([WEIGHTS_FILE], [files.weights], [len(files.weights)])
        self._session = onnxruntime.InferenceSession(files.graph, options, providers=["CPUExecutionProvider"])

    def vectors(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        """Encode one batch: (texts, tokens) in, (texts, 384) unit rows out.

        Raises:
            ModelUnavailable: the runtime failed, for example for lack of memory.
        """
        return self._run("vectors", ids, mask)

    def tokens(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        """The vectors of the tokens of one batch before pooling: (texts, tokens) in, (texts, tokens, 384) out.

        Raises:
            ModelUnavailable: as `vectors`.
        """
        return self._run("tokens", ids, mask)

    def _run(self, output: str, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        try:
            found: NDArray[np.float32] = self._session.run([output], {"ids": ids, "mask": mask})[0]
        except (Fail, RuntimeException) as error:
            raise ModelUnavailable("The embedding model failed on a batch. Check the free memory.") from error
        return found


def session_options(threads: int | None) -> onnxruntime.SessionOptions:
    """Session options for low memory, and for threads that sleep between batches; by default one per core."""
    options = onnxruntime.SessionOptions()
    # By default the runtime counts the machine's cores and pins its threads to them.
    options.intra_op_num_threads = threads or _cores()
    # Memory plans are stored per input shape, and every batch has another shape.
    options.enable_mem_pattern = False
    # Threads that spin between batches take CPU time from other processes.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def batches(lengths: Sequence[int], most: int) -> Iterator[list[int]]:
    """Places of rows in groups of like length; each padded group has at most `most` tokens, or one row."""
    batch: list[int] = []
    for place in sorted(range(len(lengths)), key=lambda place: lengths[place]):
        if batch and (len(batch) + 1) * lengths[place] > most:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch
