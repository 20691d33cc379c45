"""What happens around every endpoint: who may, what is read, what errors look like."""

from __future__ import annotations

import asyncio
import io
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from control.api.routes import CSRF_FIELD, DEEPEST, LARGEST_BODY, SESSION_COOKIE
from control.app import ENDPOINTS
from tests.control.planes import Control, controlling

SITE = {"name": "shop", "hosts": ["shop.test"], "origins": [{"url": "http://127.0.0.1:9000"}]}


@pytest.fixture
async def control(tmp_path: Path) -> AsyncIterator[Control]:
    async with controlling(tmp_path / "control") as made:
        yield made


async def raw(
    control: Control, method: str, path: str, data: bytes | None = None, **fields: str
) -> tuple[int, dict[str, str], Any]:
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"{control.api}/api/v1{path}", data=data, headers=headers) as response,
    ):
        text = await response.text()
        shown = {name.lower(): value for name, value in response.headers.items()}
        return response.status, shown, json.loads(text) if text.startswith("{") else text


def bearer(control: Control, name: str = "token") -> str:
    return f"Bearer {control.first_run[name]}"


async def test_every_endpoint_asks_who_is_there(control: Control) -> None:
    for endpoint in ENDPOINTS:
        path = re.sub(r"\{\w+\}", "x", endpoint.path)
        for authorization in ("", "Bearer ", "Bearer tepi_wrong", "Basic YWRtaW46YWRtaW4="):
            status, fields, document = await raw(
                control, endpoint.method, path, b"{}", Authorization=authorization
            )
            assert status == 401, (endpoint.path, authorization)
            assert fields["www-authenticate"] == 'Bearer realm="tepi"'
            assert fields["content-type"].startswith("application/problem+json")
            assert document["status"] == 401


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (b"Authorization: Bearer \xff\xfe\r\n", b"401"),
        (b"Cookie: tepi_session=\xff\xfe\r\n", b"401"),
        (b"Authorization: %(bearer)s\r\nIdempotency-Key: \xff\r\n", b"400"),
        (b"Authorization: %(bearer)s\r\nIdempotency-Key: 7\r\n", b"202"),
    ],
)
async def test_bytes_that_are_no_text_are_refused_like_any_wrong_value(
    control: Control, fields: bytes, status: bytes
) -> None:
    assert control.bound is not None
    reader, writer = await asyncio.open_connection(*control.bound.api)
    body = b'{"kind": "tag", "value": "x"}'
    filled = fields.replace(b"%(bearer)s", bearer(control).encode())
    writer.write(
        b"POST /api/v1/purges HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        + filled
        + b"Content-Length: %d\r\n\r\n" % len(body)
        + body
    )
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 " + status), answer


async def test_a_service_token_may_purge_and_nothing_else(control: Control) -> None:
    for endpoint in ENDPOINTS:
        path = re.sub(r"\{\w+\}", "x", endpoint.path)
        status, _, _ = await raw(
            control, endpoint.method, path, b"{}", Authorization=bearer(control, "service_token")
        )
        assert (status == 403) == ("purge" not in endpoint.rights), endpoint.path


async def test_a_session_may_do_what_a_token_may_if_it_shows_its_csrf_token(control: Control) -> None:
    first = control.first_run
    session = await control.is_up.auth.login(first["user"], first["password"], "127.0.0.1")
    cookie = f"{SESSION_COOKIE}={session.cookie}"
    body = json.dumps(SITE).encode()
    assert (await raw(control, "GET", "/sites", Cookie=cookie))[0] == 200
    assert (await raw(control, "POST", "/sites", body, Cookie=cookie))[0] == 403
    for wrong in ("", session.csrf[:-1], session.csrf + "x", session.cookie):
        fields = {"Cookie": cookie, CSRF_FIELD.replace("-", "_"): wrong}
        assert (await raw(control, "POST", "/sites", body, **fields))[0] == 403
    fields = {"Cookie": cookie, CSRF_FIELD.replace("-", "_"): session.csrf}
    assert (await raw(control, "POST", "/sites", body, **fields))[0] == 201


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(b"", "JSON", id="nothing"),
        pytest.param(b"{", "JSON", id="half"),
        pytest.param(b"\xff\xfe{}", "JSON", id="not-utf-8"),
        pytest.param(b"[" * 500_000, "JSON", id="a-bomb"),
        pytest.param(b'{"a":' * 200 + b"1" + b"}" * 200, f"at most {DEEPEST} levels", id="deep"),
        pytest.param(b"[]", "a table", id="a-list"),
        pytest.param(b"1", "a table", id="a-number"),
    ],
)
async def test_a_body_that_can_not_be_read_is_refused_whole(
    control: Control, body: bytes, expected: str
) -> None:
    for path in ("/sites", "/nodes", "/purges", "/explain"):
        status, fields, document = await raw(control, "POST", path, body, Authorization=bearer(control))
        assert status == 422
        assert fields["content-type"].startswith("application/problem+json")
        (error,) = document["errors"]
        assert expected in error["expected"]


