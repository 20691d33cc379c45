"""Traffic rules on a whole node: byte for byte, with real origins that come and go."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.edge.nodes import HOST, config, node
from tests.edge.wires import Heard, Script, answer, eventually, free_port, origin, says

FRESH = "Cache-Control: max-age=60"
SEEN = ("127.0.0.1",)


def by_path(**answers: bytes) -> Script:
    """An origin whose answers go by the path's last segment; else 404."""

    async def script(heard: Heard, writer: Any) -> None:
        name = heard.target.partition("?")[0].rpartition("/")[2].replace(".", "_")
        writer.write(answers.get(name, answer(b"nothing", "404 Not Found", "Content-Type: text/html")))

    return script


async def test_visitors_are_sent_to_their_countrys_pages_and_stay_there() -> None:
    redirects = [
        {"path": "/*", "countries": ["ID"], "unless_paths": ["/id/*"], "to": "/id/$1", "status": 302},
    ]
    async with (
        origin(says(b"page", "200 OK", FRESH)) as shop,
        node(shop.url, site={"redirects": redirects}, trusted_proxies=list(SEEN)) as edge,
        edge.visit() as visit,
    ):
        sent = await visit.get("/p/kopi?utm_source=x", X_Forwarded_For="36.66.0.1")
        assert (sent.status, sent.fields["location"]) == (302, f"http://{HOST}/id/p/kopi?utm_source=x")
        assert (sent.fields["content-length"], sent.fields["cache-control"]) == ("0", "no-store")
        assert sent.fields["cache-status"] == "tepi; detail=redirect"
        assert (await visit.get("/id/p/kopi", X_Forwarded_For="36.66.0.1")).body == b"page"
        assert (await visit.get("/p/kopi", X_Forwarded_For="8.8.8.8")).body == b"page"
        assert len(shop.heard) == 2


async def test_a_rewritten_path_chooses_the_origin() -> None:
    async with origin(says(b"shop")) as shop, origin(says(b"files")) as files:
        site = {
            "origins": [{"url": shop.url}, {"url": files.url, "prefix": "/bucket"}],
            "rewrites": [{"path": "/media/*", "to": "/bucket/$1", "host": "files.internal"}],
        }
        async with node(shop.url, site=site) as edge, edge.visit() as visit:
            assert (await visit.get("/media/a.webp?w=1")).body == b"files"
            assert files.heard[0].target == "/bucket/a.webp?w=1"
            assert files.heard[0].fields["host"] == "files.internal"
            assert files.heard[0].fields["x-forwarded-host"] == HOST
            assert (await visit.get("/media/..%2F..%2Fetc")).status == 400
            visit.say("POST", "/media/a.webp", b"x")
            assert (await visit.hear()).body == b"files"
            assert len(shop.heard) == 0


async def test_fields_change_both_ways_and_what_is_stored_does_not() -> None:
    def site(policy: str) -> dict[str, Any]:
        return {
            "request_fields": [{"set": {"X-Real-IP": "$client", "X-Key": "s3cret"}, "unset": ["X-Debug"]}],
            "answer_fields": [{"set": {"Content-Security-Policy": policy}, "unset": ["Server"]}],
        }

    script = says(b"page", "200 OK", FRESH, "Server: php")
    async with origin(script) as shop, node(shop.url, site=site("default-src 'self'")) as edge:
        await edge.get("/p", X_Debug="1", X_Key="forged")
        assert shop.heard[0].fields["x-real-ip"] == "127.0.0.1"
        assert shop.heard[0].fields["x-key"] == "s3cret"
        assert "x-debug" not in shop.heard[0].fields
        first = await edge.get("/p")
        assert first.fields["content-security-policy"] == "default-src 'self'"
        assert "server" not in first.fields
        await edge.running.take(config(shop.url, site=site("default-src 'none'")))
        second = await edge.get("/p")
        assert second.fields["content-security-policy"] == "default-src 'none'"
        assert "; hit" in second.fields["cache-status"]
        assert len(shop.heard) == 1


async def test_the_error_page_is_fetched_ahead_and_there_when_the_origin_dies() -> None:
    page = answer(b"<h1>Sorry</h1>", "200 OK", "Content-Type: text/html", "Set-Cookie: a=b", FRESH)
    port = await free_port()
    site = {
        "hosts": [HOST],
        "error_pages": [{"status": ["404", "5xx"], "path": "/errors/sorry.html"}],
    }
    async with node(f"http://127.0.0.1:{port}", site=site) as edge:
        async with origin(by_path(sorry_html=page), port=port) as shop:
            await eventually(lambda: [heard.target for heard in shop.heard] == ["/errors/sorry.html"])
            assert "cookie" not in shop.heard[0].fields
            missing = await edge.get("/missing", Accept="text/html")
            assert (missing.status, missing.body) == (404, b"<h1>Sorry</h1>")
            assert "set-cookie" not in missing.fields
            assert (await edge.get("/missing", Accept="*/*")).body == b"nothing"
        gone = await edge.get("/p/1", Accept="text/html")
        assert (gone.status, gone.body, gone.fields["content-length"]) == (502, b"<h1>Sorry</h1>", "14")
        assert gone.fields["cache-control"] == "no-store"
        assert "error-page" in gone.fields["cache-status"]
        async with edge.visit() as visit:
            visit.say("HEAD", "/p/1", Accept="text/html")
            head = await visit.hear(head_only=True)
            assert (head.status, head.fields["content-length"]) == (502, "14")
            assert (await visit.get("/p/1", Accept="text/html")).body == b"<h1>Sorry</h1>"


