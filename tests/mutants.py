"""How many small faults the tests find: ``python -m tests.mutants --seed 0 --count 300``.

The tests (up to ``--cases`` of each test function) run once under coverage.py, which notes for each
line the tests that run it. Then one fault of ``tests/faults.py`` after the other is put into the
function that is loaded (no file changes), and up to 60 tests that run its line look for it, those
first that run few other lines. A fault that they do not find, or that no test runs, survives. What
an import has run already is not tried.

An older checkout is measured alike: copy this file and ``tests/faults.py`` there, and name its
folders by ``--paths`` and ``--tests``.

Each run is a fork of one process that has collected the tests. Its limit is in processor time, so
that a busy machine finds no more faults than a quiet one.
"""

import argparse
import contextlib
import csv
import gc
import importlib
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from functools import partial
from math import sqrt
from pathlib import Path
from types import CodeType, FunctionType

import coverage
import hypothesis
import numba  # noqa: F401 - its loops code from the start, as they do once a test has loaded them
import pytest

from tests.faults import Fault, draw

TESTS = ["tests/wire", "tests/flower", "tests/contracts", "tests/golden"]
HEADER = ["file", "line", "operator", "was", "is", "tests", "found_by", "seconds"]
PYTEST = "-q, -s, -m, not slow and not matrix, -p, no:cacheprovider, -W, ignore:Module already"
MOST_TESTS, MOST_S, WALL_S, NOT_PUT_IN = 60, 30, 600, 4


def put_in(fault: Fault) -> None:
    """Give the loaded functions of a file its code with the fault."""
    path = os.path.abspath(fault.path)

    def functions(code: CodeType) -> dict[tuple, CodeType]:
        inner = [c for c in code.co_consts if isinstance(c, CodeType)]
        found = {(code.co_qualname, code.co_firstlineno): code}
        return found | {k: c for code in inner for k, c in functions(code).items()}

    new = functions(compile(fault.changed(), path, "exec"))
    for function in gc.get_objects():
        if type(function) is FunctionType and function.__code__.co_filename == path:
            code = function.__code__
            function.__code__ = new[code.co_qualname, code.co_firstlineno]


