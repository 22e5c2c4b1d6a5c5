"""Fault -> gRPC status, once. The code that a program can act on rides in google.rpc.ErrorInfo."""

from typing import Final

import grpc
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from libs import faults
from libs.faults import Poison, Retryable

DOMAIN: Final = "perennial"
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
    internal = code is grpc.StatusCode.INTERNAL
    reason = error.code if isinstance(error, Poison) else type(error).__name__
    info = any_pb2.Any()
    info.Pack(error_details_pb2.ErrorInfo(reason=reason.upper(), domain=DOMAIN))
    message = "internal error" if internal else str(error)
    status = status_pb2.Status(code=code_pb2.Code.Value(code.name), message=message, details=[info])
    converted: grpc.Status = rpc_status.to_status(status)
    return converted
