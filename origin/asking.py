"""How plugins' commands ask the running origin: its admin listener, and what it refuses as a sentence."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
SECONDS = 60.0


def admin_option(command: F) -> F:
    """`--admin URL`."""
    return click.option(
        "--admin", default="http://127.0.0.1:8402", envvar="TEPI_ORIGIN_ADMIN", show_default=True,
        help="The origin's admin listener; also TEPI_ORIGIN_ADMIN.",
    )(command)  # fmt: skip


def fetch(admin: str, path: str, body: object = None) -> bytes:
    """What the admin listener answers at `path`; with a body it is posted as JSON. Raises ClickException."""
    url = f"{admin.rstrip('/')}{path}"
    if not url.startswith(("http://", "https://")):
        raise click.BadParameter(f"got {admin!r}, expected http://HOST:PORT", param_hint="--admin")
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as response:  # noqa: S310
            return bytes(response.read())
    except urllib.error.HTTPError as error:
        try:
            detail = json.load(error).get("detail", "")
        except ValueError:
            detail = ""
        raise click.ClickException(detail or f"{url} answered {error.code}") from error
    except OSError as error:
        raise click.ClickException(f"{url} can't be reached: {error}") from error


def ask(admin: str, path: str, body: object = None) -> Any:
    """`fetch`, as JSON."""
    return json.loads(fetch(admin, path, body))
