"""Risk in the database: attempts counted and judged, decisions kept, reviewed, and what became of them."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

from sqlalchemy import Select, and_, case, distinct, func, insert, literal, or_, select, update

from origin.contract import Attempt, Card, Host, Outcome, Statements, Verdict
from origin.money import checked
from origin.risk.facts import COUNTED, DAY, HOUR, Before, Fact, facts_of, recognised, speed
from origin.risk.networks import kind_of, network_of
from origin.risk.reports import Decided
from origin.risk.rules import DEFAULT, SEVERITY, Judged, RuleSet, judge
from origin.risk.tables import decisions, rulesets

LONGEST_ORDER = 120
FINAL = {"": 0, "failed": 1, "paid": 2, "refunded": 3, "disputed": 4}  # an outcome never goes back


class NoSuchDecision(LookupError):
    """There is none of this id that waits for a review."""


@dataclass(frozen=True, slots=True)
class Networks:
    """What the operator says of autonomous systems."""

    hosting: frozenset[int]
    homes: frozenset[int]


class Desk:
    """Implements `Risk`. `centres` are the countries' places, for speeds."""

    def __init__(self, host: Host, networks: Networks, centres: Mapping[str, tuple[float, float]]) -> None:
        self._host = host
        self._networks = networks
        self._centres = centres

    async def assess(self, connection: Statements, attempt: Attempt) -> Verdict:
        """Decides, and keeps in the caller's transaction what was decided, by which rules and values."""
        checked(attempt.amount)
        if not attempt.order or len(attempt.order) > LONGEST_ORDER:
            raise ValueError(f"order: got {attempt.order[:40]!r}, expected 1 to {LONGEST_ORDER} characters")
        keys = self._keys(attempt)
        digest = hashlib.sha256(json.dumps(astuple(attempt)).encode()).hexdigest()
        known = await connection.execute(
            select(decisions).where(decisions.c.order_id == attempt.order, decisions.c.digest == digest)
        )
        row = known.first()
        if row is not None:
            return _verdict(row)
        now = self._host.now()
        facts = facts_of(
            attempt,
            now,
            kind_of(attempt.visitor.asn, self._networks.hosting, self._networks.homes),
            await self._counts(connection, keys, now),
            await self._before(connection, keys),
            self._centres,
        )
        version, rules = await current(connection)
        judged = judge(rules.rules, facts)
        id = secrets.token_hex(16)
        await connection.execute(
            insert(decisions).values(
                id=id,
                order_id=attempt.order,
                digest=digest,
                version=version,
                action=judged.action,
                challenge=judged.challenge,
                matched=list(judged.matched),
                failed=list(judged.failed),
                facts=facts,
                at=now,
                review="open" if judged.action == "review" else "",
                reviewed_by="",
                outcome="",
                replaced_by="",
                **keys,
            )
        )
        return Verdict(id, judged.action, judged.challenge, judged.matched)

    async def recognise(self, connection: Statements, order: str, card: Card) -> Verdict | None:
        """Judges an order's latest attempt again, with its card; no milder than before.

        The decision that it had is completed; a graver one is a decision of its own that takes its place.
        """
        latest = select(decisions).where(decisions.c.order_id == order).order_by(decisions.c.number.desc())
        row = (await connection.execute(latest.limit(1))).first()
        if row is None:
            return None
        keys = {name: getattr(row, name) for name in COUNTED}
        keys["card"] = self._hidden("card", card.fingerprint) or row.card
        country = card.country.upper() or row.facts["card_country"]
        if (keys["card"], country) == (row.card, row.facts["card_country"]):
            return _verdict(row)
        facts = await self._recognised(connection, row, keys, country)
        version, rules = await current(connection)
        judged = judge(rules.rules, facts)
        known: dict[str, Any] = {"facts": facts, **keys}
        if SEVERITY[judged.action] >= SEVERITY[row.action]:  # else what was decided stands, for its reasons
            known |= {
                "matched": list(judged.matched),
                "failed": list(judged.failed),
                "version": version,
            }
        if SEVERITY[judged.action] <= SEVERITY[row.action]:
            await connection.execute(update(decisions).where(decisions.c.id == row.id).values(**known))
            return _verdict(row)
        return await self._replaced(connection, row, judged, known)

    async def _recognised(
        self, connection: Statements, row: Any, keys: Mapping[str, str], country: str
    ) -> Mapping[str, Fact]:
        now = self._host.now()
        counts = await self._counts(connection, keys, now)
        before = await self._before(connection, {**dict.fromkeys(COUNTED, ""), "card": keys["card"]})
        travel = speed(str(row.facts["country"]), now, before, self._centres)
        return recognised(row.facts, country, counts, travel)

    async def _replaced(
        self, connection: Statements, row: Any, judged: Judged, known: Mapping[str, Any]
    ) -> Verdict:
        """A graver decision, under which the attempt is counted from now on; nobody answers the old one."""
        id = secrets.token_hex(16)
        old = {
            **dict.fromkeys(COUNTED, ""),
            "digest": row.id,
            "replaced_by": id,
            "review": "" if row.review == "open" else row.review,
        }
        await connection.execute(update(decisions).where(decisions.c.id == row.id).values(**old))
        await connection.execute(
            insert(decisions).values(
                id=id,
                order_id=row.order_id,
                digest=row.digest,
                action=judged.action,
                challenge=row.challenge,
                at=self._host.now(),
                review="open" if judged.action == "review" else "",
                reviewed_by="",
                outcome=row.outcome,
                replaced_by="",
                **known,
            )
        )
        return Verdict(id, judged.action, row.challenge, judged.matched)

    async def learn(self, connection: Statements, order: str, outcome: Outcome) -> None:
        """What became of an order: of its latest attempt. A later word never takes back a graver one."""
        latest = select(func.max(decisions.c.number)).where(decisions.c.order_id == order).scalar_subquery()
        graver = [name for name, grade in FINAL.items() if grade < FINAL[outcome]]
        await connection.execute(
            update(decisions)
            .where(decisions.c.number == latest, decisions.c.outcome.in_(graver))
            .values(outcome=outcome)
        )

    async def review(self, id: str, approved: bool, by: str) -> None:
        """Answers a review, once, with the event `risk.reviewed`. Raises NoSuchDecision."""
        async with self._host.write() as connection:
            changed = await connection.execute(
                update(decisions)
                .where(decisions.c.id == id, decisions.c.review == "open")
                .values(
                    review="approved" if approved else "rejected",
                    reviewed_by=by[:LONGEST_ORDER],
                    reviewed_at=self._host.now(),
                )
            )
            if changed.rowcount != 1:
                raise NoSuchDecision(f"id: got {id[:40]!r}, expected one that waits for a review")
            order = await connection.execute(select(decisions.c.order_id).where(decisions.c.id == id))
            body = {"order": order.scalar_one(), "decision": id, "approved": approved, "by": by}
            await self._host.events.emit(connection, "risk.reviewed", body)

    async def keep(self, rules: RuleSet, by: str) -> int:
        """`rules` hold from now on; their version."""
        async with self._host.write() as connection:
            made = await connection.execute(
                insert(rulesets).values(
                    rules=rules.model_dump(mode="json")["rules"],
                    made_by=by[:LONGEST_ORDER],
                    made_at=self._host.now(),
                )
            )
            key = made.inserted_primary_key
            assert key is not None
            return int(key[0])

    async def rules(self) -> tuple[int, RuleSet]:
        """The rules of now, and their version."""
        async with self._host.read() as connection:
            return await current(connection)

    async def versions(self) -> Sequence[Mapping[str, Any]]:
        """Every version of the rules, the newest first."""
        async with self._host.read() as connection:
            rows = await connection.execute(select(rulesets).order_by(rulesets.c.version.desc()))
            return [dict(row._mapping) for row in rows]

    async def waiting(self, most: int = 100) -> Sequence[Mapping[str, Any]]:
        """What waits for a review, the oldest first."""
        return await self._rows(
            select(decisions).where(decisions.c.review == "open").order_by(decisions.c.number).limit(most)
        )

    async def of_order(self, order: str) -> Sequence[Mapping[str, Any]]:
        """Every decision about an order, in their order."""
        return await self._rows(
            select(decisions).where(decisions.c.order_id == order).order_by(decisions.c.number)
        )

    async def history(self, since: float, most: int) -> list[Decided]:
        """The latest decisions since a moment: what rules are measured by and tried against."""
        asked = select(decisions).where(decisions.c.at >= since, decisions.c.replaced_by == "")
        rows = await self._rows(asked.order_by(decisions.c.number.desc()).limit(most))
        return [
            Decided(
                row["id"], row["action"], row["challenge"], tuple(row["matched"]), row["facts"],
                row["review"], row["outcome"],
            )
            for row in rows
        ]  # fmt: skip

    async def _rows(self, asked: Select[Any]) -> Sequence[Mapping[str, Any]]:
        async with self._host.read() as connection:
            return [dict(row._mapping) for row in await connection.execute(asked)]

    def _keys(self, attempt: Attempt) -> dict[str, str]:
        return {
            "address": attempt.visitor.address[:45],
            "network": network_of(attempt.visitor.address),
            "device": self._hidden("device", attempt.device),
            "email": self._hidden("email", attempt.email.strip().lower()),
            "card": self._hidden("card", attempt.card),
        }

    def _hidden(self, kind: str, value: str) -> str:
        if not value:
            return ""
        return hmac.digest(self._host.secret, f"{kind}:{value}".encode(), hashlib.sha256).hex()

    async def _counts(self, connection: Statements, keys: Mapping[str, str], now: float) -> dict[str, int]:
        """Earlier attempts by key within an hour and a day, and the cards that came with one of them."""
        d, asked = decisions.c, []
        for name in COUNTED:
            if not keys[name]:
                continue
            same = and_(d[name] == keys[name], d.at > now - DAY)
            hour = func.coalesce(func.sum(case((d.at > now - HOUR, 1), else_=0)), 0)
            within = case((d.at > now - HOUR, d.card), else_="") if name == "address" else d.card
            cards = func.count(distinct(func.nullif(func.nullif(within, ""), keys["card"])))
            asked.append(select(literal(name).label("name"), hour, func.count(), cards).where(same))
        this = 1 if keys["card"] else 0
        counts = {"cards_day": this, "address_cards_hour": this}
        for statement in asked:
            name, hour_count, day_count, cards_count = (await connection.execute(statement)).one()
            counts |= {f"{name}_hour": int(hour_count), f"{name}_day": int(day_count)}
            if name in ("device", "email"):
                counts["cards_day"] = max(counts["cards_day"], cards_count + this)
            if name == "address":
                counts["address_cards_hour"] = cards_count + this
        return counts

    async def _before(self, connection: Statements, keys: Mapping[str, str]) -> Before | None:
        same = [decisions.c[name] == keys[name] for name in ("card", "email", "device") if keys[name]]
        if not same:
            return None
        found = await connection.execute(
            select(decisions.c.facts, decisions.c.at)
            .where(or_(*same))
            .order_by(decisions.c.at.desc())
            .limit(1)
        )
        row = found.first()
        return None if row is None else Before(str(row.facts.get("country", "")), row.at)


async def current(connection: Statements) -> tuple[int, RuleSet]:
    """The newest rules and their version; those that Tepi ships are 0."""
    found = await connection.execute(select(rulesets).order_by(rulesets.c.version.desc()).limit(1))
    row = found.first()
    return (0, DEFAULT) if row is None else (row.version, RuleSet.model_validate({"rules": row.rules}))


def _verdict(row: Any) -> Verdict:
    return Verdict(row.id, row.action, row.challenge, tuple(row.matched))
