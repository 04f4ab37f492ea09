"""Fractions in the settings of stages: 1 to 9,999 ten-thousandths, so that they travel exactly."""

import re

STEPS = 10_000


def read_fraction(text: str) -> int | None:
    """Return a fraction such as ``0.8`` in ten-thousandths; None if it is none, or not inside."""
    if not re.fullmatch(r"0?\.[0-9]{1,4}", text):
        return None
    return int(text.split(".")[1].ljust(4, "0")) or None


def fraction_text(steps: int) -> str:
    """Return the fraction in as few digits as it needs."""
    return f"0.{steps:04}".rstrip("0")
