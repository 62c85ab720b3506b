"""The guide and the reference: complete, true to the code, and they build. Every Python block of the guide is run."""

import ast
import importlib
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "experiments" / "docs"
GUIDE = sorted(DOCS.glob("*.md"))
REFERENCE = sorted((DOCS / "reference").glob("*.md"))
PIECE = "…"
LEAST = 20  # characters of a message that stand in the code as they are; fewer would fit anything


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)


def documented() -> list[str]:
    return [name for page in REFERENCE for name in re.findall(r"automodule:: (\S+)", page.read_text())]


# ---- the reference


def test_every_public_module_is_in_the_reference_once():
    files = (path.relative_to(ROOT).with_suffix("") for path in (ROOT / "fprior").rglob("*.py"))
    modules = {".".join(file.parts) for file in files if not any(part.startswith("_") for part in file.parts)}
    listed = documented()
    assert {name for name in listed if name.startswith("fprior.")} == modules
    assert len(set(listed)) == len(listed)


def test_every_command_is_in_the_reference():
    commands = {
        f"experiments.{path.stem}"
        for path in (ROOT / "experiments").glob("*.py")
        if 'if __name__ == "__main__"' in path.read_text()
    }
    assert {name for name in documented() if name.startswith("experiments.")} == commands


def test_the_names_of_the_package_are_listed_where_they_are_defined():
    import fprior

    listed = re.findall(r"^ {3}(fprior\.\S+)$", (DOCS / "reference" / "index.md").read_text(), re.MULTILINE)
    assert [name.rpartition(".")[2] for name in listed] == fprior.__all__
    for name in listed:
        module, _, last = name.rpartition(".")
        assert getattr(fprior, last) is getattr(importlib.import_module(module), last)


def test_every_page_is_in_a_table_of_contents():
    listed = [line for page in (DOCS / "index.md", DOCS / "reference" / "index.md") for line in toctree(page)]
    pages = {page.relative_to(DOCS).with_suffix("").as_posix() for page in (*GUIDE, *REFERENCE)}
    assert set(listed) | {"index"} == pages


