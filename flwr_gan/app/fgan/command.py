"""``fgan inspect FILE...`` and ``fgan convert A B``."""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from flwr_gan import __version__
from flwr_gan.app.fgan.convert import SUFFIXES, convert
from flwr_gan.app.fgan.report import report
from flwr_gan.errors import FlwrGanError, OutputError
from flwr_gan.wire import DEFAULT_MAX_BYTES
from flwr_gan.wire.file import read_payload_file


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with the arguments in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:  # who reads the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return _failed("interrupted", 130)
    return status


def _inspect(options: argparse.Namespace) -> int:
    status = 0
    for path in options.files:
        try:
            payload = read_payload_file(path)
            print("\n".join(report(payload, name=path, max_bytes=options.max_bytes)))
        except (FlwrGanError, MemoryError) as error:
            status = _failed(_reason(path, error), getattr(error, "exit_status", 1))
    return status


def _convert(options: argparse.Namespace) -> int:
    settings: dict[str, Any] = {"max_bytes": options.max_bytes, "strict": options.strict}
    try:
        count = convert(options.source, options.target, codec=options.codec, **settings)
        sizes = [f"{path} has {os.path.getsize(path)}" for path in (options.source, options.target)]
    except (FlwrGanError, MemoryError, OSError) as error:
        return _failed(_reason(options.source, error), getattr(error, "exit_status", 1))
    print(f"{count} arrays; {sizes[0]} bytes, {sizes[1]}")
    return 0


def _reason(path: str, error: BaseException) -> str:
    if isinstance(error, MemoryError):
        error = OutputError("not enough memory for its arrays; lower --max-bytes")
    text = " ".join(str(error).split())
    return text if path in text else f"{path}: {text}"


def _failed(reason: str, status: int) -> int:
    print(f"fgan: {reason}", file=sys.stderr)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="fgan",
        description="Look into payload files (.fgan), and convert them from and to other formats.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    inspecting = commands.add_parser("inspect", help="print what is inside payload files")
    inspecting.add_argument("files", nargs="+", metavar="FILE")
    inspecting.set_defaults(run=_inspect)
    converting = commands.add_parser(
        "convert",
        help=f"convert between {', '.join(SUFFIXES)}",
        description=f"Convert a file of named arrays; the suffixes {', '.join(SUFFIXES)} say from "
        "what to what. Names, shapes and types are kept, and so are values but with a lossy codec.",
    )
    converting.add_argument("source", metavar="A")
    converting.add_argument("target", metavar="B")
    converting.add_argument("--codec", help="how a .fgan file is coded, such as zstd:19 (sparse)")
    converting.add_argument(
        "--strict", action="store_true", help="keep -0.0, which a .fgan file else has as 0.0"
    )
    converting.set_defaults(run=_convert)
    for command in (inspecting, converting):
        command.add_argument(
            "--max-bytes",
            type=_count,
            default=DEFAULT_MAX_BYTES,
            metavar="N",
            help="most bytes that the arrays of a file may have together (default %(default)s)",
        )
    return parser


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text}: give a whole number from 0 up")
    return int(text)