async def test_a_closed_site_lets_in_staff_machines_and_whoever_asks_for_health() -> None:
    async with origin(says(b"shop")) as shop, origin(says(b"pay")) as pay:
        site = {
            "commerce": {"url": pay.url},
            "maintenance": {
                "enabled": True, "retry_after": 30, "html": "<h1>Soon</h1>",
                "cookie": "staff", "cookie_sha256": sha256(b"me").hexdigest(),
            },
        }  # fmt: skip
        async with node(shop.url, site=site) as edge, edge.visit() as visit:
            closed = await visit.get("/p/1")
            assert (closed.status, closed.body, closed.fields["retry-after"]) == (503, b"<h1>Soon</h1>", "30")
            assert closed.fields["cache-status"] == "tepi; detail=maintenance"
            assert (await visit.get("/p/1", Cookie="staff=me")).body == b"shop"
            assert (await visit.get("/_tepi/health")).status == 200
            visit.say("POST", "/commerce/hooks/stripe", b"{}")
            assert (await visit.hear()).body == b"pay"
            assert (await visit.get("/commerce/checkout")).status == 503
            counted = edge.running.telemetry.counters()
            assert (counted["errors"], counted["other"]) == (0, 2)


async def test_websockets_follow_maintenance_and_rewrites() -> None:
    async def script(heard: Heard, writer: Any) -> None:
        writer.write(answer(heard.target.encode(), "403 Forbidden"))

    async with origin(script) as shop:
        rewrite = {
            "rewrites": [{"path": "/live/*", "to": "/ws/$1"}],
            "request_fields": [{"set": {"X-A": "1"}}],
        }
        async with node(shop.url, site=rewrite) as edge:
            assert await handshake(edge.port(), "/live/chat") == 403
            assert (shop.heard[0].target, shop.heard[0].fields["x-a"]) == ("/ws/chat", "1")
            assert await handshake(edge.port(), "/live/..%2fadmin") == 400
        async with node(shop.url, site={"maintenance": {"enabled": True}}) as edge:
            assert await handshake(edge.port(), "/live/chat") == 503
        assert len(shop.heard) == 1


async def handshake(port: int, path: str) -> int:
    """The status with which a handshake is turned down."""
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await session.ws_connect(f"ws://127.0.0.1:{port}{path}", headers={"Host": HOST})
    return caught.value.status


async def test_log_and_metrics_name_the_rules(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    site = {
        "redirects": [{"path": "/old", "to": "/new"}],
        "rewrites": [{"path": "/media/*", "to": "/bucket/$1"}],
        "answer_fields": [{"paths": ["/media/*"], "set": {"X-A": "1"}}],
    }
    async with (
        origin(says(b"ok")) as shop,
        node(shop.url, site=site, log={"access": "json", "file": str(log)}) as edge,
        aiohttp.ClientSession() as session,
    ):
        for path in ("/old", "/media/a", "/p"):
            await edge.get(path)
        metrics = await (await session.get(f"{edge.admin}/metrics")).text()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(line["verdict"], line["reason"], line.get("rules")) for line in lines] == [
        ("rule", "redirect", None),
        ("miss", "uri-miss", ["rewrite", "answer-fields"]),
        ("miss", "uri-miss", None),
    ]
    assert 'tepi_edge_ruled_total{rule="redirect",site="shop"} 1.0' in metrics
    assert 'tepi_edge_ruled_total{rule="rewrite",site="shop"} 1.0' in metrics


async def test_explain_and_purge_tell_of_countries_and_closed_sites() -> None:
    site = {
        "redirects": [{"path": "/", "countries": ["ID"], "to": "/id/", "status": 302}],
        "maintenance": {"enabled": True, "allow": ["36.66.0.0/16"]},
    }
    async with (
        origin(says(b"ok")) as shop,
        node(shop.url, site=site) as edge,
        aiohttp.ClientSession() as session,
    ):

        async def told(**body: str) -> dict[str, Any]:
            asked = await session.post(f"{edge.admin}/explain", json={"url": f"http://{HOST}/", **body})
            found: dict[str, Any] = await asked.json()
            return found

        assert (await told())["reason"] == "maintenance"
        assert (await told(client="36.66.0.1"))["reason"] == "redirect"
        assert (await told(client="nowhere"))["errors"][0]["field"] == "client"
        purged = await session.post(f"{edge.admin}/purge", json={"kind": "site", "value": "shop"})
        assert (await purged.json())["closed"] == ["shop"]


async def test_explain_says_which_origins_answer_in_which_state() -> None:
    async with origin(says(b"ok")) as shop:
        site = {
            "origins": [
                {"url": shop.url},
                {"url": "http://127.0.0.1:9", "prefix": "/bucket", "backup": True},
                {"url": "http://127.0.0.1:7", "prefix": "/bucket", "weight": 3},
            ],
            "rewrites": [{"path": "/media/*", "to": "/bucket/$1"}],
        }
        async with node(shop.url, site=site) as edge, aiohttp.ClientSession() as session:
            body = {"url": f"http://{HOST}/media/a"}
            told = await (await session.post(f"{edge.admin}/explain", json=body)).json()
    (step,) = [step for step in told["steps"] if step["step"] == "origin"]
    assert step["finding"] == "origins of prefix /bucket answer for it"
    assert list(step["facts"].items()) == [
        ("http://127.0.0.1:7", "up, weight 3, 0 under way"),
        ("http://127.0.0.1:9", "up, backup, weight 1, 0 under way"),
    ]
