"""The reliability plot of RCAR: of the pairs that are wrong with a probability of 80 %, are eight of ten wrong?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from crossbit.errors import UsageError
from crossbit.evaluation.compare import save_figure
from crossbit.evaluation.robustness import RATIOS, Cell, bins, generators


def plot_reliability(found: Sequence[Cell], stem: Path) -> list[Path]:
    """Draw `STEM.png` and `STEM.svg`: a panel for each noise, a line for each ratio, the diagonal for perfect calibration.

    A place stands for a tenth of the probabilities, all seeds together; its size grows with the share of the pairs in it.

    Args:
        found: cells of the bench.
        stem: path without suffix.

    Raises:
        UsageError: nothing was measured under noise.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    kinds = generators(found)
    if not kinds:
        raise UsageError("reliability plot: no run under noise, expected some")
    figure = Figure(figsize=(3.2 * len(kinds), 3.3), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(kinds), sharey=True, squeeze=False)[0]
    for panel, generator in zip(panels, kinds, strict=True):
        panel.plot([0, 1], [0, 1], color="0.6", lw=1)
        for ratio in RATIOS:
            drawn = bins(found, generator, ratio)
            if drawn is None:
                continue
            pairs, said, wrong = drawn
            some = pairs > 0
            line = panel.plot(said[some], wrong[some], lw=1, label=f"{100 * ratio:g} %")
            panel.scatter(said[some], wrong[some], s=8 + 120 * pairs[some] / pairs.sum(), color=line[0].get_color())
        panel.set_title(generator, fontsize=9)
        panel.set_xlabel("probability of being wrong")
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("share that is wrong")
    if panels[0].get_legend_handles_labels()[0]:  # a training shorter than the warm-up believes nothing yet
        panels[0].legend(fontsize=8)
    return save_figure(figure, stem)
