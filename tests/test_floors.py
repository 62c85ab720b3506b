"""The floors of the house: a module imports from lower floors alone; on the middle ones not from its neighbours."""

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent
GROUND = {"errors", "files", "typing", "sequence", "shuffle", "spectrum", "conv"}
TOP = {"quickstart", "quickstart_page"}
FLOORS = (
    GROUND,
    {"priors", "losses", "objectives", "attribution", "models", "data", "metrics"},
    {"training", "motifs", "report"},
    TOP,
)


def floor_of(part: str) -> int:
    return next(number for number, parts in enumerate(FLOORS) if part in parts)


def imported(path: Path) -> set[str]:
    """The full names of all that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def arrows() -> set[tuple[str, str]]:
    """Which module or package of `fprior` imports from which other one, or from outside what is installed."""
    found = set()
    for path in (ROOT / "fprior").rglob("*.py"):
        own = path.relative_to(ROOT / "fprior").with_suffix("").parts[0]
        for package, part, *_ in (name.split(".") for name in imported(path) if "." in name):
            if package == "fprior" and part != own and own != "__init__":
                found.add((own, part))
            elif package in ("experiments", "configs", "tests"):
                found.add((own, package))
    return found


def test_no_arrow_points_up_or_to_a_neighbour():
    found = arrows()
    assert ("training", "attribution") in found
    assert not {(own, part) for own, part in found if part in ("experiments", "configs", "tests")}
    among_equals = {(own, part) for own, part in found if floor_of(own) == floor_of(part)}
    assert not {(own, part) for own, part in found if floor_of(own) < floor_of(part)}
    assert not [arrow for arrow in among_equals if not (set(arrow) <= GROUND or set(arrow) <= TOP)]


def test_experiments_import_no_config_file():
    """They are given one by name."""
    for path in (ROOT / "experiments").rglob("*.py"):
        assert not [name for name in imported(path) if name.split(".")[0] in ("configs", "tests")], path
