"""The language model behind Triton's python backend, decoupled.

``execute`` checks, tokenises and returns; one engine thread steps the batch, turns tokens into
text and answers. Runtimes hold the interpreter's lock while they step, so that answers sent by
another thread would wait for a step each. Every request ends with exactly one final response,
whatever happens, and no error carries a traceback. Without requests all threads block. The
contract of tensors is ``config.pbtxt``; ``engine`` alone knows the runtime. Nothing here imports
torch.
"""

import functools
import json
import queue
import threading
import time
from typing import Any

import triton_python_backend_utils as pb_utils
from engine import Engine, news
from request import Refused, Request, read
from response import error_response, figures, pieces, special_tokens
from text import Text
from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

MAX_REQUESTS = 64
"""Requests running and waiting; more are refused. The parameter ``max_requests`` sets another."""
CANCELLATION_S = 0.04
"""A running request is asked whether its client has gone before so much time has passed, or after
each step where steps are long; each asking is a message to the server and back, 0.08 ms."""
PAUSE_PER_ANSWER_S = 0.0125
"""Between two responses of one stream, for each stream under way: a response costs the processor
that the batch would use, so that many streams get several tokens at once. The parameter
``pause_per_answer_s`` sets another."""
LONGEST_PAUSE_S = 0.25
REBUILD_S = 5.0
MAX_SCHEMAS = 256
UNFOLLOWED = "the engine cannot follow the schema"
FINAL = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL


