"""The config: every field is read, the shipped files are accepted, and a mistake ends in one line that names it."""

import ast

import pytest
import tiny
from config_fields import FIELDS, SECTIONS

from experiments.conditions import WORDS
from experiments.config import check_config, check_prepare, default_config
from experiments.config_values import MODEL_VALUES
from experiments.models import MODELS, RESERVED, model_config
from experiments.run_directory import TRAINING

# A config with fields of its own, such as a simulation's, is tested with its experiment.
CONFIGS = sorted(path for path in (tiny.ROOT / "configs").glob("*.py") if "default_config" in path.read_text())
TEMPLATES = ("my_binary", "my_profile")  # to be copied under a name of the user's own
PAPER = sorted((tiny.ROOT / "configs" / "paper").glob("*.py"))

# Read by looping over the section: `model_of` hands all but the name to the model.
# The weights that a comparison tries are those of the words of its conditions.
READ_IN_A_LOOP = {("model", name) for name in default_config().model if name not in RESERVED}
READ_IN_A_LOOP |= {("compare", name) for name, word in WORDS.items() if word.swept}


# ---- every field is read


def read_fields() -> set[tuple[str, str]]:
    """(section, field) of every attribute access in the package: `config.data.jitter`, or `data.jitter` where a
    local name of the section's stands for it (`data, prior = config.data, config.prior`, `self._train = …`)."""
    found = set()
    for path in [*(tiny.ROOT / "experiments").glob("*.py"), *(tiny.ROOT / "fprior").rglob("*.py")]:
        if path.name.startswith("config"):  # to set or to check a field is not to read it
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute):
                base = node.value
                name = base.attr if isinstance(base, ast.Attribute) else base.id if isinstance(base, ast.Name) else ""
                found.add((name.lstrip("_"), node.attr))
            # prepare[field] where field loops over names written out
            if isinstance(node, ast.For) and isinstance(node.iter, ast.Tuple) and "prepare[" in ast.unparse(node):
                found |= {("prepare", item.value) for item in node.iter.elts if isinstance(item, ast.Constant)}
    return found


def test_every_field_is_read():
    unread = set(FIELDS) - read_fields() - READ_IN_A_LOOP
    assert not unread


@pytest.mark.parametrize("name", MODELS)
def test_a_model_takes_every_field_of_its_section(name):
    """Whose values are the model's own defaults: both are the paper's."""
    fields = {field: value for field, value in model_config(name).items() if field not in RESERVED}
    assert MODELS[name](**fields) == MODELS[name]()
    assert MODEL_VALUES[name].keys() == fields.keys()


def test_sections_that_decide_what_is_learned():
    assert set(TRAINING) == {"seed", *SECTIONS} - {
        "speed",
        "evaluate",
        "attribute",
        "motifs",
        "compare",
        "prepare",
        "simulate",
    }


# ---- the shipped configs


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_config(path):
    scope: dict = {}
    exec(compile(path.read_text(), path, "exec"), scope)
    check_config(scope["get_config"]())
    name = "NAME" if path.stem in TEMPLATES else path.stem
    command = f"python -m experiments.train --config=configs/{name}.py --workdir=runs/{name}"
    assert command in " ".join(scope["__doc__"].split())
    assert "Time: " in scope["__doc__"] and "Expected: " in scope["__doc__"]
    for placeholder in ("TIME", "RESULT", "TODO"):
        assert placeholder not in scope["__doc__"]


@pytest.mark.parametrize("path", PAPER, ids=lambda path: path.stem)
def test_config_of_the_paper(path):
    scope: dict = {}
    exec(compile(path.read_text(), path, "exec"), scope)
    config = scope["get_config"]()
    check_config(config)
    check_prepare(config)
    for command in ("prepare", "train"):
        assert f"experiments.{command} --config=configs/paper/{path.name}" in " ".join(scope["__doc__"].split())
    assert "Expected (the paper" in scope["__doc__"] and "https://" in scope["__doc__"]
    assert config.model.name == path.stem.rpartition("_")[2]
    assert config.data.dataset == config.prepare.output


