"""SipHash-2-4, which server cookies are made of (RFC 9018 §4.4). Python that Cython compiles as it stands."""

from __future__ import annotations

import cython


def siphash24(key: bytes, data: bytes) -> bytes:
    """The 8 octets of SipHash-2-4 of `data` under the 16 octets of `key`, the lowest first."""
    ones: cython.ulonglong = 0xFFFFFFFFFFFFFFFF
    k0: cython.ulonglong = int.from_bytes(key[:8], "little")
    k1: cython.ulonglong = int.from_bytes(key[8:16], "little")
    v0: cython.ulonglong = k0 ^ 0x736F6D6570736575
    v1: cython.ulonglong = k1 ^ 0x646F72616E646F6D
    v2: cython.ulonglong = k0 ^ 0x6C7967656E657261
    v3: cython.ulonglong = k1 ^ 0x7465646279746573
    word: cython.ulonglong
    at: cython.Py_ssize_t
    turn: cython.int
    padded: bytes = data + bytes(7 - len(data) % 8) + bytes((len(data) & 0xFF,))
    words: cython.Py_ssize_t = len(padded) // 8
    for at in range(words + 1):
        word = int.from_bytes(padded[8 * at : 8 * at + 8], "little") if at < words else 0
        if at < words:
            v3 ^= word
        else:
            v2 ^= 0xFF
        for turn in range(2 if at < words else 4):  # noqa: B007 — counted only
            v0 = (v0 + v1) & ones
            v1 = ((v1 << 13) & ones | v1 >> 51) ^ v0
            v0 = (v0 << 32) & ones | v0 >> 32
            v2 = (v2 + v3) & ones
            v3 = ((v3 << 16) & ones | v3 >> 48) ^ v2
            v0 = (v0 + v3) & ones
            v3 = ((v3 << 21) & ones | v3 >> 43) ^ v0
            v2 = (v2 + v1) & ones
            v1 = ((v1 << 17) & ones | v1 >> 47) ^ v2
            v2 = (v2 << 32) & ones | v2 >> 32
        v0 ^= word
    return int(v0 ^ v1 ^ v2 ^ v3).to_bytes(8, "little")
