"""A study as a command: its options, its runs, and its output."""

import argparse
import json
import logging
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from experiments.report.page import Code, Picture, Section, Table, write_page
from experiments.study.cases import Record, StudyCase, claim, read_record, run_cases
from experiments.study.markdown import write_parts
from experiments.study.options import called, known, run_command, whole_numbers, words
from experiments.study.results import machine, rounded, versions, write_json, write_table
from flwr_gan.errors import ConfigError, OutputError
from flwr_gan.plots import save_figure

Tables = Mapping[str, pd.DataFrame]
Parser = argparse.ArgumentParser
Options = argparse.Namespace


@dataclass(frozen=True, kw_only=True)
class Study:
    """A study: its cases, and the output made from their results."""

    module: str  # the module for ``python -m``
    about: str  # one line of help
    home: Path  # folder with the page and the committed results
    # returns the cases that the options choose; checks the settings
    cases: Callable[[Options], Sequence[StudyCase]]
    # returns tables by file name, from the records of finished cases
    tables: Callable[[Sequence[Record]], Tables]
    # returns the text of each marker of the page, from the tables and the run record
    page: Callable[[Tables, Mapping[str, Any]], dict[str, str]]
    # returns figures by file name, from the tables and the records
    figures: Callable[[Tables, Sequence[Record]], Mapping[str, Figure]] = lambda tables, records: {}
    # returns further fields of the run record, from the records of the cases
    facts: Callable[[Sequence[Record]], Mapping[str, Any]] = lambda records: {}
    # writes further files into the folder of results, from the records
    more: Callable[[Sequence[Record], Path], None] = lambda records, results: None
    # options, each with the names that it accepts; default: all of them
    choices: Mapping[str, Sequence[str]] = field(default_factory=dict)
    seeds: Sequence[int] = (0, 1, 2)  # default seeds; only the first one with ``--short``
    # help texts of these presets, empty for a preset that the study lacks
    short: str = "seconds; to try it"
    full: str = ""
    overrides: str = ""  # help text of ``key=value`` arguments, empty if it takes none
    # adds the study's own options to the parser
    add_options: Callable[[Parser], object] = lambda parser: None
    workers: int = 1  # default number of processes
    # folder of the committed results if it is not ``home / "results"``
    results: Path | None = None
    record: str = "run.json"  # file name of the run record, beside the tables
    pages: Sequence[str] = ("README.md",)  # pages in ``home`` with markers
    digits: int = 5  # significant digits of numbers in tables
    # libraries whose versions the run record has
    libraries: Sequence[str] = ("torch", "numpy", "scipy", "pandas", "flwr")
    shown: Sequence[str] = ()  # values that are shown when a case ends

    @property
    def name(self) -> str:
        """Last part of the module's name; also the name of the folder of runs."""
        return self.module.rpartition(".")[2]

    @property
    def committed(self) -> Path:
        """Folder of the committed results."""
        return self.results or self.home / "results"

    def main(self, arguments: Sequence[str] | None = None) -> int:
        """Run the unfinished cases and write the results; return the exit status."""
        options = self.parser().parse_args(arguments)
        logging.getLogger("flwr").setLevel(logging.ERROR)
        return run_command(self.name, lambda: self._run(options, arguments))

    def parser(self) -> Parser:
        """Return the parser of the command line."""
        parser = Parser(prog=f"python -m {self.module}", description=self.about)
        many: dict[str, Any] = {} if self.overrides else {"nargs": "+"}
        presets = {"short": self.short, "full": self.full}
        presets = {name: text for name, text in presets.items() if text}
        if presets:  # argparse cannot show the help of an empty group
            group = parser.add_mutually_exclusive_group()
            for name, text in presets.items():
                group.add_argument(
                    f"--{name}", dest="preset", action="store_const", const=name, help=text
                )
        parser.set_defaults(preset="default", overrides=[])
        for name, allowed in self.choices.items():
            parser.add_argument(f"--{name}", metavar="NAME,NAME", help=", ".join(allowed), **many)
        seeds = ",".join(map(str, self.seeds))
        parser.add_argument("--seeds", metavar="N,N", help=f"default: {seeds}", **many)
        self.add_options(parser)
        parser.add_argument("--folder", type=Path, help=f"of the runs; default: runs/{self.name}")
        parser.add_argument("--results", type=Path, help="of tables and pictures")
        parser.add_argument("--report", action="store_true", help="run nothing, write the results")
        parser.add_argument("--workers", type=int, default=self.workers, metavar="N",
                            help="processes; default: %(default)s")  # fmt: skip
        if self.overrides:
            parser.add_argument("overrides", nargs="*", metavar="key=value", help=self.overrides)
        return parser

    def _run(self, options: Options, arguments: Sequence[str] | None) -> int:
        folder, results = self.places(options)
        for name, allowed in self.choices.items():
            chosen = words(getattr(options, name))
            setattr(options, name, known(f"--{name}", chosen, allowed) or tuple(allowed))
        default = self.seeds[:1] if options.preset == "short" else self.seeds
        options.seeds = whole_numbers("--seeds", words(options.seeds)) or tuple(default)
        if options.workers < 1:
            raise ConfigError(f"--workers {options.workers} is not allowed: give at least 1")
        cases = self.cases(options)
        failed = 0
        if not options.report:
            failed = run_cases(cases, folder, workers=options.workers, shown=self.shown)
        command = called(f"python -m {self.module}", arguments)
        # what measures the same: without the machine's own paths, and not the report alone
        command = re.sub(r" --((folder|results|workers)[ =]\S+|report\b)", "", command)
        self.write(cases, folder, results, command)
        if failed:
            print(f"{failed} of {len(cases)} runs failed; see above", file=sys.stderr)
        return 1 if failed else 0

    def places(self, options: Options) -> tuple[Path, Path]:
        """Return the folders of runs and results; only a whole study replaces committed results."""
        parser = self.parser()
        preset = "" if options.preset == "default" else f"_{options.preset}"
        folder = options.folder or Path(f"runs/{self.name}{preset}")
        harmless = ("report", "results", "workers", "device", "cost")
        whole = all(
            value == parser.get_default(name)
            for name, value in vars(options).items()
            if name not in harmless
        )
        return folder, options.results or (self.committed if whole else folder / "results")

    def write(self, cases: Sequence[StudyCase], folder: Path, results: Path, command: str) -> None:
        """Write tables, figures, the record and the page, and print their paths.

        The page is rewritten if the results are the committed ones; otherwise its tables go to
        ``tables.md`` beside the results.
        """
        for case in cases:
            claim(case, folder, keep=False)
        ended = [record for case in cases if (record := read_record(case, folder))]
        records = [record for record in ended if not record.reason]
        if not records:
            raise OutputError(f"no run in {folder} is finished: run it without --report first")
        found = self.tables(records)
        tables = {name: rounded(table, self.digits) for name, table in found.items()}
        names = {record.case.name for record in records}
        run = {
            "command": command,
            "date": max(record.date for record in records),
            "runs": len(records),
            "missing": [case.name for case in cases if case.name not in names],
            "failed": {record.case.name: record.reason for record in ended if record.reason},
            "seeds": sorted({record.case.place["seed"] for record in records}),
            "core_minutes": round(sum(record.cpu_s for record in ended) / 60, 1),
            "machine": machine(),
            "versions": versions(self.libraries),
            **self.facts(records),
        }
        for name, table in tables.items():
            print(write_table(table, results / name, digits=self.digits))
        print(write_json(run, results / self.record))
        drawn = self.figures(tables, records)
        for name, figure in drawn.items():
            save_figure(figure, results / name, dpi=120)
            print(results / name)
        self.more(records, results)
        sections = [
            Section("Figures", *(Picture(results / name, name) for name in drawn)),
            Section("Tables", *(Table(table, name) for name, table in tables.items())),
            Section("How it was made", Code(json.dumps(run, indent=2), command)),
        ]
        write_page(folder / "report.html", self.about, sections)
        print(folder / "report.html")
        parts = self.page(tables, run)
        pages = [self.home / page for page in self.pages]
        committed = results.resolve() == self.committed.resolve()
        if beside := write_parts(parts, pages, results, committed=committed):
            print(beside)
