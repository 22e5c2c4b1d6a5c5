"""What became of probes: the event, and what is remembered between two starts."""

import json
from dataclasses import asdict
from datetime import datetime

from protos.inference.v1.inference_events_pb2 import ProviderProbed
from services.inference.domain.sentinel import Known


def provider_probed(
    application: str,
    release_digest: str,
    known: Known,
    *,
    probes: int,
    p_value: float,
    changed: bool,
    at: datetime,
    drift_event_id: str = "",
) -> ProviderProbed:
    """``drift_event_id`` "": the gateway's own sentinel found it."""
    event = ProviderProbed(
        application=application,
        release_digest=release_digest,
        drift_event_id=drift_event_id,
        request_model=known.request_model,
        response_model=known.response_model,
        probes=probes,
        p_value=p_value,
        changed=changed,
    )
    event.at.FromDatetime(at)
    return event


def dumped(known: Known) -> bytes:
    return json.dumps(asdict(known), ensure_ascii=False).encode()


def loaded(raw: bytes) -> Known:
    """What `dumped` wrote.

    Raises:
        ValueError: it is something else.
    """
    try:
        value = json.loads(raw)
        return Known(
            request_model=str(value["request_model"]),
            response_model=str(value["response_model"]),
            kept={str(prompt): tuple(texts) for prompt, texts in value["kept"].items()},
            scores=tuple(float(score) for score in value["scores"]),
            stakes=tuple(float(stake) for stake in value["stakes"]),
            probes=int(value["probes"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("not a sentinel's memory") from error
