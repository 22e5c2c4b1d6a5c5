"""What `perennial campaign start` is asked to try, as a proposal."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from google.protobuf import json_format

from libs.faults import NOT_FOUND, Poison
from protos.common.v1.common_pb2 import Decoding, Provider
from protos.registry.v1 import registry_service_pb2 as messages
from protos.registry.v1.registry_events_pb2 import ROLE_CHAMPION, Proposal
from protos.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from services.cli.session import TIMEOUT_S


@dataclass(frozen=True, slots=True)
class Wanted:
    """0, "" and nothing: as the champion has it."""

    prompt: int = 0
    decoding: tuple[str, ...] = ()
    release: str = ""
    provider: str = ""
    rebuild: bool = False
    upgrade: bool = False


def proposal(wanted: Wanted, present: Callable[[], Decoding]) -> Proposal | None:
    """None when nothing is wanted; ``present`` is the decoding that --decoding changes."""
    if wanted == Wanted():
        return None
    return Proposal(
        release_digest=wanted.release,
        prompt_version=wanted.prompt,
        decoding=changed(present(), wanted.decoding) if wanted.decoding else None,
        provider=Provider(name=wanted.provider) if wanted.provider else None,
        rebuild=wanted.rebuild,
        upgrade=wanted.upgrade,
    )


def changed(decoding: Decoding, assignments: Sequence[str]) -> Decoding:
    """``decoding`` with each NAME=VALUE in it.

    Raises:
        Poison: ``bad_decoding`` naming what cannot be read.
    """
    known = [field.name for field in Decoding.DESCRIPTOR.fields]
    merged = json_format.MessageToDict(decoding, preserving_proto_field_name=True)
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals or name not in known:
            told = f"--decoding {assignment!r}: NAME=VALUE, NAME one of {', '.join(known)}"
            raise Poison(told, code="bad_decoding")
        merged[name] = text
    try:
        return json_format.ParseDict(merged, Decoding())
    except json_format.ParseError as error:
        raise Poison(f"--decoding: {error}", code="bad_decoding") from error


def decoding_of(door: RegistryServiceStub, application: str, release: str) -> Decoding:
    """Of the named release; of the champion for "".

    Raises:
        Poison: ``not_found``.
    """
    if release:
        lineage = door.TraceRelease(
            messages.TraceReleaseRequest(release_digest=release), timeout=TIMEOUT_S
        )
        return lineage.release.decoding
    request = messages.GetRoutingRequest(application=application)
    for route in door.GetRouting(request, timeout=TIMEOUT_S).routes:
        if route.role == ROLE_CHAMPION:
            return route.release.decoding
    raise Poison(f"{application} has no champion yet", code=NOT_FOUND)
