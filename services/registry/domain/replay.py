"""A campaign recomputed from its events."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.registry.domain.campaign import Campaign
from services.registry.domain.canonical import dumps, loads, sha256
from services.registry.domain.commands import Transition
from services.registry.domain.events import CampaignEvent
from services.registry.domain.step import step


@dataclass(frozen=True, slots=True)
class Replayed:
    state: Campaign
    transitions: tuple[Transition, ...]


def state_sha256(state: Campaign) -> str:
    """Digest of the whole state, the same before and after it was stored."""
    return sha256(loads(Campaign, dumps(state)))


def replay(
    campaign_id: str, events: Iterable[CampaignEvent], order: Sequence[str] = ()
) -> Replayed:
    """Fold `step` over ``events``.

    Args:
        events: in any order, repeats allowed.
        order: event ids in the order in which the registry recorded that they changed the
            state: two topics have no order between them but the one in which they were
            read. Events beyond it follow by event id, which is a UUIDv7 and so goes by time.
    """
    known = {event.cause.event_id: event for event in events}
    listed = [known.pop(event_id) for event_id in order if event_id in known]
    state, transitions = Campaign(campaign_id), []
    for event in [*listed, *(known[event_id] for event_id in sorted(known))]:
        state, commands = step(state, event)
        transitions += [command for command in commands if isinstance(command, Transition)]
    return Replayed(state, tuple(transitions))
