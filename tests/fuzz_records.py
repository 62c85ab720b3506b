"""Fuzz targets: data set directories, records of runs, and the config from both sides, file and command line."""

import ast
import contextlib
import functools
import itertools
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import ml_collections
import numpy as np
from absl import flags
from hypothesis import strategies as st
from ml_collections import config_flags

from experiments import launch, run_directory
from experiments.config import check_config, check_prepare, default_config
from experiments.models import MODELS, model_config
from fprior.data.dataset import open_dataset, save_dataset
from fprior.files import sha256
from tests.fuzz_damage import EDITS, JSON_EDITS, VALUES, damaged, edited
from tests.fuzz_inputs import Target, read

# ---- data sets

WINDOW, BASES, LOCI = 12, 90, 8
FILES = ("manifest.json", "loci.npz", "tokens.npy", "tracks.npy")


@functools.cache
def template(compress: bool) -> Path:
    """A data set that is as it should be."""
    path = Path(tempfile.mkdtemp(prefix="fuzz_template.")) / "dataset"
    rng = np.random.default_rng(0)
    start = rng.integers(0, BASES - WINDOW, LOCI)
    columns = {
        "chromosome": np.array(["chr1", "../../x"] * (LOCI // 2)),
        "start": start,
        "end": start + WINDOW,
        "offset": start,
        "split": np.arange(LOCI, dtype=np.uint8) % 3,
        "labels": rng.integers(-1, 2, (LOCI, 2)).astype(np.int8),
        "signal": np.full(LOCI, 1.5, np.float32),
    }
    manifest = {"name": "d", "window": WINDOW, "tasks": ["A", "../B"], "tracks": {"strands": 2, "controls": "shared"}}
    tokens, tracks = rng.integers(0, 5, BASES).astype(np.uint8), rng.integers(0, 9, (BASES, 6)).astype(np.uint16)
    save_dataset(path, manifest, tokens, columns, tracks=[tracks], compress=compress)
    return path


_DTYPES = ["i8", "u1", "f4", "U3", "S4", "?", "c8", "M8[s]", [("a", "i4")]]
COLUMN_EDITS = st.lists(
    st.tuples(
        st.sampled_from(["chromosome", "start", "end", "offset", "split", "labels", "signal"]),
        st.sampled_from([*_DTYPES, "same"]),
        st.sampled_from([(LOCI,), (LOCI, 2), (LOCI, 1), (0,), (), (LOCI + 1,), (LOCI, 2, 1)]),
        st.sampled_from([-(2**62), -1, 0, 1, 3, 255, 2**40, 2**63 - 1]),
    ),
    max_size=2,
)
DATASET = st.tuples(st.booleans(), JSON_EDITS, COLUMN_EDITS, st.sampled_from(FILES), EDITS)


def check_dataset(folder: Path, case: tuple) -> bool:
    compress, json_edits, column_edits, name, edits = case
    path = folder / "dataset"
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(template(compress), path)
    if column_edits:
        edit_columns(path / "loci.npz", column_edits)
    file = path / name if (path / name).exists() else path / f"{name}.gz"
    file.write_bytes(damaged(file.read_bytes(), edits))
    if name != "manifest.json":
        manifest = json.loads((path / "manifest.json").read_text())
        manifest["files"]["loci.npz"] = sha256(path / "loci.npz")  # so that the checksum does not give it away
        (path / "manifest.json").write_text(json.dumps(edited(manifest, json_edits)))
    dataset = read(open_dataset, path)
    if dataset is None:
        assert json_edits or column_edits or edits
        return False
    use(dataset)
    return True


def edit_columns(path: Path, edits: list) -> None:
    with np.load(path, allow_pickle=False) as archive:
        columns = dict(archive)
    for name, kind, shape, value in edits:
        dtype = columns[name].dtype if kind == "same" else np.dtype(kind)
        with np.errstate(all="ignore"):
            columns[name] = np.resize(np.array([value]).astype("i8"), shape).astype(
                "U20" if dtype.kind in "US" else dtype
            )
    np.savez(path, **columns)


def use(dataset: Any) -> None:
    """Does what commands do with a data set that was opened."""
    for split, positive in itertools.product(range(3), (True, False)):
        chosen = dataset.select(split, positive=positive)
        assert dataset.centred(chosen, dataset.window).shape == (len(chosen), dataset.window)
        chromosome, start, end = dataset.interval(chosen, dataset.window)
        assert len(chromosome) == len(chosen) and (end - start == dataset.window).all() and (start >= 0).all()
        if dataset.layout:
            profiles, _ = dataset.counts(chosen, dataset.window)
            assert profiles.shape[:2] == (len(chosen), len(dataset.tasks))
    read(dataset.with_strongest, 0.5)


# ---- records of runs

RECORD = st.tuples(JSON_EDITS, EDITS, JSON_EDITS, EDITS)
FINISHED = {"ended": "epochs", "steps": 28, "best": {"step": 14, "epoch": 1.0, "loss/total": 0.5}}


def check_record(folder: Path, case: tuple) -> bool:
    json_edits, edits, result_edits, edits_of_result = case
    config = ml_collections.FrozenConfigDict(default_config())
    plain = json.loads(ml_collections.ConfigDict(config).to_json())
    record = {"command": "python", "config": plain, "dataset": {"files": {"tokens.npy": "0"}}, "devices": ["cpu"]}
    result = {**FINISHED, "history": [FINISHED["best"]]}
    for name, value, of_json, of_bytes in (
        (run_directory.RECORD, record, json_edits, edits),
        (run_directory.RESULT, result, result_edits, edits_of_result),
    ):
        (folder / name).write_bytes(damaged(json.dumps(edited(value, of_json)).encode(), of_bytes))
    found = read(run_directory.read_record, str(folder))
    path = found and read(run_directory.finished_run, str(folder), config)
    ended = path and read(run_directory.read_result, path)
    if not ended:
        assert any(case)
        return False
    assert isinstance(ended["steps"], int) and isinstance(ended["best"]["epoch"], (int, float))
    if not any(case):
        assert found == record and ended == result
    return True


# ---- the config

FIELDS = [
    f"{section}.{name}" if isinstance(value, ml_collections.ConfigDict) else section
    for section, value in default_config().items()
    for name in (value if isinstance(value, ml_collections.ConfigDict) else [""])
]
_NUMBERS = st.sampled_from(
    [0, 1, -1, 2, 7, 10**9, 2**63, -(2**63), 10**400, 0.5, -0.0, 1e308, float("nan"), float("inf")]
)
_ITEMS = (
    _NUMBERS | st.booleans() | st.none() | st.sampled_from(["", "a", "chr1", "../../x", "/x", "\0", "x" * 300, "a\nb"])
)
KINDS = _ITEMS | st.lists(_ITEMS | st.tuples(_ITEMS), max_size=4).map(tuple) | VALUES
DEFAULTS = st.sampled_from(
    [functools.reduce(getattr, field.split("."), default_config()) for field in FIELDS]
    + [2, 50, 0.25, (), (3,), (4, 2)]
)


def kin_of(field: str) -> st.SearchStrategy:
    """Values of the field's kind."""
    return DEFAULTS.filter(
        lambda value: type(value) is type(functools.reduce(getattr, field.split("."), default_config()))
    )


CHANGE = st.sampled_from(FIELDS).flatmap(lambda field: st.tuples(st.just(field), kin_of(field) | KINDS))
CHANGES = st.lists(CHANGE, min_size=1, max_size=3)


def check_fields(folder: Path, case: tuple) -> bool:
    """As a config file would set them: what the config itself refuses, `launch` explains."""
    model, changes = case
    config = default_config()
    if model != "binary":
        config.model = model_config(model)
        config.data.input_length, config.prior.freq_limit = 1346, 50.0
    for field, value in changes:
        try:
            config.update_from_flattened_dict({field: value})
        except Exception:
            return False
    if read(lambda: check_config(config) or True) is None:
        return False
    read(check_prepare, config)
    return True


OVERRIDE = CHANGE.map(lambda change: (change[0], text_of(change[1]))) | st.tuples(
    st.sampled_from(FIELDS), st.text(max_size=12)
)
OVERRIDES = st.lists(
    OVERRIDE.filter(lambda pair: pair[1].isprintable()), min_size=1, max_size=2, unique_by=lambda pair: pair[0]
)


def text_of(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)


def check_overrides(folder: Path, case: list) -> bool:
    file = folder / "config.py"
    if not file.exists():
        file.write_text("from experiments.config import default_config as get_config\n")
    arguments = ["experiments/train.py", f"--config={file}", *(f"--config.{field}={text}" for field, text in case)]
    config = read(parsed, arguments)
    if config is None:
        return False
    for field, text in case:
        value = functools.reduce(getattr, field.split("."), config)
        assert isinstance(value, bool) or value in meanings(text), (field, value)
    return True


def meanings(text: str) -> list:
    """What a text on the command line may stand for: itself, or what it is in Python; either is a tuple of one, too."""
    found = [text]
    with contextlib.suppress(ValueError, SyntaxError):
        value = ast.literal_eval(text.strip())
        found.append(tuple(value) if isinstance(value, list | dict | set) else value)
    return [*found, *((value,) for value in found)]


def parsed(arguments: list[str]) -> Any:
    """What `launch.parse` makes of a command line, as in a new process."""
    values = flags.FlagValues()
    holder = config_flags.DEFINE_config_file("config", None, "", flag_values=values, sys_argv=arguments)
    with mock.patch.multiple(launch, FLAGS=values, CONFIG=holder):
        return launch.parse(arguments)


RECORDS = {
    "dataset": Target(DATASET, check_dataset),
    "record": Target(RECORD, check_record),
    "fields": Target(st.tuples(st.sampled_from(list(MODELS)), CHANGES), check_fields),
    "overrides": Target(OVERRIDES, check_overrides),
}
