"""The two trees of a BigWig: names of chromosomes, and places of its blocks of data.

The library that reads BigWigs trusts them, and ends the process where they are damaged.
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from fprior.data.names import check_name

_CHROMOSOMES, _INDEX = 0x78CA8C91, 0x2468ACE0  # the first four bytes of either tree
_TREE = struct.Struct("<IIIIQQ")
_NODE = struct.Struct("<?BH")  # whether it is a leaf, nothing, number of children
_INDEX_SIZE = 48  # bytes of the header of the index
_LEAF = np.dtype([("bounds", "<u4", 4), ("offset", "<u8"), ("size", "<u8")])
_BRANCH = np.dtype([("bounds", "<u4", 4), ("offset", "<u8")])


class StructureError(Exception):
    """What is wrong in the structure of a file."""


def check_chromosomes(file: BinaryIO, size: int, offset: int, where: object) -> None:
    """Raises StructureError unless the tree of chromosomes at `offset` is whole, and InputError for an odd name."""
    magic, _, key_size, value_size, count, _ = _TREE.unpack(_read(file, offset, _TREE.size))
    if magic != _CHROMOSOMES or value_size != 8 or not 0 < key_size <= 1024:
        raise StructureError("no tree of chromosomes is where it should be")
    leaf = np.dtype([("name", f"V{key_size}"), ("number", "<u4"), ("length", "<u4")])
    branch = np.dtype([("name", f"V{key_size}"), ("offset", "<u8")])
    items = [item for node in _leaves(file, size, offset + _TREE.size, leaf, branch) for item in node]
    if len(items) != count or sorted(int(item["number"]) for item in items) != list(range(count)):
        raise StructureError(f"it should have {count} chromosomes and lists others")
    names = [_name(item["name"].tobytes(), where) for item in items]
    if len(set(names)) < len(names):
        raise StructureError("a chromosome is there twice")


def _name(key: bytes, where: object) -> str:
    try:
        return check_name(key.rstrip(b"\0").decode(), where)
    except UnicodeDecodeError as error:
        raise StructureError("a name of a chromosome is not text") from error


def check_index(file: BinaryIO, size: int, offset: int) -> None:
    """Raises StructureError unless the index at `offset` is whole and all blocks of data lie in the file."""
    (magic,) = struct.unpack("<I", _read(file, offset, 4))
    if magic != _INDEX:
        raise StructureError("no index is where it should be")
    for node in _leaves(file, size, offset + _INDEX_SIZE, _LEAF, _BRANCH):
        if (node["offset"] > size).any() or (node["size"] > size - node["offset"]).any():
            raise StructureError("a block of data lies beyond its end")


def _leaves(file: BinaryIO, size: int, root: int, leaf: np.dtype, branch: np.dtype) -> Iterator[np.ndarray]:
    """The items of the leaves of a tree, node by node."""
    seen, waiting = {root}, [root]
    while waiting:
        at = waiting.pop()
        is_leaf, _, count = _NODE.unpack(_read(file, at, _NODE.size))
        kind = leaf if is_leaf else branch
        items = np.frombuffer(_read(file, at + _NODE.size, count * kind.itemsize), kind)
        if is_leaf:
            yield items
            continue
        children = items["offset"].tolist()
        if max(children, default=0) > size or len({*children}) < len(children) or not seen.isdisjoint(children):
            raise StructureError("a tree leads in a circle, or beyond its end")
        seen.update(children)
        waiting += children


def _read(file: BinaryIO, offset: int, size: int) -> bytes:
    file.seek(offset)
    content = file.read(size)
    if len(content) < size:
        raise StructureError(f"it ends before byte {offset + size}")
    return content
