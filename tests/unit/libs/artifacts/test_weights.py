import json
import pickle
import zipfile
from pathlib import Path

import pytest

from libs.artifacts.weights import RefusedFile, check_parquet, check_safetensors


def safetensors(header: object, data: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


TENSOR = {"w": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}


def test_a_good_file_gives_its_metadata(tmp_path: Path) -> None:
    path = tmp_path / "good.safetensors"
    path.write_bytes(safetensors({"__metadata__": {"format": "pt"}} | TENSOR, b"1234"))

    assert check_safetensors(path) == {"format": "pt"}


@pytest.mark.parametrize("protocol", range(2, 6))
def test_a_pickle_is_refused_by_its_first_bytes(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "adapter.safetensors"
    path.write_bytes(pickle.dumps({"w": [1.0] * 50}, protocol=protocol))

    with pytest.raises(RefusedFile, match="pickle"):
        check_safetensors(path)


def test_a_zip_of_pickles_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02.")

    with pytest.raises(RefusedFile, match="zip"):
        check_safetensors(path)


def test_a_header_length_that_looks_like_a_pickle_is_read(tmp_path: Path) -> None:
    padding = {"__metadata__": {"padding": ""}}
    room = 0x0480 - len(json.dumps(padding))
    path = tmp_path / "good.safetensors"
    path.write_bytes(safetensors({"__metadata__": {"padding": "x" * room}}))

    assert path.read_bytes()[:2] == b"\x80\x04"
    assert "padding" in check_safetensors(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"short",
        (2**40).to_bytes(8, "little") + b"{}",
        (4).to_bytes(8, "little") + b"nope",
        safetensors([1, 2]),
        safetensors(TENSOR, b"123"),
        safetensors({"w": {"dtype": "U8"}}),
        safetensors({"w": {"data_offsets": ["0", "4"]}}, b"1234"),
    ],
)
def test_what_is_not_safetensors_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "odd.safetensors"
    path.write_bytes(content)

    with pytest.raises(RefusedFile):
        check_safetensors(path)


def test_a_torn_parquet_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "train.parquet"
    path.write_bytes(b"PAR1 the rest is missing")

    with pytest.raises(RefusedFile, match="Parquet"):
        check_parquet(path)
