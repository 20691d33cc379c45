from __future__ import annotations

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.dns.edns import OUR_SIZE, Edns, Subnet
from geo.dns.message import Query, Question, Rcode, Record, Refusal, Type, parse, render, reply_limit
from geo.dns.zone import wire_name


def wire(name: str = "www.shop.test", kind: str = "A", **more: object) -> bytes:
    return dns.message.make_query(name, kind, **more).to_wire()  # type: ignore[arg-type]


def with_subnet(text: str) -> bytes:
    return wire(use_edns=0, options=[dns.edns.ECSOption.from_text(text)])


def with_option(data: bytes, code: int = 8) -> bytes:
    return wire(use_edns=0, options=[dns.edns.GenericOption(code, data)])


def query(packet: bytes) -> Query:
    parsed = parse(packet)
    assert isinstance(parsed, Query), parsed
    return parsed


def rcode_of(packet: bytes) -> Rcode:
    parsed = parse(packet)
    assert isinstance(parsed, Refusal), parsed
    return parsed.rcode


def test_a_plain_query_is_read() -> None:
    parsed = query(wire())
    assert parsed.question == Question(wire_name("www.shop.test"), wire_name("www.shop.test"), Type.A, 1)
    assert parsed.edns is None


def test_the_case_of_the_name_is_kept_beside_its_key() -> None:
    question = query(wire("wWw.ShOp.tEsT")).question
    assert question.name == b"\x03wWw\x04ShOp\x04tEsT\x00"
    assert question.key == b"\x03www\x04shop\x04test\x00"


@pytest.mark.parametrize(
    ("text", "subnet", "address"),
    [
        ("36.66.0.0/16", Subnet(1, 16, b"\x24\x42"), "36.66.0.0"),
        ("36.66.8.0/21", Subnet(1, 21, b"\x24\x42\x08"), "36.66.8.0"),
        ("36.66.0.1/32", Subnet(1, 32, b"\x24\x42\x00\x01"), "36.66.0.1"),
        ("2001:448a::/32", Subnet(2, 32, b"\x20\x01\x44\x8a"), "2001:448a::"),
        ("0.0.0.0/0", Subnet(1, 0, b""), "0.0.0.0"),
    ],
)
def test_a_client_subnet_is_read(text: str, subnet: Subnet, address: str) -> None:
    edns = query(with_subnet(text)).edns
    assert edns is not None
    assert edns.subnet == subnet
    assert subnet.text() == address


def test_a_subnet_of_no_family_opts_out() -> None:
    edns = query(with_option(b"\0\0\0\0")).edns
    assert edns is not None
    assert edns.subnet == Subnet(0, 0, b"")


@pytest.mark.parametrize(
    "option",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\0\1\x18", id="no-scope"),
        pytest.param(b"\0\1\x18\0\x24\x42", id="address-too-short"),
        pytest.param(b"\0\1\x18\0\x24\x42\0\1", id="address-too-long"),
        pytest.param(b"\0\1\x10\0\x24\x42\0\0", id="zeros-behind-the-prefix"),
        pytest.param(b"\0\1\x0f\0\x24\x43", id="bits-behind-the-prefix"),
        pytest.param(b"\0\1\x18\x18\x24\x42\0", id="scope-in-a-query"),
        pytest.param(b"\0\1\x21\0\x24\x42\0\0\0", id="prefix-beyond-IPv4"),
        pytest.param(b"\0\2\x81\0" + bytes(17), id="prefix-beyond-IPv6"),
        pytest.param(b"\0\3\0\0", id="unknown-family"),
        pytest.param(b"\0\0\x08\0\x24", id="no-family-but-a-prefix"),
    ],
)
def test_a_malformed_subnet_is_a_format_error_that_still_speaks_edns(option: bytes) -> None:
    parsed = parse(with_option(option))
    assert isinstance(parsed, Refusal)
    assert parsed.rcode is Rcode.FORMERR
    assert parsed.edns is not None
    assert parsed.edns.subnet is None


def test_other_options_are_passed_over() -> None:
    edns = query(with_option(b"12345678", code=10)).edns
    assert edns is not None
    assert edns.subnet is None


def test_a_version_that_is_not_ours_is_bad_whatever_its_options() -> None:
    assert rcode_of(wire(use_edns=1)) is Rcode.BADVERS


def test_two_opt_records_are_a_format_error() -> None:
    packet = bytearray(wire(use_edns=0))
    packet += packet[-11:]
    packet[11] = 2
    assert rcode_of(bytes(packet)) is Rcode.FORMERR


def test_an_opt_record_that_is_not_at_the_root_is_a_format_error() -> None:
    packet = bytearray(wire(use_edns=0))
    packet[-11:-10] = b"\x01x\x00"
    assert rcode_of(bytes(packet)) is Rcode.FORMERR


@pytest.mark.parametrize("number", [1, 2, 4, 5, 6, 15])
def test_other_operations_are_not_implemented(number: int) -> None:
    packet = bytearray(wire())
    packet[2] = number << 3
    assert rcode_of(bytes(packet)) is Rcode.NOTIMP


def test_a_response_is_never_answered() -> None:
    packet = bytearray(wire())
    packet[2] |= 0x80
    assert parse(bytes(packet)) is None


@pytest.mark.parametrize("size", range(12))
def test_less_than_a_header_is_never_answered(size: int) -> None:
    assert parse(wire()[:size]) is None


