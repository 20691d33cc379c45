"""What an operator says of peer to peer."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from origin.p2p.event import DELETION, DRAFT, LISTING, PROFILE, REPORT, WRAP

KINDS = [PROFILE, DELETION, 3, WRAP, 1111, REPORT, 10_002, 10_040, 10_050, 30_382, LISTING, DRAFT]


class P2PSettings(BaseModel):
    """Relay, listings and what is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    title: str = Field(
        "Peer to peer", max_length=80, description="What the relay and its pages call themselves."
    )
    contact: str = Field("", max_length=200, description="How people reach the operator, as NIP-11 shows it.")
    kinds: list[int] = Field(
        KINDS, description="Kinds of events that are kept; ephemeral ones (20000 to 29999) pass besides."
    )
    work: int = Field(0, ge=0, le=40, description="Bits of work (NIP-13) that an event must show.")
    largest: int = Field(
        64 * 1024, ge=4096, le=1024 * 1024, description="Bytes of the largest message that the relay reads."
    )
    ahead: int = Field(
        900, ge=0, le=86_400, description="Seconds that an event may be dated into the future."
    )
    events_a_minute: int = Field(
        60, ge=1, le=100_000, description="Events a minute that one key may publish, and one network thrice."
    )
    requests_a_minute: int = Field(
        600, ge=1, le=100_000, description="Requests a minute that one connection may make."
    )
    subscriptions: int = Field(20, ge=1, le=1000, description="Subscriptions that one connection may hold.")
    filters: int = Field(10, ge=1, le=100, description="Filters that one subscription may have.")
    answers: int = Field(500, ge=1, le=5000, description="Stored events that one filter gives at most.")
    pictures_a_day: int = Field(
        100, ge=1, le=10_000, description="Pictures that one key may store in a day; 1 MiB each at most."
    )
    blocked: list[str] = Field(
        [], description="Public keys (64 hexadecimal digits) of whom nothing is taken."
    )
    forbidden: list[str] = Field([], description="Categories (tags t) in which nobody may list.")
    currency: str = Field(
        "IDR", pattern=r"^[A-Z]{3}$", description="The currency (ISO 4217) of prices that visitors search by."
    )
    seconds: int = Field(
        600, ge=0, le=86_400, description="Seconds that the edge keeps pages; a change purges them at once."
    )
