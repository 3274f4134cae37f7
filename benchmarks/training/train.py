"""Train the judge: `python -m benchmarks.training.train --data FOLDER --original model.safetensors --out FOLDER`.

Runs in an environment of its own with torch, numpy and safetensors (the product needs none of torch). `--data` is what
`prepare.py` wrote, `--original` the weights of all-MiniLM-L6-v2. The time is given, not the number of steps: the
learning rate falls to zero over `--minutes`. A checkpoint is written every ten minutes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

DIMENSIONS, HEADS = 384, 12
EPSILON = 1e-12
TYPES = 10
LEFT, RIGHT, CONTEXT = 2, 5, 8
CLASSES = 4
"""Not stated, supported, contradicted; and whether a sentence answers."""

SEED = 20261129
BATCH_TOKENS = 1200
RATE, WARM_STEPS, DECAY = 1.6e-4, 150, 0.01
WARM_AGAIN_STEPS = 40  # from a checkpoint
HEAD_SHARE = 0.3
"""Of the rate, for the head: it adds 1,152 features, many of one sign."""

DROPOUT, SMOOTHING = 0.05, 0.02
CHECKPOINT_S = 600


class Layer(nn.Module):
    """One encoder layer of BERT."""

    def __init__(self, weights: dict[str, Tensor], place: int) -> None:
        super().__init__()
        source = f"encoder.layer.{place}."
        parts = [f"{source}attention.self.{part}" for part in ("query", "key", "value")]
        self.qkv = _linear(*(torch.cat([weights[f"{one}.{kind}"] for one in parts]) for kind in ("weight", "bias")))
        self.joined = _linear(*_both(weights, f"{source}attention.output.dense"))
        self.attention_norm = _norm(*_both(weights, f"{source}attention.output.LayerNorm"))
        self.wide = _linear(*_both(weights, f"{source}intermediate.dense"))
        self.narrow = _linear(*_both(weights, f"{source}output.dense"))
        self.norm = _norm(*_both(weights, f"{source}output.LayerNorm"))

    def forward(self, x: Tensor, penalty: Tensor) -> Tensor:
        """From (pairs, tokens, 384) to the same."""
        pairs, tokens, _ = x.shape
        query, key, value = self.qkv(x).view(pairs, tokens, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=penalty)
        joined = self.joined(mixed.transpose(1, 2).reshape(pairs, tokens, DIMENSIONS))
        middle = self.attention_norm(x + functional.dropout(joined, DROPOUT, self.training))
        narrow = self.narrow(functional.gelu(self.wide(middle)))
        return self.norm(middle + functional.dropout(narrow, DROPOUT, self.training))


class Judge(nn.Module):
    """The lowest layers of MiniLM over a pair; words and positions keep the embedder's vectors."""

    def __init__(self, weights: dict[str, Tensor], layers: int) -> None:
        super().__init__()
        embeddings = "embeddings."
        one_type = weights[f"{embeddings}token_type_embeddings.weight"][0]
        positions = weights[f"{embeddings}position_embeddings.weight"] + one_type
        self.words = nn.Embedding.from_pretrained(weights[f"{embeddings}word_embeddings.weight"], freeze=True)
        self.positions = nn.Embedding.from_pretrained(positions, freeze=True)
        self.types = nn.Embedding(TYPES, DIMENSIONS)
        nn.init.normal_(self.types.weight, std=0.01)
        self.embed_norm = _norm(*_both(weights, f"{embeddings}LayerNorm"))
        self.layers = nn.ModuleList(Layer(weights, place) for place in range(layers))
        self.head = nn.Linear(3 * DIMENSIONS, CLASSES)
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def forward(self, ids: Tensor, types: Tensor, mask: Tensor) -> Tensor:
        """Logits (pairs, 4) of rows (pairs, tokens)."""
        x = self.embed_norm(self.words(ids) + self.positions.weight[: ids.shape[1]] + self.types(types))
        penalty = ((mask - 1).float() * 1e9)[:, None, None, :]
        for layer in self.layers:
            x = layer(x, penalty)
        left, right = (types >= LEFT) & (types < RIGHT), (types >= RIGHT) & (types < CONTEXT)
        return self.head(torch.cat([x[:, 0], _largest(x, left), _largest(x, right)], -1))


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    made = nn.Linear(weight.shape[1], weight.shape[0])
    made.weight.data, made.bias.data = weight.clone(), bias.clone()
    return made


