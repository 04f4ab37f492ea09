"""The conformance matrix: what plain Flower carries, the wire carries alike.

Every strategy that flwr exports and every kind of model runs once on plain Flower and once behind
the wire; ``python -m tests.conformance`` writes the tables, ``tests/conformance`` asserts
every cell.
"""
