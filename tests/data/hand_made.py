"""Files and loci written out by hand."""

import numpy as np

from fprior.data.loci import Loci


def write(path, content: str | bytes):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def make_loci(chromosome, start, end, signal=None) -> Loci:
    start, end = np.array(start, np.int64), np.array(end, np.int64)
    signal = np.full(len(start), np.nan, np.float32) if signal is None else np.array(signal, np.float32)
    return Loci(np.array(chromosome, np.str_), start, end, (start + end) // 2, signal)
