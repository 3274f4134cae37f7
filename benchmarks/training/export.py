"""Calibrate a trained judge and write the file that ships: `python -m benchmarks.training.export …`.

Runs where `train.py` runs. On the development rows it fits one temperature for each task, divides the head by it, so
that the model's outputs are probabilities, and writes float16. The file belongs to packages/ragstone-minilm.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from benchmarks.training.train import Judge, Rows, loss, predicted, report

LAYERS = 4


def main() -> None:
    """Load, calibrate on the development rows, and write."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("data", "original", "trained", "out"):
        arguments.add_argument(f"--{name}", type=Path, required=True)
    arguments.add_argument("--every", type=int, default=1, help="calibrate on every so manieth row")
    chosen = arguments.parse_args()
    trained = load_file(chosen.trained)
    model = Judge(load_file(chosen.original), LAYERS)
    model.load_state_dict(trained, strict=False)
    dev = Rows(chosen.data / "dev.npz")
    places = np.arange(0, len(dev.lengths), chosen.every)
    print(report(model, dev, places))
    logits = torch.from_numpy(predicted(model, dev, places))
    tasks, labels = (torch.from_numpy(of[places].astype(np.int64)) for of in (dev.tasks, dev.labels))
    for task, outputs in ((0, slice(0, 3)), (1, slice(3, 4))):
        found = temperature(logits[tasks == task], tasks[tasks == task], labels[tasks == task])
        print(f"task {task}: temperature {found:.2f}")
        for part in ("head.weight", "head.bias"):
            trained[part][outputs] /= found
    save_file({name: one.half().contiguous() for name, one in trained.items()}, chosen.out)


def temperature(logits: torch.Tensor, tasks: torch.Tensor, labels: torch.Tensor) -> float:
    """The divisor of the logits with the least loss."""
    tries = torch.arange(0.5, 4.0, 0.05)
    return float(min(tries, key=lambda one: float(loss(logits / one, tasks, labels))))


if __name__ == "__main__":
    main()
