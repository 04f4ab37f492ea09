"""Tables, figures and an HTML page of finished runs.

``python -m experiments.report FOLDER...``: each is the folder of a sweep, of one run, or one that
contains runs. The report only reads result files and trains nothing. Other experiments write the
page of their results with `experiments.report.page`.
"""
