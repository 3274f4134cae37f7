"""A process without an index and a database can retrieve from a pipeline."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"numpy", "sqlalchemy", "onnxruntime", "qdrant_edge"}


@pytest.mark.parametrize("module", ["base", "fusion", "router", "vectorize.client", "vectorize.retriever"])
def test_a_remote_retriever_imports_neither_numpy_nor_sqlalchemy(module: str):
    script = f"import sys, ragstone.retrieval.{module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.split())


def test_the_claim_can_fail():
    script = "import sys, ragstone.retrieval.retrieve; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True)
    assert "numpy" in done.stdout.split()
