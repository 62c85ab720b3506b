"""Counts the 5′ ends of reads per base and strand, from BAM or fragment files to BigWigs.

    python -m experiments.reads --reads=FILE --output=PREFIX [--unstranded=true]
        BAM:       [--min_mapping_quality=30] [--mates=both|first|second]
        fragments: --chromosome_sizes=FILE [--shift=PLUS,MINUS]

Writes PREFIX_plus.bw and PREFIX_minus.bw, or with --unstranded=true their sum PREFIX.bw, and prints how many reads
were kept and dropped, by reason. Fragments are tab-separated chromosome, start, end (10x and alike); both ends count.
"""

import re
from pathlib import Path

from experiments.launch import launch
from fprior.data.reads import Ends, is_bam, read_bam, read_fragments, read_lengths, write_bigwigs
from fprior.errors import InputError


def main(
    reads: str | None,
    output: str | None,
    chromosome_sizes: str | None,
    min_mapping_quality: str | None,
    mates: str | None,
    shift: str | None,
    unstranded: str | None,
) -> None:
    if not reads:
        raise InputError("--reads is missing; give a BAM or fragment file")
    if not output:
        raise InputError("--output is missing; name the BigWigs without their ending, for example --output=data/ctcf")
    strands = 1 if parse_boolean("unstranded", unstranded or "false") else 2
    if is_bam(reads):
        refuse("for fragments; the lengths and ends of BAM are its own", chromosome_sizes=chromosome_sizes, shift=shift)
        quality = parse_integers("min_mapping_quality", min_mapping_quality or "30", 1)[0]
        ends = read_bam(reads, min_mapping_quality=quality, mates=mates or "both")
    else:
        refuse(f"for BAM, which {reads} is not", min_mapping_quality=min_mapping_quality, mates=mates)
        if not chromosome_sizes:
            raise InputError(f"--chromosome_sizes is missing; {reads} is not BAM and has no lengths of its own")
        plus, minus = parse_integers("shift", shift or "0,0", 2)
        ends = read_fragments(reads, lengths=read_lengths(chromosome_sizes), shift=(plus, minus))
    print(summary(ends))
    if not ends.kept:
        raise InputError(
            f"--reads (={reads}): all {ends.read} reads were dropped, or there are none; see the counts above"
        )
    Path(output).parent.mkdir(parents=True, exist_ok=True)
    for path in write_bigwigs(output, ends, strands=strands):
        print(path)


def summary(ends: Ends) -> str:
    """The number of reads, of those dropped by reason, and of those kept."""
    rows = [("read", ends.read), *((f"dropped: {name}", count) for name, count in sorted(ends.dropped.items()))]
    return "\n".join(f"{count:>13,}  {name}" for name, count in [*rows, ("kept", ends.kept)])


def refuse(reason: str, **values: str | None) -> None:
    for name, value in values.items():
        if value is not None:
            raise InputError(f"--{name} (={value!r}) is {reason}; leave it out")


def parse_integers(name: str, text: str, count: int) -> list[int]:
    """Integers, separated by commas."""
    if not re.fullmatch(",".join(["-?[0-9]{1,9}"] * count), text):
        kind = "an integer" if count == 1 else f"{count} integers, separated by commas"
        raise InputError(f"--{name} (={text!r}) must be {kind}")
    return [int(part) for part in text.split(",")]


def parse_boolean(name: str, text: str) -> bool:
    if text not in ("true", "false"):
        raise InputError(f"--{name} (={text!r}) must be true or false")
    return text == "true"


if __name__ == "__main__":
    launch(
        main,
        needs_config=False,
        reads="BAM or fragment file",
        output="path of the BigWigs without their ending",
        chromosome_sizes="file of chromosome and length, tab-separated; for fragments",
        min_mapping_quality="least mapping quality; 30 by default; for BAM",
        mates="both, first or second of a pair; both by default; for BAM",
        shift="bases added to the two ends, PLUS,MINUS; 0,0 by default; for fragments",
        unstranded="true for the sum of the strands; false by default",
    )
