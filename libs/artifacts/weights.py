"""What a file of weights must look like before anything opens it.

Plain standard library: services and their jobs in the model environment call it on every read.
"""

from __future__ import annotations

import json
from pathlib import Path

HEADER_LIMIT_BYTES = 100 * 1024 * 1024
"""The safetensors format's own bound of its JSON header."""

_PICKLE_PROTOCOLS = range(1, 6)


class RefusedFile(ValueError):
    """The file is not what its name says, or could run code when it is read."""


def refuse_pickle(path: Path) -> None:
    """Refuse a pickle stream or a zip archive (the container of pickled checkpoints).

    Raises:
        RefusedFile: by magic bytes, or when the file is empty.
    """
    with path.open("rb") as file:
        head = file.read(9)
    if not head:
        raise RefusedFile(f"{path.name} is empty")
    if head[:2] == b"PK":
        raise RefusedFile(f"{path.name} is a zip archive; pickled checkpoints are refused")
    protocol = len(head) > 1 and head[0] == 0x80 and head[1] in _PICKLE_PROTOCOLS
    # A safetensors header of 0x?80 bytes starts with the same two bytes; its ninth is "{".
    if protocol and head[8:9] != b"{":
        raise RefusedFile(f"{path.name} is a pickle; only safetensors is read")


def check_safetensors(path: Path) -> dict[str, str]:
    """Check magic and header; return the file's metadata.

    Raises:
        RefusedFile: pickle, zip, a header that is not JSON, or tensors outside the file.
    """
    refuse_pickle(path)
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(HEADER_LIMIT_BYTES, size - 8):
            raise RefusedFile(f"{path.name} is not safetensors: header of {length} bytes")
        raw = file.read(length)
    try:
        header = json.loads(raw)
    except ValueError as error:
        raise RefusedFile(f"{path.name} is not safetensors: the header is not JSON") from error
    if not isinstance(header, dict):
        raise RefusedFile(f"{path.name} is not safetensors: the header is not an object")
    metadata = header.pop("__metadata__", {})
    _check_tensors(path.name, header, size - 8 - length)
    return {str(key): str(value) for key, value in metadata.items()}


def check_parquet(path: Path) -> None:
    """Check both magic marks of a Parquet file.

    Raises:
        RefusedFile: when either is missing.
    """
    refuse_pickle(path)
    with path.open("rb") as file:
        head = file.read(4)
        file.seek(max(0, path.stat().st_size - 4))
        tail = file.read(4)
    if head != b"PAR1" or tail != b"PAR1":
        raise RefusedFile(f"{path.name} is not Parquet")


def _check_tensors(name: str, header: dict[str, object], size: int) -> None:
    for tensor, entry in header.items():
        offsets = entry.get("data_offsets") if isinstance(entry, dict) else None
        if not isinstance(offsets, list) or len(offsets) != 2:
            raise RefusedFile(f"{name}: {tensor} has no data_offsets")
        if not all(isinstance(offset, int) for offset in offsets):
            raise RefusedFile(f"{name}: {tensor} has offsets that are not integers")
        if not 0 <= offsets[0] <= offsets[1] <= size:
            raise RefusedFile(f"{name}: {tensor} lies outside the file")
