"""Pictures: functions that take data and return a matplotlib figure."""

from flwr_gan.plots.breakdown import breakdown_figure
from flwr_gan.plots.clock import client_times_figure, virtual_time_figure
from flwr_gan.plots.groups import duration_figure, layers_figure, traffic_figure
from flwr_gan.plots.partition import confusion_picture, partition_picture
from flwr_gan.plots.rounds import continual_figure, rounds_figure
from flwr_gan.plots.samples import sample_grid
from flwr_gan.plots.style import save_figure
from flwr_gan.plots.sweep import quality_figure

__all__ = [
    "breakdown_figure",
    "client_times_figure",
    "confusion_picture",
    "continual_figure",
    "duration_figure",
    "layers_figure",
    "partition_picture",
    "quality_figure",
    "rounds_figure",
    "sample_grid",
    "save_figure",
    "traffic_figure",
    "virtual_time_figure",
]
