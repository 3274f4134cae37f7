"""The encoder loaded into ONNX Runtime, set for small memory and quiet idling."""

from __future__ import annotations

import os
import sys

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, RuntimeException

from ragstone.errors import ModelUnavailable
from ragstone.inference.minilm import Model


class EncoderSession:
    """Runs the encoder; safe to call from several threads at once."""

    def __init__(self, model: Model, *, threads: int | None = None) -> None:
        """Load `model`; `threads` compute one batch together (default: one per core this process may use)."""
        options = onnxruntime.SessionOptions()
        # Left to itself, the runtime counts the machine's cores and pins its threads to them.
        options.intra_op_num_threads = threads or _cores()
        # Memory plans are kept per input shape, and every batch has another shape.
        options.enable_mem_pattern = False
        # Threads that spin between batches take the processor from everyone else.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        values = [onnxruntime.OrtValue.ortvalue_from_numpy(tensor) for tensor in model.tensors.values()]
        options.add_external_initializers(list(model.tensors), values)
        self._session = onnxruntime.InferenceSession(model.graph, options, providers=["CPUExecutionProvider"])

    def vectors(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        """Encode one batch: (texts, tokens) in, (texts, 384) unit rows out.

        Raises:
            ModelUnavailable: the runtime failed, for example for want of memory.
        """
        try:
            vectors: NDArray[np.float32] = self._session.run(["vectors"], {"ids": ids, "mask": mask})[0]
        except (Fail, RuntimeException) as error:
            raise ModelUnavailable("The embedding model failed on a batch; is there enough free memory?") from error
        return vectors


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
