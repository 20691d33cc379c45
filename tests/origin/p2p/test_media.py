"""Pictures: stored under the hash of their bytes for who signs, and refused with a reason."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import struct
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from origin.p2p.pictures import BadPicture, inspect
from tests.origin.p2p.members import ANI, BUDI, SITE, Market, Member, market
from tests.origin.standing import NOON


def picture(kind: str, size: tuple[int, int] = (40, 30), **options: Any) -> bytes:
    to = io.BytesIO()
    Image.new("RGB", size, "teal").save(to, kind, **options)
    return to.getvalue()


def exif() -> Image.Exif:
    made = Image.Exif()
    made[0x010F] = "Kamera"
    return made


def signed(member: Member, verb: str, data: bytes, **changes: Any) -> dict[str, str]:
    sum = hashlib.sha256(data).hexdigest()
    wish = member.sign(24242, ("t", verb), ("x", sum), ("expiration", str(int(NOON) + 60)), **changes)
    return {"Host": SITE, "Authorization": f"Nostr {base64.b64encode(json.dumps(wish).encode()).decode()}"}


@asynccontextmanager
async def asking(
    bazaar: Market, method: str, path: str, **options: Any
) -> AsyncIterator[aiohttp.ClientResponse]:
    url = f"http://127.0.0.1:{bazaar.edge.port()}/commerce/p2p/media/{path}"
    async with aiohttp.ClientSession() as session, session.request(method, url, **options) as answer:
        yield answer


async def put(bazaar: Market, data: bytes, headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
    async with asking(bazaar, "PUT", "upload", data=data, headers=headers) as answer:
        return answer.status, await answer.json()


async def test_a_picture_is_stored_given_and_taken_back_by_its_owner_alone(tmp_path: Path) -> None:
    data = picture("WEBP")
    sum = hashlib.sha256(data).hexdigest()
    async with market(tmp_path) as bazaar:
        status, said = await put(bazaar, data, signed(ANI, "upload", data))
        assert (status, said["sha256"], said["type"], said["size"]) == (200, sum, "image/webp", len(data))
        assert said["url"].endswith(f"/commerce/p2p/media/{sum}.webp")
        assert (await put(bazaar, data, signed(BUDI, "upload", data)))[0] == 200
        for path in (sum, f"{sum}.webp"):
            async with asking(bazaar, "GET", path, headers={"Host": SITE}) as answer:
                assert await answer.read() == data
                assert answer.content_type == "image/webp"
                assert "sandbox" in answer.headers["Content-Security-Policy"]
        async with asking(bazaar, "DELETE", sum, headers=signed(BUDI, "delete", data)) as answer:
            assert answer.status == 404
        async with asking(bazaar, "DELETE", sum, headers=signed(ANI, "delete", data)) as answer:
            assert answer.status == 200
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{bazaar.url}/commerce/p2p/media/{sum}") as answer,
        ):
            assert answer.status == 404


async def test_whoever_can_not_show_his_wish_stores_nothing(tmp_path: Path) -> None:
    data = picture("PNG")
    async with market(tmp_path, pictures_a_day=1, blocked=[BUDI.pubkey]) as bazaar:
        for headers in (
            {"Host": SITE},
            signed(ANI, "delete", data),
            signed(ANI, "upload", data + b"x"),
            signed(ANI, "upload", data, sig="0" * 128),
            signed(ANI, "upload", data, at=NOON + 10_000),
            signed(BUDI, "upload", data),
            {"Host": SITE, "Authorization": "Nostr !!!"},
        ):
            status, said = await put(bazaar, data, headers)
            assert status == 401, said
        bazaar.clock.now += 61
        assert (await put(bazaar, data, signed(ANI, "upload", data)))[0] == 401
        bazaar.clock.now -= 61
        assert (await put(bazaar, data, signed(ANI, "upload", data)))[0] == 200
        more = picture("PNG", (41, 30))
        assert (await put(bazaar, more, signed(ANI, "upload", more)))[0] == 429


def bomb() -> bytes:
    """A PNG of 65 535 × 65 535 pixels in some hundred bytes."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", 65_535, 65_535, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"\0" * 9))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("data", "why"),
    [
        pytest.param(
            b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "type", id="svg"
        ),
        pytest.param(b"<!doctype html><script>", "type", id="html"),
        pytest.param(bomb(), "size", id="bomb"),
        pytest.param(picture("JPEG", exif=exif()), "metadata", id="jpeg-exif"),
        pytest.param(picture("WEBP", exif=exif()), "metadata", id="webp-exif"),
        pytest.param(picture("PNG", exif=exif()), "metadata", id="png-exif"),
        pytest.param(picture("WEBP", xmp=b"<x:xmpmeta/>"), "metadata", id="webp-xmp"),
        pytest.param(picture("JPEG", comment=b"Jl. Malioboro 1"), "metadata", id="jpeg-comment"),
        pytest.param(picture("PNG") + b"<script>", "picture", id="script-behind-png"),
        pytest.param(picture("JPEG") + b"<script>", "picture", id="script-behind-jpeg"),
        pytest.param(picture("WEBP") + b"<script>", "picture", id="script-behind-webp"),
        pytest.param(picture("JPEG")[:100], "picture", id="cut"),
        pytest.param(b"", "type", id="nothing"),
    ],
)
async def test_what_is_no_mere_picture_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(BadPicture, match=f"^{why}: "):
        inspect(data)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"progressive": True}])
def test_sizes_are_read_as_pillow_wrote_them(kind: str, options: dict[str, Any]) -> None:
    found = inspect(picture(kind, (401, 302), **options))
    assert (found.width, found.height, found.type) == (401, 302, f"image/{kind.lower()}")


@given(
    st.binary(max_size=300),
    st.sampled_from([b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\x10\0\0\0WEBP", b""]),
)
def test_any_bytes_are_a_picture_or_refused(tail: bytes, head: bytes) -> None:
    try:
        inspect(head + tail)
    except BadPicture as refusal:
        assert ": " in str(refusal)