def _norm(weight: Tensor, bias: Tensor) -> nn.LayerNorm:
    made = nn.LayerNorm(DIMENSIONS, eps=EPSILON)
    made.weight.data, made.bias.data = weight.clone(), bias.clone()
    return made


def _both(weights: dict[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
    return weights[f"{name}.weight"], weights[f"{name}.bias"]


def _largest(x: Tensor, where: Tensor) -> Tensor:
    # Zero for tokens of the other side, so that an empty side gives zeros and no huge value.
    return x.masked_fill(~where[..., None], 0.0).amax(1)


@dataclass(frozen=True, slots=True)
class Pace:
    """How long, at which highest rate, with how many steps to reach it."""

    seconds: float
    rate: float
    warm_steps: int

    def rate_at(self, step: int, passed: float) -> float:
        """The learning rate after `passed` seconds."""
        return self.rate * min((step + 1) / self.warm_steps, 1) * max(1 - passed / self.seconds, 0.0)


class Rows:
    """The stored rows, given out in batches of like length."""

    def __init__(self, path: Path) -> None:
        stored = np.load(path)
        self.ids, self.types = stored["ids"].astype(np.int64), stored["types"].astype(np.int64)
        self.lengths, self.tasks, self.labels = stored["lengths"], stored["tasks"], stored["labels"]
        self.starts = np.concatenate([[0], np.cumsum(self.lengths)[:-1]])

    def batches(self, places: np.ndarray, chance: np.random.Generator | None) -> Iterator[np.ndarray]:
        """Groups of these rows of at most `BATCH_TOKENS` padded tokens; in random order if `chance` is given."""
        slab = 2000 if chance else len(places)
        for at in range(0, len(places), slab):
            ordered = sorted(places[at : at + slab], key=lambda place: self.lengths[place])
            made: list[np.ndarray] = []
            batch: list[int] = []
            for place in ordered:
                if batch and (len(batch) + 1) * self.lengths[place] > BATCH_TOKENS:
                    made.append(np.array(batch))
                    batch = []
                batch.append(place)
            made.append(np.array(batch))
            if chance:
                chance.shuffle(made)
            yield from made

    def tensors(self, batch: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        """Ids, types and mask of a batch."""
        width = int(self.lengths[batch].max())
        ids, types, mask = (np.zeros((len(batch), width), np.int64) for _ in range(3))
        for row, place in enumerate(batch):
            start, length = self.starts[place], self.lengths[place]
            ids[row, :length], types[row, :length] = (
                self.ids[start : start + length],
                self.types[start : start + length],
            )
            mask[row, :length] = 1
        return torch.from_numpy(ids), torch.from_numpy(types), torch.from_numpy(mask)


def loss(logits: Tensor, tasks: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy; where it is not known whether the evidence contradicts, of "not supported" as a whole."""
    shares = functional.log_softmax(logits[:, :3], -1)
    unsupported = torch.logsumexp(shares[:, [0, 2]], -1)
    known = (1 - SMOOTHING) * shares.gather(1, labels.clamp(max=2)[:, None])[:, 0] + SMOOTHING * shares.mean(-1)
    supports = torch.where(labels == 3, unsupported, known)
    target = labels.float().clamp(max=1) * (1 - SMOOTHING) + SMOOTHING / 2
    answers = -functional.binary_cross_entropy_with_logits(logits[:, 3], target, reduction="none")
    return -torch.where(tasks == 0, supports, answers).mean()


@torch.no_grad()
def predicted(model: Judge, rows: Rows, places: np.ndarray) -> np.ndarray:
    """Logits of these rows, in their order."""
    model.eval()
    found = np.zeros((len(rows.lengths), CLASSES), np.float32)
    for batch in rows.batches(places, None):
        found[batch] = model(*rows.tensors(batch)).numpy()
    model.train()
    return found[places]


def auc(scores: np.ndarray, right: np.ndarray) -> float:
    """Area under the ROC curve."""
    ranks = scores.argsort().argsort()
    positives = right.sum()
    return float((ranks[right].sum() - positives * (positives - 1) / 2) / max(positives * (len(right) - positives), 1))


def report(model: Judge, rows: Rows, places: np.ndarray) -> str:
    """AUC of both tasks on these rows."""
    logits = predicted(model, rows, places)
    supports, answers = rows.tasks[places] == 0, rows.tasks[places] == 1
    score = logits[:, 1] - np.logaddexp(logits[:, 0], logits[:, 2])
    labels = rows.labels[places]
    return (
        f"supports AUC {auc(score[supports], labels[supports] == 1):.4f} "
        f"answers AUC {auc(logits[answers, 3], labels[answers] == 1):.4f}"
    )


def main() -> None:
    """Train for the given time."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("data", "original", "out"):
        arguments.add_argument(f"--{name}", type=Path, required=True)
    arguments.add_argument("--layers", type=int, default=4)
    arguments.add_argument("--minutes", type=float, default=75)
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--start", type=Path, help="a checkpoint to go on from")
    arguments.add_argument("--rate", type=float, default=RATE)
    chosen = arguments.parse_args()
    torch.set_num_threads(chosen.threads)
    torch.manual_seed(SEED)
    train, dev = Rows(chosen.data / "train.npz"), Rows(chosen.data / "dev.npz")
    model = Judge(load_file(chosen.original), chosen.layers)
    if chosen.start:
        model.load_state_dict(load_file(chosen.start), strict=False)
    pace = Pace(chosen.minutes * 60, chosen.rate, WARM_AGAIN_STEPS if chosen.start else WARM_STEPS)
    run(model, train, dev, chosen.out, pace)


def run(model: Judge, train: Rows, dev: Rows, out: Path, pace: Pace) -> None:
    """Steps until the time is over; checkpoints and figures on the way."""
    chance = np.random.default_rng(SEED)
    learned = [one for one in model.parameters() if one.requires_grad]
    head = list(model.head.parameters())
    body = [one for one in learned if all(one is not other for other in head)]
    groups = [{"params": body, "share": 1.0}, {"params": head, "share": HEAD_SHARE}]
    optimiser = torch.optim.AdamW(groups, RATE, weight_decay=DECAY)
    sample = chance.permutation(len(dev.lengths))[:900]
    started, saved, tokens, running = time.monotonic(), 0.0, 0, 0.0
    print(
        f"{len(train.lengths)} rows of {train.lengths.mean():.1f} tokens, {train.lengths.sum() / 1e6:.2f} million",
        flush=True,
    )
    for step, batch in enumerate(endless(train, chance)):
        passed = time.monotonic() - started
        if passed > pace.seconds:
            break
        for group in optimiser.param_groups:
            group["lr"] = group["share"] * pace.rate_at(step, passed)
        logits = model(*train.tensors(batch))
        found = loss(logits, *(torch.from_numpy(of[batch].astype(np.int64)) for of in (train.tasks, train.labels)))
        found.backward()
        nn.utils.clip_grad_norm_(learned, 1.0)
        optimiser.step()
        optimiser.zero_grad()
        tokens += int(train.lengths[batch].sum())
        running = found.item() if step == 0 else 0.98 * running + 0.02 * found.item()
        if step % 25 == 0:
            print(f"{passed:6.0f} s step {step} loss {running:.4f} {tokens / max(passed, 1):.0f} tokens/s", flush=True)
        if passed - saved > CHECKPOINT_S:
            saved = passed
            save(model, out)
            print("checkpoint", report(model, dev, sample), flush=True)
    save(model, out)
    print("end", report(model, dev, np.arange(len(dev.lengths))), flush=True)


def endless(rows: Rows, chance: np.random.Generator) -> Iterator[np.ndarray]:
    """Batches of all rows, again and again in new orders."""
    while True:
        yield from rows.batches(chance.permutation(len(rows.lengths)), chance)


def save(model: Judge, out: Path) -> None:
    """The trained tensors, without the words and positions of the embedder."""
    out.mkdir(parents=True, exist_ok=True)
    kept = {
        name: one.contiguous()
        for name, one in model.state_dict().items()
        if not name.startswith(("words", "positions"))
    }
    save_file(kept, out / "judge.safetensors.new")
    (out / "judge.safetensors.new").replace(out / "judge.safetensors")


if __name__ == "__main__":
    main()
