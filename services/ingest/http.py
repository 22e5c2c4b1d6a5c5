"""The HTTP door: ``POST /v1/records`` with JSON lines, plain text or Markdown."""

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from fastapi import APIRouter, Request
from starlette.datastructures import FormData, ImmutableMultiDict, UploadFile
from starlette.exceptions import HTTPException

from libs.faults import Poison
from libs.http.app import TOO_LARGE, WRONG_TYPE, insist_unpacked, media_type_of
from libs.rpc.auth import digest, from_header
from services.ingest import wire
from services.ingest.domain import Draft, Kind
from services.ingest.handlers import Authenticate, Receipt, Upload
from services.ingest.wire import NAMES, Defaults

JSON_LINES: Final = frozenset({"application/x-ndjson", "application/jsonl"})
TEXT: Final = frozenset({"text/plain", "text/markdown"})
FORM: Final = "multipart/form-data"
PARAMETERS: Final = frozenset({"kind", "labels", *NAMES})
CHUNK_BYTES: Final = 64 * 1024


@dataclass(slots=True)
class Lines:
    """Splits a body into lines as it arrives; holds one line at most."""

    max_bytes: int
    _held: bytearray = field(default_factory=bytearray)
    _count: int = 0
    _too_long: bool = False

    def feed(self, chunk: bytes) -> Iterator[tuple[int, bytes | None]]:
        """Numbered lines (from 1) that ``chunk`` completes; None for one above the bound."""
        *ended, rest = chunk.split(b"\n")
        for piece in ended:
            self._hold(piece)
            yield self._end()
        self._hold(rest)

    def close(self) -> Iterator[tuple[int, bytes | None]]:
        """The last line, where the body does not end with a line feed."""
        if self._held or self._too_long:
            yield self._end()

    def _hold(self, piece: bytes) -> None:
        self._too_long = self._too_long or len(self._held) + len(piece) > self.max_bytes
        if self._too_long:
            self._held.clear()
        else:
            self._held += piece

    def _end(self) -> tuple[int, bytes | None]:
        self._count += 1
        line = None if self._too_long else bytes(self._held)
        self._held.clear()
        self._too_long = False
        return self._count, line


@dataclass(frozen=True, slots=True)
class Records:
    """The endpoint."""

    authenticate: Authenticate
    upload: Callable[[], Upload]
    max_line_bytes: int

    def router(self) -> APIRouter:
        router = APIRouter()
        router.add_api_route("/v1/records", self.post, methods=["POST"], response_model=None)
        return router

    async def post(self, request: Request) -> dict[str, object]:
        key = from_header(request.headers.get("authorization"))
        application = self.authenticate(digest(key) if key else None)
        insist_unpacked(request)
        media_type = media_type_of(request.headers.get("content-type"))
        defaults = _defaults(request.query_params)
        if media_type == FORM:
            form = await _form(request)
            try:
                defaults, media_type, file = _of_form(form)
                return await self._take(_chunks(file), media_type, application, defaults)
            finally:
                await form.close()
        return await self._take(request.stream(), media_type, application, defaults)

    async def _take(
        self,
        body: AsyncIterator[bytes],
        media_type: str,
        application: str,
        defaults: Defaults,
    ) -> dict[str, object]:
        upload = self.upload()
        if media_type in JSON_LINES:
            await self._take_lines(body, upload, application, defaults)
        elif media_type in TEXT:
            text = await self._whole(body)
            read = partial(wire.draft_of_text, text, application, defaults)
            await upload.add(1, len(text), read)
        else:
            known = ", ".join(sorted(JSON_LINES | TEXT))
            wanted = f"{known}, or {FORM} with a part `file` of one of them"
            raise Poison(f"send {wanted}, not {media_type[:80]!r}", code=WRONG_TYPE)
        return _answer(await upload.finish())

    async def _take_lines(
        self, body: AsyncIterator[bytes], upload: Upload, application: str, defaults: Defaults
    ) -> None:
        lines = Lines(self.max_line_bytes)
        async for chunk in body:
            for number, line in lines.feed(chunk):
                await self._take_line(number, line, upload, application, defaults)
        for number, line in lines.close():
            await self._take_line(number, line, upload, application, defaults)

    async def _take_line(
        self, number: int, line: bytes | None, upload: Upload, application: str, defaults: Defaults
    ) -> None:
        if line is None:
            await upload.add(number, 0, self._line_too_long)
        elif line.strip():
            read = partial(wire.draft_of_line, line, application, defaults)
            await upload.add(number, len(line), read)

    def _line_too_long(self) -> Draft:
        raise Poison(f"longer than {self.max_line_bytes} bytes", code="line_too_long")

    async def _whole(self, body: AsyncIterator[bytes]) -> bytes:
        text = bytearray()
        async for chunk in body:
            text += chunk
            if len(text) > self.max_line_bytes:
                raise Poison(f"a document is at most {self.max_line_bytes} bytes", code=TOO_LARGE)
        return bytes(text)


def _defaults(parameters: ImmutableMultiDict[str, str]) -> Defaults:
    """
    Raises:
        Poison: ``unknown_parameter``, ``bad_parameter`` or ``unknown_kind``.
    """
    labels = {}
    for name, value in parameters.multi_items():
        if name not in PARAMETERS:
            known = ", ".join(sorted(PARAMETERS))
            raise Poison(
                f"unknown parameter {name[:60]!r}; known: {known}", code="unknown_parameter"
            )
        if name == "labels":
            label, equals, content = value.partition("=")
            if not equals:
                raise Poison("labels are given as labels=name=value", code="bad_parameter")
            labels[label] = content
    return Defaults(
        kind=wire.kind_named(parameters.get("kind", Kind.EXAMPLE)),
        collection=parameters.get("collection", ""),
        subject=parameters.get("subject", ""),
        group=parameters.get("group", ""),
        labels=labels,
    )


async def _form(request: Request) -> FormData:
    """The form; its file lies on disk when it is large."""
    try:
        return await request.form(max_files=1, max_fields=64)
    except HTTPException as error:
        raise Poison(f"not a form: {error.detail}", code="bad_form") from error


def _of_form(form: FormData) -> tuple[Defaults, str, UploadFile]:
    file = form.get("file")
    if not isinstance(file, UploadFile):
        raise Poison("a form needs a part `file`", code="missing_file")
    texts = [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
    return _defaults(ImmutableMultiDict(texts)), media_type_of(file.content_type), file


async def _chunks(file: UploadFile) -> AsyncIterator[bytes]:
    while chunk := await file.read(CHUNK_BYTES):
        yield chunk


def _answer(receipt: Receipt) -> dict[str, object]:
    return {
        "accepted": receipt.accepted,
        "rejected": receipt.rejected,
        "rejections": [
            {"line": each.line, "code": each.refusal.code, "reason": each.refusal.reason}
            for each in receipt.rejections
        ],
    }
