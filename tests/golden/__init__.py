"""Payloads that must decode for ever."""
