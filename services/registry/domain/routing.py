"""The routing table of an application: who answers which share of its episodes."""

from dataclasses import dataclass, replace

from services.registry.domain.commands import Crown, Expose, Role, Withdraw
from services.registry.domain.values import Release


@dataclass(frozen=True, slots=True)
class Table:
    """Every change makes the next version. At most one candidate stands beside the champion.

    Args:
        salt: of the assignment hash: the campaign's id, so that each draws its episodes anew.
        keys: hex sha256 of the application's API keys, sorted.
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
    return _next(table, changed)


def with_keys(table: Table, keys: tuple[str, ...]) -> Table:
    return _next(table, replace(table, keys=tuple(sorted(keys))))


def alone(table: Table) -> Table:
    """The champion without a candidate."""
    return replace(table, campaign_id="", candidate=None, role=Role.SHADOW, share=0.0)


def _next(table: Table, changed: Table) -> Table:
    if changed == table and table.version:
        return table
    return replace(changed, version=table.version + 1)
