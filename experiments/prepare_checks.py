"""How the fields of the config's section `prepare` must fit one another."""

from ml_collections import ConfigDict

from fprior.errors import InputError


def check_negatives(prepare: ConfigDict) -> None:
    """Raises InputError for no negatives around summits; for bins 0 means all of them."""
    if prepare.loci == "summits" and prepare.negatives_per_positive < 1:
        raise InputError(
            f"config.prepare.negatives_per_positive (={prepare.negatives_per_positive}) must be at least 1 with"
            " config.prepare.loci='summits'"
        )


def check_files(prepare: ConfigDict) -> None:
    """Raises InputError if relaxed peaks, tracks or controls do not fit the tasks in number."""
    tasks = len(prepare.tasks)
    for name, files in (
        ("exclude", prepare.exclude),
        ("relaxed_peaks", prepare.relaxed_peaks),
        ("tracks", prepare.tracks),
        ("controls", prepare.controls),
    ):
        if files != ("",) and not all(files):
            raise InputError(f"config.prepare.{name} (={files}) has an empty name; give files, or ('',) for none")
    relaxed, tracks, controls = (given(files) for files in (prepare.relaxed_peaks, prepare.tracks, prepare.controls))
    if relaxed and len(relaxed) != tasks:
        raise InputError(f"config.prepare.relaxed_peaks (={relaxed}) must be one file for each of the {tasks} tasks")
    if relaxed and prepare.loci != "bins":
        raise InputError(f"config.prepare.relaxed_peaks (={relaxed}) must be ('',) unless config.prepare.loci='bins'")
    if tracks and len(tracks) not in (tasks, 2 * tasks):
        raise InputError(
            f"config.prepare.tracks (={tracks}) must be {tasks} files, one a task, or {2 * tasks}, plus and minus of"
            " each task"
        )
    if len(set(tracks)) != len(tracks):
        raise InputError(f"config.prepare.tracks (={tracks}) must be different files")
    if controls and not tracks:
        raise InputError(f"config.prepare.controls (={controls}) must be ('',) without config.prepare.tracks")
    if controls and len(controls) not in (len(tracks), len(tracks) // tasks):
        raise InputError(
            f"config.prepare.controls (={controls}) must be {len(tracks)} files, as many as config.prepare.tracks, or"
            f" {len(tracks) // tasks}, which all tasks share"
        )


def check_folds(prepare: ConfigDict) -> None:
    """Raises InputError for folds of anything but chromosomes, and for a fold that does not exist."""
    if not prepare.num_folds:
        if prepare.fold:
            raise InputError(f"config.prepare.fold (={prepare.fold}) must be 0 unless config.prepare.num_folds is set")
        return
    if prepare.split != "chromosome":
        raise InputError(
            f"config.prepare.num_folds (={prepare.num_folds}) must be 0 unless config.prepare.split='chromosome'"
        )
    if prepare.fold >= prepare.num_folds:
        raise InputError(
            f"config.prepare.fold (={prepare.fold}) must be from 0 to {prepare.num_folds - 1}, below"
            " config.prepare.num_folds"
        )


def check_bins(prepare: ConfigDict) -> None:
    """Raises InputError for windows that are narrower than the bins that they are stored for."""
    if prepare.loci == "bins" and prepare.window < prepare.bin_width:
        raise InputError(
            f"config.prepare.window (={prepare.window}) must be at least config.prepare.bin_width"
            f" (={prepare.bin_width})"
        )


def given(files: tuple[str, ...]) -> tuple[str, ...]:
    """The files of a field that is `("",)` for none."""
    return tuple(file for file in files if file)
