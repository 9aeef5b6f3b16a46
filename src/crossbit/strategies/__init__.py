"""Ways to train a method, by name; strings, so that listing costs nothing."""

STRATEGIES: dict[str, str] = {
    "plain": "crossbit.strategies.plain:Plain",
}
