"""The checks of `experiments.doctor` on the input files of `experiments.prepare`, and on the fields that name them."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ml_collections import ConfigDict

from experiments.config import check_prepare, with_changes
from experiments.doctor_findings import ERROR, OK, WARNING, Verdict, in_bytes
from experiments.prepare_checks import given
from fprior.files import sha256

ROLES = {
    "peaks": "peaks",
    "relaxed_peaks": "relaxed peaks",
    "exclude": "excluded regions",
    "tracks": "track",
    "controls": "control",
}


class InputFile(NamedTuple):
    """A file, the field of `config.prepare` that names it, and its number there, from 1."""

    field: str
    number: int
    path: str

    @property
    def check(self) -> str:
        """Its name in the table."""
        return "genome" if self.field == "genome" else f"{ROLES[self.field]} {self.number}"


def input_files(prepare: ConfigDict) -> list[InputFile]:
    """All that the config names."""
    files = [InputFile("genome", 1, prepare.genome)]
    for field in ROLES:
        files += [InputFile(field, number, path) for number, path in enumerate(given(prepare[field]), 1)]
    return files


def check_present(files: list[InputFile]) -> Iterator[Verdict]:
    missing = [file for file in files if not Path(file.path).is_file()]
    for file in missing:
        yield ERROR, f"{file.path}: there is no such file; correct config.prepare.{file.field}"
    if not missing:
        yield OK, f"{len(files)} files, {in_bytes(sum(Path(file.path).stat().st_size for file in files))}"


def check_different(prepare: ConfigDict, files: list[InputFile]) -> Iterator[Verdict]:
    """No peaks and no track is given twice; a control may serve several tasks."""
    strands = max(1, len(given(prepare.tracks)) // max(1, len(prepare.tasks)))
    found = False
    for fields in (("peaks", "relaxed_peaks"), ("tracks", "controls")):
        mine = [file for file in files if file.field in fields and Path(file.path).is_file()]
        for one, other in itertools.combinations(mine, 2):
            if not _are_same(Path(one.path), Path(other.path)):
                continue
            found = True
            where = f"{one.path} and {other.path} hold the same"
            if one.field == other.field == "controls" and (one.number - other.number) % strands == 0:
                yield WARNING, f"{where}; if all tasks share this control, give it once in config.prepare.controls"
            else:
                named = " and ".join(dict.fromkeys(f"config.prepare.{file.field}" for file in (one, other)))
                yield ERROR, f"{where}; give different files in {named}"
    if not found:
        yield OK, "no file is given twice"


def _are_same(one: Path, other: Path) -> bool:
    if one.samefile(other):
        return True
    return one.stat().st_size == other.stat().st_size and sha256(one) == sha256(other)


def check_fields(config: ConfigDict) -> Iterator[Verdict]:
    """All that `experiments.prepare` would refuse, but for an output that is there already."""
    prepare = config.prepare
    output = f"{prepare.output.rstrip('/')} (new)" if Path(prepare.output).exists() else prepare.output
    check_prepare(with_changes(config, {"prepare.output": output}))
    counts = {field: len(given(prepare[field])) for field in ("tasks", "peaks", "tracks", "controls")}
    yield OK, "they fit one another; " + ", ".join(f"{field}: {count}" for field, count in counts.items())
