"""Looks, before hours are spent, at everything that a run will need.

    python -m experiments.doctor --config=configs/NAME.py [--fast=true] [--config.section.field=value …]

Looks at the input files of `config.prepare`, the data set `config.data.dataset`, and this machine with the config's own
training step, as far as there are any. Writes nothing. Prints a table of checks, each ok, warning or error, with what
was found and the remedy. Exit status: 0, or 1 if there is an error.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import jax
from ml_collections import ConfigDict

from experiments.config import has_prior
from experiments.doctor_dataset import dataset_findings
from experiments.doctor_files import input_files
from experiments.doctor_findings import ERROR, OK, SKIPPED, WARNING, Finding, Verdict, attempt, examine, table
from experiments.doctor_inputs import input_findings
from experiments.doctor_machine import machine_findings
from experiments.launch import launch
from fprior.data.dataset import Dataset, open_dataset
from fprior.errors import InputError

MOTIFS = (4, 20)  # bases: a shortest motif outside is hardly meant


def main(config: ConfigDict, fast: str | None) -> None:
    if fast not in (None, "true", "false"):
        raise InputError(f"--fast (={fast!r}) must be true or false")
    jax.config.update("jax_enable_compilation_cache", False)  # it is on disk
    findings = list(all_findings(config, fast=fast == "true"))
    print(table(findings))
    if any(finding.status == ERROR for finding in findings):
        sys.exit(1)


def all_findings(config: ConfigDict, *, fast: bool) -> Iterator[Finding]:
    """Of all checks in order; `fast` leaves out those that compile the training step."""
    dataset, lines = open_if_there(config)
    yield from examine("prior", check_prior, config)
    if reason := unused(config, dataset):
        yield Finding(SKIPPED, "input files", reason)
    else:
        yield from input_findings(config)
    yield from lines
    if dataset is not None:
        yield from dataset_findings(config, dataset)
    yield from machine_findings(config, dataset, fast=fast)


def unused(config: ConfigDict, dataset: Dataset | None) -> str:
    """Why there is no need to look at the input files; empty if there is."""
    prepare = config.prepare
    if not prepare.genome or not any(prepare.peaks):
        return "config.prepare.genome and config.prepare.peaks name none"
    files = input_files(prepare)
    if dataset is not None and not any(Path(file.path).exists() for file in files):
        return f"none of the {len(files)} of config.prepare is here, and the data set is prepared already"
    return ""


def open_if_there(config: ConfigDict) -> tuple[Dataset | None, list[Finding]]:
    """The data set; or none, and the reason."""
    name, prepare = config.data.dataset, config.prepare
    if not name:
        return None, [Finding(SKIPPED, "data set", "config.data.dataset is empty")]
    if name == prepare.output and prepare.genome and not Path(name).exists():
        dataset, _ = attempt("data set", open_dataset, name)  # one of that name may ship with fprior
        if dataset is None:
            text = f"{name}: not made yet; run experiments.prepare, then this again"
            return None, [Finding(SKIPPED, "data set", text)]
        return dataset, []
    return attempt("data set", open_dataset, name)


def check_prior(config: ConfigDict) -> Iterator[Verdict]:
    """Whether the frequencies that the prior leaves alone are those of motifs."""
    prior, length = config.prior, config.data.input_length
    if not has_prior(config):
        yield OK, "none (config.prior.weight=0)"
        return
    if prior.name != "fourier":
        yield OK, prior.name
        return
    shortest = length / prior.freq_limit
    text = f"config.prior.freq_limit (={prior.freq_limit:g}) leaves alone what is {shortest:.1f} bases or longer"
    if MOTIFS[0] <= shortest <= MOTIFS[1]:
        yield OK, text
        return
    yield (
        WARNING,
        f"{text}, at an input of {length}; set it to the input length / (shortest motif), for example"
        f" {length / 6.7:.0f} for motifs of 6.7 bases",
    )


if __name__ == "__main__":
    launch(main, fast="true leaves out what compiles and times the training step")
