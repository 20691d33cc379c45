"""Options that several verbs share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def control_options(command: F) -> F:
    """`--control URL` and `--token TOKEN`, also from TEPI_CONTROL and TEPI_TOKEN."""
    command = click.option("--token", envvar="TEPI_TOKEN", help="An API token; also TEPI_TOKEN.")(command)
    return click.option("--control", envvar="TEPI_CONTROL", help="Control's URL; also TEPI_CONTROL.")(command)


def need_control(control: str | None, token: str | None) -> tuple[str, str]:
    """Both, or a clear word on how to name them."""
    if not control:
        raise click.UsageError("name control: --control URL, or TEPI_CONTROL")
    if not token:
        raise click.UsageError("show a token: --token TOKEN, or TEPI_TOKEN")
    return control, token
