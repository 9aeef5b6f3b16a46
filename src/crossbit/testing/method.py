"""check_method: what the training loop, the collection and the model folder rely on, tried on random views."""

from __future__ import annotations

from crossbit.methods.base import Method
from crossbit.testing import learning, using
from crossbit.testing.case import Case, Property
from crossbit.testing.toys import Dims, apart, toy_dims

PROPERTIES: dict[str, Property] = {
    "config": using.has_config,
    "abilities": using.keeps_its_abilities,
    "unit": using.embeds_unit_vectors,
    "range": using.relaxes_within_one,
    "items one by one": using.treats_items_one_by_one,
    "padding": using.ignores_padding,
    "tokens": using.reads_what_it_says,
    "missing rows": using.survives_missing_rows,
    "saved state": using.restores_its_state,
    "terms": learning.gives_terms_per_pair,
    "finite": learning.stays_finite,
    "optional views": learning.does_without_optional_views,
    "groups": learning.groups_every_parameter_once,
    "gradient": learning.reaches_every_parameter,
    "learnt by heart": learning.learns_eight_pairs,
}


def check_method(
    cls: type[Method], *, config: object | None = None, dims: Dims | None = None, seed: int = 0
) -> tuple[str, ...]:
    """Try on random views whether a method keeps what its abilities promise.

    * config: `Config` is a frozen dataclass with `small()`.
    * abilities: it embeds, hashes or scores; what it claims does not raise `NotImplementedError`; what has parameters learns.
    * unit: embeddings have length 1. range: relaxed codes lie in [-1, 1] and are `config.bits` wide.
    * items one by one: permuting or slicing a batch permutes or slices embeddings, codes, scores and, in eval mode, terms.
    * padding: masked tokens change nothing, whatever they hold.
    * tokens: where `reads_tokens` is False, they are not read.
    * missing rows: a row without any real token gives no NaN and leaves the other rows alone.
    * saved state: a state written and read gives the same bits.
    * terms: losses are (B,) or (). finite: also where all pairs agree, show one item, or are large.
    * optional views: views of `may_read` may be absent, wholly or in some rows.
    * groups: every trainable parameter is in exactly one group. gradient: it reaches each of them.
    * learnt by heart: a method that learns finds eight pairs again.

    Args:
        cls: the class; of its abilities only those it has are tried.
        config: settings to try it with, `Config.small()` by default.
        dims: widths (tokens, pooled) by view, by default different ones for each, so that none can be taken for another.
        seed: of weights and views.

    Returns:
        The names of the properties that were tried.

    Raises:
        PropertyFailed: a property does not hold; the message names it, what was found and what was expected.
    """
    case = Case(cls, config, dict(dims or toy_dims((*cls.reads, *cls.may_read))), seed)
    tried = []
    with apart():
        for name, holds in PROPERTIES.items():
            case.now = name
            if holds(case):
                tried.append(name)
    return tuple(tried)
