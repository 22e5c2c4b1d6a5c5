"""Fault -> gRPC status, once.

What a program can act on rides in its details: ErrorInfo (the code), BadRequest (the field that
is wrong), RetryInfo (when to come again).
"""

from collections.abc import Iterator
from typing import Final

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from libs import faults
from libs.faults import Poison, Retryable

DOMAIN: Final = "perennial"
COME_AGAIN: Final = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED})
AFTER_S: Final = 1.0
_CODES: Final = {
    faults.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    faults.UNAUTHENTICATED: grpc.StatusCode.UNAUTHENTICATED,
    faults.ALREADY_EXISTS: grpc.StatusCode.ALREADY_EXISTS,
    faults.RESOURCE_EXHAUSTED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    faults.FAILED_PRECONDITION: grpc.StatusCode.FAILED_PRECONDITION,
}


def code_for(error: Exception) -> grpc.StatusCode:
    """The status code of a fault; INTERNAL for a bug."""
    if isinstance(error, Poison):
        return _CODES.get(error.code, grpc.StatusCode.INVALID_ARGUMENT)
    if isinstance(error, Retryable):
        return grpc.StatusCode.UNAVAILABLE
    if isinstance(error, TimeoutError):
        return grpc.StatusCode.DEADLINE_EXCEEDED
    return grpc.StatusCode.INTERNAL


def rich(error: Exception) -> grpc.Status:
    """``error`` as a rich status. A bug shows its kind, never its text."""
    code = code_for(error)
    message = "internal error" if code is grpc.StatusCode.INTERNAL else str(error)
    status = status_pb2.Status(code=code_pb2.Code.Value(code.name), message=message)
    for detail in _details(error, code):
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    converted: grpc.Status = rpc_status.to_status(status)
    return converted


def _details(error: Exception, code: grpc.StatusCode) -> Iterator[Message]:
    reason = getattr(error, "code", "") if isinstance(error, Poison | Retryable) else ""
    reason = reason or type(error).__name__
    yield error_details_pb2.ErrorInfo(reason=reason.upper(), domain=DOMAIN)
    if isinstance(error, Poison) and error.param:
        request = error_details_pb2.BadRequest()
        request.field_violations.add(field=error.param, description=str(error))
        yield request
    if code in COME_AGAIN:
        after_s = getattr(error, "after_s", None) or AFTER_S
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromNanoseconds(int(after_s * 1e9))
        yield retry
