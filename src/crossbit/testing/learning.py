"""Properties of a method that learns: loss terms, gradients, and whether it learns at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from crossbit.batch import Batch, Moment
from crossbit.methods.base import Embeds, Hashes, Method, Scores
from crossbit.testing.case import Case
from crossbit.testing.toys import take, with_missing, with_padding, with_views

STEPS = 400
"""Steps in which eight pairs must be learnt; most methods need fewer than fifty."""


def moments(case: Case) -> Iterator[Moment]:
    """Give the beginning, middle and end of every stage."""
    for stage in case.cls.stages:
        yield from (Moment(stage, progress) for progress in (0.0, 0.5, 1.0))


def total(terms: dict[str, Tensor]) -> Tensor:
    """Reduce terms as the training loop does: the mean of each, summed."""
    return torch.stack([term.mean() for term in terms.values()]).sum()


def gives_terms_per_pair(case: Case) -> bool:
    """Look at names and shapes of the terms; in eval mode they follow their pairs and ignore padding."""
    if "learns" not in case.can:
        return False
    method, batch = case.make(), case.batch()
    for moment in moments(case):
        terms = case.losses(method.train(), batch, moment)
        if not terms:
            case.fail(f"no loss term in stage {moment.stage!r}, expected at least one")
        for name, term in terms.items():
            if term.shape not in ((len(batch),), ()):
                case.fail(f"term {name!r} has shape {tuple(term.shape)}, expected ({len(batch)},) or ()")
        if not total(terms).requires_grad:
            case.fail(f"terms of stage {moment.stage!r} have no gradient, expected at least one that has")
    order = torch.tensor([3, 0, 7, 1, 6, 2, 5, 4])
    batch = case.batch(regions=True)
    padded = with_views(batch, {name: with_padding(view) for name, view in batch.views.items()})
    for moment in moments(case):
        certain = _eval_terms(case, method, batch, moment)
        if certain is None:  # draws random numbers even in eval mode, such as what to mask: nothing to compare
            continue
        shuffled = case.losses(method, take(batch, order), moment)
        masked = case.losses(method, padded, moment)
        for name, term in certain.items():
            case.same(shuffled[name], term[order] if term.ndim else term, f"term {name!r} of permuted pairs")
            case.same(masked[name], term, f"term {name!r} with masked tokens appended")
    return True


def _eval_terms(case: Case, method: Method, batch: Batch, moment: Moment) -> dict[str, Tensor] | None:
    """Give the terms in eval mode, or None where they depend on chance."""
    method.eval()
    torch.manual_seed(1)
    first = case.losses(method, batch, moment)
    torch.manual_seed(2)
    second = case.losses(method, batch, moment)
    return first if all(torch.equal(first[name], second[name]) for name in first) else None


def stays_finite(case: Case) -> bool:
    """Feed what breaks logarithms and hardest negatives: equal pairs, one item in every row, large values."""
    if "learns" not in case.can:
        return False
    batch = case.batch()
    first = torch.zeros(len(batch), dtype=torch.long)
    equal = with_views(batch, {name: view[first] for name, view in batch.views.items()})
    large = {
        name: replace(view, tokens=50 * view.tokens, pooled=50 * view.pooled) for name, view in batch.views.items()
    }
    for what, hard in (
        ("rows that are all equal", equal),
        ("rows that all show one item", replace(batch, item=first)),
        ("values fifty times larger", with_views(batch, large)),
    ):
        method = case.make().train()
        for moment in moments(case):
            method.zero_grad()
            terms = case.losses(method, hard, moment)
            for name, term in terms.items():
                case.finite(term, f"term {name!r} on {what}")
            total(terms).backward()
            for name, parameter in method.named_parameters():
                if parameter.grad is not None:
                    case.finite(parameter.grad, f"gradient of {name!r} on {what}")
    return True


def does_without_optional_views(case: Case) -> bool:
    """Leave the views of `may_read` away: some rows, the whole view, and already when the method is made."""
    if "learns" not in case.can or not case.cls.may_read:
        return False
    batch = case.batch()
    needed = {name: case.dims[name] for name in case.cls.reads}
    thin = with_views(batch, {name: batch[name] for name in case.cls.reads})
    gappy = with_views(
        batch, {n: v if n in case.cls.reads else with_missing(v, [1, 4]) for n, v in batch.views.items()}
    )
    for what, method, given in (
        ("with some rows of the optional views missing", case.make(), gappy),
        ("without the optional views", case.make(), thin),
        ("made and used without the optional views", case.make(dims=needed), thin),
    ):
        for moment in moments(case):
            for name, term in case.losses(method.train(), given, moment).items():
                case.finite(term, f"term {name!r} {what}")
    return True


def groups_every_parameter_once(case: Case) -> bool:
    """Count how often each trainable parameter stands in the optimiser's groups."""
    if "learns" not in case.can:
        return False
    method = case.make()
    listed = [id(p) for group in method.groups(0.001) for p in group["params"]]
    for name, parameter in method.named_parameters():
        expected = 1 if parameter.requires_grad else 0
        if listed.count(id(parameter)) != expected:
            case.fail(f"parameter {name!r} is {listed.count(id(parameter))} times in `groups`, expected {expected}")
    return True


