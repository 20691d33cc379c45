"""The commerce origin as a process: plugins behind two listeners, outbox and tasks beside them.

Over plain HTTP nobody's word is taken. Over mutual TLS a node of the fleet speaks, and what it says of
site and visitor in `Tepi-*` fields is believed.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import hmac
import logging
import os
import secrets
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from pydantic import BaseModel

from edge.webhooks.contract import Unverified
from origin.admin import admin_application
from origin.contract import Answer, Call, Contract, Events, Handler, NotNow, Plugin
from origin.db.database import Database
from origin.exchange import respond, visitor_of
from origin.inbox import Inbox, Unconfirmable, UnknownProvider
from origin.outbox import Outbox, ToControl, ToHearers
from origin.registry import BrokenPlugin, check_declarations
from origin.settings import OriginSettings, split_address
from origin.sockets import Sockets

log = logging.getLogger("tepi.origin")

LARGEST_BODY = 1024 * 1024
SECRET_SIZE = 32
DRAIN = 5.0
PURGE_TIMEOUT = aiohttp.ClientTimeout(total=30)


class CannotListen(Exception):
    """An address can't be had; the text says which, why, and what to do."""


class BadSecret(Exception):
    """The file of the origin's secret is not whole; the text says what is expected."""


@dataclass(frozen=True, slots=True)
class Bound:
    """The addresses that the origin listens on: a port that was 0 is the one it became."""

    plain: str
    mutual: str | None
    admin: str


def no_secrets(reference: str) -> str:
    """Where nothing was wired that finds secrets. Raises ValueError."""
    raise ValueError(f"{reference}: secrets can't be had here")


@dataclass(frozen=True, slots=True)
class Wiring:
    """What the origin is given from outside: clocks, chance, secrets and who may speak for visitors.

    `mutual` is the TLS of the nodes' listener; `is_member` tells a node's certificate (name, serial in hex)
    from a revoked one's; `in_step` says whether that knowledge is of now; `reveal` finds the secret behind a
    reference, or raises ValueError.
    """

    clock: Callable[[], float]
    jitter: Callable[[], float]
    mutual: ssl.SSLContext | None = None
    is_member: Callable[[str, str], bool] = lambda name, serial: True
    in_step: Callable[[], bool] = lambda: True
    purge_token: str | None = None
    webhook_secret: str | None = None
    pages_secret: str | None = None
    reveal: Callable[[str], str] = no_secrets


class Shared:
    """What plugins offer to one another, by contract."""

    def __init__(self) -> None:
        self._offers: dict[Contract, object] = {}
        self._stand_ins: dict[Contract, object] = {}

    def offer(self, contract: Contract, implementation: object, *, stand_in: bool = False) -> None:
        """`implementation` is the source of `contract`."""
        offers = self._stand_ins if stand_in else self._offers
        if contract in offers:
            raise ValueError(f"{contract}: two plugins offer it")
        offers[contract] = implementation

    def use(self, contract: Contract) -> Any:
        """Who implements `contract`."""
        found = self._offers.get(contract, self._stand_ins.get(contract))
        if found is None:
            raise LookupError(f"no plugin offers {contract}")
        return found


class PluginHost:
    """The `Host` contract for one plugin."""

    def __init__(self, origin: Origin, settings: BaseModel, name: str) -> None:
        self._origin = origin
        self.settings = settings
        self.secret = hmac.digest(origin.secret, name.encode(), hashlib.sha256)

    @property
    def events(self) -> Events:
        return self._origin.outbox

    @property
    def prefix(self) -> str:
        return self._origin.settings.prefix

    def now(self) -> float:
        return self._origin.wiring.clock()

    @contextlib.asynccontextmanager
    async def write(self) -> AsyncIterator[Any]:
        async with self._origin.database.write() as connection:
            yield connection
        self._origin.outbox.tell()

    def read(self) -> Any:
        return self._origin.database.read()

    def reveal(self, reference: str) -> str:
        return self._origin.wiring.reveal(reference)

    def offer(self, contract: Contract, implementation: object, *, stand_in: bool = False) -> None:
        self._origin.shared.offer(contract, implementation, stand_in=stand_in)

    def use(self, contract: Contract) -> Any:
        return self._origin.shared.use(contract)


