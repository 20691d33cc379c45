"""What every long-running verb does alike: logs, stops on a signal, says in one sentence what is wrong."""

from __future__ import annotations

import asyncio
import errno
import gc
import json
import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import NoReturn

import click

from edge.document.problems import Refused
from edge.identity import JoinRefused
from edge.secrets import NoSecret
from geo.lookup import BadDatabase

CONFIGURATION = 2  # exit code: this can't run as it is told to; starting it again would not help


def collect_seldom() -> None:
    """Looks for garbage in cycles seldom: what is loaded or stored is none, and all walked through."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


class JsonLines(logging.Formatter):
    """One JSON object a record."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def logging_to_stderr(level: int = logging.INFO) -> None:
    """Every logger writes JSON lines to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)


async def stop_signal() -> None:
    """Returns when the process is asked to stop (SIGTERM, SIGINT)."""
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    await asked.wait()


@contextmanager
def stops_with_a_sentence(*known: type[Exception]) -> Iterator[None]:
    """Ends the process with exit code 2 and one clear sentence where it can't run as it is told to.

    `known` is what a verb raises beyond what all do: each imports its own, and nobody another's room.
    """
    told: tuple[type[Exception], ...] = (Refused, BadDatabase, NoSecret, JoinRefused, *known)
    try:
        yield
    except told as error:
        _stop(str(error))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            _stop(f"{error.strerror or error}: stop the other process or choose another address")
        _stop(f"{error.filename or 'the system'}: {error.strerror or error}")


def _stop(sentence: str) -> NoReturn:
    click.echo(f"tepi: {sentence}", err=True)
    raise SystemExit(CONFIGURATION)
