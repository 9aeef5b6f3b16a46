"""Fine-grained methods against the straightforward loops of the published scripts, on data of SCAN's shape.

    python benchmarks/fine_grained.py            36 x 2048 regions, 5 captions a picture; a table
    python benchmarks/fine_grained.py --json     one JSON object

*Training step* of a VSE-infinity: the published step projects the padded batch, drops regions item by item in Python, and runs
the GRU of the pooling over the positions of every item; float32. Ours is `vse_infinity` as `crossbit train` runs it.
*Evaluation* of SCAN (words look at regions): the published script takes one caption after the other, repeats it for all
pictures, forms what its words see and its cosine; ours is `joint_scores`. Both give the same scores, which is checked.
*Memory*: what evaluation adds to the process at the peak, for a number of pictures, 2 and 5 times as many: it grows until
128 MB of what the pictures' side consists of are kept, and then no more; the scores, which are the answer, are not counted.

Seconds are processor seconds of one thread, the better of several turns taken one after the other, so that other work on the
machine weighs on both sides alike. The loops are written here, after what those scripts do.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from crossbit.batch import Batch, Encoded, Moment
from crossbit.data.loader import RowsInMemory
from crossbit.features import Features
from crossbit.methods.base import joint_scores
from crossbit.methods.scan import SCAN, SCANConfig
from crossbit.methods.vse_infinity import VSEInfinity, VSEInfinityConfig

REGIONS, WIDTH, WORD, EMBEDDING = 36, 2048, 768, 1024


def view(modality: str, count: int, longest: int, width: int, seed: int) -> Features:
    """Make random tokens; texts have 8 to `longest` words."""
    draw = np.random.default_rng(seed)
    tokens = draw.standard_normal((count, longest, width), dtype=np.float32)
    mask = np.ones((count, longest), bool)
    if modality == "text":
        mask = np.arange(longest) < draw.integers(8, longest + 1, (count, 1))
    tokens *= mask[..., None]
    return Features(modality, tokens, mask, tokens.mean(1))  # type: ignore[arg-type]


class PublishedPooling(nn.Module):
    """The pooling operator as published: positions are coded, read and weighed for every item of the batch."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.width = width
        self.gru = nn.GRU(width, width, 1, batch_first=True, bidirectional=True)
        self.linear = nn.Linear(width, 1, bias=False)

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Pool padded sets."""
        longest = int(lengths.max())
        code = torch.zeros(longest, self.width)
        position = torch.arange(0, longest).unsqueeze(1)
        divisor = torch.exp(torch.arange(0, self.width, 2).float() * -(np.log(10000.0) / self.width))
        code[:, 0::2], code[:, 1::2] = torch.sin(position.float() * divisor), torch.cos(position.float() * divisor)
        codes = code.unsqueeze(0).repeat(len(features), 1, 1)
        mask = (torch.arange(longest).expand(len(features), longest) < lengths.unsqueeze(1)).unsqueeze(-1)
        codes = codes.masked_fill(~mask, 0)
        packed = nn.utils.rnn.pack_padded_sequence(codes, lengths.cpu(), batch_first=True, enforce_sorted=False)
        states, _ = nn.utils.rnn.pad_packed_sequence(self.gru(packed)[0], batch_first=True)
        states = (states[:, :, : self.width] + states[:, :, self.width :]) / 2
        scores = self.linear(states).masked_fill(~mask, -10000)
        weights = F.softmax(scores / 0.1, 1)
        features = features[:, :longest].masked_fill(~mask, -10000).sort(dim=1, descending=True)[0]
        return (features.masked_fill(~mask, 0) * weights).sum(1)


class Published(nn.Module):
    """A VSE-infinity step as the published training script does it."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.text = nn.Linear(WIDTH, EMBEDDING), nn.Linear(WORD, EMBEDDING)
        self.mlp = nn.Sequential(
            nn.Linear(WIDTH, EMBEDDING // 2),
            nn.BatchNorm1d(EMBEDDING // 2),
            nn.ReLU(),
            nn.Linear(EMBEDDING // 2, EMBEDDING),
        )
        self.image_pool, self.text_pool = PublishedPooling(), PublishedPooling()

    def images(self, regions: Tensor) -> Tensor:
        """Embed pictures, with some regions left out."""
        count, length, width = regions.shape
        kept, lengths = [], []
        for item in regions:  # some regions of every item are left out, in Python
            chosen = np.where(np.random.rand(length) > 0.2)[0]
            kept.append(item[torch.as_tensor(chosen)])
            lengths.append(len(chosen))
        padded = torch.zeros(count, max(lengths), width)
        for place, item in enumerate(kept):
            padded[place, : lengths[place]] = item
        features = self.fc(padded)
        flat = padded.reshape(-1, width)
        features = self.mlp(flat).view(count, -1, EMBEDDING) + features
        return F.normalize(self.image_pool(features, torch.tensor(lengths)), dim=-1)

    def texts(self, words: Tensor, lengths: Tensor) -> Tensor:
        """Embed sentences."""
        return F.normalize(self.text_pool(self.text(words), lengths), dim=-1)

    def loss(self, images: Tensor, texts: Tensor) -> Tensor:
        """Give the hinge with the hardest negatives, summed over the batch."""
        scores = images @ texts.T
        diagonal = scores.diag().view(-1, 1)
        off = torch.eye(len(scores)) > 0.5
        first = (0.2 + scores - diagonal).clamp(min=0).masked_fill(off, 0)
        second = (0.2 + scores - diagonal.T).clamp(min=0).masked_fill(off, 0)
        return first.max(1)[0].sum() + second.max(0)[0].sum()


def step_of_published(images: Features, texts: Features) -> Callable[[], float]:
    """Give a training step by the published script."""
    torch.manual_seed(0)
    model = Published().train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-4)
    regions, words = torch.from_numpy(images.tokens), torch.from_numpy(texts.tokens)
    lengths = torch.from_numpy(texts.mask.sum(1))

    def step() -> float:
        loss = model.loss(model.images(regions), model.texts(words, lengths))
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 2.0)
        optimiser.step()
        return float(loss.detach())

    return step


def step_of_crossbit(images: Features, texts: Features, half: bool) -> Callable[[], float]:
    """Give the same step as `crossbit train` runs it."""
    torch.manual_seed(0)
    method = VSEInfinity(VSEInfinityConfig(), {"image": (WIDTH, WIDTH), "text": (WORD, WORD)}).train()
    optimiser = torch.optim.AdamW(method.groups(5e-4))
    rows = torch.arange(len(images))
    batch = Batch({"image": Encoded.from_features(images), "text": Encoded.from_features(texts)}, rows, rows)

    def step() -> float:
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss = method.losses(batch, Moment("train", 0.5))["hinge"].float().mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(method.parameters(), 2.0)
        optimiser.step()
        return float(loss.detach())

    return step


def published_scores(images: Tensor, words: Tensor, mask: Tensor, temperature: float) -> Tensor:
    """Score captions one after the other against all pictures, as the published evaluation of SCAN does."""
    columns = []
    for caption, real in zip(words, mask, strict=True):
        length = int(real.sum())
        query = caption[:length].unsqueeze(0).repeat(len(images), 1, 1)
        attention = torch.bmm(images, query.transpose(1, 2))
        attention = F.leaky_relu(attention, 0.1)
        attention = attention / (attention.pow(2).sum(2, keepdim=True).sqrt() + 1e-8)
        attention = attention.transpose(1, 2).contiguous().view(len(images) * length, -1)
        attention = F.softmax(attention * temperature, dim=1).view(len(images), length, -1)
        seen = torch.bmm(images.transpose(1, 2), attention.transpose(1, 2).contiguous()).transpose(1, 2)
        product = (query * seen).sum(2)
        cosine = product / (query.norm(2, 2) * seen.norm(2, 2)).clamp(min=1e-8)
        columns.append(cosine.mean(1, keepdim=True))
    return torch.cat(columns, 1)


def scorer() -> SCAN:
    """Make a SCAN of the paper's width."""
    torch.manual_seed(0)
    method = SCAN(SCANConfig(pool="mean"), {"image": (WIDTH, WIDTH), "text": (WORD, WORD)})
    return method.eval()


def better(run: Callable[[], object], turns: int) -> float:
    """Give the processor seconds of the fastest turn."""
    took = []
    for _ in range(turns):
        began = time.process_time()
        run()
        took.append(time.process_time() - began)
    return min(took)


@torch.no_grad()
def evaluation(pictures: int, captions: int, slow: int) -> dict[str, float]:
    """Time both evaluations on one set; the loop on its first captions only, since it takes each by itself."""
    method = scorer()
    images, texts = view("image", pictures, REGIONS, WIDTH, 1), view("text", captions, 20, WORD, 2)
    some = Features("text", texts.tokens[:slow], texts.mask[:slow], texts.pooled[:slow])
    regions = torch.cat(
        [method._tokens(Encoded.from_features(images[at : at + 100])) for at in range(0, pictures, 100)]
    )
    words = method._tokens(Encoded.from_features(some))
    loop = better(lambda: published_scores(regions, words, torch.from_numpy(some.mask), 9.0), 2) / slow
    ours = better(lambda: joint_scores(method, RowsInMemory(images), RowsInMemory(texts)), 1) / captions
    same = joint_scores(method, RowsInMemory(images[:50]), RowsInMemory(some))
    gap = np.abs(same - published_scores(regions[:50], words, torch.from_numpy(some.mask), 9.0).numpy()).max()
    assert gap < 1e-4, f"the two score differently, by {gap}"
    return {"loop": loop, "crossbit": ours}


@torch.no_grad()
def memory(pictures: int) -> float:
    """Give the megabytes that evaluation adds at the peak, for this process to measure once."""
    method, texts = scorer(), RowsInMemory(view("text", 200, 20, WORD, 2))

    class Made:
        """Pictures that are made when they are asked for, as they would be read from a disk."""

        pooled = np.zeros((pictures, WIDTH), np.float32)

        def __len__(self) -> int:
            return pictures

        def take(self, rows: np.ndarray, **_: object) -> Features:
            return view("image", len(rows), REGIONS, WIDTH, int(rows[0]))

        def expect(self, rows: np.ndarray) -> None:
            """Nothing is read."""

    joint_scores(method, Made.take(Made(), np.arange(8)) and RowsInMemory(view("image", 16, REGIONS, WIDTH, 0)), texts)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    scores = joint_scores(method, Made(), texts)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 - scores.nbytes / 2**20


def main() -> None:
    """Run everything and print ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--captions", type=int, default=5000)
    parser.add_argument("--slow", type=int, default=24, help="captions that the published loop scores")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--memory", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.memory:
        print(memory(asked.memory))
        return
    images, texts = view("image", asked.batch, REGIONS, WIDTH, 1), view("text", asked.batch, 20, WORD, 2)
    half = "avx512_bf16" in flags() or "amx_bf16" in flags()
    loop, ours, single = (
        step_of_published(images, texts),
        step_of_crossbit(images, texts, half),
        step_of_crossbit(images, texts, False),
    )
    for warm in (loop, ours, single):
        warm()
    steps = {"loop": better(loop, asked.turns), "crossbit": better(ours, asked.turns)}
    steps["crossbit in float32"] = better(single, asked.turns)
    scored = evaluation(asked.pictures, asked.captions, asked.slow)
    grown = {}
    for pictures in (asked.pictures, 2 * asked.pictures, 5 * asked.pictures):
        command = [sys.executable, __file__, "--memory", str(pictures)]
        grown[pictures] = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    report = {
        "training step, seconds": steps,
        "training step, times faster": steps["loop"] / steps["crossbit"],
        "training step in float32, times faster": steps["loop"] / steps["crossbit in float32"],
        "evaluation, seconds a caption": scored,
        "evaluation, times faster": scored["loop"] / scored["crossbit"],
        "evaluation of all, seconds": {name: value * asked.captions for name, value in scored.items()},
        "memory added at the peak, MB": grown,
        "precision of the step": "bf16 where the loop has float32" if half else "float32 in both",
        "load": os.getloadavg()[0],
        "processor": platform.processor() or platform.machine(),
    }
    if asked.json:
        print(json.dumps(report, indent=1))
        return
    for name, value in report.items():
        inner = value if isinstance(value, dict) else {"": value}
        said = ", ".join(
            f"{key} {number:.4g}".strip() if isinstance(number, float) else str(number) for key, number in inner.items()
        )
        print(f"{name:<42}{said}")


def flags() -> str:
    """Give what the processor says that it can."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""


if __name__ == "__main__":
    main()
