"""Figures that change while somebody looks at them."""

from __future__ import annotations

import base64
import inspect
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


def slider(draw: Callable[[float], object], least: float, most: float, step: float = 1) -> None:
    """Show a figure with a slider for the argument of the function that draws it.

    Where no kernel runs, as in a report, the figure of the argument's default stands for it.

    Parameters
    ----------
    draw : callable
        Draws one figure with matplotlib. Its one argument has a default.
    least, most, step : float
        What the argument can be.
    """
    import ipywidgets
    from IPython.core.pylabtools import print_figure
    from IPython.display import display

    def drawn(value: float) -> tuple[bytes, str]:
        draw(value)
        figure = plt.gcf()
        plt.close(figure)  # or the notebook would draw it a second time below the cell
        return print_figure(figure, "png", base64=False), headings(figure)

    (argument,) = inspect.signature(draw).parameters.values()
    kind = ipywidgets.IntSlider if isinstance(step, int) else ipywidgets.FloatSlider
    bounds = {"min": least, "max": most, "step": step}
    control = kind(value=argument.default, description=argument.name, **bounds)
    png, words = drawn(argument.default)
    # An image and no Output widget: nbclient now and then waits for ever for the messages of that one.
    image = ipywidgets.Image(value=png)
    control.observe(lambda change: setattr(image, "value", drawn(change["new"])[0]), "value")
    bundle = ipywidgets.VBox([control, image])._repr_mimebundle_()
    picture = {"image/png": base64.b64encode(png).decode(), "text/plain": words}
    display(bundle | picture, raw=True)
