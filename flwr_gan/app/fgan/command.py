"""``fgan``: inspect and convert payload files, and use trained generators and classifiers."""

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial
from typing import NoReturn

from flwr_gan import __version__
from flwr_gan.app.fgan.convert import SUFFIXES, TARGET_SUFFIXES, convert, whole_installation
from flwr_gan.app.fgan.report import report
from flwr_gan.errors import FlwrGanError, OutputError
from flwr_gan.wire import DEFAULT_MAX_BYTES
from flwr_gan.wire.file import read_payload_file


class _Parser(argparse.ArgumentParser):
    """Reports wrong arguments in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    options = _parser().parse_args(arguments)
    status = 0
    try:
        for path in options.files:
            try:
                with whole_installation():
                    lines = options.run(path, options)
            except (FlwrGanError, MemoryError, OSError) as error:
                status = _failed(_reason(path, error), getattr(error, "exit_status", 1))
            else:
                print("\n".join(lines))
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of the output has stopped
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return _failed("interrupted", 130)
    return status


def _inspect(path: str, options: argparse.Namespace) -> list[str]:
    return report(read_payload_file(path), name=path, max_bytes=options.max_bytes)


def _convert(path: str, options: argparse.Namespace) -> list[str]:
    settings = {key: getattr(options, key) for key in ("codec", "strict", "max_bytes")}
    count = convert(path, options.target, **settings)
    sizes = [f"{path} has {os.path.getsize(path)}" for path in (path, options.target)]
    return [f"{count} arrays; {sizes[0]} bytes, {sizes[1]}"]


def _sample(path: str, options: argparse.Namespace) -> list[str]:
    from flwr_gan.app.fgan.sample import write_samples

    settings = {key: getattr(options, key) for key in ("classes", "count", "seed", "max_bytes")}
    shape = write_samples(path, options.output, **settings)
    return [f"{shape[0]} samples of {' x '.join(map(str, shape[1:]))}: {options.output}"]


def _compare(path: str, options: argparse.Namespace) -> list[str]:
    from flwr_gan.app.fgan.compare import compare

    settings = {key: getattr(options, key) for key in ("data", "seed", "max_bytes")}
    lines = compare(path, options.second, options.output, **settings)
    return [*lines, f"samples: {options.output}"]


def _quantise(path: str, options: argparse.Namespace) -> list[str]:
    from flwr_gan.app.fgan.quantise import quantise

    table = quantise(path, max_bytes=options.max_bytes)
    return [table.to_string(index=False, float_format="{:.4f}".format)]


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
        description="Look into payload files (.fgan), convert them from and to other formats, and "
        "use the generators and classifiers in them.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    inspecting = commands.add_parser("inspect", help="print what is inside payload files")
    inspecting.add_argument("files", nargs="+", metavar="FILE")
    inspecting.set_defaults(run=_inspect)
    converting = commands.add_parser(
        "convert",
        help=f"convert between {', '.join(SUFFIXES)}, and to .pt and .onnx",
        description=f"Convert a file of named arrays; the suffixes say from what "
        f"({', '.join(SUFFIXES)}) to what ({', '.join(TARGET_SUFFIXES)}). Names, shapes and types "
        "are kept, and so are values but with a lossy codec. A .pt file is a PyTorch state dict, a "
        ".onnx file a generator as a graph.",
    )
    converting.add_argument("files", nargs=1, metavar="A")
    converting.add_argument("target", metavar="B")
    converting.add_argument("--codec", help="how a .fgan file is coded, such as zstd:19 (sparse)")
    converting.add_argument(
        "--strict", action="store_true", help="keep -0.0, which a .fgan file else has as 0.0"
    )
    converting.set_defaults(run=_convert)
    sampling = commands.add_parser("sample", help="draw samples of a trained generator")
    sampling.add_argument(
        "files", nargs=1, metavar="FILE", help="a .fgan file, or the folder of a run"
    )
    sampling.add_argument(
        "--classes", type=_counts, metavar="K,K", help="which classes, such as 0,3 (all)"
    )
    sampling.add_argument(
        "--count",
        type=partial(_count, least=1),
        default=12,
        metavar="N",
        help="samples of each class (12)",
    )
    sampling.set_defaults(run=_sample)
    comparing = commands.add_parser(
        "compare", help="print sizes and quality of two generators, and draw samples of both"
    )
    comparing.add_argument(
        "files", nargs=1, metavar="A", help="a .fgan file, or the folder of a run"
    )
    comparing.add_argument("second", metavar="B")
    comparing.add_argument(
        "--data",
        metavar="NAME",
        help="data set that quality is measured with, such as pendigits (that of the runs)",
    )
    comparing.set_defaults(run=_compare)
    for command, kinds in ((sampling, ".png or .npz"), (comparing, ".png")):
        command.add_argument(
            "--seed", type=_count, default=0, metavar="N", help="of the latent vectors (0)"
        )
        command.add_argument("--output", required=True, metavar="FILE", help=f"{kinds} to write")
    quantising = commands.add_parser(
        "quantise", help="measure a run's classifier with dynamic int8 inference beside float32"
    )
    quantising.add_argument("files", nargs=1, metavar="DIR", help="the folder of a run")
    quantising.set_defaults(run=_quantise)
    for command in (inspecting, converting, sampling, comparing, quantising):
        command.add_argument(
            "--max-bytes",
            type=_count,
            default=DEFAULT_MAX_BYTES,
            metavar="N",
            help="most bytes that the arrays of a file may have together (default %(default)s)",
        )
    return parser


def _count(text: str, *, least: int = 0) -> int:
    if not text.isascii() or not text.isdigit() or not least <= int(text) < 1 << 63:
        raise argparse.ArgumentTypeError(
            f"{text}: give a whole number from {least} up, below 2**63"
        )
    return int(text)


def _counts(text: str) -> list[int]:
    return [_count(word.strip()) for word in text.split(",")]
