"""The language model behind Triton's python backend, decoupled.

``execute`` checks, tokenises and returns; one engine thread steps the batch; one sender thread
turns tokens into text and answers. Every request ends with exactly one final response, whatever
happens, and no error carries a traceback. Without requests all threads block. The contract of
tensors is ``config.pbtxt``; ``engine`` alone knows the runtime. Nothing here imports torch.
"""

import functools
import json
import queue
import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy
import triton_python_backend_utils as pb_utils
from engine import Engine, news
from request import Refused, Request, read
from text import Text
from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

MAX_REQUESTS = 64
"""Requests running and waiting; more are refused. The parameter ``max_requests`` sets another."""
CANCELLATION_S = 0.02
"""How often a running request is asked whether its client has gone."""
REBUILD_S = 5.0
News = tuple[Request, str, Any]
"""A request, what kind of news it is ("tokens" or one of ``CODES``), and the news."""
CODES = {"cancelled": "CANCELLED", "refused": "INVALID_ARG", "failed": "INTERNAL"}
"""Names: ``pb_utils`` has its classes only once the model is made."""
FINAL = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL


class TritonPythonModel:
    """The python backend's interface."""

    def initialize(self, args: dict[str, str]) -> None:
        config = json.loads(args["model_config"])
        parameters = {key: value["string_value"] for key, value in config["parameters"].items()}
        self._tokenizer = Tokenizer.from_file(parameters["tokenizer"])
        self._engine = Engine(parameters)
        self._room = int(parameters.get("max_requests", MAX_REQUESTS))
        self._inbox: queue.Queue[Request | None] = queue.Queue()
        self._outbox: queue.Queue[News | None] = queue.Queue()
        self._inside, self._lock = 0, threading.Lock()
        self._asked_at = 0.0
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._run_engine, name="engine"),
            threading.Thread(target=self._run_sender, name="sender"),
        ]
        for thread in self._threads:
            thread.start()

    def execute(self, requests: list[Any]) -> None:
        for raw in requests:
            sender = raw.get_response_sender()
            try:
                self._take(raw, sender)
            except Refused as error:
                _refuse(sender, str(error), pb_utils.TritonError.INVALID_ARG)
            except queue.Full:
                _refuse(
                    sender, f"{self._room} requests are running", pb_utils.TritonError.UNAVAILABLE
                )
            except Exception as error:
                pb_utils.Logger.log_error(f"request not read: {error!r}")
                _refuse(sender, "the request cannot be read", pb_utils.TritonError.INVALID_ARG)

    def finalize(self) -> None:
        self._stopping.set()
        self._inbox.put(None)
        for thread in self._threads:
            thread.join()
        self._engine.close()

    def _take(self, raw: Any, sender: Any) -> None:
        request = read(raw, self._tokenizer, self._engine.render, self._engine.context_tokens)
        stream = DecodeStream(skip_special_tokens=True)
        request.sender = sender
        request.text = Text(functools.partial(stream.step, self._tokenizer), request.stop)
        with self._lock:
            if self._inside >= self._room:
                raise queue.Full
            self._inside += 1
        self._inbox.put(request)

    # The engine thread.

    def _run_engine(self) -> None:
        active: list[Request] = []
        while not self._stopping.is_set():
            try:
                self._admit(active)
                self._drop_left(active)
                self._engine.step()
                self._read(active)
            except Exception as error:
                pb_utils.Logger.log_error(f"the engine failed: {error!r}")
                self._fail(active, "the engine failed")
                self._rebuild()
        self._fail([*active, *self._waiting()], "the engine stops")
        self._outbox.put(None)

    def _admit(self, active: list[Request]) -> None:
        """Take what waits; block while there is nothing to do."""
        while not self._stopping.is_set():
            try:
                request = self._inbox.get(block=not active)
            except queue.Empty:
                return
            if request is not None:
                active.append(request)  # first, so that a failing admission is answered
                try:
                    self._engine.admit(request)
                except Refused as error:
                    active.remove(request)
                    self._outbox.put((request, "refused", str(error)))

    def _waiting(self) -> list[Request]:
        """Everything that is in the inbox."""
        found = [self._inbox.get() for _ in range(self._inbox.qsize())]
        return [request for request in found if request is not None]

    def _drop_left(self, active: list[Request]) -> None:
        """Free the slots of answers that met a stop word and of clients that have gone."""
        if time.monotonic() - self._asked_at < CANCELLATION_S:
            return
        for request in list(active):
            gone = not request.text.stopped and self._has_gone(request)
            if gone:
                self._outbox.put((request, "cancelled", "the client has gone"))
            if gone or request.text.stopped:
                request.handle.cancel()
                active.remove(request)
        self._asked_at = time.monotonic()

    def _has_gone(self, request: Request) -> bool:
        """Never asked once the final response may have left: Triton dies of it (SIGSEGV)."""
        with self._lock:
            return not request.ended and bool(request.sender.is_cancelled())

    def _read(self, active: list[Request]) -> None:
        for request in list(active):
            try:
                ids, scores, reason = news(request.handle)
            except Refused as error:
                active.remove(request)
                self._outbox.put((request, "refused", str(error)))
                continue
            if reason:
                active.remove(request)
            if ids or reason:
                self._outbox.put((request, "tokens", (ids, scores, reason)))

    def _fail(self, active: list[Request], message: str) -> None:
        for request in active:
            self._outbox.put((request, "failed", message))
        active.clear()

    def _rebuild(self) -> None:
        """A pipeline that raised stays broken: build another, and refuse meanwhile."""
        while not self._stopping.is_set():
            try:
                self._engine.build()
                return
            except Exception as error:
                pb_utils.Logger.log_error(f"the engine cannot be built: {error!r}")
                self._fail(self._waiting(), "there is no engine")
                self._stopping.wait(REBUILD_S)

    # The sender thread.

    def _run_sender(self) -> None:
        while (item := self._outbox.get()) is not None:
            request, kind, news_of_it = item
            if request.ended:
                continue
            try:
                if kind == "tokens":
                    self._tell(request, *news_of_it)
                else:
                    self._end(request, error=_error(news_of_it, CODES[kind]))
            except Exception as error:
                pb_utils.Logger.log_error(f"answer not sent: {error!r}")
                self._end(
                    request,
                    error=pb_utils.TritonError(
                        "the answer cannot be sent", pb_utils.TritonError.INTERNAL
                    ),
                )

    def _tell(
        self, request: Request, ids: list[int], scores: list[float], reason: str | None
    ) -> None:
        ready = ""
        for token, score in zip(ids, scores, strict=True):
            ready += request.text.push(token)
            request.num_output_tokens += 1
            request.logprob += score
            if request.text.stopped:
                reason = "stop"
                break
        if reason:
            ready += request.text.rest()
        request.whole += ready
        request.unsent += ready
        if reason:
            self._end(request, tensors=_text(request) + _figures(request, reason))
        elif request.streaming and request.unsent:
            request.sender.send(pb_utils.InferenceResponse(_text(request)))
            request.unsent = ""

    def _end(self, request: Request, tensors: Sequence[Any] = (), error: Any = None) -> None:
        """The one final response."""
        with self._lock:
            if request.ended:
                return
            request.ended = True
            self._inside -= 1
        response = pb_utils.InferenceResponse(list(tensors), error=error)
        request.sender.send(response, flags=FINAL)


def _error(message: str, code: str) -> Any:
    return pb_utils.TritonError(message, getattr(pb_utils.TritonError, code))


def _refuse(sender: Any, message: str, code: Any) -> None:
    sender.send(pb_utils.InferenceResponse(error=pb_utils.TritonError(message, code)), flags=FINAL)


def _text(request: Request) -> list[Any]:
    text = request.unsent if request.delta and request.streaming else request.whole
    return [_tensor("text_output", text.encode(), numpy.object_)]


def _figures(request: Request, reason: str) -> list[Any]:
    tensors = []
    if request.return_finish_reason:
        tensors.append(_tensor("finish_reason", reason.encode(), numpy.object_))
    if request.return_cumulative_logprob:
        tensors.append(_tensor("cumulative_logprob", request.logprob, numpy.float32))
    if request.return_num_tokens:
        tensors.append(_tensor("num_input_tokens", len(request.ids), numpy.int32))
        tensors.append(_tensor("num_output_tokens", request.num_output_tokens, numpy.int32))
    return tensors


def _tensor(name: str, value: Any, dtype: Any) -> Any:
    return pb_utils.Tensor(name, numpy.array([value], dtype=dtype))
