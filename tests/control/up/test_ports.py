"""A local fleet's ports: chosen, checked, and refused with a sentence that helps."""

from __future__ import annotations

import socket
from dataclasses import astuple

import pytest

from control.up.ports import Ports, PortTaken, check, free_ports, ports_from

ADDRESSES = ("127.0.0.1", "127.0.0.2")


def test_ports_follow_one_another_from_the_first() -> None:
    assert astuple(ports_from(9000)) == tuple(range(9000, 9012))


@pytest.mark.parametrize("first", [-1, 65_526, 70_000])
def test_a_first_port_without_room_for_the_rest_is_refused(first: int) -> None:
    with pytest.raises(ValueError, match=f"--port: got {first}, expected 0"):
        ports_from(first)


def test_free_ports_can_be_opened() -> None:
    ports = free_ports(ADDRESSES)
    assert len(set(astuple(ports))) == len(astuple(ports))
    check(ports, ADDRESSES)


@pytest.mark.parametrize(
    ("kind", "host", "field"),
    [
        pytest.param(socket.SOCK_STREAM, "127.0.0.2", "http", id="a-traffic-port-on-the-second-address"),
        pytest.param(socket.SOCK_DGRAM, "127.0.0.1", "dns", id="dns-over-udp"),
    ],
)
def test_a_port_in_use_is_named_with_what_to_do(kind: socket.SocketKind, host: str, field: str) -> None:
    ports = free_ports(ADDRESSES)
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind((host, getattr(ports, field)))
        if kind == socket.SOCK_STREAM:
            taken.listen()
        with pytest.raises(PortTaken, match=rf"{host}:{getattr(ports, field)} \({field}\).*--port"):
            check(ports, ADDRESSES)


def test_one_port_for_two_listeners_is_refused() -> None:
    with pytest.raises(PortTaken, match="twice"):
        check(Ports(http=9000, https=9000), ADDRESSES)