def test_the_paper_has_eight_runs():
    assert len(PAPER) == 8


# ---- the command line


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> tiny.World:
    return tiny.make_world(tmp_path_factory.mktemp("world"))


@pytest.mark.parametrize(
    ("argument", "parts"),
    [
        ("--config.train.epochz=3", ("config.train.epochz", "epochs")),
        ("--config.trian.epochs=3", ("config.trian.epochs", "train")),
        ("--config.sed=3", ("config.sed", "seed")),
        ("--config.train.epochs=many", ("config.train.epochs=many",)),
        ("--config.train.epochs=2.5", ("config.train.epochs=2.5",)),
        ("--config.train.learning_rate=fast", ("config.train.learning_rate=fast",)),
        ("--config.data.reverse_complement=maybe", ("config.data.reverse_complement=maybe",)),
        ("--config.model.filters=(4,", ("config.model.filters",)),
        ("--config.model.filters=('a',)", ("config.model.filters",)),
        ("--config.prior=3", ("config.prior=3",)),
        ("--config.prior.name=furier", ("config.prior.name (='furier')", "fourier, smoothness, sparsity")),
        ("--config.data.batch_size=7", ("config.data.batch_size (=7)", "even")),
        ("--config.data.jitter=11", ("jitter (=11)", "window of 80")),
        ("--config.data.dataset=", ("config.data.dataset is empty",)),
        ("--config.data.dataset=nowhere", ("nowhere: no data set", "experiments.prepare")),
        ("--wrkdir=x", ("wrkdir", "workdir")),
        ("extra", ("'extra' is not a flag",)),
        ("--workdir=", ("--workdir is missing",)),
    ],
)
def test_mistake_on_the_command_line(world, dataset, tmp_path, argument, parts):
    arguments = [f"--workdir={tmp_path / 'run'}", argument]
    error = world.command("train", *arguments).error
    for part in parts:
        assert part in error
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def dataset(world):
    assert world.command("prepare").status == 0
    return world.dataset


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("config.train.epochz = 3", ("epochz", "epochs")),
        ("config.trian.epochs = 3", ("trian",)),
        ("config.train.epochs = 'many'", ("str", "int")),
        ("config.model.filters = 4", ("int", "tuple")),
        ("config.train.epochs = 0", ("config.train.epochs (=0)",)),
        ("config = config.train.epochs.x", ("AttributeError",)),
        ("1 / 0", ("ZeroDivisionError",)),
        ("import nothing_like_it", ("nothing_like_it",)),
        ("config.train.epochs = = 3", ("line 6", "SyntaxError")),
    ],
)
def test_mistake_in_the_file(tmp_path, line, parts):
    path = tmp_path / "mine.py"
    head = "from experiments.config import default_config\n\n\ndef get_config():\n    config = default_config()\n"
    path.write_text(f"{head}    {line}\n    return config\n")
    error = tiny.command("train", f"--config={path}", f"--workdir={tmp_path / 'run'}").error
    for part in parts:
        assert part in error
    assert str(path) in error or "config.train.epochs (=0)" in error
    assert not (tmp_path / "run").exists()


def test_file_without_a_config(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("x = 3\n")
    assert str(path) in tiny.command("train", f"--config={path}").error


def test_missing_file_and_missing_flag():
    error = tiny.command("train", "--config=configs/nothing.py").error
    assert "--config=configs/nothing.py: there is no such file" in error
    assert "--config is missing" in tiny.command("train").error


def test_the_real_command_line(tmp_path):
    """As the server of tiny.py, so does `python -m`."""
    path = f"--config={tiny.ROOT / 'configs' / 'quickstart.py'}"
    outcome = tiny.finish(tiny.start("train", path, f"--workdir={tmp_path / 'run'}", "--config.train.epochz=3"))
    assert "config.train.epochz" in outcome.error
    assert not (tmp_path / "run").exists()