@dataclass(frozen=True, slots=True, eq=False)
class _OfPlugins(Collector):
    plugins: tuple[Plugin, ...]

    def collect(self) -> Iterable[Metric]:
        for plugin in self.plugins:
            yield from plugin.metrics()


class Origin:
    """Plugins, started on one database."""

    def __init__(
        self,
        settings: OriginSettings,
        plugins: Mapping[str, type[Plugin]],
        plugin_settings: Mapping[str, BaseModel],
        wiring: Wiring,
    ) -> None:
        self.settings = settings
        self.wiring = wiring
        directory = settings.directory
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.secret = own_secret(directory / "secret")
        self.database = Database(settings.database or f"sqlite+aiosqlite:///{directory / 'origin.db'}")
        self.outbox = Outbox(self.database, wiring.clock, wiring.jitter)
        self.shared = Shared()
        self.plugins: dict[str, Plugin] = {name: kind() for name, kind in plugins.items()}
        self._plugin_settings = plugin_settings
        self._started: list[Plugin] = []
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "tepi_origin_requests", "Requests answered.", ["plugin", "status"], registry=self.registry
        )

    async def start(self) -> None:
        """Migrates the database and starts every plugin."""
        branches = [path for plugin in self.plugins.values() if (path := plugin.migrations()) is not None]
        await self.database.migrate(branches)
        for name, plugin in self.plugins.items():
            try:
                await plugin.start(PluginHost(self, self._plugin_settings[name], name))
            except (ValueError, LookupError) as error:
                raise BrokenPlugin(f"plugin {name} can't start: {error}") from error
            self._started.append(plugin)
        check_declarations(self.plugins)
        self.registry.register(_OfPlugins(tuple(self._started)))

    async def close(self) -> None:
        """Gives everything back."""
        for plugin in reversed(self._started):
            await plugin.stop()
        await self.database.close()

    def application(self) -> web.Application:
        """All plugins' routes, and the inbox."""
        app = web.Application(client_max_size=LARGEST_BODY)
        inbox = self._inbox()
        if inbox is not None:
            app.router.add_post(f"{self.settings.prefix}/hooks/{{provider}}", _hook(inbox, self))
        sockets = Sockets(lambda request: visitor_of(request, self.wiring.is_member))
        for name, plugin in self.plugins.items():
            for socket in plugin.sockets():
                plain = self.serve(name, socket.plain)
                app.router.add_get(self.settings.prefix + socket.path, sockets.serve(socket, plain))
        app.on_shutdown.append(sockets.close)
        routes = [(name, route) for name, plugin in self.plugins.items() for route in plugin.routes()]
        for name, route in sorted(routes, key=lambda one: one[1].takes_all):
            path = route.path if route.at_root else self.settings.prefix + route.path
            handler = self.serve(name, route.handler)
            if route.method == "GET":
                app.router.add_get(path, handler, allow_head=True)
            else:
                app.router.add_route(route.method, path, handler)
        return app

    def _inbox(self) -> Inbox | None:
        if self.wiring.webhook_secret is None:
            return None
        webhooks = {hook.provider: hook for plugin in self.plugins.values() for hook in plugin.webhooks()}
        return Inbox(self.database, webhooks, self.wiring.webhook_secret, self.wiring.clock)

    def serve(self, name: str, handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """`handler` of the plugin called `name`, as aiohttp calls it."""

        async def serve(request: web.Request) -> web.StreamResponse:
            id = request.headers.get("X-Request-Id", "")[:128]
            call = Call(request, request.match_info, visitor_of(request, self.wiring.is_member), id)
            try:
                answer = await handler(call)
            except web.HTTPException as refusal:
                self._requests.labels(name, str(refusal.status)).inc()
                raise
            except Exception:
                log.exception("%s %s failed (request %s)", request.method, request.path, id)
                answer = Answer("This page is broken; we know.\n", status=500, content_type="text/plain")
            self._requests.labels(name, str(answer.status)).inc()
            return respond(request, answer)

        return serve

    def work(self) -> list[Callable[[], Awaitable[None]]]:
        """The loops that run beside the listeners."""
        hearers: dict[str, list[Any]] = {}
        for plugin in self.plugins.values():
            for event, hearer in plugin.hears().items():
                hearers.setdefault(event, []).append(hearer)
        loops: list[Callable[[], Awaitable[None]]] = [
            lambda: self.outbox.deliver("event", ToHearers(hearers))
        ]
        if self.settings.purges is not None and self.wiring.purge_token is not None:
            loops.append(self._deliver_purges)
        for plugin in self.plugins.values():
            loops += [_again(task.name, task.every, task.run) for task in plugin.tasks()]
        return loops

    async def _deliver_purges(self) -> None:
        assert self.settings.purges is not None
        assert self.wiring.purge_token is not None
        async with aiohttp.ClientSession(timeout=PURGE_TIMEOUT) as session:
            carrier = ToControl(session, self.settings.purges.url, self.wiring.purge_token)
            await self.outbox.deliver("purge", carrier)


def own_secret(path: Path) -> bytes:
    """32 bytes that stay the same, made the first time. Raises BadSecret."""
    if not path.exists():
        partial = path.with_name(".secret.partial")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(SECRET_SIZE))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    secret = path.read_bytes()
    if len(secret) != SECRET_SIZE:
        raise BadSecret(
            f"{path} with {SECRET_SIZE} bytes, found {len(secret)}: bring the file back, or remove it"
        )
    return secret


