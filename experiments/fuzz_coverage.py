"""Which lines of the decoders ran, by coverage.py."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flwr_gan
from flwr_gan.errors import ConfigError

_PACKAGE = Path(flwr_gan.__file__).parent


class LineCoverage:
    """Counts the lines that run while it is switched on, of functions that decoding enters.

    The inner loops of numba are machine code, which no line tracing sees.
    """

    def __init__(self) -> None:
        try:
            from coverage import Coverage
        except ModuleNotFoundError as error:
            raise ConfigError("--coverage needs coverage.py: pip install flwr-gan[dev]") from error
        include = [f"{_PACKAGE / 'wire'}/*"]
        self._coverage = Coverage(data_file=None, include=include, messages=False)

    def start(self) -> None:
        """Trace from here on, which slows decoding several times."""
        self._coverage.start()

    def stop(self) -> None:
        """Trace no more."""
        self._coverage.stop()

    def functions(self) -> Iterator[tuple[str, list[int], list[int]]]:
        """Yield functions that were entered: ``file:function``, lines that ran and that did not."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "coverage.json"
            self._coverage.json_report(outfile=str(path))
            files: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["files"]
        for file, measured in files.items():
            for name, lines in measured["functions"].items():
                if name and lines["executed_lines"]:
                    place = f"{file.split('flwr_gan/')[-1]}:{name}"
                    yield place, lines["executed_lines"], lines["missing_lines"]

    def report(self) -> tuple[dict[str, Any], list[str]]:
        """Return number and share of the lines that ran, and the lines that did not."""
        found = list(self.functions())
        ran = sum(len(executed) for _, executed, _ in found)
        missed = [f"{name} (line {line})" for name, _, lines in found for line in lines]
        lines = ran + len(missed)
        share = round(ran / max(lines, 1), 4)
        return {"decoder_lines": lines, "decoder_line_coverage": share}, missed
