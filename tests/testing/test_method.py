"""`check_method` passes a method that keeps its promises, and names the property for each way of breaking one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from crossbit.batch import Batch, Encoded, Moment, Views
from crossbit.methods.base import Method
from crossbit.testing import PropertyFailed, check_method

Dims = Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class SoundConfig:
    width: int = 32
    bits: int = 16

    @classmethod
    def small(cls) -> SoundConfig:
        return cls()


class Sound(Method):
    """Does everything that a method can do, and keeps every promise."""

    Config = SoundConfig
    may_read = ("translation",)
    stages = ("first", "second")

    def __init__(self, config: Any, dims: Dims) -> None:
        super().__init__(config, dims)
        self.project = nn.ModuleDict({name: nn.Linear(tokens, config.width) for name, (tokens, _) in dims.items()})
        self.pooled = nn.ModuleDict({name: nn.Linear(pooled, config.width) for name, (_, pooled) in dims.items()})
        self.bits = nn.Linear(config.width, config.bits)

    def _mean(self, view: Encoded, name: str) -> Tensor:
        real = view.mask[..., None].float()
        tokens = (self.project[name](view.tokens) * real).sum(1) / real.sum(1).clamp(min=1)
        return tokens + self.pooled[name](view.pooled)

    def embed(self, *views: Encoded) -> Tensor:
        return F.normalize(self._mean(views[0], views[0].modality), dim=-1)

    def relax(self, *views: Encoded) -> Tensor:
        return torch.tanh(self.bits(self._mean(views[0], views[0].modality)))

    def score(self, queries: Views, items: Views) -> Tensor:
        return self.embed(*queries) @ self.embed(*items).T

    def align(self, a: Encoded, b: Encoded) -> Tensor:
        raw = self.project[a.modality](a.tokens) @ self.project[b.modality](b.tokens).transpose(1, 2)
        raw = raw.masked_fill(~b.mask[:, None], -1e9).softmax(-1)
        return raw * (a.mask[:, :, None] & b.mask[:, None])

    def losses(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        negative = ~batch.positives()
        terms = {}
        for name, function in (("hinge", self.embed), ("code", self.relax)):
            a, b = function(batch["image"]), function(batch["text"])
            similarity = a @ b.T / (1 if name == "hinge" else self.config.bits)
            own = similarity.diagonal()
            gaps = (0.2 - own[:, None] + similarity).clamp(min=0) + (0.2 - own[:, None] + similarity.T).clamp(min=0)
            terms[name] = (gaps * negative).sum(1) / negative.sum(1).clamp(min=1)
        terms["balance"] = self.relax(batch["image"]).mean(0).pow(2).mean()
        if "translation" in batch:
            there = batch["translation"].mask.any(1).float()
            away = 1 - F.cosine_similarity(self._mean(batch["translation"], "translation"), self.embed(batch["text"]))
            terms["translation"] = away * there
        return terms


def test_sound_method_passes_every_property() -> None:
    tried = check_method(Sound)
    from crossbit.testing.method import PROPERTIES

    assert set(tried) == set(PROPERTIES) - {"tokens"}  # which is asked of those who do not read them


def test_what_a_class_cannot_do_is_not_tried() -> None:
    class Frozen(Method):
        Config = SoundConfig

        def embed(self, *views: Encoded) -> Tensor:
            return F.normalize(torch.cat([views[0].pooled, torch.ones(len(views[0]), 16)], 1)[:, :5], dim=-1)

    tried = check_method(Frozen)
    assert "unit" in tried
    assert not {"range", "terms", "gradient", "learnt by heart"} & set(tried)


class ThawedSettings(Sound):
    @dataclass
    class Config:  # type: ignore[assignment]
        width: int = 32
        bits: int = 16

        @classmethod
        def small(cls) -> Any:
            return cls()


class NoSmallSettings(Sound):
    @dataclass(frozen=True)
    class Config:  # type: ignore[assignment]
        width: int = 32


class CannotCompare(Method):
    Config = SoundConfig


class ClaimsToScore(Sound):
    def score(self, queries: Views, items: Views) -> Tensor:
        raise NotImplementedError("later")


class TrainableButLearnsNothing(Method):
    Config = SoundConfig

    def __init__(self, config: Any, dims: Dims) -> None:
        super().__init__(config, dims)
        self.head = nn.Linear(5, 5)

    def embed(self, *views: Encoded) -> Tensor:
        return F.normalize(self.head(views[0].pooled[:, :5]), dim=-1)


class NotUnit(Sound):
    def embed(self, *views: Encoded) -> Tensor:
        return 1.01 * super().embed(*views)


class WidthByView(Sound):
    def embed(self, *views: Encoded) -> Tensor:
        rows = super().embed(*views)
        return rows if views[0].modality == "image" else F.normalize(rows[:, :10], dim=-1)

    score = None  # type: ignore[assignment]


class BeyondOne(Sound):
    def relax(self, *views: Encoded) -> Tensor:
        return self.bits(self._mean(views[0], views[0].modality))


class OtherBits(Sound):
    def relax(self, *views: Encoded) -> Tensor:
        return super().relax(*views)[:, :8]


class LooksAtNeighbours(Sound):
    def embed(self, *views: Encoded) -> Tensor:
        rows = super().embed(*views)
        return F.normalize(rows - rows.mean(0), dim=-1)


class ScoreOfNeighbours(Sound):
    def score(self, queries: Views, items: Views) -> Tensor:
        return super().score(queries, items).softmax(dim=1)


class CountsPadding(Sound):
    def _mean(self, view: Encoded, name: str) -> Tensor:
        return self.project[name](view.tokens).mean(1) + self.pooled[name](view.pooled)


class AlignsWithPadding(Sound):
    def align(self, a: Encoded, b: Encoded) -> Tensor:
        raw = super().align(a, b)
        return raw + 0.01 * ~b.mask[:, None]


class DividesByNothing(Sound):
    def _mean(self, view: Encoded, name: str) -> Tensor:
        real = view.mask[..., None].float()
        return (self.project[name](view.tokens) * real).sum(1) / real.sum(1) + self.pooled[name](view.pooled)


class ForgetsState(Sound):
    def __init__(self, config: Any, dims: Dims) -> None:
        super().__init__(config, dims)
        self.shift = torch.randn(config.width)  # neither parameter nor buffer

    def embed(self, *views: Encoded) -> Tensor:
        return F.normalize(super().embed(*views) + self.shift, dim=-1)


class StateOfAnotherShape(Sound):
    made = 0

    def __init__(self, config: Any, dims: Dims) -> None:
        super().__init__(config, dims)
        type(self).made += 1
        self.register_buffer("seen", torch.zeros(type(self).made))


def losses_of(change: Callable[[Method, Batch, dict[str, Tensor]], dict[str, Tensor]]) -> type[Sound]:
    class Changed(Sound):
        def losses(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
            return change(self, batch, super().losses(batch, moment))

    return Changed


class TermsLookAtPadding(Sound):
    def losses(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        return {**super().losses(batch, moment), "length": self.bits.weight.mean() * batch["text"].mask.shape[1]}


class NeedsNegatives(Sound):
    def losses(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        negative = (~batch.positives()).float()
        similarity = self.embed(batch["image"]) @ self.embed(batch["text"]).T
        mean = (similarity * negative).sum(1) / negative.sum(1)  # 0 / 0 where all rows show one item
        return {**super().losses(batch, moment), "mean": mean}


class ReadsTokensInSecret(Sound):
    reads_tokens = False


class NeedsTranslation(Sound):
    def losses(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        terms = super().losses(batch, moment)
        length = batch["translation"].mask.sum(1) if "translation" in batch else torch.zeros(len(batch))
        return {**terms, "length": self.bits.weight.mean() / length}


class UngroupedParameter(Sound):
    def groups(self, learning_rate: float) -> list[dict[str, Any]]:
        return [{"params": list(self.project.parameters()), "lr": learning_rate}]


class UnusedParameter(Sound):
    def __init__(self, config: Any, dims: Dims) -> None:
        super().__init__(config, dims)
        self.unused = nn.Linear(3, 3)


class PushesApart(Sound):
    def losses(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        return {name: -term for name, term in super().losses(batch, moment).items()}


@pytest.mark.parametrize(
    ("cls", "name"),
    [
        (ThawedSettings, "config"),
        (NoSmallSettings, "config"),
        (CannotCompare, "abilities"),
        (ClaimsToScore, "abilities"),
        (TrainableButLearnsNothing, "abilities"),
        (NotUnit, "unit"),
        (WidthByView, "unit"),
        (BeyondOne, "range"),
        (OtherBits, "range"),
        (LooksAtNeighbours, "items one by one"),
        (ScoreOfNeighbours, "items one by one"),
        (CountsPadding, "padding"),
        (AlignsWithPadding, "padding"),
        (ReadsTokensInSecret, "tokens"),
        (DividesByNothing, "missing rows"),
        (ForgetsState, "saved state"),
        (StateOfAnotherShape, "saved state"),
        (losses_of(lambda method, batch, terms: {}), "terms"),
        (losses_of(lambda method, batch, terms: {"matrix": terms["hinge"][:, None]}), "terms"),
        (losses_of(lambda method, batch, terms: {k: v.detach() for k, v in terms.items()}), "terms"),
        (losses_of(lambda method, batch, terms: {"hinge": terms["hinge"] * torch.arange(len(batch))}), "terms"),
        (TermsLookAtPadding, "terms"),
        (NeedsNegatives, "finite"),
        (NeedsTranslation, "optional views"),
        (UngroupedParameter, "groups"),
        (UnusedParameter, "gradient"),
        (PushesApart, "learnt by heart"),
    ],
)
def test_each_broken_promise_is_named(cls: type[Method], name: str) -> None:
    with pytest.raises(PropertyFailed, match=f": {name}: ") as caught:
        check_method(cls)
    assert caught.value.name == name
    assert str(caught.value).startswith(cls.__name__)


def test_who_reads_no_tokens_is_asked_for_it() -> None:
    class Plain(Sound):
        reads_tokens = False
        align = None

        def __init__(self, config: Any, dims: Dims) -> None:
            super().__init__(config, dims)
            del self.project

        def _mean(self, view: Encoded, name: str) -> Tensor:
            there: Tensor = self.pooled[name](view.pooled)
            return there

    assert "tokens" in check_method(Plain)


def test_gate_that_begins_at_zero_is_no_dead_parameter() -> None:
    class Gated(Sound):
        def __init__(self, config: Any, dims: Dims) -> None:
            super().__init__(config, dims)
            self.gate = nn.Parameter(torch.zeros(1))
            self.behind = nn.Linear(config.width, config.width)

        def embed(self, *views: Encoded) -> Tensor:
            mean = self._mean(views[0], views[0].modality)
            return F.normalize(mean + self.gate * self.behind(mean), dim=-1)

    assert "gradient" in check_method(Gated)


def test_chance_in_the_losses_is_allowed() -> None:
    class Masks(Sound):
        def losses(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
            terms = super().losses(batch, moment)
            return {name: term * (1 + 0.1 * torch.rand(())) for name, term in terms.items()}

    assert "terms" in check_method(Masks)


def test_random_state_is_left_as_it_was() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    check_method(Sound)
    assert torch.equal(torch.rand(3), expected)
