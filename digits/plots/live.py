"""Figures that change while somebody looks at them."""

from __future__ import annotations

import base64
from collections.abc import Callable

import matplotlib.pyplot as plt
import pandas as pd

from digits.plots.theme import headings
from digits.plots.training import plot_history


def live_history() -> Callable[[dict], None]:
    """Return a callback for `training.train` that redraws `plot_history` after each epoch.

    A stored notebook keeps the last drawing only.
    """
    from IPython.display import display

    rows: list[dict] = []
    place = display("waiting for the first epoch", display_id=True)

    def show(row: dict) -> None:
        rows.append(row)
        figure = plot_history(pd.DataFrame(rows))
        plt.close(figure)  # or the notebook would draw it a second time below the cell
        if place is not None:  # there is no place to draw outside a notebook
            place.update(figure)

    return show


def slider(draw: Callable[..., object], **ranges) -> None:
    """Show a figure with a slider, or a menu, for each argument of the function that draws it.

    Where no kernel runs, as in a report, the figure of the arguments' defaults stands for it.

    Parameters
    ----------
    draw : callable
        Draws one figure with matplotlib. Each of its arguments has a default.
    **ranges
        What each argument can be, as for `ipywidgets.interact`: (least, most, step), or a list.
    """
    from IPython.core.pylabtools import print_figure
    from IPython.display import display
    from ipywidgets import interactive

    draw()
    figure = plt.gcf()
    picture = base64.b64encode(print_figure(figure, "png")).decode()
    plt.close(figure)  # or the notebook would draw it a second time below the cell
    bundle = interactive(draw, **ranges)._repr_mimebundle_()
    display(bundle | {"image/png": picture, "text/plain": headings(figure)}, raw=True)
