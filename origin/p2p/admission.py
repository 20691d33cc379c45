"""Which events are taken in: date, kind, work, blocklists, rates. Signatures are checked before."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from origin.p2p.event import AUTH, Class, Event, Unacceptable, class_of, expires_at, work_of
from origin.p2p.listing import LONGEST_D, Listing, check
from origin.p2p.settings import P2PSettings

MOST_TAGS = 500
MOST_KNOWN = 50_000  # keys and networks whose rates are remembered
NETWORK_SHARE = 3  # keys of one network, at their full rate


def admit(event: Event, settings: P2PSettings, now: float, authenticated: frozenset[str]) -> Listing | None:
    """The listing in a verified event, if it is one. Raises Unacceptable with NIP-01's word for why."""
    if event.kind == AUTH:
        raise Unacceptable("invalid: kind 22242 is for AUTH alone (NIP-42)")
    if class_of(event.kind) is not Class.EPHEMERAL and event.kind not in settings.kinds:
        raise Unacceptable(f"blocked: kind {event.kind} is not kept here, only {_listed(settings.kinds)}")
    if event.pubkey in settings.blocked:
        raise Unacceptable("blocked: nothing is taken from this key")
    if event.created_at > now + settings.ahead:
        raise Unacceptable(f"invalid: created_at is more than {settings.ahead} seconds in the future")
    if len(event.tags) > MOST_TAGS:
        raise Unacceptable(f"invalid: tags: got {len(event.tags)}, expected up to {MOST_TAGS}")
    if len(event.first("d") or "") > LONGEST_D:
        raise Unacceptable(f"invalid: d: expected up to {LONGEST_D} characters")
    if "\0" in event.content or any("\0" in part for tag in event.tags for part in tag):
        raise Unacceptable("invalid: got a NUL, expected text")
    over = expires_at(event)
    if over is not None and over <= now:
        raise Unacceptable("invalid: expiration is past (NIP-40)")
    if work_of(event) < settings.work:
        raise Unacceptable(f"pow: {work_of(event)} bits of committed work, expected {settings.work} (NIP-13)")
    if event.has("-") and event.pubkey not in authenticated:
        raise Unacceptable("auth-required: a protected event is taken from its author alone (NIP-70)")
    listing = check(event)
    if listing is not None:
        refused = set(listing.categories) & {word.lower() for word in settings.forbidden}
        if refused:
            raise Unacceptable(f"blocked: nothing may be listed under {min(refused)!r} here")
    return listing


def _listed(kinds: list[int]) -> str:
    return ", ".join(map(str, sorted(kinds)))


def network_of(address: str) -> str:
    """The network of an address that counts as one visitor: /24, or /48 of IPv6."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    size = 24 if ip.version == 4 else 48
    return str(ipaddress.ip_network((ip, size), strict=False))


@dataclass(slots=True)
class Rates:
    """Buckets that fill by the minute; the one unused longest is forgotten first."""

    _buckets: dict[str, tuple[float, float]] = field(default_factory=dict)  # level, when

    def take(self, who: str, a_minute: float, now: float) -> bool:
        """Whether `who` may once more."""
        level, at = self._buckets.pop(who, (a_minute, now))
        level = min(a_minute, level + max(0.0, now - at) * a_minute / 60)
        allowed = level >= 1
        self._buckets[who] = (level - 1 if allowed else level, now)
        if len(self._buckets) > MOST_KNOWN:
            del self._buckets[next(iter(self._buckets))]
        return allowed
