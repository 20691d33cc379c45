"""What the verbs about sites share: a document in a file, and control's resource for a site."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from control.cli.options import need_control
from control.client import call
from edge.document.files import read_toml
from edge.document.packs import embedded
from edge.document.problems import Refused


def of_site(name: str) -> str:
    """The path of the site called `name` in control's API."""
    return f"/sites/{quote(name, safe='')}"


def site_in(file: Path) -> dict[str, Any]:
    """The site's document in a TOML or JSON file. Raises ClickException."""
    if file.suffix == ".json":
        try:
            document = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise click.ClickException(f"{file}: expected JSON: {error}") from error
        if not isinstance(document, dict):
            raise click.ClickException(f"{file}: expected an object")
        return document
    try:
        return embedded(read_toml(file), file.parent)
    except Refused as error:
        raise click.ClickException(str(error)) from error


def ask(control: str | None, token: str | None, method: str, path: str, body: Any = None) -> Any:
    """One call of the API; the answer's document. Raises ClickException."""
    base, bearer = need_control(control, token)
    return call(base, bearer, method, f"/api/v1{path}", body)
