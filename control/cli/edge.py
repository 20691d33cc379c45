"""`tepi edge`: one node, from flags or from a file."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import click
import uvloop

from control.cli.process import collect_seldom, logging_to_stderr, stops_with_a_sentence
from edge.__main__ import serve
from edge.config import EdgeConfig, load_edge, parse_edge
from edge.document.problems import Problem, Refused
from edge.listeners import AddressTaken
from edge.tls import BadCertificate

# where a flag's value stands in the document that it becomes
FLAGS = {
    "sites.0.origins.0.url": "--origin",
    "listen.0": "--listen",
    "listen_tls.0": "--listen",
    "listen_tls": "--listen",
    "admin": "--admin",
    "tls.cert": "--cert",
    "tls.key": "--key",
    "workers": "--workers",
}
# how a worker is started; -P: from what is installed, whatever lies in the working directory
WORKER = (sys.executable, "-P", "-m", "control.cli.worker")


@click.command("edge")
@click.option(
    "--config", "path", type=click.Path(dir_okay=False, path_type=Path), help="A configuration file."
)
@click.option("--origin", metavar="URL", help="The one origin, for every host.")
@click.option("--listen", metavar="HOST:PORT", help="Where to listen; HTTPS if --cert is given.")
@click.option("--admin", metavar="HOST:PORT", help="The admin listener [default: 127.0.0.1:8081].")
@click.option("--cert", metavar="FILE", help="PEM file: certificate and chain.")
@click.option("--key", metavar="FILE", help="PEM file: the certificate's key.")
@click.option("--share-set-cookie", is_flag=True, help="Store answers that set cookies, cookies and all.")
@click.option("--workers", type=int, metavar="N", help="How many processes answer [default: one a core].")
@click.option("--access-log", type=click.Choice(["json", "combined", "off"]), help="The access log's form.")
def command(
    path: Path | None, origin: str | None, listen: str | None, admin: str | None, cert: str | None,
    key: str | None, share_set_cookie: bool, workers: int | None, access_log: str | None,
) -> None:  # fmt: skip
    """Runs one edge node: --origin and --listen, or --config. SIGHUP reloads the file."""
    with stops_with_a_sentence(AddressTaken, BadCertificate):
        if path is not None:
            if workers is not None or any((origin, listen, admin, cert, key, share_set_cookie, access_log)):
                raise click.UsageError("--config says it all: leave the other options out")
            config = load_edge(path)
        else:
            config = bare(origin, listen, admin, cert, key, share_set_cookie, access_log, workers)
        logging_to_stderr(logging.INFO)
        reload = None if path is None else lambda: load_edge(path)
        collect_seldom()
        uvloop.run(serve(config, reload=reload, worker=WORKER))


def bare(
    origin: str | None,
    listen: str | None,
    admin: str | None,
    cert: str | None,
    key: str | None,
    share_set_cookie: bool,
    access_log: str | None,
    workers: int | None = None,
) -> EdgeConfig:
    """A node with one site that takes every host. Raises Refused, UsageError."""
    if not origin or not listen:
        raise click.UsageError("expected --origin URL and --listen HOST:PORT, or --config FILE")
    if bool(cert) != bool(key):
        raise click.UsageError("--cert and --key go together")
    document: dict[str, Any] = {
        "listen": [] if cert else [listen],
        "listen_tls": [listen] if cert else [],
        "sites": [
            {
                "name": "origin",
                "hosts": ["*"],
                "origins": [{"url": origin}],
                "cache": {"share_set_cookie": share_set_cookie},
                "guard": False,
                "key": {"query": {"tracking": "keep"}},
            }
        ],
    }
    if cert:
        document["tls"] = {"cert": cert, "key": key}
    if admin:
        document["admin"] = admin
    if workers is not None:
        document["workers"] = workers
    if access_log:
        document["log"] = {"access": access_log}
    try:
        return parse_edge(document)
    except Refused as refused:
        raise Refused(
            Problem(FLAGS.get(each.field, each.field), each.got, each.expected) for each in refused.problems
        ) from None
