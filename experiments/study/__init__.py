"""The spine of all studies: each case is measured once, then tables, figures and a page follow.

A case has a name, settings and ``measure(folder)``; a ``Study`` claims a folder for each, skips
what is finished, goes on where a run was interrupted, shows progress, records failures and writes
what comes of it. A study's own folder holds what is its own: cases, measures, tables, figures.
"""

from experiments.study.cases import Case, Record
from experiments.study.command import Study, called, check_device, run_command, words
from experiments.study.markdown import markdown_table, page_table, plus_minus
from experiments.study.statistics import average, differences, intervals, matched, t_interval

__all__ = [
    "Case",
    "Record",
    "Study",
    "average",
    "called",
    "check_device",
    "differences",
    "intervals",
    "markdown_table",
    "matched",
    "page_table",
    "plus_minus",
    "run_command",
    "t_interval",
    "words",
]
