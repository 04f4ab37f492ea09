"""The committed pages hold what the committed tables say."""

import importlib
import json
import re

import pandas as pd
import pytest

STUDIES = (
    "continual",
    "privacy",
    "federated_regeneration",
    "style_transfer",
    "references",
    "papers.fl_compression_comparison",
    "papers.gan_distillation",
    "papers.rg_gan",
    "papers.compressibility_wgan",
    "papers.compressibility_wgan.federated",
    "benchmarks.families",
)


def study_of(module):
    """Return the study of a folder in ``experiments``."""
    return importlib.import_module(f"experiments.{module}.__main__").STUDY


@pytest.mark.parametrize("module", STUDIES)
def test_the_page_is_made_of_the_tables_beside_it(module):
    study = study_of(module)
    tables = {path.name: pd.read_csv(path) for path in study.committed.glob("*.csv")}
    known = {"runs": 1, "seeds": [0], "core_minutes": 1, "missing": []}
    run = known | json.loads((study.committed / "run.json").read_text())
    text = "".join((study.home / page).read_text() for page in study.pages)
    for name, part in study.page(tables, run).items():
        found = re.findall(rf"<!-- {re.escape(name)} -->\n(.*?)\n<!-- end -->", text, re.S)
        assert len(found) == 1
        assert found == [part] or name == "run"


@pytest.mark.parametrize("module", [*STUDIES, "links", "benchmarks.updates"])
def test_its_help_can_be_read(module, capsys):
    with pytest.raises(SystemExit) as ended:
        study_of(module).main(["--help"])
    assert ended.value.code == 0
    assert "--seeds" in capsys.readouterr().out
