"""Ways to train a method, by name; strings, so that listing costs nothing."""

STRATEGIES: dict[str, str] = {
    "ncr": "crossbit.strategies.ncr:NCR",
    "plain": "crossbit.strategies.plain:Plain",
    "rcar": "crossbit.strategies.rcar:RCAR",
    "small_loss": "crossbit.strategies.small_loss:SmallLoss",
}
