"""The Colab notebook: what it calls is there, and it runs from top to bottom, twice, on a machine without a Drive."""

import json
import re

import pytest
import tiny

NOTEBOOK = tiny.ROOT / "experiments" / "colab.ipynb"
CELLS = json.loads(NOTEBOOK.read_text())["cells"]


def source(cell: dict) -> str:
    return "".join(cell["source"])


def test_what_it_calls_is_there():
    code = "\n".join(source(cell) for cell in CELLS if cell["cell_type"] == "code")
    modules = re.findall(r"-m (experiments\.\w+)", code)
    assert set(modules) == {f"experiments.{name}" for name in ("train", "evaluate", "report")}
    (config,) = re.findall(r'CONFIG = "(.*)"', code)
    for path in [config, *(f"{module.replace('.', '/')}.py" for module in modules)]:
        assert (tiny.ROOT / path).is_file()


def test_it_is_kept_as_it_is_before_it_runs():
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in CELLS)
    assert max(len(source(cell).splitlines()) for cell in CELLS) <= 20


def executed(settings: str) -> list[str]:
    """What its code cells show, with these settings."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for cell in notebook.cells:
        cell.source = cell.source.replace('SETTINGS = ""', f'SETTINGS = "{settings}"')
    client = nbclient.NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(NOTEBOOK.parent)}})
    client.execute()
    return [json.dumps(cell.outputs) for cell in notebook.cells if cell.cell_type == "code"]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of Jupyter's own
def test_from_top_to_bottom_and_again(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    first = executed("--config.train.epochs=1")
    assert "no Drive" in first[0] and str(tmp_path) in first[0]
    assert "auroc" in first[-2] and "<html" in first[-1]
    again = "\n".join(executed("--config.train.epochs=1"))
    assert again.count("this run is finished") == 2
