"""Properties of a method in use: embeddings, codes, scores and state."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import cast

import safetensors.torch
import torch
from torch import Tensor

from crossbit.batch import Batch
from crossbit.methods.base import Aligns, Method
from crossbit.testing.case import TOLERANCE, Case
from crossbit.testing.toys import take, with_missing, with_padding, with_views


def has_config(case: Case) -> bool:
    """Look at `Config`: a frozen dataclass whose `small()` gives one of its kind."""
    config = case.cls.Config
    if not dataclasses.is_dataclass(config) or not config.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        case.fail("`Config` is not a frozen dataclass, expected one: settings are saved beside the weights")
    if not isinstance(config.small(), config):  # type: ignore[attr-defined]
        case.fail(f"`Config.small()` gives a {type(config.small()).__name__}, expected a `Config`")  # type: ignore[attr-defined]
    return True


@torch.no_grad()
def keeps_its_abilities(case: Case) -> bool:
    """Call everything that the class claims to do."""
    if not case.can & {"embeds", "hashes", "scores"}:
        case.fail(
            "neither embeds, hashes nor scores, so two items cannot be compared; expected at least one of the three"
        )
    method, batch = case.make().eval(), case.batch()
    trainable = [name for name, p in method.named_parameters() if p.requires_grad]
    if trainable and not case.can & {"learns", "fits"}:
        case.fail(f"has trainable parameters such as {trainable[0]!r} but no `losses`; keep constants in buffers")
    try:
        outputs(case, method, batch)
    except NotImplementedError as error:
        case.fail(
            f"claims {sorted(case.can)} but raises NotImplementedError ({error}); what a method cannot do it does not define"
        )
    return True


def outputs(case: Case, method: Method, batch: Batch) -> dict[str, Tensor]:
    """Give everything that the method says of a batch, by name."""
    said = {name: function(view) for name, function, view in case.each_view(method, batch)}
    if "scores" in case.can:
        said["score"] = case.score(method, batch)
    if "aligns" in case.can:
        (query,), (item,) = case.ends(batch)
        said["align"] = cast(Aligns, method).align(query, item)
    return said


@torch.no_grad()
def embeds_unit_vectors(case: Case) -> bool:
    """Measure the length of embeddings, of which all views share one width."""
    method, batch = case.make().eval(), case.batch()
    widths = set()
    for name, function, view in case.each_view(method, batch):
        if not name.startswith("embed"):
            continue
        rows = function(view)
        widths.add(tuple(rows.shape[1:]))
        gap = float((rows.norm(dim=-1) - 1.0).abs().max())
        if len(rows) != len(view) or not gap <= TOLERANCE:
            case.fail(
                f"{name}: shape {tuple(rows.shape)}, lengths off 1 by up to {gap:.2g}; expected unit vectors, one a row"
            )
    if len(widths) > 1:
        case.fail(f"embeddings have widths {sorted(widths)}, expected one width for all views")
    return "embeds" in case.can


@torch.no_grad()
def relaxes_within_one(case: Case) -> bool:
    """Look at the range and width of relaxed codes, also far from zero."""
    method, batch = case.make().eval(), case.batch()
    bits = getattr(case.config, "bits", None)
    for name, function, view in case.each_view(method, batch):
        if not name.startswith("relax"):
            continue
        for relaxed in (function(view), function(replace(view, tokens=50 * view.tokens, pooled=50 * view.pooled))):
            if not float(relaxed.abs().max()) <= 1.0:
                case.fail(f"{name}: values up to {float(relaxed.abs().max()):.3g}, expected them in [-1, 1]")
            if bits is not None and relaxed.shape != (len(view), bits):
                case.fail(f"{name}: shape {tuple(relaxed.shape)}, expected {(len(view), bits)} as `config.bits` says")
    return "hashes" in case.can


@torch.no_grad()
def treats_items_one_by_one(case: Case) -> bool:
    """Permute and slice: no item may depend on its neighbours in the batch."""
    method, batch = case.make().eval(), case.batch()
    whole = outputs(case, method, batch)
    for what, rows in (
        ("permuted", torch.tensor([3, 0, 7, 1, 6, 2, 5, 4])),
        ("sliced", torch.tensor([2, 3, 4])),
        ("alone", torch.tensor([5])),
    ):
        part = outputs(case, method, take(batch, rows))
        for name, values in whole.items():
            expected = values[rows][:, rows] if name == "score" else values[rows]
            case.same(part[name], expected, f"{name} of the rows {what}")
    return True


@torch.no_grad()
def ignores_padding(case: Case) -> bool:
    """Append masked tokens full of rubbish."""
    method, batch = case.make().eval(), case.batch(regions=True)
    padded = with_views(batch, {name: with_padding(view) for name, view in batch.views.items()})
    before, after = outputs(case, method, batch), outputs(case, method, padded)
    for name, values in before.items():
        if name != "align":
            case.same(after[name], values, f"{name} with masked tokens appended")
            continue
        length_a, length_b = values.shape[1:]
        case.same(after[name][:, :length_a, :length_b], values, "align with masked tokens appended")
        if float(after[name][:, :, length_b:].abs().max()) > 0:
            case.fail("align: gives weight to masked tokens, expected zero")
    return True


@torch.no_grad()
def reads_what_it_says(case: Case) -> bool:
    """Leave the tokens away, L = 0, as the loop does for a method without `reads_tokens`."""
    if case.cls.reads_tokens:
        return False
    method, batch = case.make().eval(), case.batch()
    thin = with_views(
        batch, {name: replace(v, tokens=v.tokens[:, :0], mask=v.mask[:, :0]) for name, v in batch.views.items()}
    )
    before, after = outputs(case, method, batch), outputs(case, method, thin)
    for name, values in before.items():
        case.same(after[name], values, f"{name} without tokens, though `reads_tokens` is False")
    return True


@torch.no_grad()
def survives_missing_rows(case: Case) -> bool:
    """Blank two rows: no NaN there, no change elsewhere."""
    method, batch = case.make().eval(), case.batch()
    there = torch.tensor([0, 2, 3, 5, 6, 7])
    for name, function, view in case.each_view(method, batch):
        rows = function(with_missing(view, [1, 4]))
        case.finite(rows, f"{name} with rows that have no real token")
        case.same(rows[there], function(view)[there], f"{name} of the other rows when two are missing")
    if "scores" in case.can:
        blank = with_views(batch, {name: with_missing(view, [1, 4]) for name, view in batch.views.items()})
        scores = case.score(method, blank)
        case.finite(scores, "score with rows that have no real token")
        case.same(scores[there][:, there], case.score(method, batch)[there][:, there], "score of the other rows")
    return True


@torch.no_grad()
def restores_its_state(case: Case) -> bool:
    """Write the state as safetensors, read it into a method that began elsewhere, and compare the bits."""
    method, batch = case.make().eval(), case.batch()
    written = safetensors.torch.save({name: value.contiguous().clone() for name, value in method.state_dict().items()})
    twin = case.make(seed=case.seed + 99).eval()
    try:
        twin.load_state_dict(safetensors.torch.load(written))
    except RuntimeError as error:
        case.fail(f"a saved state does not load into a fresh method: {error}")
    before, after = outputs(case, method, batch), outputs(case, twin, batch)
    for name, values in before.items():
        if not torch.equal(values, after[name]):
            case.fail(
                f"{name} differs after saving and loading; expected the same bits, so keep all state in parameters and buffers"
            )
    return True