def _hook(inbox: Inbox, origin: Origin) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def take(request: web.Request) -> web.Response:
        fields = {name.lower(): value for name, value in request.headers.items()}
        try:
            new = await inbox.take(request.match_info["provider"], fields, await request.read())
        except UnknownProvider:
            return web.Response(status=404, text="no plugin takes this provider's webhooks\n")
        except Unverified as error:
            return web.Response(status=401, text=f"{error}\n")
        except Unconfirmable as error:
            return web.Response(status=422, text=f"{error}\n")
        except NotNow as error:
            return web.Response(status=503, text=f"{error}\n", headers={"Retry-After": "5"})
        except web.HTTPException:
            raise
        except Exception:
            log.exception("a webhook of %s failed", request.match_info["provider"])
            return web.Response(status=500, text="it could not be handled\n")
        origin.outbox.tell()
        return web.Response(status=200, text="taken\n" if new else "taken before\n")

    return take


def _again(name: str, every: float, run: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    async def again() -> None:
        while True:
            try:
                await run()
            except Exception:
                log.exception("task %s failed", name)
            await asyncio.sleep(every)

    return again


@contextlib.asynccontextmanager
async def serving(origin: Origin) -> AsyncIterator[Bound]:
    """All listeners are open and all loops run inside this context.

    Raises CannotListen, and BrokenPlugin for a plugin that can't start.
    """
    settings, mutual = origin.settings, origin.wiring.mutual
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(origin.close)
        await origin.start()
        app = await _running(stack, origin.application())
        plain_at = await _listen(app, settings.listen, "listen", None)
        mutual_at = None
        if settings.mutual_listen and mutual is not None:
            mutual_at = await _listen(app, settings.mutual_listen, "mutual_listen", mutual)
        tasks = [asyncio.ensure_future(loop()) for loop in origin.work()]
        stack.push_async_callback(_cancelled, tasks)
        admin = await _running(stack, admin_application(origin))
        admin_at = await _listen(admin, settings.admin, "admin", None)
        log.info("shop at %s, for nodes at %s, admin at %s", plain_at, mutual_at, admin_at)
        yield Bound(plain_at, mutual_at, admin_at)


async def _running(stack: contextlib.AsyncExitStack, app: web.Application) -> web.AppRunner:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=DRAIN)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    return runner


async def _listen(runner: web.AppRunner, address: str, setting: str, tls: ssl.SSLContext | None) -> str:
    host, port = split_address(address)
    try:
        await web.TCPSite(runner, host, port, ssl_context=tls).start()
    except OSError as error:
        raise CannotListen(_why_not(address, setting, error)) from error
    bound = runner.addresses[-1]
    return f"[{bound[0]}]:{bound[1]}" if ":" in bound[0] else f"{bound[0]}:{bound[1]}"


def _why_not(address: str, setting: str, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"{address} is in use: stop the other process or choose another with {setting}"
    reason = (error.strerror or str(error)).lower()
    return f"{address} can't be listened on ({reason}): choose another with {setting}"


async def _cancelled(tasks: Sequence[asyncio.Future[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
