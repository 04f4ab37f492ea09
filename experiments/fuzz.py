"""Fuzz decoders with damaged, forged and hostile payloads; check that they refuse them.

``python -m experiments.fuzz --seconds N [--seed S] [--corpus FOLDER] [--numpy]``
mutates payloads of every codec and mode. A finding is an exception other than ``PayloadError``,
more memory than ``max_bytes`` plus a constant, or an input that takes too long. Findings are
shortened, kept in the corpus, and replayed first in the next run.
"""

import argparse
import json
import platform
import re
import resource
import sys
import time
import tracemalloc
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from experiments.fuzz_cases import Case, bombs, cases, sealed
from experiments.fuzz_mutations import mutate, shortened
from experiments.study.options import called
from flwr_gan.core.atomic import write_text
from flwr_gan.errors import PayloadError
from flwr_gan.wire import Base, Template, decode_payload, decode_survivors
from flwr_gan.wire.codecs import compiled
from flwr_gan.wire.header import seal

MAX_BYTES = 1 << 20
ROOM_BYTES = 16 << 20
"""Memory above ``max_bytes`` that decoding may take: blocks of values, windows of lzma and zstd."""

PAQ9A_ROOM_BYTES = 80 << 20
SLOWEST_S = 2.0
RESEALED_SHARE = 0.95
CORPUS = Path(__file__).parent.parent / "tests" / "wire" / "corpus"
RESULTS = Path(__file__).parent / "benchmarks" / "results" / "fuzz.json"
PAQ9A_WEIGHT = 0.05
"""Frequency of paq9a relative to the case of another codec; paq9a is slow."""


@dataclass
class Fuzzer:
    """Runs inputs and counts the outcomes."""

    # measure the memory of Python and numpy only at every n-th input, because it takes time
    memory_every: int = 4
    executions: int = 0
    mutations: int = 0
    resealed: int = 0
    decoded: int = 0
    slowest_s: float = 0.0
    peak_bytes: int = 0
    by_codec: Counter[str] = field(default_factory=Counter)
    reasons: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    findings: list[dict[str, str]] = field(default_factory=list)

    def try_out(self, case: Case, payload: bytes) -> None:
        """Decode one input; record errors."""
        if wrong := self.run(case, payload):
            self.record(case, payload, wrong)

    def run(self, case: Case, payload: bytes) -> str | None:
        """Decode one input; return what went wrong, or None."""
        self.executions += 1
        self.by_codec[case.codec] += 1
        measured = self.executions % self.memory_every == 0
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        if measured:
            tracemalloc.start()
        started = time.perf_counter()
        try:
            wrong = self._decode(case, payload)
            seconds = time.perf_counter() - started
            peak = tracemalloc.get_traced_memory()[1] if measured else 0
        finally:
            tracemalloc.stop()
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * _MAXRSS_UNIT
        room = PAQ9A_ROOM_BYTES if b"pQ9" in payload else ROOM_BYTES
        if not measured:
            self.slowest_s = max(self.slowest_s, seconds)
        self.peak_bytes = max(self.peak_bytes, peak if room == ROOM_BYTES else 0)
        taken = max(peak, grown)
        if wrong is None and taken > MAX_BYTES + room + len(payload):
            wrong = f"memory: {taken} bytes"
        if wrong is None and seconds > SLOWEST_S:
            wrong = f"time: {seconds:.1f} s"
        return wrong

    def _decode(self, case: Case, payload: bytes) -> str | None:
        try:
            held = None if case.base is None else Base(case.base)
            survivors = None if held is None else _survivors(payload, held)
            arrays = decode_payload(payload, template=case.template, base=held, max_bytes=MAX_BYTES)
        except PayloadError as error:
            self._note_reason(str(error), case, payload)
            return None
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            return f"{type(error).__name__}: {str(error)[:200]}"
        self.decoded += 1
        if sum(array.nbytes for array in arrays.values()) > MAX_BYTES:
            return "arrays larger than max_bytes"
        if case.template is not None and Template.of(arrays) != case.template:
            return "arrays that are not the template's"
        if survivors is not None and not _agree(survivors, arrays, held):
            return "survivors that are not those of the arrays"
        return None

    def _note_reason(self, message: str, case: Case, payload: bytes) -> None:
        # One short input per reason for refusal gives a small corpus that covers much.
        reason = _VARYING.sub("#", message)[:44]
        kept = self.reasons.get(reason)
        if kept is None or len(payload) < len(kept[1]):
            self.reasons[reason] = (case.name, payload)

    def record(self, case: Case, payload: bytes, wrong: str) -> None:
        """Shorten an input that went wrong and keep it."""
        kind = wrong.split(":")[0]
        if any(found["kind"] == wrong for found in self.findings):
            return

        def still(body: bytes) -> bool:
            return (self.run(case, seal(body)) or "").split(":")[0] == kind

        if still(payload[:-4]) and kind != "time":
            payload = seal(shortened(payload[:-4], still))
        self.findings.append({"case": case.name, "kind": wrong, "payload": payload.hex()})


def _survivors(payload: bytes, base: Base) -> np.ndarray[Any, np.dtype[Any]] | None:
    """Return the survivors if the payload has nothing else; None if it is refused."""
    try:
        return decode_survivors(payload, base=base)
    except PayloadError:
        return None


def _agree(survivors: Any, arrays: Mapping[str, Any], base: Base | None) -> bool:
    if base is None:
        return True
    places = [np.flatnonzero(array) for array in base.arrays]
    whole = [array.reshape(-1)[at] for array, at in zip(arrays.values(), places, strict=True)]
    return bool(np.array_equal(survivors, np.concatenate(whole), equal_nan=True))


