"""What the registry asks of the outside: transactions, a catalogue to read, the log."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

from libs.events.delivery import Delivery
from libs.events.topics import E, Topic
from protos.registry.v1.registry_events_pb2 import CampaignTransitioned
from protos.training.v1.training_events_pb2 import EngineBuilt
from services.registry.domain.campaign import Campaign
from services.registry.domain.policies import Provider
from services.registry.domain.routing import Table
from services.registry.domain.values import Application, Dataset, Model, Prompt, Release

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Applied:
    application: Application
    revision: int


@dataclass(frozen=True, slots=True)
class KeptCampaign:
    """A campaign as it is stored.

    Args:
        sha256: of the state.
        pending: (topic, event id) of inputs that changed the state since its last transition.
    """

    application: str
    state: Campaign
    sha256: str
    started_at: datetime
    pending: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class KeptDataset:
    dataset: Dataset
    application: str
    campaign_id: str


@dataclass(frozen=True, slots=True)
class KeptRelease:
    release: Release
    campaign_id: str
    dataset_digest: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class KeptPrompt:
    """``created_by`` "": declared with the application."""

    application: str
    prompt: Prompt
    created_by: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class KeptEngine:
    """``current_version``: the newest one known of its runtime."""

    built: EngineBuilt
    current_version: str
    built_at: datetime


@dataclass(frozen=True, slots=True)
class Approval:
    """Why a provider may be a fallback: a campaign without harm, or a person's word."""

    provider: Provider
    campaign_id: str
    operator: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """``next_token`` "" on the last one."""

    items: tuple[T, ...]
    next_token: str


@dataclass(frozen=True, slots=True)
class Cut:
    """Which part of a list: at most ``size`` items behind ``token`` ("": from the first)."""

    size: int
    token: str


class Shelf(Protocol):
    """What an application may try: prompts, providers, engines."""

    def keep_prompt(self, prompt: Prompt, created_by: str) -> Prompt:
        """``prompt`` with its version: the one that it has, or the next."""

    def declared_prompt(self, prompt: Prompt) -> Prompt:
        """The newest version of ``prompt``'s template and variables; kept if there is none."""

    def prompt(self, version: int) -> Prompt | None: ...

    def approve(self, approval: Approval) -> None:
        """Again is no other approval: the first stays."""

    def approvals(self) -> tuple[Approval, ...]: ...

    def keep_engine(self, built: EngineBuilt) -> None:
        """The newest word on an engine stands."""

    def keep_runtime(self, runtime: str, version: str) -> None:
        """The newest version that is known of ``runtime``."""

    def runtime_version(self, runtime: str) -> str:
        """The one that was kept; "" when none was."""


class Work(Protocol):
    """One transaction over one application's state, and the events that leave with it."""

    @property
    def shelf(self) -> Shelf: ...

    def send(self, topic: Topic[E], event: E) -> str:
        """Queue an event; it leaves if and only if the transaction is committed."""

    def applied(self) -> Applied | None: ...

    def apply(self, applied: Applied) -> None: ...

    def table(self) -> Table: ...

    def set_table(self, table: Table) -> None: ...

    def add_key(self, sha256: str) -> None: ...

    def revoke_key(self, sha256: str) -> bool:
        """False when there is no such key."""

    def keys(self) -> tuple[str, ...]:
        """Digests of the keys that are valid."""

    def campaign(self, campaign_id: str) -> KeptCampaign | None: ...

    def keep(self, campaign: KeptCampaign) -> None: ...

    def active_campaign(self) -> str:
        """Id of the one that has begun and not ended, or ""."""

    def tests(self) -> tuple[int, int]:
        """Campaigns that reached a canary and ended, and how many of them were promoted."""

    def taken(self, campaign_id: str, event_id: str) -> bool:
        """Whether this event has changed the campaign before."""

    def take(self, campaign_id: str, event_id: str) -> None: ...

    def keep_transition(self, event: CampaignTransitioned) -> None: ...

    def keep_dataset(self, campaign_id: str, dataset: Dataset) -> None: ...

    def keep_model(self, campaign_id: str, model: Model) -> None: ...

    def keep_release(self, campaign_id: str, release: Release, dataset_digest: str) -> None: ...

    def model(self, digest: str) -> Model | None: ...

    def release(self, digest: str) -> Release | None: ...

    def dataset(self, digest: str) -> Dataset | None: ...


class Store(Protocol):
    def write(self, application: str) -> AbstractContextManager[Work]:
        """A transaction: committed on leaving, rolled back by an exception.

        Raises:
            Retryable: the store is away.
        """


class Catalogue(Protocol):
    """Reads. Lists go by the order of insertion; releases, campaigns and engines newest first."""

    def applications(self, cut: Cut) -> Page[Applied]: ...

    def releases(self, application: str, cut: Cut) -> Page[KeptRelease]: ...

    def models(self, application: str, cut: Cut) -> Page[Model]: ...

    def datasets(self, application: str, cut: Cut) -> Page[KeptDataset]: ...

    def campaigns(self, application: str, cut: Cut) -> Page[KeptCampaign]: ...

    def prompts(self, application: str, cut: Cut) -> Page[KeptPrompt]: ...

    def engines(self, application: str, cut: Cut) -> Page[KeptEngine]: ...

    def approvals(self, application: str) -> Sequence[Approval]: ...

    def application(self, name: str) -> Applied | None: ...

    def campaign(self, campaign_id: str) -> KeptCampaign | None: ...

    def transitions(
        self, campaign_ids: Sequence[str]
    ) -> Mapping[str, Sequence[CampaignTransitioned]]:
        """Of each campaign, in order."""

    def table(self, application: str) -> Table | None: ...

    def release(self, digest: str) -> KeptRelease | None: ...

    def model(self, application: str, digest: str) -> Model | None: ...

    def dataset(self, application: str, digest: str) -> KeptDataset | None: ...


class Log(Protocol):
    """The topics from their beginning."""

    def read(self, topics: Sequence[Topic[Any]]) -> Iterable[Delivery[Any]]:
        """Every readable event up to the present ends, in order within a partition.

        Raises:
            Retryable: the broker is away.
        """
