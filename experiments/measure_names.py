"""What the measures of attributions are called on pages, and which way is better."""

from typing import NamedTuple


class Described(NamedTuple):
    """A measure on a page: its table there, its title, and 1 if higher is better, −1 if lower is, 0 if neither."""

    table: str
    title: str
    better: int


# By name, or by what comes before the name of a motif or of regions, which takes the place of {}.
_MEASURES = {
    "high_frequency_share": Described("cleanness", "high-frequency share", -1),
    "entropy_bits": Described("cleanness", "Shannon entropy (bits)", -1),
    "end_share": Described("cleanness", "share of importance at the window's ends", 0),
    "gc_reliance": Described("cleanness", "reliance on the background's GC", 0),
    "summit_distance_spearman": Described("summits", "correlation of importance with distance to the summit", -1),
    "share_in_": Described("regions", "share of importance in {}", 1),
    "overlap_auprc_": Described("regions", "auPRC of overlap with {}", 1),
    "negative_share_in_": Described("regions", "negative share of the importance in {}", 0),
}
_PEAKS = "peaks"  # called peaks among the regions belong beside the summits


def is_measure(name: str) -> bool:
    """Whether an array of an evaluation is a measure of attributions."""
    return name.startswith(tuple(_MEASURES))


def order_of(name: str) -> tuple[int, str]:
    """Sorts measures as pages show them."""
    return list(_MEASURES).index(_known(name)), name


def described(name: str) -> Described:
    """What there is to know of a measure."""
    table, title, better = _MEASURES[_known(name)]
    place = name.removeprefix(_known(name))
    return Described("summits" if place == _PEAKS else table, title.format(place), better)


def _known(name: str) -> str:
    return next(known for known in _MEASURES if name.startswith(known))
