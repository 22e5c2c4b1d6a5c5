"""Triton's images with TensorRT-LLM. Their tags do not grow with its version: 25.11 has 1.2.0rc2,
25.12 has 1.1.0. So: by table, never by order."""

from dataclasses import dataclass
from typing import Final

from libs.faults import Poison
from services.trainer.domain.engine import NO_BUILDER


@dataclass(frozen=True, slots=True)
class Image:
    """One release of Triton's image and what is in it.

    Args:
        compiles: it has ``trtllm-build`` and the C++ backend, which ended with 1.2.1.
    """

    release: str
    tensorrt_llm: str
    tensorrt: str
    compiles: bool

    @property
    def reference(self) -> str:
        return f"nvcr.io/nvidia/tritonserver:{self.release}-trtllm-python-py3"

    def pinned(self, digest: str) -> str:
        """The reference of the very image with ``digest``, "sha256:…"."""
        return f"{self.reference}@{digest}"


_STABLE: Final = ("1.2.1", "10.14.1.48")
IMAGES: Final = {
    image.release: image
    for image in (
        Image("25.12", "1.1.0", "10.13.3.9", compiles=True),
        Image("26.01", "1.1.0", "10.13.3.9", compiles=True),
        Image("26.02", "1.1.0", "10.13.3.9", compiles=True),
        *(Image(release, *_STABLE, compiles=True) for release in ("26.04", "26.05")),
        *(Image(release, *_STABLE, compiles=True) for release in ("26.06", "26.07")),
    )
}
"""Stable versions of TensorRT-LLM only."""


def image(release: str) -> Image:
    """Raises Poison ``no_builder``: a release whose content is not known."""
    if release not in IMAGES:
        known = ", ".join(IMAGES)
        raise Poison(f"Triton {release} is not one of {known}", code=NO_BUILDER)
    return IMAGES[release]
