"""Synchronous and asynchronous federations on a mixed population, in virtual time."""