_VARYING = re.compile(r"[\d#,. ()'-]*\d[\d#,. ()'-]*")
"""Numbers and shapes in a message; messages that differ only in them count as the same."""

_MAXRSS_UNIT = 1 if platform.system() == "Darwin" else 1024


def replay(fuzzer: Fuzzer, folder: Path, known: dict[str, Case]) -> int:
    """Run all inputs in a corpus folder and return their number."""
    count = 0
    for entry in read_corpus(folder):
        case = known.get(entry["case"])
        if case is None:
            continue
        fuzzer.try_out(case, bytes.fromhex(entry["payload"]))
        count += 1
    return count


def read_corpus(folder: Path) -> Iterator[dict[str, str]]:
    """Yield the inputs kept in the ``.jsonl`` files of a folder: case and payload in hex."""
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            yield json.loads(line)


def fuzz(fuzzer: Fuzzer, known: Sequence[Case], *, seconds: float, seed: int) -> None:
    """Run every case and bomb unchanged, then mutations for some seconds."""
    rng = np.random.default_rng(seed)
    for case in [*known, *bombs()]:
        fuzzer.try_out(case, sealed(case.parts))
    weights = np.array([_weight(case) for case in known])
    weights /= weights.sum()
    started = last = time.perf_counter()
    with tqdm(total=round(seconds), unit="s", desc="fuzz", disable=None) as progress:
        while last - started < seconds:
            case = known[int(rng.choice(len(known), p=weights))]
            body = mutate(case, known, rng)
            resealed = rng.random() < RESEALED_SHARE
            fuzzer.mutations += 1
            fuzzer.resealed += resealed
            fuzzer.try_out(case, seal(body) if resealed else body + rng.bytes(4))
            now = time.perf_counter()
            progress.update(int(now - started) - int(last - started))
            last = now


def _weight(case: Case) -> float:
    # A short payload is decoded faster, and more of it is headers and counts.
    share = 1 / np.sqrt(len(case.parts.body()))
    return float(share * (PAQ9A_WEIGHT if "paq9a" in case.codec else 1))


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz, report and return 1 if something was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--corpus", type=Path, default=CORPUS, metavar="FOLDER")
    parser.add_argument(
        "--numpy", action="store_true", help="decode without numba's loops, which else are used"
    )
    parser.add_argument(
        "--keep-reasons", action="store_true",
        help="keep in the corpus the shortest input for each reason to refuse",
    )  # fmt: skip
    parser.add_argument("--results", type=Path, metavar="FILE.json", help="append the summary here")
    options = parser.parse_args(arguments)
    warnings.simplefilter("error")  # users may turn a decoder's warning into an exception
    if options.numpy:
        with compiled.without_numba():
            return _run(options, arguments)
    compiled.load()
    return _run(options, arguments)


def _run(options: argparse.Namespace, arguments: Sequence[str] | None) -> int:
    known = cases()
    by_name = {case.name: case for case in [*known, *bombs()]}
    fuzzer = Fuzzer()
    warm_up(known)
    replayed = replay(fuzzer, options.corpus, by_name)
    started = time.perf_counter()
    fuzz(fuzzer, known, seconds=options.seconds, seed=options.seed)
    row = summary(fuzzer, replayed=replayed, seconds=time.perf_counter() - started)
    row = {"command": called("python -m experiments.fuzz", arguments)} | row
    print(json.dumps({**row, "found": fuzzer.findings}, indent=1))
    if fuzzer.findings:
        path = options.corpus / "findings.jsonl"
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        write_text(path, before + "".join(json.dumps(found) + "\n" for found in fuzzer.findings))
    if options.keep_reasons:
        entries = [
            {"case": case, "reason": reason, "payload": payload.hex()}
            for reason, (case, payload) in sorted(fuzzer.reasons.items())
            if case in by_name and len(payload) < 600
        ]
        text = "".join(json.dumps(entry) + "\n" for entry in entries)
        write_text(options.corpus / "refused.jsonl", text)
    if options.results:
        runs = json.loads(options.results.read_text()) if options.results.exists() else []
        write_text(options.results, json.dumps([*runs, row], indent=1) + "\n")
    return 1 if fuzzer.findings else 0


def warm_up(known: Sequence[Case]) -> None:
    """Decode all cases, so that what the first call loads is not counted for an input."""
    for case in known:
        payload = sealed(case.parts)
        decode_payload(payload, template=case.template, base=case.base)
        if case.base is not None:
            _survivors(payload, Base(case.base))


def summary(fuzzer: Fuzzer, *, replayed: int, seconds: float) -> dict[str, Any]:
    """Return the figures of a run."""
    made = fuzzer.executions - replayed
    return {
        "seconds": round(seconds, 1),
        "executions": fuzzer.executions,
        "executions_per_s": round(made / seconds, 1),
        "resealed_share": round(fuzzer.resealed / max(fuzzer.mutations, 1), 4),
        "replayed": replayed,
        "decoded": fuzzer.decoded,
        "reasons_to_refuse": len(fuzzer.reasons),
        "findings": len(fuzzer.findings),
        "slowest_s": round(fuzzer.slowest_s, 3),
        "peak_traced_bytes": fuzzer.peak_bytes,
        "max_bytes": MAX_BYTES,
        "by_codec": dict(fuzzer.by_codec.most_common()),
    }


if __name__ == "__main__":
    sys.exit(main())
