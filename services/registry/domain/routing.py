"""The routing table of an application: who answers which share of its episodes."""

from dataclasses import dataclass, replace

from services.registry.domain.canonical import later
from services.registry.domain.commands import Crown, Expose, Role, Withdraw
from services.registry.domain.policies import Provider, Serving
from services.registry.domain.releases import with_provider
from services.registry.domain.values import Release


@dataclass(frozen=True, slots=True)
class Table:
    """Every change makes the next version. At most one candidate stands beside the champion.

    Args:
        salt: of the assignment hash: the campaign's id, so that each draws its episodes anew.
        keys: hex sha256 of the application's API keys, sorted.
        fallbacks: the champion's prompt and decoding with an external provider each.
    """

    application: str
    version: int = 0
    salt: str = ""
    campaign_id: str = ""
    keys: tuple[str, ...] = ()
    champion: Release | None = None
    candidate: Release | None = None
    role: Role = Role.SHADOW
    share: float = 0.0
    serving: Serving = later(Serving())  # noqa: RUF009  (it is frozen)
    fallbacks: tuple[Release, ...] = later(())
    currency: str = later("")


def route(table: Table, campaign_id: str, command: Expose | Withdraw | Crown) -> Table:
    """``table`` after what the campaign asked for; the same table when nothing changes.

    Promotion crowns the candidate and the old champion leaves; rollback is one version
    without the candidate, whose champion's engine never left.
    """
    match command:
        case Expose(release=release, role=role, share=share):
            changed = replace(
                table,
                salt=campaign_id,
                campaign_id=campaign_id,
                candidate=release,
                role=role,
                share=share,
            )
        case Crown(release=release):
            changed = replace(alone(table), champion=release)
        case Withdraw():
            changed = alone(table)
    return numbered(table, changed)


def with_keys(table: Table, keys: tuple[str, ...]) -> Table:
    return numbered(table, replace(table, keys=tuple(sorted(keys))))


def with_terms(
    table: Table, serving: Serving, approved: tuple[Provider, ...], currency: str
) -> Table:
    """What the gateway grants, and who answers when no engine does. Without a number."""
    champion = table.champion
    all_of_them = [with_provider(champion, each) for each in approved] if champion else []
    fallbacks = tuple(release for release in all_of_them if release != champion)
    return replace(table, serving=serving, fallbacks=fallbacks, currency=currency)


def alone(table: Table) -> Table:
    """The champion without a candidate."""
    return replace(table, campaign_id="", candidate=None, role=Role.SHADOW, share=0.0)


def numbered(before: Table, changed: Table) -> Table:
    """``changed`` as the version after ``before``; ``before`` itself when nothing changed."""
    if before.version and replace(changed, version=before.version) == before:
        return before
    return replace(changed, version=before.version + 1)
