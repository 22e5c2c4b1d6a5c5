"""An engine of TensorRT-LLM: from the tar of its builder to a directory that Triton can load."""

import json
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from string import Template
from typing import Any, Final

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from libs.faults import Poison
from services.inference.domain.gpu import Gpus, mismatches

TOP: Final = "model"
"""The one directory in the tar."""
KEY: Final = "1/engine_key.json"
MOST_MEMBERS: Final = 512
MOST_JSON: Final = 1 << 20
BAD: Final = "bad_engine"


def place(tar: Path, out: Path, here: Gpus | None, values: Mapping[str, str]) -> None:
    """Fill ``out``, which is not there yet, with the model directory in ``tar``.

    Args:
        here: None where this Triton has no TensorRT-LLM.
        values: of the variables in its config.pbtxt; ``name`` is the model's.

    Raises:
        Poison: ``engine_mismatch``: built for another host, what differs is named;
            ``bad_engine``: a tar that is no model directory, or would reach out of it.
        OSError: the disk.
    """
    try:
        with tarfile.open(tar, "r:") as packed:  # uncompressed: its size bounds its content
            members = list(_members(packed, tar.stat().st_size))
            _insist_on_match(packed, here)
            for member, path in members:
                _unpack(packed, member, out / path)
    except (tarfile.TarError, FileExistsError, NotADirectoryError, ValueError) as error:
        raise Poison(f"not the tar of a model directory: {error}", code=BAD) from error
    _complete(out / "config.pbtxt", values)


def insist_on_gpus(here: Gpus | None) -> Gpus:
    """
    Raises:
        Poison: ``engine_mismatch``.
    """
    if here is None:
        raise Poison(
            "a TensorRT-LLM engine, and this Triton has none: where it has, "
            "PERENNIAL_TRITON__GPU__IMAGE, __TENSORRT_LLM, __HARDWARE and __GPUS say what it is",
            code="engine_mismatch",
        )
    return here


def _members(
    packed: tarfile.TarFile, most_bytes: int
) -> Iterator[tuple[tarfile.TarInfo, PurePosixPath]]:
    """Every member with its path below the model directory, all of them plain."""
    seen: set[PurePosixPath] = set()
    total = 0
    for count, member in enumerate(packed, start=1):
        path = PurePosixPath(member.name)
        plain = member.isdir() or (member.isreg() and not member.issparse())
        if not plain or path.parts[:1] != (TOP,) or ".." in path.parts:
            raise Poison(f"{member.name[:200]!r} does not belong in it", code=BAD)
        total += member.size
        too_much = member.size < 0 or total > most_bytes
        if too_much or count > MOST_MEMBERS or path in seen:
            raise Poison(f"{member.name[:200]!r} is one too many", code=BAD)
        seen.add(path)
        yield member, path.relative_to(TOP)


def _unpack(packed: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    """Only content: no owner, mode or time of the tar's."""
    if member.isdir():
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    source = packed.extractfile(member)
    if source is None:
        raise Poison(f"{member.name[:200]!r} cannot be read", code=BAD)
    with source, path.open("xb") as file:
        shutil.copyfileobj(source, file, 1 << 20)


def _insist_on_match(packed: tarfile.TarFile, here: Gpus | None) -> None:
    """Before gigabytes are unpacked."""
    try:
        member = packed.getmember(f"{TOP}/{KEY}")
        source = packed.extractfile(member)
        key: Any = json.loads(source.read(MOST_JSON)) if source else None
    except (KeyError, ValueError) as error:
        raise Poison(f"no {KEY} that can be read: {error}", code=BAD) from error
    if not isinstance(key, dict):
        raise Poison(f"{KEY} is no object", code=BAD)
    if differences := mismatches(key, insist_on_gpus(here)):
        raise Poison("; ".join(differences), code="engine_mismatch")


def _complete(config: Path, values: Mapping[str, str]) -> None:
    """Fill the variables in, and read what came of it as Triton will.

    Raises:
        Poison: ``bad_engine``.
    """
    try:
        text = Template(config.read_text()).substitute(values)
        read = text_format.Parse(text, model_config_pb2.ModelConfig())
    except FileNotFoundError as error:
        raise Poison("no config.pbtxt", code=BAD) from error
    except (text_format.ParseError, ValueError, KeyError) as error:
        raise Poison(f"config.pbtxt: {error}", code=BAD) from error
    told = (read.name, read.backend, read.max_batch_size, read.model_transaction_policy.decoupled)
    wanted = (values["name"], "python", 0, True)
    if told != wanted:
        raise Poison(f"config.pbtxt: name, backend, batch, decoupled are {told}", code=BAD)
    config.write_text(text)
