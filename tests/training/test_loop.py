"""The loop on toy pairs: it learns, resumes to the same bits, chooses the best epoch, names a collapse."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from crossbit.batch import Batch, Moment
from crossbit.data.loader import Pairs, RowsInMemory
from crossbit.errors import BatchError, ConfigError, ManifestError, ModelError
from crossbit.features import Features
from crossbit.methods.clip import Clip, ClipConfig
from crossbit.methods.fgcmh import FGCMH, FGCMHConfig
from crossbit.methods.vsepp import VSEPP, VSEPPConfig
from crossbit.strategies.base import PairEvidence, Strategy
from crossbit.training import checkpoint
from crossbit.training.loop import TrainingConfig, evidence, train
from crossbit.training.optim import rate_factor
from crossbit.training.track import bits_report, effective_rank

DIMS = {"image": (6, 6), "text": (5, 5)}
CONFIG = TrainingConfig(epochs=4, batch_size=16, learning_rate=5e-3, precision="fp32")


def toy_pairs(items: int = 48, captions: int = 2, seed: int = 0) -> Pairs:
    """Pictures and captions that are two linear views of one hidden vector."""
    draw = np.random.default_rng(seed)
    hidden = draw.normal(size=(items, 4)).astype(np.float32)
    pictures = hidden @ draw.normal(size=(4, 6)).astype(np.float32)
    words = np.repeat(hidden, captions, 0) @ draw.normal(size=(4, 5)).astype(np.float32)

    def rows(modality: str, pooled: np.ndarray, tokens: int) -> RowsInMemory:
        mask = np.ones((len(pooled), tokens), bool)
        noise = 0.1 * draw.normal(size=(len(pooled), tokens, pooled.shape[1])).astype(np.float32)
        return RowsInMemory(Features(modality, pooled[:, None] + noise, mask, pooled))  # type: ignore[arg-type]

    return Pairs(
        rows("image", pictures, 4),
        rows("text", words, 3),
        np.repeat(np.arange(items), captions),
        np.arange(items),
        [""] * items * captions,
        ["en"] * items * captions,
    )


def fgcmh(seed: int = 0) -> FGCMH:
    torch.manual_seed(seed)
    config = replace(FGCMHConfig.small(), width=16, refine_width=16, hidden=16, heads=2, bits=16, dropout=0.1)
    return FGCMH(config, DIMS)


def vsepp(seed: int = 0) -> VSEPP:
    torch.manual_seed(seed)
    return VSEPP(VSEPPConfig(width=8), DIMS)


def minus_loss(methods: object) -> float:
    """A validation that improves with training: how well the first 16 pairs are told apart."""
    method, pairs = methods[0], toy_pairs()  # type: ignore[index]
    batch = pairs.batch(np.arange(0, 32, 2))
    scores = method.embed(batch["image"]) @ method.embed(batch["text"]).T
    return float((scores.argmax(1) == torch.arange(16)).float().sum())


def weights(method: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in method.state_dict().items()}


def test_the_last_weights_are_kept_beside_the_best(tmp_path: Path) -> None:
    rsums, seen = iter((3.0, 9.0, 5.0, 1.0)), list[dict[str, torch.Tensor]]()

    def validate(methods: object) -> float:
        seen.append(weights(methods[0]))  # type: ignore[index]
        return next(rsums)

    report = train([vsepp()], toy_pairs(), CONFIG, tmp_path, validate, progress=False)
    assert report.best_epoch == 1
    for name, value in report.methods[0].state_dict().items():
        assert torch.equal(value, seen[1][name])
    for name, value in report.last[0].items():
        assert torch.equal(value, seen[3][name])


@pytest.mark.parametrize("make", [fgcmh, vsepp])
def test_training_learns(make: object, tmp_path: Path) -> None:
    before = minus_loss([make().eval()])  # type: ignore[operator]
    report = train(
        [make()], toy_pairs(), replace(CONFIG, epochs=15, learning_rate=2e-2), tmp_path, minus_loss, progress=False
    )  # type: ignore[operator]
    assert report.best_rsum > before + 4
    assert not report.collapsed
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in log] == list(range(15))
    assert log[-1]["loss"] < log[0]["loss"]
    assert {"gradient_norm", "pairs", "strangers", "violated", "effective_rank"} <= set(log[0])


def test_the_same_seed_gives_the_same_bits(tmp_path: Path) -> None:
    runs = []
    for name in ("a", "b"):
        method = fgcmh()
        train([method], toy_pairs(), CONFIG, tmp_path / name, minus_loss, progress=False)
        runs.append(weights(method))
    assert all(torch.equal(runs[0][name], runs[1][name]) for name in runs[0])


@pytest.mark.parametrize("stop", [1, 3])
def test_a_resumed_run_ends_with_the_same_weights(stop: int, tmp_path: Path) -> None:
    whole = fgcmh()
    train([whole], toy_pairs(), CONFIG, tmp_path / "whole", minus_loss, progress=False)

    class Killed(RuntimeError):
        pass

    calls = 0

    def dies(methods: object) -> float:
        nonlocal calls
        calls += 1
        if calls > stop:
            raise Killed
        return minus_loss(methods)

    with pytest.raises(Killed):
        train([fgcmh()], toy_pairs(), CONFIG, tmp_path / "cut", dies, progress=False)
    resumed = fgcmh(seed=99)  # whatever it starts from, the checkpoint decides
    report = train([resumed], toy_pairs(), CONFIG, tmp_path / "cut", minus_loss, resume=True, progress=False)
    assert report.epochs == CONFIG.epochs
    expected, found = weights(whole), weights(resumed)
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert (tmp_path / "cut" / "log.jsonl").read_text() == (tmp_path / "whole" / "log.jsonl").read_text()


def test_two_runs_of_one_process_may_differ_in_precision(tmp_path: Path) -> None:
    for precision in ("bf16", "fp32"):
        config = replace(CONFIG, epochs=1, precision=precision)  # type: ignore[arg-type]
        report = train([vsepp()], toy_pairs(), config, tmp_path / precision, minus_loss, progress=False)
        assert report.epochs == 1


def test_the_best_epoch_is_kept_and_patience_stops(tmp_path: Path) -> None:
    scores = iter([1.0, 5.0, 4.0, 3.0, 2.0, 1.0])
    seen: list[dict[str, torch.Tensor]] = []

    def validate(methods: object) -> float:
        seen.append(weights(methods[0]))  # type: ignore[index]
        return next(scores)

    method = vsepp()
    config = replace(CONFIG, epochs=6, patience=2)
    report = train([method], toy_pairs(), config, tmp_path, validate, progress=False)
    assert (report.best_epoch, report.best_rsum, report.epochs, report.stopped_early) == (1, 5.0, 4, True)
    assert all(torch.equal(value, weights(method)[name]) for name, value in seen[1].items())


def test_collapse_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    method = vsepp()
    with torch.no_grad():
        for head in method.heads.values():
            head[1].weight.zero_()
            head[1].bias.fill_(1.0)
    with caplog.at_level(logging.WARNING):
        report = train(
            [method], toy_pairs(), replace(CONFIG, epochs=1, learning_rate=1e-9), tmp_path, minus_loss, progress=False
        )
    assert report.collapsed
    assert "all embeddings agree" in caplog.text


class Diverging(VSEPP):
    """Gives no number from the third step on."""

    def losses(self, batch: Batch, moment: Moment) -> dict[str, torch.Tensor]:
        terms = super().losses(batch, moment)
        self.seen = getattr(self, "seen", 0) + 1
        return terms | {"odd": terms["hinge"] * float("nan")} if self.seen > 2 else terms


def test_a_loss_that_is_no_number_is_named(tmp_path: Path) -> None:
    method = Diverging(VSEPPConfig(width=8), DIMS)
    with pytest.raises(BatchError, match="loss odd is not finite"):
        train([method], toy_pairs(), TrainingConfig(epochs=4, batch_size=16), tmp_path, minus_loss, progress=False)


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    train([vsepp()], toy_pairs(), replace(CONFIG, epochs=1), tmp_path, minus_loss, progress=False)
    found = checkpoint.latest(tmp_path)
    assert found is not None
    (found / "tensors.safetensors").write_bytes(b"\0" * 40)
    with pytest.raises(ModelError, match=r"checkpoint-0001-000000: cannot be read"):
        train([vsepp()], toy_pairs(), CONFIG, tmp_path, minus_loss, resume=True, progress=False)


def test_a_method_without_training_is_refused(tmp_path: Path) -> None:
    clip = Clip(ClipConfig(), {"image": (6, 6), "text": (6, 6)})
    with pytest.raises(ConfigError, match="nothing to train"):
        train([clip], toy_pairs(), CONFIG, tmp_path, minus_loss, progress=False)


def test_a_strategy_sees_evidence_and_steers_by_weight(tmp_path: Path) -> None:
    seen: list[PairEvidence] = []

    class Distrust(Strategy):
        needs_evidence = True

        def start_epoch(self, epoch: int, evidence: object) -> None:
            seen.extend(evidence)  # type: ignore[call-overload]

        def losses(self, method: object, batch: Batch, moment: Moment, peer: int) -> dict[str, torch.Tensor]:
            believed = replace(batch, weight=torch.zeros(len(batch)), correspondence=torch.ones(len(batch)))
            terms = method.losses(believed, moment)  # type: ignore[attr-defined]
            return {name: value * 0 for name, value in terms.items()}

    method = vsepp()
    before = weights(method)
    train([method], toy_pairs(), replace(CONFIG, weight_decay=0.0), tmp_path, minus_loss, Distrust(), progress=False)
    assert len(seen) == CONFIG.epochs
    assert seen[0].loss.shape == (96,)
    after = weights(method)
    assert all(torch.equal(before[n], after[n]) for n in before if "heads" in n)  # nothing believed, nothing learned


def test_evidence_tells_wrong_pairs() -> None:
    pairs = toy_pairs(captions=1)
    method = vsepp()
    train_folder_free = evidence(method, pairs, 16)
    assert 0 <= train_folder_free.forward.min() <= train_folder_free.forward.max() <= 1


def test_batches_depend_on_seed_and_epoch_alone() -> None:
    pairs = toy_pairs()
    first = [rows.tolist() for rows in pairs.epoch(3, 7, 16)]
    list(pairs.epoch(1, 7, 16))
    assert [rows.tolist() for rows in pairs.epoch(3, 7, 16)] == first
    assert [rows.tolist() for rows in pairs.epoch(4, 7, 16)] != first
    items = np.concatenate([pairs.item_of[rows] for rows in pairs.epoch(0, 0, 16)])
    assert sorted(items.tolist()) == list(range(48))
    assert sum(1 for _ in pairs.epoch(0, 0, 20, passes=2)) == pairs.batches_per_epoch(20, 2) == 4


def test_an_item_without_caption_is_refused() -> None:
    pairs = toy_pairs()
    with pytest.raises(ManifestError, match="1 of 48 items have no caption"):
        replace(pairs, item_of=np.where(pairs.item_of == 5, 4, pairs.item_of))


def test_the_rate_rises_and_falls() -> None:
    rates = [rate_factor(step, 100, 0.1) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9] == 1.0
    assert rates[-1] < 0.001
    assert all(a >= b for a, b in zip(rates[10:], rates[11:], strict=False))


def test_reports_by_hand() -> None:
    assert effective_rank(torch.eye(4)) == pytest.approx(4.0, rel=1e-4)
    assert effective_rank(torch.ones(4, 3)) == pytest.approx(1.0, abs=1e-3)
    codes = torch.tensor([[1.0, 0.5], [1.0, -0.5], [1.0, 0.5], [1.0, -0.5]])
    report = bits_report(codes)
    assert report["dead_bits"] == [0]
    assert report["mean_value"] == pytest.approx(0.75)