def reaches_every_parameter(case: Case) -> bool:
    """Walk a few steps through all stages: each trainable parameter must have had a gradient that is not zero.

    A few steps and not one, because a gate that begins at zero hides what lies behind it in the first.
    """
    if "learns" not in case.can:
        return False
    method = case.make().train()
    waiting = {name: p for name, p in method.named_parameters() if p.requires_grad}
    optimiser = torch.optim.Adam(method.groups(1e-3))
    for step in range(5):
        for moment in moments(case):
            optimiser.zero_grad()
            total(case.losses(method, case.batch(seed=step + 1), moment)).backward()
            waiting = {name: p for name, p in waiting.items() if p.grad is None or not bool(p.grad.abs().sum() > 0)}
            optimiser.step()
            method.after_step()
        if not waiting:
            break
    if waiting:
        case.fail(
            f"no gradient reaches {sorted(waiting)[:5]}; expected every trainable parameter to be used (`dims` holds only the "
            "views that the method reads; what is constant belongs in a buffer)"
        )
    return True


def learns_eight_pairs(case: Case) -> bool:
    """Train on eight random pairs until each finds its own again, in every way in which the method compares."""
    if "learns" not in case.can:
        return False
    method, batch = case.make(), case.batch()
    optimiser = torch.optim.Adam(method.groups(1e-3))
    found: dict[str, int] = {}
    for step in range(STEPS):
        place = step / STEPS * len(case.cls.stages)
        stage = case.cls.stages[int(place)]
        optimiser.zero_grad()
        total(case.losses(method.train(), batch, Moment(stage, place % 1.0))).backward()
        optimiser.step()
        method.after_step()
        if stage == case.cls.stages[-1] and step % 20 == 19:
            found = _found_again(case, method.eval(), batch)
            if all(count == len(batch) for count in found.values()):
                break
    if not all(count == len(batch) for count in found.values()):
        case.fail(f"after {STEPS} steps on eight pairs these many are found again: {found}; expected 8 each")
    return True


@torch.no_grad()
def _found_again(case: Case, method: Method, batch: Batch) -> dict[str, int]:
    """Count the pairs whose query ranks its own item first, by embedding, by relaxed code and by joint score."""
    queries, items = case.ends(batch)
    scores: dict[str, Tensor] = {}
    if isinstance(method, Embeds) and "embeds" in case.can:
        scores["embed"] = method.embed(*queries) @ method.embed(*items).T
    if isinstance(method, Hashes) and "hashes" in case.can:
        scores["relax"] = method.relax(*queries) @ method.relax(*items).T
    if isinstance(method, Scores) and "scores" in case.can:
        scores["score"] = method.score(queries, items)
    own = torch.arange(len(batch))
    return {name: int((values.argmax(dim=1) == own).sum()) for name, values in scores.items()}
