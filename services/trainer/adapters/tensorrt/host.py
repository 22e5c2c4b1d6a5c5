"""What this host has for TensorRT-LLM, said in words that tell an operator what to do."""

import subprocess
from collections.abc import Sequence
from typing import Final

from libs.faults import Fatal

NVIDIA_SMI: Final = ("nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader")
ASK_S: Final = 60.0


def hardware(ranks: int) -> str:
    """The one kind of this host's GPUs, "sm_90".

    Raises:
        Fatal: there are none, unlike ones, or fewer than ``ranks``.
    """
    found = [f"sm_{told.replace('.', '')}" for told in (_told(NVIDIA_SMI) or "").split()]
    if not found:
        raise Fatal(
            "PERENNIAL_TENSORRT is set, but nvidia-smi tells of no GPU here: run the trainer on a "
            "host with GPUs and NVIDIA's driver, or unset it to build for CPUs alone"
        )
    if len(set(found)) > 1:
        kinds = ", ".join(sorted(set(found)))
        raise Fatal(f"GPUs of several kinds ({kinds}): give the trainer a container with like ones")
    if len(found) < ranks:
        raise Fatal(f"PERENNIAL_TENSORRT__TENSOR_PARALLEL is {ranks}, {len(found)} GPUs are here")
    return found[0]


def insist_on_image(reference: str) -> None:
    """
    Raises:
        Fatal: docker is not here, or has no such image.
    """
    if _told(("docker", "image", "inspect", "--format", "{{.Id}}", reference)) is None:
        raise Fatal(
            f"docker has no image {reference}: `docker pull {reference}` on this host, with the "
            "NVIDIA container toolkit; inside of that image set PERENNIAL_TENSORRT__INSIDE"
        )


def _told(command: Sequence[str]) -> str | None:
    """None where the command is not here or fails."""
    try:
        return subprocess.run(  # noqa: S603  # settings, not input
            command, capture_output=True, text=True, timeout=ASK_S, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