@pytest.mark.parametrize("counts", [(0, 0, 0, 0), (2, 0, 0, 0), (1, 1, 0, 0), (1, 0, 1, 0), (1, 0, 0, 9)])
def test_counts_that_no_query_has_are_format_errors(counts: tuple[int, ...]) -> None:
    packet = bytearray(wire())
    packet[4:12] = b"".join(count.to_bytes(2) for count in counts)
    assert rcode_of(bytes(packet)) is Rcode.FORMERR


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(b"\xc0\x0c", id="pointer-to-itself"),
        pytest.param(b"\x03www\xc0\x0c", id="pointer-back"),
        pytest.param(b"\x40" + b"x" * 64 + b"\0", id="reserved-label-type"),
        pytest.param(b"\x3f" + b"x" * 20, id="label-beyond-the-end"),
        pytest.param((b"\x3f" + b"x" * 63) * 4 + b"\0", id="257-octets"),
        pytest.param(b"\x01x" * 128 + b"\0", id="257-octets-of-short-labels"),
        pytest.param(b"\x03www", id="no-end"),
    ],
)
def test_a_name_that_is_none_is_a_format_error(name: bytes) -> None:
    assert rcode_of(b"\0\1\0\0\0\1\0\0\0\0\0\0" + name + b"\0\1\0\1") is Rcode.FORMERR


def test_the_longest_name_is_read() -> None:
    name = (b"\x3f" + b"x" * 63) * 3 + b"\x3d" + b"x" * 61 + b"\0"
    assert len(name) == 255
    assert query(b"\0\1\0\0\0\1\0\0\0\0\0\0" + name + b"\0\1\0\1").question.name == name


def test_octets_behind_the_last_record_are_a_format_error() -> None:
    assert rcode_of(wire() + b"\0") is Rcode.FORMERR
    assert rcode_of(wire(use_edns=0) + b"\0") is Rcode.FORMERR


@given(st.binary(max_size=600))
def test_any_octets_are_read_or_refused(packet: bytes) -> None:
    assert isinstance(parse(packet), Query | Refusal | None)


@given(st.data())
def test_a_query_with_any_octets_changed_is_read_or_refused(data: st.DataObject) -> None:
    packet = bytearray(with_subnet("36.66.0.0/16"))
    for _ in range(data.draw(st.integers(1, 6))):
        packet[data.draw(st.integers(0, len(packet) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(packet)))
    assert isinstance(parse(bytes(packet[:cut])), Query | Refusal | None)


names = st.lists(st.binary(min_size=1, max_size=20), min_size=0, max_size=6)


@given(
    number=st.integers(0, 0xFFFF),
    labels=names,
    kind=st.integers(1, 0xFFFF),
    size=st.integers(0, 0xFFFF),
    want_dnssec=st.booleans(),
    address=st.ip_addresses(),
    data=st.data(),
)
def test_what_another_implementation_wrote_is_read_as_it_meant(
    number: int,
    labels: list[bytes],
    kind: int,
    size: int,
    want_dnssec: bool,
    address: object,
    data: st.DataObject,
) -> None:
    source = data.draw(st.integers(0, 128 if ":" in str(address) else 32))
    option = dns.edns.ECSOption(str(address), source)
    name = dns.name.Name([*labels, b""])
    made = dns.message.make_query(
        name, kind, use_edns=0, payload=size, want_dnssec=want_dnssec, options=[option], id=number
    )
    parsed = query(made.to_wire())
    assert (parsed.id, parsed.question.name, parsed.question.type) == (number, name.to_wire(), kind)
    assert parsed.edns == Edns(
        size,
        0,
        want_dnssec,
        Subnet(option.family, source, option.to_wire()[4:]),  # type: ignore[index]
    )


def answer(count: int, *, edns: bool = True, limit: int = OUR_SIZE) -> dns.message.Message:
    asked = query(wire(use_edns=0) if edns else wire())
    records = tuple(
        Record(asked.question.key, Type.A, 20, bytes((192, 0, 2, number % 256))) for number in range(count)
    )
    reply = render(asked, Rcode.NOERROR, sections=(records, (), ()), authoritative=True, limit=limit)
    assert len(reply) <= limit
    return dns.message.from_wire(reply)


def test_a_reply_that_fits_is_whole() -> None:
    assert sum(map(len, answer(20).answer)) == 20


def test_a_reply_that_does_not_fit_is_truncated_and_says_so() -> None:
    reply = answer(80)
    assert reply.flags & dns.flags.TC
    assert reply.answer == []
    assert reply.edns == 0


def test_additional_records_that_do_not_fit_are_left_out_silently() -> None:
    asked = query(wire())
    record = Record(asked.question.key, Type.A, 20, bytes(4))
    reply = dns.message.from_wire(
        render(asked, Rcode.NOERROR, sections=((record,), (), (record,) * 40), limit=200)
    )
    assert not reply.flags & dns.flags.TC
    assert len(reply.answer) == 1


@pytest.mark.parametrize(
    ("size", "limit"),
    [(0, 512), (511, 512), (512, 512), (1000, 1000), (1232, 1232), (4096, 1232), (65535, 1232)],
)
def test_the_limit_is_the_clients_within_ours(size: int, limit: int) -> None:
    assert reply_limit(Edns(size, 0, False, None), stream=False) == limit
    assert reply_limit(Edns(size, 0, False, None), stream=True) == 65535


def test_without_edns_the_limit_is_the_classic_one() -> None:
    assert reply_limit(None, stream=False) == 512
