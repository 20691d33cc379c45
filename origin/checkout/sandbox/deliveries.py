"""The sandbox's webhooks: signed as Standard Webhooks, and as late, often and disordered as it is told."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from dataclasses import dataclass

import aiohttp

from edge.webhooks.standard import sign
from origin.checkout.sandbox.book import Book

PAUSE = 0.05
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
BATCH = 200
TIMEOUT = aiohttp.ClientTimeout(total=10)


@dataclass(slots=True)
class Behaviour:
    """How the sandbox misbehaves from now on. Numbers count down; seconds are added to everything."""

    delay: float = 0.0  # seconds before each answer
    hook_delay: float = 0.0  # seconds before each webhook
    refuse: int = 0  # requests that are answered 503 with nothing done
    lose: int = 0  # requests that are done, and their connection closed without an answer
    decline: int = 0  # payments that are declined
    repeat: int = 0  # times that each webhook is sent again
    shuffle: bool = False  # whether webhooks are sent in any order
    silent: bool = False  # whether no webhook is sent at all


@dataclass(frozen=True, slots=True)
class Receiver:
    """Who gets the webhooks. `host` is put into the Host field, where the URL is an address."""

    url: str
    host: str
    secret: str


async def deliver(book: Book, behaviour: Behaviour, receiver: Receiver) -> None:
    """Sends what is due, for ever; what is not taken (2xx) comes again, with pauses that grow."""
    async with aiohttp.ClientSession(timeout=TIMEOUT) as client:
        while True:
            await asyncio.sleep(PAUSE)
            if behaviour.silent:
                continue
            due = book.due(time.time(), BATCH)
            if behaviour.shuffle:
                random.shuffle(due)
            for number, id, body, tries in due:
                sent = [await _sent(client, receiver, id, body) for _ in range(1 + behaviour.repeat)]
                if all(sent):
                    book.taken(number)
                else:
                    wait = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(tries, 10))
                    book.later(number, time.time() + wait)


async def _sent(client: aiohttp.ClientSession, receiver: Receiver, id: str, body: str) -> bool:
    at, data = int(time.time()), body.encode()
    fields = {
        "Host": receiver.host,
        "Content-Type": "application/json",
        "webhook-id": id,
        "webhook-timestamp": str(at),
        "webhook-signature": sign(receiver.secret, id, at, data),
    }
    with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
        async with client.post(receiver.url, data=data, headers=fields) as response:
            return 200 <= response.status < 300
    return False
