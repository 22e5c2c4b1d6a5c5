"""What every meter hands to the measuring job (`measure.Job`)."""

import json
from collections.abc import Mapping
from pathlib import Path

from services.trainer.ports import Asked, Source


def write_job(
    place: Path,
    engine: Mapping[str, str],
    source: Source,
    held_out: Path,
    asked: Asked,
    *,
    threads: int,
    rows: int,
) -> None:
    """``job.json`` in ``place``; ``engine``: the field that says where it is, by its kind."""
    job = {
        **engine,
        "base_model": str(source.base_model),
        "weights": str(source.weights),
        "held_out": str(held_out),
        "prompt_template": asked.prompt_template,
        "decoding": dict(asked.decoding),
        "threads": threads,
        "rows": rows,
    }
    (place / "job.json").write_text(json.dumps(job))
