"""A run that ends anywhere, within an epoch too, goes on to the same bits."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from crossbit.batch import Batch, Moment
from crossbit.errors import ModelError
from crossbit.strategies.base import PairEvidence, Strategy
from crossbit.strategies.rcar import RCAR, RCARConfig
from crossbit.training import checkpoint
from crossbit.training.checkpoint import Every, Place
from crossbit.training.loop import TrainingConfig, train
from training.test_loop import CONFIG, fgcmh, minus_loss, toy_pairs, vsepp, weights

KILLS = int(os.environ.get("CROSSBIT_KILLS", "1"))
SHORT = replace(CONFIG, epochs=2)  # of three steps each


class Killed(RuntimeError):
    pass


class Dies(Strategy):
    """Train as the method says, for so many steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def losses(self, method: object, batch: Batch, moment: Moment, peer: int) -> dict[str, torch.Tensor]:
        self.left -= 1
        if self.left < 0:
            raise Killed
        return super().losses(method, batch, moment, peer)  # type: ignore[arg-type]


def final(folder: Path, config: TrainingConfig = SHORT) -> tuple[bytes, str]:
    """Give the last weights, optimisers and random states of a run, which need not be those of its best epoch; and its log."""
    last = folder / f"checkpoint-{config.epochs:04d}-000000" / "tensors.safetensors"
    return last.read_bytes(), (folder / "log.jsonl").read_text()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, str]:
    """A run without interruption and without checkpoints within epochs."""
    folder = tmp_path_factory.mktemp("whole")
    train([fgcmh()], toy_pairs(), SHORT, folder, minus_loss, progress=False, every=Every(0, 0))
    return final(folder)


@pytest.mark.parametrize("stop", range(1, 6))
def test_it_ends_with_the_same_bits_wherever_it_stopped(stop: int, whole: tuple[bytes, str], tmp_path: Path) -> None:
    with pytest.raises(Killed):
        train([fgcmh()], toy_pairs(), SHORT, tmp_path, minus_loss, Dies(stop), progress=False, every=Every(0, 1))
    (found,) = tmp_path.glob("checkpoint*")
    assert found.name == f"checkpoint-{stop // 3:04d}-{stop % 3:06d}"
    resumed = fgcmh(seed=99)  # whatever it starts from, the checkpoint decides
    train([resumed], toy_pairs(), SHORT, tmp_path, minus_loss, resume=True, progress=False, every=Every(0, 2))
    assert final(tmp_path) == whole


def test_the_test_above_can_fail(whole: tuple[bytes, str], tmp_path: Path) -> None:
    with pytest.raises(Killed):
        train([fgcmh()], toy_pairs(), SHORT, tmp_path, minus_loss, Dies(4), progress=False, every=Every(0, 1))
    found = checkpoint.latest(tmp_path)
    assert found is not None
    tensors = checkpoint.load_file(found / "tensors.safetensors")
    torch.manual_seed(1)
    checkpoint.save_file({**tensors, "random/cpu": torch.get_rng_state()}, found / "tensors.safetensors")
    train([fgcmh()], toy_pairs(), SHORT, tmp_path, minus_loss, resume=True, progress=False)
    assert final(tmp_path) != whole  # another dropout


class Moody(Strategy):
    """Two copies, weighed by chance and by the evidence of the epoch's beginning; what it is shown within must not change."""

    peers = 2
    needs_evidence = True

    def __init__(self, steps: int = 1000) -> None:
        self.left = steps

    def start_epoch(self, epoch: int, evidence: Sequence[PairEvidence]) -> None:
        self.weight = torch.rand(96) + torch.from_numpy(evidence[1].loss) * torch.from_numpy(evidence[0].forward)

    def losses(self, method: object, batch: Batch, moment: Moment, peer: int) -> dict[str, torch.Tensor]:
        self.left -= 1
        if self.left < 0:
            raise Killed
        return method.losses(replace(batch, weight=self.weight[batch.pair]), moment)  # type: ignore[attr-defined]


@pytest.mark.parametrize("stop", [2, 5, 9, 10])
def test_a_strategy_sees_again_what_it_had_seen(stop: int, tmp_path: Path) -> None:
    def run(folder: str, strategy: Strategy, resume: bool) -> None:
        methods = [vsepp(1), vsepp(2)]
        train(methods, toy_pairs(), SHORT, tmp_path / folder, minus_loss, strategy, resume, False, Every(0, 1))

    run("whole", Moody(), False)
    with pytest.raises(Killed):
        run("cut", Moody(stop), False)
    run("cut", Moody(), True)
    assert final(tmp_path / "cut") == final(tmp_path / "whole")


class Remembering(RCAR):
    """Die after so many steps."""

    def __init__(self, steps: int = 1000) -> None:
        super().__init__(RCARConfig(warm_up=0, memory=0.7))
        self.left = steps

    def losses(self, method: object, batch: Batch, moment: Moment, peer: int) -> dict[str, torch.Tensor]:
        self.left -= 1
        if self.left < 0:
            raise Killed
        return super().losses(method, batch, moment, peer)  # type: ignore[arg-type]


@pytest.mark.parametrize("stop", [3, 4, 8])
def test_a_strategy_keeps_what_it_remembers_of_earlier_epochs(stop: int, tmp_path: Path) -> None:
    longer = replace(SHORT, epochs=3)

    def run(folder: str, strategy: Strategy, resume: bool) -> Strategy:
        train([vsepp(1)], toy_pairs(), longer, tmp_path / folder, minus_loss, strategy, resume, False, Every(0, 1))
        return strategy

    whole = run("whole", Remembering(), False)
    with pytest.raises(Killed):
        run("cut", Remembering(stop), False)
    resumed = run("cut", Remembering(), True)
    np.testing.assert_array_equal(resumed.state()["posterior"], whole.state()["posterior"])
    assert final(tmp_path / "cut", longer) == final(tmp_path / "whole", longer)


