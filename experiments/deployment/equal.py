"""Comparison of two runs: every payload, every metric, every generator."""

from pathlib import Path

import pandas as pd

TIMES = ("encode_s", "decode_s", "wall_s")
WEIGHTS = ("generators/*.fgan", "classifiers/*.fgan", "*.npy")


def compared(one: Path, other: Path) -> pd.DataFrame:
    """Return one row per result file: the number of compared values and of different ones.

    Tables are compared value by value without times; files of weights byte by byte.
    """
    rows = []
    for name in ("payloads.csv", "messages.csv", "rounds.csv"):
        if (one / name).exists() or (other / name).exists():
            rows.append({"result": name, **_tables(one / name, other / name)})
    for pattern in WEIGHTS:
        own, others = (
            {path.name: path.read_bytes() for path in folder.glob(pattern)}
            for folder in (one, other)
        )
        names = own.keys() | others.keys()
        different = sum(own.get(name) != others.get(name) for name in names)
        if names:
            rows.append({"result": pattern, "values": len(names), "different": different})
    return pd.DataFrame(rows)


def _tables(one: Path, other: Path) -> dict[str, int]:
    if not (one.exists() and other.exists()):
        return {"values": 0, "different": 1}
    tables = [pd.read_csv(path).drop(columns=list(TIMES), errors="ignore") for path in (one, other)]
    if tables[0].shape != tables[1].shape or list(tables[0]) != list(tables[1]):
        return {"values": tables[0].size, "different": abs(tables[0].size - tables[1].size) or 1}
    same = (tables[0] == tables[1]) | (tables[0].isna() & tables[1].isna())
    return {"values": tables[0].size, "different": int((~same).sum().sum())}
