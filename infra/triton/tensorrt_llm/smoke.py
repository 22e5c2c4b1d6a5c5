"""A client of one engine: a streamed answer with log-probabilities, one with a stop word, one
that is left. ``python3 smoke.py HOST:PORT``"""

import contextlib
import queue
import sys
import time
from typing import Any

import numpy as np
from tritonclient.grpc import InferenceServerClient, InferenceServerException, InferInput

READY_S = 900.0
ANSWER_S = 60.0
MODEL = "llm-smoke"


def tensor(name: str, value: object, dtype: str, kind: Any) -> InferInput:
    made = InferInput(name, [1], dtype)
    made.set_data_from_numpy(np.array([value], dtype=kind))
    return made


def ask(prompt: str, max_tokens: int, stop: str = "") -> list[InferInput]:
    inputs = [
        tensor("text_input", prompt.encode(), "BYTES", np.object_),
        tensor("sampling_param_max_tokens", max_tokens, "INT32", np.int32),
    ]
    flags = ("streaming", "delta", "return_finish_reason", "return_cumulative_logprob")
    inputs += [tensor(name, True, "BOOL", np.bool_) for name in flags]
    if stop:
        inputs.append(tensor("sampling_param_stop", stop.encode(), "BYTES", np.object_))
    return inputs


def answer(client: InferenceServerClient, inputs: list[InferInput], leave_after: int = 0) -> Any:
    """``(text, frames, last frame's tensors)``. Raises RuntimeError: the engine's error."""
    arrived: queue.Queue[Any] = queue.Queue()
    client.start_stream(lambda result, error: arrived.put((result, error)))
    text, frames, leaves = "", 0, False
    try:
        client.async_stream_infer(MODEL, inputs, enable_empty_final_response=True)
        while True:
            result, error = arrived.get(timeout=ANSWER_S)
            if error is not None:
                raise RuntimeError(error)
            response = result.get_response()
            values = {t.name: result.as_numpy(t.name)[0] for t in response.outputs}
            text += values.get("text_output", b"").decode()
            frames += 1
            final = response.parameters["triton_final_response"].bool_param
            leaves = not final and frames == leave_after
            if final or leaves:
                return text, frames, values
    finally:  # an ended stream must not be cancelled: some Tritons do not survive it
        client.stop_stream(cancel_requests=leaves)


def main(address: str) -> None:
    client = InferenceServerClient(address)
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        with contextlib.suppress(InferenceServerException):
            if client.is_model_ready(MODEL):
                break
        time.sleep(2)
    text, frames, last = answer(client, ask("Count from 1 to 20: 1, 2, 3,", 64))
    print(frames, "frames", repr(text[:80]), last)
    assert frames > 4, "nothing streamed"
    assert last["finish_reason"] in (b"stop", b"length"), last
    assert last["cumulative_logprob"] < 0, last
    stopped, _, last = answer(client, ask("Count from 1 to 20: 1, 2, 3,", 64, stop="9"))
    assert "9" not in stopped, stopped
    answer(client, ask("Tell a long story.", 4000), leave_after=3)
    started = time.monotonic()
    answer(client, ask("One word:", 1))
    assert time.monotonic() - started < 5, "the slot that was left is not free"


if __name__ == "__main__":
    main(sys.argv[1])
