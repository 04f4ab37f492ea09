"""Pictures: functions that take data and return a matplotlib figure."""

from flwr_gan.plots.continual import continual_figure
from flwr_gan.plots.duration import duration_figure
from flwr_gan.plots.figure import save_figure
from flwr_gan.plots.layers import layers_figure
from flwr_gan.plots.partition import partition_picture
from flwr_gan.plots.rounds import rounds_figure
from flwr_gan.plots.samples import sample_grid
from flwr_gan.plots.strokes import stroke_plot
from flwr_gan.plots.sweep import quality_figure
from flwr_gan.plots.traffic import traffic_figure

__all__ = [
    "continual_figure",
    "duration_figure",
    "layers_figure",
    "partition_picture",
    "quality_figure",
    "rounds_figure",
    "sample_grid",
    "save_figure",
    "stroke_plot",
    "traffic_figure",
]
