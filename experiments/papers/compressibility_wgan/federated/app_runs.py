"""Runs of the app through Flower's inline engine, resumed where they stopped."""

from pathlib import Path

from experiments.runner import train
from flwr_gan.config import load_config, load_file
from flwr_gan.errors import OutputError
from flwr_gan.overrides import split_overrides
from flwr_gan.wiring import Federation, load_federation


def finish_run(overrides: str, folder: Path) -> Path:
    """Bring the run in a folder to its end and return the folder.

    Parameters
    ----------
    overrides : str
        Space-separated overrides of the app's config.
    folder : Path
        Where it writes; a finished run is left as it is, an interrupted one is resumed.

    Raises
    ------
    FlwrGanError
        When a setting, the data or the training fails.
    OutputError
        When the folder holds a run with other settings, or the run ends without a summary.
    """
    _check_settings(overrides, folder)
    if not (folder / "summary.json").exists():
        begun = (folder / "config.yaml").exists()
        text = f"resume={folder}" if begun else f"{overrides} output_dir={folder}"
        train(split_overrides(text))
    if not (folder / "summary.json").exists():
        raise OutputError(f"the run ended without {folder / 'summary.json'}: remove the folder")
    return folder


def _check_settings(overrides: str, folder: Path) -> None:
    """Raise unless what the folder holds, if anything, was made with these overrides."""
    if not (folder / "config.yaml").exists():
        return
    asked = load_config(split_overrides(f"{overrides} output_dir={folder}")).resolved
    found = load_file(folder / "config.yaml").resolved
    for key in map(str, asked):
        if key not in ("resume", "output_dir") and key in found and asked[key] != found[key]:
            raise OutputError(
                f"{folder} holds a run with other settings of {key}: name another --folder"
            )


def federation_for(overrides: str) -> Federation:
    """Return the federation that overrides describe."""
    return load_federation(" ".join(split_overrides(overrides)))
