"""Pictures by the SHA-256 of their bytes (Blossom BUD-01, 02, 11): kept, given for ever, taken back."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable

from sqlalchemy import BigInteger, Column, LargeBinary, MetaData, String, Table, delete, func, insert, select

from origin.contract import GET, Answer, CachePolicy, Call, Host, Route
from origin.p2p.event import Unacceptable, read, verify
from origin.p2p.pictures import BadPicture, inspect
from origin.p2p.settings import P2PSettings

AUTHORIZATION = 24242
DAY = 86_400
ANYBODY = {  # clients of other sites' making store here too (BUD-01)
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Headers": "Authorization, *",
    "Access-Control-Allow-Methods": "GET, HEAD, PUT, DELETE",
}
ENDINGS = {"image/webp": "webp", "image/jpeg": "jpg", "image/png": "png"}

media = Table(
    "p2p_media",
    MetaData(),
    Column("sha256", String(64), primary_key=True),
    Column("pubkey", String(64), nullable=False),
    Column("type", String(20), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("uploaded_at", BigInteger, nullable=False),
)


class Media:
    """`/p2p/media/…`."""

    def __init__(self, host: Host, settings: P2PSettings) -> None:
        self._host = host
        self._settings = settings

    def routes(self) -> Iterable[Route]:
        """Upload, get, delete, and what browsers ask before."""
        one = "/p2p/media/{sha256:[0-9a-f]{64}}{ending:(\\.[a-z0-9]+)?}"
        yield Route("PUT", "/p2p/media/upload", self._upload)
        yield GET(one, self._give)
        yield Route("DELETE", one, self._delete)
        for path in ("/p2p/media/upload", one):
            yield Route("OPTIONS", path, self._allow)

    async def _upload(self, call: Call) -> Answer:
        body = await call.request.read()
        digest = hashlib.sha256(body).hexdigest()
        try:
            pubkey = self._author(call, "upload", digest)
            picture = inspect(body)
        except Unacceptable as refusal:
            return _refused(401, str(refusal))
        except BadPicture as refusal:
            return _refused(415, str(refusal))
        now, most = int(self._host.now()), self._settings.pictures_a_day
        async with self._host.write() as connection:
            await connection.lock(f"p2p-media-{pubkey}")
            known = await connection.execute(select(media.c.sha256).where(media.c.sha256 == digest))
            if known.first() is None:
                today = (media.c.pubkey == pubkey, media.c.uploaded_at > now - DAY)
                count = await connection.execute(select(func.count()).select_from(media).where(*today))
                if count.scalar_one() >= most:
                    return _refused(429, f"pictures: got more than {most} of one key in a day")
                await connection.execute(
                    insert(media).values(
                        sha256=digest, pubkey=pubkey, type=picture.type, body=body, uploaded_at=now
                    )
                )
                await self._host.events.purge(connection, _tag(digest))
        url = f"{_origin(call)}{self._host.prefix}/p2p/media/{digest}.{ENDINGS[picture.type]}"
        said = {"url": url, "sha256": digest, "size": len(body), "type": picture.type, "uploaded": now}
        return Answer(said, fields=ANYBODY)

    async def _give(self, call: Call) -> Answer:
        digest = call.match["sha256"]
        asked = select(media.c.type, media.c.body).where(media.c.sha256 == digest)
        async with self._host.read() as connection:
            row = (await connection.execute(asked)).first()
        if row is None:
            policy = CachePolicy(seconds=30, tags=(_tag(digest),))
            return Answer("no such picture\n", policy, 404, "text/plain", ANYBODY)
        policy = CachePolicy(seconds=31_536_000, browser=DAY, immutable=True, tags=(_tag(digest),))
        fields = ANYBODY | {"Content-Security-Policy": "default-src 'none'; sandbox"}
        return Answer(bytes(row.body), policy, content_type=row.type, fields=fields)

    async def _delete(self, call: Call) -> Answer:
        digest = call.match["sha256"]
        try:
            pubkey = self._author(call, "delete", digest)
        except Unacceptable as refusal:
            return _refused(401, str(refusal))
        async with self._host.write() as connection:
            gone = await connection.execute(
                delete(media).where(media.c.sha256 == digest, media.c.pubkey == pubkey)
            )
            if gone.rowcount:
                await self._host.events.purge(connection, _tag(digest))
        if not gone.rowcount:
            return _refused(404, "sha256: got none of this key's pictures")
        return Answer({"deleted": digest}, fields=ANYBODY)

    async def _allow(self, _call: Call) -> Answer:
        return Answer("", CachePolicy(seconds=DAY, browser=DAY), 204, fields=ANYBODY)

    def _author(self, call: Call, verb: str, digest: str) -> str:
        """Whose signed wish this is (BUD-11). Raises Unacceptable."""
        scheme, _, token = call.request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "nostr":
            raise Unacceptable("authorization: got none, expected Nostr and a signed event of kind 24242")
        try:
            event = read(base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_"))
        except (binascii.Error, ValueError) as error:
            raise Unacceptable(f"authorization: {error}") from None
        verify(event)
        if event.pubkey in self._settings.blocked:
            raise Unacceptable("blocked: nothing is taken from this key")
        now, over = self._host.now(), event.first("expiration") or ""
        if event.kind != AUTHORIZATION or event.first("t") != verb or digest not in event.values("x"):
            raise Unacceptable(f"authorization: expected kind {AUTHORIZATION} with t {verb} and x {digest}")
        if event.created_at > now + self._settings.ahead or not (over.isdigit() and int(over[:12]) > now):
            raise Unacceptable("authorization: it is not of now, expected an expiration that is to come")
        return event.pubkey


def _tag(digest: str) -> str:
    return f"p2p-m-{digest[:20]}"


def _origin(call: Call) -> str:
    scheme = call.request.headers.get("X-Forwarded-Proto", call.request.scheme)
    return f"{'https' if scheme == 'https' else 'http'}://{call.request.host}"


def _refused(status: int, why: str) -> Answer:
    """Blossom tells its reason in a field (BUD-01)."""
    said = why.encode("ascii", "replace").decode()
    return Answer({"detail": why}, status=status, fields={**ANYBODY, "X-Reason": said})
