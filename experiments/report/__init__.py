"""Tables, figures and an HTML page of finished runs.

``python -m experiments.report FOLDER...``: each the folder of a sweep, of one run, or one that
holds runs. Reads result files alone and trains nothing. Experiments with results of their own
write their page with `experiments.report.page`.
"""

from experiments.report.command import main, report

__all__ = ["main", "report"]
