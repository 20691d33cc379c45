"""Style sheet, scripts and pictures: read once, served under names that change with what is in them."""

from __future__ import annotations

import hashlib
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

STATIC = Path(__file__).parent / "static"
PREFIX = "/assets"
FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file, with the path under which it is served."""

    path: str
    body: bytes
    type: str


class Assets:
    """Every file of the static directory."""

    def __init__(self, directory: Path = STATIC) -> None:
        self._by_name = {file.name: _read(file) for file in sorted(directory.iterdir()) if file.is_file()}
        self._by_path: Mapping[str, Asset] = {asset.path: asset for asset in self._by_name.values()}

    def path(self, name: str) -> str:
        """Where the file called `name` is served."""
        return self._by_name[name].path

    async def serve(self, request: web.Request) -> web.Response:
        """Answers with the asset at the request's path, else 404."""
        asset = self._by_path.get(request.path)
        if asset is None:
            raise web.HTTPNotFound
        response = web.Response(
            body=asset.body,
            content_type=asset.type,
            headers={"Cache-Control": FOR_EVER, "X-Content-Type-Options": "nosniff"},
        )
        if asset.type.startswith(("text/", "image/svg")):
            response.charset = "utf-8"
            response.enable_compression()
        return response


def _read(file: Path) -> Asset:
    body = file.read_bytes()
    kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    return Asset(f"{PREFIX}/{hashlib.sha256(body).hexdigest()[:12]}/{file.name}", body, kind)
