"""The name of an address that any Nostr client opens: `naddr1…` (NIP-19, in bech32 of BIP-173). Pure."""

from __future__ import annotations

from collections.abc import Iterable

ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
IDENTIFIER, RELAY, AUTHOR, KIND = range(4)  # types of fields (NIP-19)
LONGEST_FIELD = 255


def naddr(kind: int, pubkey: str, d: str, relay: str) -> str:
    """`naddr1…` of what stands at an address, with a relay that has it."""
    fields = [
        (IDENTIFIER, d.encode()),
        (RELAY, relay.encode()),
        (AUTHOR, bytes.fromhex(pubkey)),
        (KIND, kind.to_bytes(4)),
    ]
    said = b"".join(
        bytes((type, len(value))) + value for type, value in fields if len(value) <= LONGEST_FIELD
    )
    return bech32("naddr", said)


def bech32(prefix: str, data: bytes) -> str:
    """`data` behind a prefix, with its checksum (BIP-173; as long as it needs to be)."""
    words = list(_fives(data))
    spread = [*(ord(one) >> 5 for one in prefix), 0, *(ord(one) & 31 for one in prefix)]
    check = _polymod([*spread, *words, 0, 0, 0, 0, 0, 0]) ^ 1
    words += [check >> 5 * (5 - step) & 31 for step in range(6)]
    return f"{prefix}1{''.join(ALPHABET[word] for word in words)}"


def _fives(data: bytes) -> Iterable[int]:
    """Eight bits at a time as five, the last ones filled up with nothing."""
    held, bits = 0, 0
    for byte in data:
        held, bits = (held << 8 | byte) & 0xFFF, bits + 8
        while bits >= 5:
            bits -= 5
            yield held >> bits & 31
    if bits:
        yield held << (5 - bits) & 31


def _polymod(words: Iterable[int]) -> int:
    check = 1
    for word in words:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ word
        for step, part in enumerate(GENERATOR):
            check ^= part if top >> step & 1 else 0
    return check