class TritonPythonModel:
    """The python backend's interface."""

    def initialize(self, args: dict[str, str]) -> None:
        config = json.loads(args["model_config"])
        parameters = {key: value["string_value"] for key, value in config["parameters"].items()}
        self._tokenizer = Tokenizer.from_file(parameters["tokenizer"])
        self._special = special_tokens(self._tokenizer)
        self._engine = Engine(parameters)
        self._room = int(parameters.get("max_requests", MAX_REQUESTS))
        self._pause_s = float(parameters.get("pause_per_answer_s", PAUSE_PER_ANSWER_S))
        self._inbox: queue.Queue[Request | None] = queue.Queue()
        self._inside, self._lock = 0, threading.Lock()
        self._asked_at = self._step_s = 0.0
        self._follows: dict[str, bool] = {}  # whether the runtime can, by schema
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run_engine, name="engine")
        self._thread.start()

    def execute(self, requests: list[Any]) -> None:
        for raw in requests:
            sender = raw.get_response_sender()
            try:
                self._take(raw, sender)
            except Refused as error:
                _refuse(sender, str(error), "INVALID_ARG")
            except queue.Full:
                _refuse(sender, f"{self._room} requests are running", "UNAVAILABLE")
            except Exception as error:
                pb_utils.Logger.log_error(f"request not read: {error!r}")
                _refuse(sender, "the request cannot be read", "INVALID_ARG")

    def finalize(self) -> None:
        self._stopping.set()
        self._inbox.put(None)
        self._thread.join()
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
                self._read(active)
                self._step(active)
            except Exception as error:
                pb_utils.Logger.log_error(f"the engine failed: {error!r}")
                self._fail(active, "the engine failed")
                self._rebuild()
        self._fail([*active, *self._waiting()], "the engine stops")

    def _step(self, active: list[Request]) -> None:
        begun_s = time.monotonic()
        try:
            self._engine.step()
        except Exception as error:
            new = [one for one in active if self._is_new(one.json_schema)]
            if not new:
                raise
            pb_utils.Logger.log_error(f"a schema broke the engine: {error!r}")
            self._go_on_without(new[-1], active)
        self._step_s = time.monotonic() - begun_s

    def _go_on_without(self, guilty: Request, active: list[Request]) -> None:
        """Runtimes tell by a failing step that they cannot follow a schema, and stay broken. Who
        came last with a new one is refused; the others are asked for anew, behind what they have.
        Who is in the middle of a schema cannot be."""
        self._learn(guilty.json_schema, follows=False)
        active.remove(guilty)
        self._end_badly(guilty, UNFOLLOWED, "INVALID_ARG")
        lost = [one for one in active if one.json_schema and one.given]
        active[:] = [one for one in active if one not in lost]
        self._fail(lost, "the engine failed")
        self._rebuild()
        for request in active:
            self._engine.admit(request)

    def _is_new(self, schema: str) -> bool:
        return bool(schema) and schema not in self._follows

    def _learn(self, schema: str, *, follows: bool) -> None:
        if len(self._follows) >= MAX_SCHEMAS:
            self._follows.clear()
        self._follows[schema] = follows

    def _admit(self, active: list[Request]) -> None:
        """Take what waits, but one new schema for each step; block while there is nothing to do."""
        while not self._stopping.is_set():
            try:
                request = self._inbox.get(block=not active)
            except queue.Empty:
                return
            if request is not None and self._enter(request):
                active.append(request)
                if self._is_new(request.json_schema):
                    return

    def _enter(self, request: Request) -> bool:
        """Whether the engine takes it; otherwise it is answered. That is its own fault: nobody
        else's answer is touched before the next step."""
        try:
            if self._follows.get(request.json_schema) is False:
                raise Refused(UNFOLLOWED)
            self._engine.admit(request)
        except Refused as error:
            self._end_badly(request, str(error), "INVALID_ARG")
            return False
        except Exception as error:
            pb_utils.Logger.log_error(f"request not admitted: {error!r}")
            self._end_badly(request, "the engine cannot take the request", "INVALID_ARG")
            return False
        return True

    def _waiting(self) -> list[Request]:
        """Everything that is in the inbox."""
        found = [self._inbox.get() for _ in range(self._inbox.qsize())]
        return [request for request in found if request is not None]

    def _drop_left(self, active: list[Request]) -> None:
        """Free the slots of clients that have gone.

        Never asked once the final response has left: Triton dies of it (SIGSEGV).
        """
        if time.monotonic() + self._step_s - self._asked_at < CANCELLATION_S:
            return
        for request in list(active):
            if request.sender.is_cancelled():
                active.remove(request)
                request.handle.cancel()
                self._end_badly(request, "the client has gone", "CANCELLED")
        self._asked_at = time.monotonic()

    def _read(self, active: list[Request]) -> None:
        pause_s = min(self._pause_s * len(active), LONGEST_PAUSE_S)
        now = time.monotonic()
        for request in list(active):
            try:
                ids, scores, reason = news(request.handle)
            except Refused as error:
                active.remove(request)
                self._end_badly(request, str(error), "INVALID_ARG")
                continue
            taken = self._take_tokens(request, ids, scores, reason)
            if request.given and self._is_new(request.json_schema):
                self._learn(request.json_schema, follows=True)
            if taken:
                active.remove(request)
                if not reason:
                    request.handle.cancel()  # it met a stop word
                self._end(request, self._pieces(request) + figures(request, taken))
            elif request.streaming and request.unsent and now - request.sent_at >= pause_s:
                self._send(request, now)

    def _take_tokens(
        self, request: Request, ids: list[int], scores: list[float], reason: str | None
    ) -> str | None:
        """Add tokens to the answer; why it ends, if it does."""
        ready = ""
        for token, score in zip(ids, scores, strict=True):
            ready += request.text.push(token)
            request.given.append(token)
            request.logprob += score
            request.fresh.append((token, score))
            if request.text.stopped:
                reason = "stop"
                break
        if reason:
            ready += request.text.rest()
        request.whole += ready
        request.unsent += ready
        return reason

    def _pieces(self, request: Request) -> list[Any]:
        return pieces(request, self._tokenizer, self._special)

    def _send(self, request: Request, now: float) -> None:
        request.sender.send(pb_utils.InferenceResponse(self._pieces(request)))
        request.unsent, request.sent_at = "", now

    def _fail(self, active: list[Request], message: str) -> None:
        for request in active:
            self._end_badly(request, message, "INTERNAL")
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

    def _end(self, request: Request, tensors: list[Any]) -> None:
        self._finish(request, pb_utils.InferenceResponse(tensors))

    def _end_badly(self, request: Request, message: str, code: str) -> None:
        self._finish(request, error_response(message, code))

    def _finish(self, request: Request, response: Any) -> None:
        """The one final response."""
        if request.ended:
            return
        request.ended = True
        with self._lock:
            self._inside -= 1
        try:
            request.sender.send(response, flags=FINAL)
        except Exception as error:  # the others' answers go on
            pb_utils.Logger.log_error(f"answer not sent: {error!r}")


def _refuse(sender: Any, message: str, code: str) -> None:
    sender.send(error_response(message, code), flags=FINAL)
