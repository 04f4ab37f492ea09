"""The framework of all studies: measure each case once, then write tables and figures.

A case has a name, settings and ``measure(folder)``. A ``Study`` claims a folder for each case,
skips finished cases, resumes interrupted runs, shows progress, records failures and writes the
results. Each study has a folder with its cases, measures, tables and figures.
"""