async def test_a_body_that_is_too_large_is_cut_off(control: Control) -> None:
    fields = {"Authorization": bearer(control)}
    large = io.BytesIO(b" " * (LARGEST_BODY + 1))
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{control.api}/api/v1/sites", data=large, headers=fields) as response,
    ):
        assert response.status == 413


async def test_an_error_names_field_value_and_what_would_be_accepted(control: Control) -> None:
    document = {**SITE, "hosts": ["shop.test", "not a host"], "orgins": [], "cache": {"stale_if_error": -1}}
    status, _, problem = await raw(
        control, "POST", "/sites", json.dumps(document).encode(), Authorization=bearer(control)
    )
    assert status == 422
    assert {"type", "title", "status", "detail", "errors"} == set(problem)
    errors = {error["field"]: error for error in problem["errors"]}
    assert set(errors) == {"hosts.1", "orgins", "cache.stale_if_error"}
    assert errors["hosts.1"]["got"] == '"not a host"'
    assert "host name" in errors["hosts.1"]["expected"]
    assert "did you mean origins?" in errors["orgins"]["expected"]
    assert errors["cache.stale_if_error"] == {
        "field": "cache.stale_if_error", "got": "-1", "expected": "0 or more",
    }  # fmt: skip


async def test_what_breaks_inside_is_told_without_its_details(
    control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken() -> None:
        raise RuntimeError("password is kopi-gayo")

    monkeypatch.setattr(control.is_up.sites, "all", broken)
    status, _, document = await raw(control, "GET", "/sites", Authorization=bearer(control))
    assert status == 500
    assert "kopi" not in json.dumps(document)


async def test_the_description_is_valid_openapi_and_lists_every_endpoint(control: Control) -> None:
    status, _, document = await raw(control, "GET", "/openapi.json")
    assert status == 200
    OpenAPIV31SpecValidator(document).validate()
    listed = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert listed == {(endpoint.method, f"/api/v1{endpoint.path}") for endpoint in ENDPOINTS}
    purge = document["components"]["schemas"]["PurgeBody"]
    assert set(purge["required"]) == {"kind", "value"}
    assert purge["additionalProperties"] is False


async def test_the_first_start_leaves_credentials_for_their_owner_alone(control: Control) -> None:
    path = control.directory / "first-run.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert set(control.first_run) == {"user", "password", "token", "service_token"}
    before = control.first_run
    await control.stop()
    await control.start()
    assert control.first_run == before
    assert (await control.ask("GET", "/sites"))[0] == 200


async def test_the_log_of_the_first_start_holds_no_secret(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    async with controlling(tmp_path / "fresh") as control:
        secrets = control.first_run
    said = "\n".join(record.getMessage() for record in caplog.records)
    assert "first-run.json" in said
    for name in ("password", "token", "service_token"):
        assert secrets[name] not in said


async def test_the_admin_listener_tells_figures_and_health(control: Control) -> None:
    async with aiohttp.ClientSession() as session:
        for path in ("/healthz", "/readyz"):
            async with session.get(control.admin + path) as response:
                assert response.status == 200
        async with session.get(f"{control.admin}/metrics") as response:
            assert "tepi_control_journal_number 0.0" in await response.text()
