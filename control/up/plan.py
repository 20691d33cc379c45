"""What a local fleet consists of: nodes, places, configuration files. Pure: nothing starts here."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from control.up.children import Part
from control.up.ports import LOOPBACK, Ports
from geo.fleet import Place

SITE = "shop.localhost"
ZONE = "localhost"
CART_KEY = 1  # the number of the key that signs carts: the checkout's default


@dataclass(frozen=True, slots=True)
class EdgeNode:
    """An edge node of the local fleet: its name, its loopback address, where it pretends to stand."""

    name: str
    address: str
    place: Place


EDGES = (
    EdgeNode("jakarta", "127.0.0.1", Place("Jakarta", "ID", -6.2088, 106.8456)),
    EdgeNode("frankfurt", "127.0.0.2", Place("Frankfurt am Main", "DE", 50.1109, 8.6821)),
    EdgeNode("virginia", "127.0.0.3", Place("Ashburn", "US", 39.0438, -77.4874)),
)
ADDRESSES = tuple(edge.address for edge in EDGES)


@dataclass(frozen=True, slots=True)
class Plan:
    """The files and processes of a fleet that lives under `directory` and listens on `ports`."""

    directory: Path
    ports: Ports

    @property
    def authority(self) -> Path:
        """A copy of control's authority, for browsers and curl."""
        return self.directory / "ca.pem"

    @property
    def first_run(self) -> Path:
        """Where control leaves the first administrator's password and tokens."""
        return self.directory / "control" / "first-run.json"

    def part(self, name: str, verb: str) -> Part:
        """The process called `name` that runs `tepi verb`."""
        return Part(
            name,
            (sys.executable, "-m", "control.cli", verb, "--config", str(self.configuration(name))),
            self.directory / "logs" / f"{name}.log",
        )

    def configuration(self, name: str) -> Path:
        """The configuration file of the process called `name`."""
        return self.directory / "config" / f"{name}.toml"

    def join_token(self, name: str) -> Path:
        """Where the one-time token lies with which `name` joins."""
        return self.directory / name / "join-token"

    def joined(self, name: str) -> bool:
        """Whether `name` has a certificate already, from an earlier start."""
        return (self.directory / name / "identity" / "node.json").exists()

    @property
    def control_url(self) -> str:
        """The dashboard and API."""
        return f"http://{LOOPBACK}:{self.ports.control}"

    @property
    def origin_url(self) -> str:
        """The demo shop itself, behind the edge."""
        return f"http://{LOOPBACK}:{self.ports.origin}"

    def site(self, cart_keys: Sequence[str] = ()) -> dict[str, object]:
        """The demo shop's site document; nodes tell carts by `cart_keys`."""
        return {
            "name": "shop",
            "hosts": [SITE],
            "origins": [{"url": self.origin_url}],
            "commerce": {
                "prefix": "/commerce",
                "url": f"https://{LOOPBACK}:{self.ports.origin_mutual}",
                "cart_keys": list(cart_keys),
            },
        }

    def configurations(self) -> dict[str, str]:
        """The text of every part's configuration file, by the part's name."""
        return {
            "control": self._control(),
            "origin": self._origin(),
            "dns": self._dns(),
            **{edge.name: self._edge(edge) for edge in EDGES},
        }

    def _control(self) -> str:
        return _toml(
            {
                "state": str(self.directory / "control"),
                "listen": f"{LOOPBACK}:{self.ports.control}",
                "nodes_listen": f"{LOOPBACK}:{self.ports.nodes}",
                "admin": f"{LOOPBACK}:{self.ports.control_admin}",
            },
            origin={
                "admin": f"http://{LOOPBACK}:{self.ports.origin_admin}",
                "pages_secret": f"file:{self.pages_secret}",
            },
        )

    def _origin(self) -> str:
        return _toml(
            {
                "state": str(self.directory / "origin"),
                "listen": f"{LOOPBACK}:{self.ports.origin}",
                "mutual_listen": f"{LOOPBACK}:{self.ports.origin_mutual}",
                "admin": f"{LOOPBACK}:{self.ports.origin_admin}",
                "webhook_secret": f"file:{self.hook_secret}",
                "pages_secret": f"file:{self.pages_secret}",
            },
            control=self._join("origin"),
            purges={"url": self.control_url, "token": f"file:{self.service_token}"},
            **{
                "plugins.checkout": {"cart_secret": f"file:{self.cart_secret}"},
                "plugins.checkout.providers.sandbox": {
                    "url": f"http://{LOOPBACK}:{self.ports.sandbox}",
                    "key": f"file:{self.sandbox_key}",
                },
                "plugins.checkout.providers.cash": {},
            },
        )

    def _dns(self) -> str:
        return _toml(
            {
                "state": str(self.directory / "dns"),
                "listen": [f"{LOOPBACK}:{self.ports.dns}"],
                "admin": f"{LOOPBACK}:{self.ports.dns_admin}",
                "zone": ZONE,
                "probe_port": self.ports.http,
            },
            control=self._join("dns"),
        )

    def _edge(self, edge: EdgeNode) -> str:
        return _toml(
            {
                "name": edge.name,
                "listen": [f"{edge.address}:{self.ports.http}"],
                "listen_tls": [f"{edge.address}:{self.ports.https}"],
                "admin": f"{edge.address}:{self.ports.edge_admin}",
                "state": str(self.directory / edge.name),
                "workers": 1,
                "drain_seconds": 1,
            },
            control=self._join(edge.name),
            webhooks={"secret": f"file:{self.hook_secret}"},
            **{
                "[webhooks.accounts]": {"provider": "sandbox"},
                "webhooks.accounts.settings": {"webhook_secret": f"file:{self.sandbox_secret}"},
            },
        )

    def sandbox(self) -> Part:
        """The payment provider that moves no money; it tells the first node what was paid."""
        options = {
            "--listen": f"{LOOPBACK}:{self.ports.sandbox}",
            "--state": str(self.directory / "sandbox" / "book.db"),
            "--key": str(self.sandbox_key),
            "--secret": str(self.sandbox_secret),
            "--hooks": f"http://{LOOPBACK}:{self.ports.http}/commerce/hooks/sandbox",
            "--hooks-host": SITE,
        }
        words = [word for option in options.items() for word in option]
        return Part(
            "sandbox",
            (sys.executable, "-m", "origin.checkout.sandbox", *words),
            self.directory / "logs" / "sandbox.log",
        )

    @property
    def hook_secret(self) -> Path:
        """What the nodes sign webhooks with for the origin, made at the first start."""
        return self.directory / "hook-secret"

    @property
    def pages_secret(self) -> Path:
        """What control signs its users' names with for the origin, made at the first start."""
        return self.directory / "pages-secret"

    @property
    def cart_secret(self) -> Path:
        """What the keys of carts are made of, made at the first start."""
        return self.directory / "origin" / "cart-secret"

    @property
    def sandbox_key(self) -> Path:
        """What the shop shows at the sandbox, made at the first start."""
        return self.directory / "sandbox" / "key"

    @property
    def sandbox_secret(self) -> Path:
        """What the sandbox signs webhooks with, made at the first start."""
        return self.directory / "sandbox" / "hook-secret"

    @property
    def service_token(self) -> Path:
        """The origin's token for purges, a copy of what control made at its first start."""
        return self.directory / "origin" / "service-token"

    def _join(self, name: str) -> dict[str, object]:
        return {
            "url": f"https://{LOOPBACK}:{self.ports.nodes}",
            "join_token": f"file:{self.join_token(name)}",
        }


def _toml(top: Mapping[str, object], **tables: Mapping[str, object]) -> str:
    """A TOML document: strings, numbers and lists are written as in JSON, which TOML reads alike."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in top.items()]
    for name, table in tables.items():
        lines += ["", f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"
