"""A fault becomes a status once, and a bug keeps its text to itself."""

import grpc
import pytest

from libs.faults import NOT_FOUND, RESOURCE_EXHAUSTED, UNAUTHENTICATED, Poison, Retryable
from libs.rpc import auth
from libs.rpc.status import code_for, rich


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Poison("no", code=NOT_FOUND), grpc.StatusCode.NOT_FOUND),
        (Poison("no", code=UNAUTHENTICATED), grpc.StatusCode.UNAUTHENTICATED),
        (Poison("no", code=RESOURCE_EXHAUSTED), grpc.StatusCode.RESOURCE_EXHAUSTED),
        (Poison("no", code="bad_rating"), grpc.StatusCode.INVALID_ARGUMENT),
        (Retryable("later"), grpc.StatusCode.UNAVAILABLE),
        (TimeoutError(), grpc.StatusCode.DEADLINE_EXCEEDED),
        (ZeroDivisionError("secret"), grpc.StatusCode.INTERNAL),
    ],
)
def test_each_fault_has_its_code(error: Exception, code: grpc.StatusCode) -> None:
    assert code_for(error) is code


def test_the_text_of_a_bug_does_not_reach_the_caller() -> None:
    assert "secret" not in str(rich(ZeroDivisionError("secret")).details)


def test_a_bearer_secret_is_found_whatever_the_case() -> None:
    assert auth.bearer((("Authorization", "bearer abc"),)) == "abc"
    assert auth.bearer((("authorization", "Basic abc"),)) is None
    assert auth.bearer(None) is None


def test_a_wrong_token_is_refused() -> None:
    with pytest.raises(Poison):
        auth.require("wrong", "right")
    auth.require("right", "right")
