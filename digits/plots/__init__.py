"""The figures of the notebooks that are too long for a cell, one function each.

Every function takes tables or arrays, returns Axes or a Figure, shows and saves nothing (but for those
that are live), and gives a title that states the finding. The caller sets the look, once for all, by
``plt.style.use(plots.STYLE)``. Digits are drawn as dark ink on light paper; colours are Okabe and
Ito's, which the colour-blind can distinguish; nothing is said by colour alone.
"""

from digits.plots.images import (
    plot_map,
    plot_pairs,
    plot_predictions,
    plot_rows,
    plot_seen,
)
from digits.plots.live import live_history, slider
from digits.plots.pictures import (
    plot_readings,
    plot_stages,
)
from digits.plots.theme import (
    BLACK,
    BLUE,
    CLASSES,
    ORANGE,
    SKY,
    STYLE,
    VERMILION,
    WIDTH,
    log_scale,
    mosaic,
)
from digits.plots.training import (
    plot_history,
    plot_maps,
)
