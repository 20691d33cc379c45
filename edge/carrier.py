"""Another way for the journal's events to a node: NATS JetStream, where many nodes hang on one control.

What comes that way is signed like everything of the journal, and numbered: who can write there can withhold
events, and then the line to control brings them; he can't forge or skip one.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator

log = logging.getLogger("tepi.agent")

DIAL_SECONDS = 2


class CarrierLost(Exception):
    """Nothing more comes this way; the sentence says why."""


async def carried(url: str, stream: str, subject: str, after: int) -> AsyncGenerator[str, None]:
    """Every `event` frame after number `after`, in order, for as long as they come. Raises CarrierLost.

    In the stream an event's sequence is its number.
    """
    import nats  # here: most nodes need none of it, and it takes longer to load than all else at a start
    from nats.errors import Error as NatsError
    from nats.js.api import ConsumerConfig, DeliverPolicy

    try:
        client = await nats.connect(
            url, connect_timeout=DIAL_SECONDS, allow_reconnect=False, error_cb=_said, name="tepi node"
        )
    except (NatsError, OSError, TimeoutError, ValueError) as error:
        raise CarrierLost(f"NATS does not answer: {str(error) or type(error).__name__}") from error
    try:
        config = ConsumerConfig(opt_start_seq=after + 1, deliver_policy=DeliverPolicy.BY_START_SEQUENCE)
        subscription = await client.jetstream().subscribe(
            subject, stream=stream, config=config, ordered_consumer=True
        )
        async for message in subscription.messages:
            yield message.data.decode()
        raise CarrierLost("NATS has closed the connection")
    except (NatsError, OSError, TimeoutError, ValueError) as error:
        raise CarrierLost(f"NATS: {str(error) or type(error).__name__}") from error
    finally:
        await client.close()


async def _said(error: Exception) -> None:
    log.info("NATS: %s", error)
