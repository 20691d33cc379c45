"""The journal on NATS JetStream: fed from the table by the elected control, in order, each event once.

A lineage has a stream of its own in which an event's sequence is its number. An event is published with its
id and with the sequence that must have come before, so that neither a repeated try nor a second publisher
can put anything twice or out of order.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import nats
from nats.errors import Error as NatsError
from nats.errors import MaxPayloadError
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, Header, StreamConfig
from nats.js.errors import NotFoundError
from sqlalchemy.exc import SQLAlchemyError

from control.journal import Journal
from edge.journal import signed_frame
from edge.position import Position

log = logging.getLogger("tepi.control.carriers")

PAUSE = 0.5  # seconds before a lost connection is tried again
DIAL_SECONDS = 2


def names(lineage: str) -> tuple[str, str]:
    """The stream and the subject of a lineage."""
    return f"TEPI_{lineage}", f"tepi.journal.{lineage}"


def offer(url: str, position: Position) -> dict[str, Any]:
    """The frame that sends a node, which stands at `position`, there for what comes after."""
    stream, subject = names(position.lineage)
    return {"type": "carrier", "url": url, "stream": stream, "subject": subject, "after": position.number}


async def keep_publishing(url: str, journal: Journal, keep: int) -> None:
    """Publishes every event that JetStream lacks, then each one as it comes, until cancelled."""
    failing = False
    while True:
        try:
            client = await nats.connect(
                url, connect_timeout=DIAL_SECONDS, allow_reconnect=False, error_cb=_said, name="tepi control"
            )
            failing = False
            try:
                await _publish(client.jetstream(), journal, keep)
            finally:
                await client.close()
        except (NatsError, OSError, TimeoutError, SQLAlchemyError) as error:
            if not failing:
                log.warning("the journal does not reach NATS: %s", str(error) or type(error).__name__)
            failing = True
        await asyncio.sleep(PAUSE)


async def _publish(jetstream: JetStreamContext, journal: Journal, keep: int) -> None:
    """One lineage's events, until it ends."""
    head = await journal.head()
    stream, subject = names(head.lineage)
    last = await _last(jetstream, stream)
    if last is None or not await journal.reaches_back_to(Position(head.lineage, last)):
        if last is not None:
            await jetstream.delete_stream(stream)
        last = await journal.before_the_oldest()
        await jetstream.add_stream(
            StreamConfig(
                name=stream,
                subjects=[subject],
                first_seq=last + 1,
                max_msgs=keep,
                discard=DiscardPolicy.OLD,
            )
        )
    async for position, signed in journal.follow(Position(head.lineage, last)):
        headers = {
            Header.MSG_ID.value: f"{position.lineage}-{position.number}",
            Header.EXPECTED_LAST_SEQUENCE.value: str(position.number - 1),
        }
        try:
            await jetstream.publish(
                subject, signed_frame("event", signed).encode(), stream=stream, headers=headers
            )
        except MaxPayloadError:  # it keeps its number; nodes get it by their line
            await jetstream.publish(subject, json.dumps({"type": "too-large"}).encode(), headers=headers)


async def _last(jetstream: JetStreamContext, stream: str) -> int | None:
    """The number of the last event that is there; None where there is no such stream."""
    try:
        return (await jetstream.stream_info(stream)).state.last_seq
    except NotFoundError:
        return None


async def _said(error: Exception) -> None:
    log.info("NATS: %s", error)
