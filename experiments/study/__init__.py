"""The framework of all studies: measure each case once, then write tables and figures.

A case has a name, settings and ``measure(folder)``; a ``Study`` claims a folder for each, skips
what is finished, goes on where a run was interrupted, shows progress, records failures and writes
what comes of it. A study's own folder holds what is its own: cases, measures, tables, figures.
"""
