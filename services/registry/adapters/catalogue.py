"""`ports.Catalogue` on SQL: reads that never wait for a writer."""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Engine, Row

from libs.events import codec
from libs.events.topics import CAMPAIGN_TRANSITIONED
from libs.faults import Poison
from libs.sql.engine import reader
from protos.registry.v1.registry_events_pb2 import CampaignTransitioned
from services.registry.adapters.rows import utc
from services.registry.adapters.shelf import approval_of, engine_of, prompt_of
from services.registry.adapters.store import applied_of, campaign_of
from services.registry.adapters.tables import (
    APPLICATIONS,
    APPROVALS,
    CAMPAIGNS,
    DATASETS,
    ENGINES,
    MODELS,
    PROMPTS,
    RELEASES,
    ROUTING,
    RUNTIMES,
    TRANSITIONS,
)
from services.registry.domain.canonical import loads
from services.registry.domain.routing import Table
from services.registry.domain.values import Dataset, Model, Release
from services.registry.ports import (
    Applied,
    Approval,
    Cut,
    KeptCampaign,
    KeptDataset,
    KeptEngine,
    KeptPrompt,
    KeptRelease,
    Page,
)

T = TypeVar("T")


class SqlCatalogue:
    def __init__(self, engine: Engine) -> None:
        self._engine = reader(engine)

    def applications(self, cut: Cut) -> Page[Applied]:
        return self._page(sa.select(APPLICATIONS), cut, applied_of)

    def releases(self, application: str, cut: Cut) -> Page[KeptRelease]:
        return self._page(_of(RELEASES, application), cut, _release_of, newest_first=True)

    def models(self, application: str, cut: Cut) -> Page[Model]:
        return self._page(_of(MODELS, application), cut, _model_of)

    def datasets(self, application: str, cut: Cut) -> Page[KeptDataset]:
        return self._page(_of(DATASETS, application), cut, _dataset_of)

    def campaigns(self, application: str, cut: Cut) -> Page[KeptCampaign]:
        return self._page(_of(CAMPAIGNS, application), cut, campaign_of, newest_first=True)

    def prompts(self, application: str, cut: Cut) -> Page[KeptPrompt]:
        return self._page(_of(PROMPTS, application), cut, prompt_of)

    def engines(self, application: str, cut: Cut) -> Page[KeptEngine]:
        beside = ENGINES.outerjoin(RUNTIMES, ENGINES.c.runtime == RUNTIMES.c.runtime)
        found = sa.select(ENGINES, RUNTIMES.c.version).select_from(beside)
        if application:
            found = found.where(ENGINES.c.application == application)
        return self._page(found, cut, engine_of, newest_first=True)

    def approvals(self, application: str) -> Sequence[Approval]:
        found = _of(APPROVALS, application).order_by(APPROVALS.c.seq)
        with self._engine.connect() as connection:
            return [approval_of(row) for row in connection.execute(found)]

    def application(self, name: str) -> Applied | None:
        return self._one(sa.select(APPLICATIONS).where(APPLICATIONS.c.name == name), applied_of)

    def campaign(self, campaign_id: str) -> KeptCampaign | None:
        found = sa.select(CAMPAIGNS).where(CAMPAIGNS.c.campaign_id == campaign_id)
        return self._one(found, campaign_of)

    def transitions(
        self, campaign_ids: Sequence[str]
    ) -> Mapping[str, Sequence[CampaignTransitioned]]:
        t = TRANSITIONS.c
        found = sa.select(t.event).where(t.campaign_id.in_(campaign_ids)).order_by(t.sequence)
        made: dict[str, list[CampaignTransitioned]] = {each: [] for each in campaign_ids}
        with self._engine.connect() as connection:
            for row in connection.scalars(found):
                event = codec.decode(CAMPAIGN_TRANSITIONED, row)
                made[event.campaign_id].append(event)
        return made

    def table(self, application: str) -> Table | None:
        found = sa.select(ROUTING).where(ROUTING.c.application == application)
        return self._one(found, lambda row: loads(Table, row.spec))

    def release(self, digest: str) -> KeptRelease | None:
        return self._one(sa.select(RELEASES).where(RELEASES.c.digest == digest), _release_of)

    def model(self, application: str, digest: str) -> Model | None:
        return self._one(_of(MODELS, application).where(MODELS.c.digest == digest), _model_of)

    def dataset(self, application: str, digest: str) -> KeptDataset | None:
        found = _of(DATASETS, application).where(DATASETS.c.digest == digest)
        return self._one(found, _dataset_of)

    def _one(self, found: sa.Select[Any], make: Callable[[Row[Any]], T]) -> T | None:
        with self._engine.connect() as connection:
            row = connection.execute(found).one_or_none()
        return make(row) if row else None

    def _page(
        self,
        found: sa.Select[Any],
        cut: Cut,
        make: Callable[[Row[Any]], T],
        newest_first: bool = False,
    ) -> Page[T]:
        seq = found.selected_columns.seq
        if cut.token:
            behind = _position(cut.token)
            found = found.where(seq < behind if newest_first else seq > behind)
        found = found.order_by(seq.desc() if newest_first else seq).limit(cut.size + 1)
        with self._engine.connect() as connection:
            rows = connection.execute(found).all()
        more = len(rows) > cut.size
        rows = rows[: cut.size]
        return Page(tuple(map(make, rows)), _token(rows[-1].seq) if more else "")


def _of(table: sa.Table, application: str) -> sa.Select[Any]:
    """All rows of an application; of every application for ""."""
    found = sa.select(table)
    return found.where(table.c.application == application) if application else found


def _token(seq: int) -> str:
    return base64.urlsafe_b64encode(f"seq:{seq}".encode()).decode()


def _position(token: str) -> int:
    try:
        text = base64.urlsafe_b64decode(token.encode()).decode()
        return int(text.removeprefix("seq:"))
    except (binascii.Error, ValueError) as error:
        raise Poison("page_token is not one of ours", code="bad_page_token") from error


def _release_of(row: Row[Any]) -> KeptRelease:
    return KeptRelease(
        loads(Release, row.spec), row.campaign_id, row.dataset_digest, utc(row.created_at)
    )


def _model_of(row: Row[Any]) -> Model:
    return loads(Model, row.spec)


def _dataset_of(row: Row[Any]) -> KeptDataset:
    return KeptDataset(loads(Dataset, row.spec), row.application, row.campaign_id)
