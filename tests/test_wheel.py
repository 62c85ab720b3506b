"""The wheel: the library with its data and nothing else, which works where there is no clone."""

import ast
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "runs")
QUICK = ("--steps=2", "--output=made")


def test_the_library_imports_nothing_of_the_clone():
    for path in (ROOT / "fprior").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.partition(".")[0] for name in names} & {"experiments", "configs", "tests"}, path


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy, for a build leaves its traces in the tree. pip fetches setuptools for it."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT, folder / "source", ignore=LEFT_OUT)
    run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir=.", "./source"], folder)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.mark.slow
def test_what_it_holds(wheel):
    with zipfile.ZipFile(wheel) as archive:
        assert archive.testzip() is None
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        (metadata,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        described = archive.read(metadata).decode()
    ours = {str(path.relative_to(ROOT)) for path in (ROOT / "fprior").rglob("*") if path.is_file()}
    assert names == {name for name in ours if "__pycache__" not in name}
    assert {"fprior/quickstart.py", "fprior/datasets/ctcf_gm12878/manifest.json"} <= names
    assert wheel.stat().st_size < 10e6
    for requirement in ("jax<0.13,>=0.10", "flax", "orbax-checkpoint"):
        assert re.search(rf"^Requires-Dist: {re.escape(requirement)}", described, re.MULTILINE)


@pytest.mark.slow
def test_it_works_in_an_environment_of_its_own(wheel, tmp_path):
    python = environment(tmp_path / "venv", wheel)
    empty = tmp_path / "empty"
    empty.mkdir()
    (place,) = run([python, "-c", "import fprior; print(fprior.__file__)"], empty).splitlines()
    assert Path(place).is_relative_to(tmp_path / "venv")
    out = run([python, "-m", "fprior.quickstart", *QUICK], empty)
    assert "auROC" in out and out.endswith("made/report.html\n")
    assert {path.name for path in empty.iterdir()} == {"made"}
    page = (empty / "made" / "report.html").read_text()
    assert "Fourier prior" in page and page.count("<svg") == 5
    again = subprocess.run([python, "-m", "fprior.quickstart", *QUICK], cwd=empty, capture_output=True, text=True)
    assert (
        again.returncode == 2 and again.stderr == "error: --output=made: exists already; delete it or choose another\n"
    )


def environment(folder: Path, wheel: Path) -> str:
    """Its interpreter: a new environment with the wheel; everything else is this environment's."""
    run([sys.executable, "-m", "venv", "--without-pip", str(folder)], folder.parent)
    python = str(folder / "bin" / "python")
    own = Path(run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], folder).strip())
    paths = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
    (own / "others.pth").write_text(
        "".join(f"{path}\n" for path in sorted(paths))
    )  # behind its own, without their .pth
    install = ["install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    run([sys.executable, "-m", "pip", "--python", python, *install], folder)
    return python


def run(command: list[str], folder: Path) -> str:
    """What a command prints, which must succeed; nothing of this process's Python settings reaches it."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        command, cwd=folder, env=variables | {"JAX_PLATFORMS": "cpu"}, capture_output=True, text=True, timeout=1800
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