def toctree(page: Path) -> list[str]:
    found = re.findall(r"^```\{toctree\}\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)
    names = [line for block in found for line in block.splitlines() if line and not line.startswith(":")]
    return [(page.parent / name).relative_to(DOCS).as_posix() for name in names]


DOCSTRING = """Half of |a| * b, see `fprior` and `(B,)`s.

    y = |a| * `b`
      / 2

Rules come in the order
  1. first of all
     and more
  2. others
of which x_ is one.

Args:
  a: the `|left|` one,
    and its continuation.
"""
MARKED = r"""Half of \|a\| \* b, see ``fprior`` and ``(B,)``\ s.

::

    y = |a| * `b`
      / 2

Rules come in the order

1. first of all
   and more
2. others

of which x\_ is one.

Args:
  a: the ``|left|`` one,
    and its continuation.
"""


def test_docstrings_are_shown_as_they_are_written():
    from experiments.docs.conf import as_restructured_text

    assert as_restructured_text(DOCSTRING.splitlines()) == MARKED.splitlines()


# ---- links


@pytest.mark.parametrize("page", GUIDE, ids=lambda page: page.stem)
def test_what_a_page_links_to_is_there(page):
    for target in re.findall(r"\{(?:func|class|mod)\}`~?([\w.]+)`", page.read_text()):
        try:
            importlib.import_module(target)
        except ModuleNotFoundError:
            module, _, name = target.rpartition(".")
            assert module in documented() and hasattr(importlib.import_module(module), name), target
    for path in re.findall(r"\b((?:experiments|configs|tests)/[\w/]+\.(?:py|ipynb))", page.read_text()):
        assert path == "configs/mine.py" or (ROOT / path).is_file(), path
    for module in re.findall(r"-m ((?:experiments|tests)\.\w+)", page.read_text()):
        assert (ROOT / f"{module.replace('.', '/')}.py").is_file(), module


@pytest.mark.parametrize("page", GUIDE, ids=lambda page: page.stem)
def test_fields_that_a_page_names_are_those_of_configs(page):
    from experiments.config import default_config

    config = default_config()
    sections = "|".join(name for name in config if hasattr(config[name], "items") and name != "model")
    for section, field in re.findall(rf"`(?:--config\.)?({sections})\.(\w+)[=`]", page.read_text()):
        assert field in config[section], f"{section}.{field}"


@pytest.mark.parametrize("page", GUIDE, ids=lambda page: page.stem)
def test_pages_are_short(page):
    assert len(page.read_text().splitlines()) < 200


# ---- messages


@cache
def templates() -> list[str]:
    """All texts in the code; what is filled in is a PIECE."""
    trees = [
        ast.parse(path.read_text()) for folder in ("fprior", "experiments") for path in (ROOT / folder).rglob("*.py")
    ]
    texts = []
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.JoinedStr):
            texts.append("".join(str(v.value) if isinstance(v, ast.Constant) else PIECE for v in node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            texts.append(node.value)
    return [text for text in dict.fromkeys(texts) if len(text.replace(PIECE, "")) >= LEAST]


def can_be_said(message: str) -> bool:
    patterns = ("(.*?)".join(map(re.escape, text.split(PIECE))) for text in templates())
    return any(re.fullmatch(pattern, message, re.DOTALL) for pattern in patterns)


@pytest.mark.parametrize("message", blocks(DOCS / "errors.md", "text"), ids=lambda message: message[:40])
def test_a_message_of_the_page_of_errors_is_one_of_the_code(message):
    assert can_be_said(message.strip())


def test_a_message_that_nobody_says_is_found():
    assert not can_be_said("config.prior.freq_limit (=500.0) leaves something to penalise: set it to 3")


# ---- code


def run_page(name: str) -> dict:
    """All that a page's Python blocks define, run from top to bottom."""
    namespace: dict = {"__name__": name}
    for block in blocks(DOCS / f"{name}.md", "python"):
        exec(compile(block, f"{name}.md", "exec"), namespace)
    return namespace


def test_the_code_on_composing():
    import jax

    page = run_page("composing")
    trap = np.abs(page["trap"]).max()
    assert trap < 1e-5  # nothing but rounding
    for name in ("gradients", "linen_gradients", "nnx_gradients"):
        leaves = jax.tree.leaves(page[name])
        assert all(np.isfinite(leaf).all() for leaf in leaves) and any(np.any(leaf) for leaf in leaves)
    # Batch statistics held constant: the attribution is not zero.
    moments = {"params": page["variables"]["params"], **page["statistics"]}
    attribution_of = jax.jit(page["input_gradient"], static_argnums=0)
    fixed = attribution_of(lambda x: page["model"].apply(moments, x, train=False).sum(), page["x"])
    assert np.abs(fixed).max() > 1e3 * trap


def test_the_penalty_for_pytorch_is_ours():
    torch = pytest.importorskip("torch")
    import jax.numpy as jnp

    from fprior import fourier_prior

    (block,) = blocks(DOCS / "composing.md", "python torch")
    namespace: dict = {}
    exec(block, namespace)
    track = np.random.default_rng(0).random((3, 200))
    theirs = namespace["fourier_prior_in_torch"](torch.tensor(track), freq_limit=30.0)
    np.testing.assert_allclose(theirs.numpy(), fourier_prior(jnp.asarray(track), freq_limit=30.0), rtol=1e-4)


def test_the_code_on_data_of_ones_own():
    page = run_page("own_data")
    assert page["tokens"].shape == (320, 1000) and page["x"].shape == (8, 1000, 4)
    assert page["dataset"].manifest["dropped"]


def test_the_code_on_choosing():
    page = run_page("choosing")
    losses = np.array([page["losses"][width] for width in (4, 8, 16)])
    assert (np.diff(losses, axis=0) < 0).all() and (np.diff(losses, axis=1) < 0).all()  # as its comment says
    assert page["penalty"].shape == (8,)


def test_the_code_on_interpreting():
    page = run_page("interpreting")
    assert abs(float(page["error"][0])) < 1e-5
    assert "AGATAA" in page["found"]
    assert page["actual"].shape == page["mutations"].shape[:2] == (1, 40)


def test_the_code_on_scaling():
    page = run_page("scaling")
    np.testing.assert_allclose(page["losses"], page["penalty"](page["track"]), rtol=1e-5)


def test_every_page_with_code_is_run():
    with_code = {page.stem for page in GUIDE if blocks(page, r"python[^\n]*")}
    assert with_code == {"composing", "own_data", "choosing", "interpreting", "scaling"}


# ---- figures


def test_the_pictures_of_the_guide_are_small_and_there():
    pictures = list(DOCS.glob("*.png"))
    assert {picture.name for picture in pictures} == {"attributions.png", "digits.png"}
    assert all(picture.stat().st_size <= 200_000 for picture in pictures)
    for page in GUIDE:
        for path in re.findall(r"!\[[^\]]+\]\(([^)]+\.png)\)", page.read_text()):
            assert (DOCS / path).is_file()


def test_the_figures_are_drawn_from_what_is_committed(tmp_path, monkeypatch):
    from experiments.docs import figures

    monkeypatch.setattr(figures, "OUTPUT", tmp_path / "figures")
    figures.main(None, None)
    named = {
        Path(path).name for page in GUIDE for path in re.findall(r"\]\((\S+build/figures/\S+)\)", page.read_text())
    }
    assert {path.name for path in (tmp_path / "figures").iterdir()} == named
    assert all("<path" in path.read_text() for path in (tmp_path / "figures").iterdir())


@pytest.mark.slow
def test_the_docs_build_without_a_warning(tmp_path):
    pytest.importorskip("sphinx")
    subprocess.run([sys.executable, "-m", "experiments.docs.figures"], cwd=ROOT, check=True)
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", str(DOCS), str(tmp_path / "docs")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "docs" / "reference" / "priors.html").read_text()
    assert 'id="fprior.priors.fourier_prior"' in page and "<strong>freq_limit</strong>" in page