class Forks:
    """A pytest plugin that runs tests in forks, once to see what they run, then with each fault."""

    def __init__(self, options: argparse.Namespace, imports: coverage.Coverage, folder: Path):
        self.options, self.imports, self.folder = options, imports, folder
        self.seconds, self.not_passed, self.stop = Counter(), set(), False

    def pytest_collection_modifyitems(self, items):
        functions = defaultdict(list)
        for item in items:
            functions[item.nodeid.split("[")[0]].append(item)
        rng, most = random.Random(0), self.options.cases
        kept = {i for f in functions.values() for i in rng.sample(f, min(most, len(f)))}
        items[:] = [item for item in items if item in kept]

    def pytest_runtest_logreport(self, report):
        self.seconds[report.nodeid] += report.duration
        if not report.passed:
            self.not_passed.add(report.nodeid)
        if report.failed and self.stop:
            (self.folder / "failed").write_text(report.nodeid)
            os._exit(1)

    def run(self, tests: list[pytest.Item], cpu_s: float, before: Callable = lambda: None, **hooks):
        """Run tests in a fork; return what failed, "" if nothing."""
        (self.folder / "failed").write_text("")
        if (pid := os.fork()) == 0:
            os.setsid()
            resource.setrlimit(resource.RLIMIT_CPU, (int(cpu_s), int(cpu_s) + 5))
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, 1), os.dup2(nothing, 2)
            code = NOT_PUT_IN
            try:
                before()
                code = 3  # if a test ends the process
                for test, after in zip(tests, [*tests[1:], None], strict=True):
                    hooks.get("each", lambda name: None)(test.nodeid)
                    test.config.hook.pytest_runtest_protocol(item=test, nextitem=after)
                hooks.get("end", lambda: None)()
                code = 0
            finally:
                os._exit(code)
        end = time.monotonic() + WALL_S + cpu_s
        while not (status := os.waitpid(pid, os.WNOHANG))[0]:
            if time.monotonic() > end:
                os.killpg(pid, signal.SIGKILL)
            time.sleep(0.01)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(status[1])
        return ((self.folder / "failed").read_text() or f"exit code {code}") if code else ""

    def pytest_runtestloop(self, session):
        for path in (p for folder in self.options.paths for p in Path(folder).rglob("*.py")):
            importlib.import_module(".".join(path.with_suffix("").parts).removesuffix(".__init__"))
        self.imports.stop()
        data = self.imports.get_data()
        loaded = {(os.path.relpath(f), n) for f in data.measured_files() for n in data.lines(f)}
        cover = coverage.Coverage(str(self.folder / "lines"), source=self.options.paths)

        def end():
            cover.stop()
            cover.save()
            (self.folder / "tests").write_text(json.dumps([self.seconds, list(self.not_passed)]))

        failed = self.run(session.items, 7200, cover.start, each=cover.switch_context, end=end)
        self.seconds, not_passed = json.loads((self.folder / "tests").read_text())
        print(f"{len(session.items)} tests, {len(not_passed)} skipped or failed {failed}")
        data = coverage.CoverageData(str(self.folder / "lines"))
        data.read()
        self.at = {
            (os.path.relpath(file), line): set(tests) - {"", *not_passed}
            for file in data.measured_files()
            for line, tests in data.contexts_by_lineno(file).items()
        }
        self.size = Counter(test for tests in self.at.values() for test in tests)
        self.items = {item.nodeid: item for item in session.items}
        self.stop = True
        faults = draw(self.options.paths, self.options.seed)
        tried = [f for f in faults if not loaded & {(f.path, line) for line in f.lines}]
        self.look_for(tried[: self.options.count])
        return True

    def tests_of(self, fault: Fault) -> list[str]:
        """Return the tests that look for a fault: of each function one, then its other cases."""
        found = {test for line in fault.lines for test in self.at.get((fault.path, line), ())}
        cases, turns = Counter(), []
        for test in sorted(found, key=lambda test: (self.size[test], test)):
            turns.append((cases[test.split("[")[0]], self.size[test], test))
            cases[test.split("[")[0]] += 1
        chosen, total = [], 0.0
        for _, _, test in sorted(turns)[:MOST_TESTS]:
            if not chosen or total + self.seconds[test] < MOST_S:
                chosen.append(test)
                total += self.seconds[test]
        return chosen

    def look_for(self, faults: list[Fault]) -> None:
        """Put in one fault after the other and write what finds each."""
        rows, found = [], 0
        for fault in faults:
            began, tests, failed = time.monotonic(), self.tests_of(fault), ""
            if tests:
                limit = 20 + 5 * sum(self.seconds[test] for test in tests)
                failed = self.run([self.items[t] for t in tests], limit, partial(put_in, fault))
                if failed == f"exit code {NOT_PUT_IN}":  # it would change what a closure holds
                    continue
            found += bool(failed)
            was = " ".join(Path(fault.path).read_bytes()[fault.start : fault.end].decode().split())
            seconds = round(time.monotonic() - began, 1)
            rows.append([*fault[:3], was[:60], fault.text[:60], len(tests), failed, seconds])
            with self.options.output.open("w", newline="") as file:
                csv.writer(file, lineterminator="\n").writerows([HEADER, *rows])
            n, share, z = len(rows), found / len(rows), 1.96  # Wilson's interval of 95 %
            half = z * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
            low, high = ((share + z * z / (2 * n) + d) / (1 + z * z / n) for d in (-half, half))
            print(f"found {found} of {n}, {share:.3f} ({low:.3f} to {high:.3f}):", rows[-1])
        by = sorted({row[-2] for row in rows} & set(self.items))
        failed = by and self.run([self.items[name] for name in by], 3600)
        print("The tests that found a fault, without one:", failed or "all pass")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--cases", type=int, default=3)
    parser.add_argument("--paths", nargs="+", default=["flwr_gan/wire", "flwr_gan/flower"])
    parser.add_argument("--tests", nargs="+", default=TESTS)
    parser.add_argument("--output", type=Path, default=Path("mutants.csv"))
    options = parser.parse_args()
    quick = [hypothesis.Phase.explicit, hypothesis.Phase.generate]
    hypothesis.settings.register_profile("quick", phases=quick, derandomize=True, database=None)
    hypothesis.settings.load_profile("quick")
    imports = coverage.Coverage(None, source=options.paths)
    imports.start()
    with tempfile.TemporaryDirectory() as folder:
        forks = Forks(options, imports, Path(folder))
        sys.exit(pytest.main([*options.tests, *PYTEST.split(", ")], plugins=[forks]))


if __name__ == "__main__":
    main()