VICTIM = """
import sys, time
from pathlib import Path
from training import test_checkpoint as tests

class Slow(tests.Strategy):
    def losses(self, *rest):
        time.sleep(0.02)
        return super().losses(*rest)

tests.train([tests.fgcmh()], tests.toy_pairs(), tests.LONG, Path(sys.argv[1]), tests.minus_loss, Slow(),
            resume=True, progress=False, every=tests.Every(0, 1))
"""
LONG = replace(CONFIG, epochs=8, batch_size=4)  # of twelve steps each


def test_killed_within_an_epoch(tmp_path: Path) -> None:
    chance = random.Random(int(os.environ.get("CROSSBIT_SEED", "1")))
    train([fgcmh()], toy_pairs(), LONG, tmp_path / "whole", minus_loss, progress=False, every=Every(0, 0))
    folder, before = tmp_path / "cut", (0, 0)
    for number in range(KILLS):
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
        child = subprocess.Popen([sys.executable, "-c", VICTIM, str(folder)], env=environment)
        try:
            goal = (number % (LONG.epochs - 1), 3)
            while reached(folder) < max(goal, (before[0], before[1] + 1)):
                assert child.poll() is None, "the victim ended by itself"
                time.sleep(0.002)
            time.sleep(chance.uniform(0, 0.05))
            assert child.poll() is None
        finally:
            os.kill(child.pid, signal.SIGKILL)
            assert child.wait() == -signal.SIGKILL
        assert before < reached(folder) < (LONG.epochs, 0)
        before = reached(folder)
    train([fgcmh()], toy_pairs(), LONG, folder, minus_loss, resume=True, progress=False)
    assert final(folder, LONG) == final(tmp_path / "whole", LONG)


def reached(folder: Path) -> tuple[int, int]:
    """Give epochs and steps of the newest checkpoint."""
    found = checkpoint.latest(folder)
    if found is None:
        return (0, 0)
    _, epochs, steps = found.name.split("-")
    return int(epochs), int(steps)


def test_how_often_is_by_steps_or_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: 100.0)
    assert [steps for steps in range(1, 10) if Every(0, 4).due(steps, 0.0)] == [4, 8]
    assert [last for last in (39.0, 40.0, 41.0) if Every(60, 0).due(1, last)] == [39.0, 40.0]
    assert Every(60, 4).due(4, 99.0)
    assert Every(60, 4).due(5, 1.0)
    assert not Every(0, 0).due(1000, 0.0)


def test_the_newest_is_the_furthest(tmp_path: Path) -> None:
    assert checkpoint.latest(tmp_path) is None
    for name in ("checkpoint-0002-000000", "checkpoint-0001-000900", "checkpoint-0001-000090", "checkpoint.partial"):
        (tmp_path / name).mkdir()
    found = checkpoint.latest(tmp_path)
    assert found == tmp_path / "checkpoint-0002-000000"


def test_what_was_half_written_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    method = vsepp()
    save = [
        tmp_path,
        Place(3, 7, {"loss": 0.1}),
        [method],
        [torch.optim.AdamW(method.parameters())],
        [weights(method)],
        {},
    ]
    kept = checkpoint.save(*save)  # type: ignore[arg-type]
    monkeypatch.setattr(
        checkpoint.json, "dumps", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    )
    save[1] = Place(4)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save(*save)  # type: ignore[arg-type]
    assert checkpoint.latest(tmp_path) == kept
    place, best, state = checkpoint.load(kept, [vsepp(5)], [torch.optim.AdamW(vsepp(5).parameters())])
    assert (place.epoch, place.steps, place.sums, place.shown, state) == (3, 7, {"loss": 0.1}, (), {})
    assert all(torch.equal(value, best[0][name]) for name, value in weights(method).items())


def test_random_numbers_go_on(tmp_path: Path) -> None:
    method = vsepp()
    save = (Place(), [method], [torch.optim.AdamW(method.parameters())], [weights(method)], {})
    torch.manual_seed(3)
    random.seed(3)
    found = checkpoint.save(tmp_path, *save)  # type: ignore[arg-type]
    expected = (torch.rand(5).tolist(), random.random())
    checkpoint.load(found, [method], [torch.optim.AdamW(method.parameters())])
    assert (torch.rand(5).tolist(), random.random()) == expected


def test_evidence_comes_back_as_it_was(tmp_path: Path) -> None:
    method, draw = vsepp(), np.random.default_rng(0)
    shown = PairEvidence(*(draw.random(5).astype(np.float32) for _ in range(3)))
    place = Place(1, 2, {}, (shown,), torch.get_rng_state())
    found = checkpoint.save(
        tmp_path, place, [method], [torch.optim.AdamW(method.parameters())], [weights(method)], {"best_rsum": -np.inf}
    )
    back, _, state = checkpoint.load(found, [method], [torch.optim.AdamW(method.parameters())])
    for name in ("loss", "forward", "backward"):
        np.testing.assert_array_equal(getattr(back.shown[0], name), getattr(shown, name))
    assert back.random is not None
    assert state == {"best_rsum": float("-inf")}
    assert json.loads((found / "state.json").read_text())["steps"] == 2


def test_other_settings_are_refused(tmp_path: Path) -> None:
    train([vsepp()], toy_pairs(), replace(CONFIG, epochs=1), tmp_path, minus_loss, progress=False)
    with pytest.raises(ModelError, match="do not fit these settings"):
        train([fgcmh()], toy_pairs(), CONFIG, tmp_path, minus_loss, resume=True, progress=False)
