"""What each provider signs is taken, and nothing else: public vectors, official SDKs, and whatever comes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import easypost.util
import pytest
import stripe
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from edge.webhooks.accounts import kind_of, kinds
from edge.webhooks.contract import Hook, Provider, Unverified, Verified, Wants
from edge.webhooks.snapbi import minified
from edge.webhooks.standard import sign

NOW = 1_700_000_000.0
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PUBLIC = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
STANDARD = "whsec_" + base64.b64encode(b"thirty-two bytes for the tests!!").decode()
CERTIFICATE_AT = "https://api.paypal.com/v1/notifications/certs/CERT-1"


def provider(name: str, **settings: str) -> Provider:
    kind = kind_of(name)
    return kind({one.name: one.default for one in kind.settings if one.default is not None} | settings)


def mac(key: str, body: bytes, kind: str = "sha256") -> bytes:
    return hmac.digest(key.encode(), body, kind)


def moment(seconds: float = NOW) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def certificate(begin: float = NOW - 86_400, end: float = NOW + 86_400) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "messageverificationcerts.paypal.com")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(KEY.public_key())
    made = made.serial_number(1).not_valid_before(datetime.fromtimestamp(begin, UTC))
    return (
        made.not_valid_after(datetime.fromtimestamp(end, UTC)).sign(KEY, SHA256()).public_bytes(Encoding.PEM)
    )


def rsa_signed(text: str) -> str:
    return base64.b64encode(KEY.sign(text.encode(), PKCS1v15(), SHA256())).decode()


# How each signs `body` at `at`: settings, and the hook ------------------------------------------


def of_stripe(body: bytes, at: float) -> tuple[Provider, Hook]:
    signer: Any = stripe.WebhookSignature
    field = signer.generate_signature_header(body.decode(), "whsec_test_secret", int(at))
    return provider("stripe", webhook_secret="whsec_test_secret"), Hook(body, {"stripe-signature": field})


def of_standard(body: bytes, at: float) -> tuple[Provider, Hook]:
    signature = Webhook(STANDARD).sign("msg_1", datetime.fromtimestamp(int(at), UTC), body.decode())
    fields = {"webhook-id": "msg_1", "webhook-timestamp": str(int(at)), "webhook-signature": signature}
    return provider("acme", webhook_secret=STANDARD), Hook(body, fields)


def of_midtrans(body: bytes, at: float) -> tuple[Provider, Hook]:
    document = {"order_id": "Postman-1578568851", "status_code": "200", "gross_amount": "10000.00"}
    document["signature_key"] = (
        "e78e2223638cb60dbdbc88d23deb9b927ac41be7263ab38758605bac834dc25425705543707504bfef0802914cfa3f5f538f"
        "a308d1f9086211c420e7892ba2ba"
    )
    key = "VT-server-HJMpl9HLr_ntOKt5mRONdmKj"
    whole = json.dumps({**json.loads(body), **document}).encode()
    return provider("midtrans", server_key=key), Hook(whole, {})


def of_iris(body: bytes, at: float) -> tuple[Provider, Hook]:
    signature = hashlib.sha512(body + b"merchant").hexdigest()
    return provider("midtrans", server_key="x", merchant_key="merchant"), Hook(
        body, {"iris-signature": signature}
    )


def of_xendit(body: bytes, at: float) -> tuple[Provider, Hook]:
    return provider("xendit", callback_token="tok"), Hook(body, {"x-callback-token": "tok"})


def of_paypal(body: bytes, at: float) -> tuple[Provider, Hook]:
    time = moment(at)
    fields = {
        "paypal-transmission-id": "t-1", "paypal-transmission-time": time,
        "paypal-auth-algo": "SHA256withRSA", "paypal-cert-url": CERTIFICATE_AT,
        "paypal-transmission-sig": rsa_signed(f"t-1|{time}|WH-1|{zlib.crc32(body)}"),
    }  # fmt: skip
    return provider("paypal", webhook_id="WH-1"), Hook(body, fields, material={CERTIFICATE_AT: certificate()})


def of_snap(body: bytes, at: float) -> tuple[Provider, Hook]:
    path, time = "/commerce/hooks/snapbi", moment(at)
    signed = f"POST:{path}:{hashlib.sha256(minified(body)).hexdigest()}:{time}"
    fields = {"x-timestamp": time, "x-signature": rsa_signed(signed), "x-external-id": "1"}
    return provider("snapbi", public_key=PUBLIC), Hook(body, fields, path)


def of_symmetric_snap(body: bytes, at: float) -> tuple[Provider, Hook]:
    path, time = "/commerce/hooks/snapbi", moment(at)
    signed = f"POST:{path}:{hashlib.sha256(minified(body)).hexdigest()}:{time}"
    signature = base64.b64encode(mac("shared", signed.encode(), "sha512")).decode()
    fields = {"x-timestamp": time, "x-signature": signature, "x-external-id": "1"}
    return provider("snapbi", client_secret="shared"), Hook(body, fields, path)


def of_easypost(body: bytes, at: float) -> tuple[Provider, Hook]:
    secret = "sÉcret"
    field = "hmac-sha256-hex=" + mac("sE\u0301cret", body).hex()
    easypost.util.validate_webhook(body, {"X-Hmac-Signature": field}, secret)
    return provider("easypost", webhook_secret=secret), Hook(body, {"x-hmac-signature": field})


def of_aftership(body: bytes, at: float) -> tuple[Provider, Hook]:
    field = base64.b64encode(mac("s", body)).decode()
    return provider("aftership", webhook_secret="s"), Hook(body, {"aftership-hmac-sha256": field})


def of_shippo(body: bytes, at: float) -> tuple[Provider, Hook]:
    field = f"t={int(at)},v1={mac('s', f'{int(at)}.'.encode() + body).hex()}"
    return provider("shippo", webhook_secret="s"), Hook(body, {"shippo-auth-signature": field})


def of_shippo_token(body: bytes, at: float) -> tuple[Provider, Hook]:
    return provider("shippo", token="tok"), Hook(body, {}, query={"token": "tok"})


def of_biteship(body: bytes, at: float) -> tuple[Provider, Hook]:
    return provider("biteship", webhook_secret="s"), Hook(body, {"x-biteship-signature": "s"})


def of_biteship_hmac(body: bytes, at: float) -> tuple[Provider, Hook]:
    fields = {"x-sig": mac("s", body).hex()}
    return provider("biteship", webhook_secret="s", mode="hmac", field="X-Sig"), Hook(body, fields)


def of_karrio(body: bytes, at: float) -> tuple[Provider, Hook]:
    return provider("karrio", webhook_secret="s"), Hook(body, {"x-event-id": "s"})


def of_meta(body: bytes, at: float) -> tuple[Provider, Hook]:
    fields = {"x-hub-signature-256": "sha256=" + mac("s", body).hex()}
    return provider("meta", app_secret="s", verify_token="mine"), Hook(body, fields)


Signs = Callable[[bytes, float], tuple[Provider, Hook]]
STRONG: tuple[Signs, ...] = (
    of_stripe, of_standard, of_iris, of_paypal, of_snap, of_symmetric_snap, of_easypost, of_aftership,
    of_shippo, of_meta,
)  # fmt: skip
HINTS: tuple[Signs, ...] = (
    of_midtrans, of_xendit, of_shippo_token, of_biteship, of_biteship_hmac, of_karrio,
)  # fmt: skip
TIMED: tuple[Signs, ...] = (of_stripe, of_standard, of_snap, of_symmetric_snap, of_shippo)
BODY = json.dumps(
    {"id": "evt_1", "name": "Kopi “Gayo”", "n": [1, {"a b": ' x\\" '}]}, ensure_ascii=False
).encode()


@pytest.mark.parametrize("signs", [*STRONG, *HINTS])
def test_what_a_provider_signs_is_taken_and_its_weight_told(signs: Signs) -> None:
    made, hook = signs(BODY, NOW)
    verdict = made.verify(hook, NOW)
    assert isinstance(verdict, Verified)
    assert verdict.event
    assert verdict.hint is (signs in HINTS)


@pytest.mark.parametrize("signs", STRONG)
@given(other=st.dictionaries(st.sampled_from(["id", "amount", "x"]), st.integers() | st.text(), min_size=1))
def test_a_signature_is_of_this_body_alone(signs: Signs, other: Mapping[str, Any]) -> None:
    made, hook = signs(BODY, NOW)
    with pytest.raises(Unverified) as refused:
        made.verify(replace(hook, body=json.dumps(other).encode()), NOW)
    assert refused.value.fault == "signature"


@pytest.mark.parametrize("signs", [*STRONG, *HINTS])
def test_without_what_it_signs_by_nothing_is_taken(signs: Signs) -> None:
    made, hook = signs(BODY, NOW)
    body = BODY if signs is of_midtrans else hook.body
    with pytest.raises(Unverified):
        made.verify(Hook(body, {}, hook.path, {}, hook.material), NOW)


@pytest.mark.parametrize("signs", TIMED)
@pytest.mark.parametrize("away", [-301, 301, 86_400])
def test_what_was_signed_at_another_time_is_refused_as_that(signs: Signs, away: float) -> None:
    made, hook = signs(BODY, NOW)
    with pytest.raises(Unverified) as refused:
        made.verify(hook, NOW + away)
    assert refused.value.fault == "time"


@pytest.mark.parametrize("signs", [*STRONG, *HINTS])
@given(
    fields=st.dictionaries(
        st.sampled_from(
            ["stripe-signature", "webhook-id", "webhook-timestamp", "webhook-signature", "iris-signature",
             "x-callback-token", "paypal-transmission-id", "paypal-transmission-time", "paypal-auth-algo",
             "paypal-cert-url", "paypal-transmission-sig", "x-timestamp", "x-signature", "x-hmac-signature",
             "aftership-hmac-sha256", "shippo-auth-signature", "x-biteship-signature", "x-event-id",
             "x-hub-signature-256"]
        ),
        st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=60)
        | st.sampled_from(
            ["t=1,v1=a", f"t={int(NOW)},v1=é,v1=", "SHA256withRSA", CERTIFICATE_AT, moment(), "v1,"]
        ),
    ),
    body=st.binary(max_size=40) | st.just(b"[" * 10_000) | st.just(b'{"signature_key":1}') | st.just(b"{}"),
)  # fmt: skip
def test_whatever_else_comes_is_unverified_and_nothing_worse(
    signs: Signs, fields: dict[str, str], body: bytes
) -> None:
    made, hook = signs(BODY, NOW)
    try:
        verdict = made.verify(Hook(body, fields, material=hook.material), NOW)
    except Unverified as error:
        assert "whsec_test_secret" not in str(error)
    else:
        assert isinstance(verdict, Wants)


def test_the_public_vectors_hold() -> None:
    assert sign(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330,
        b'{"test": 2432232314}',
    ) == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="  # fmt: skip
    field = "t=1700000000,v1=d95c6b7477fbd7e9f90b1b0ef5f9c7ac25abca5382460e0d988c2b2a5b71b990"
    hook = Hook(b'{"id":"evt_test_webhook","object":"event"}', {"stripe-signature": field})
    assert provider("stripe", webhook_secret="whsec_test_secret").verify(hook, NOW) == Verified(
        "evt_test_webhook"
    )


def test_a_secret_can_be_changed_without_losing_what_the_old_one_signed() -> None:
    _, hook = of_stripe(BODY, NOW)
    made = provider("stripe", webhook_secret="whsec_new\nwhsec_test_secret")
    assert made.verify(hook, NOW) == Verified("evt_1")


def test_stripes_event_is_named_by_its_id_not_by_how_often_it_is_signed() -> None:
    first, again = of_stripe(BODY, NOW), of_stripe(BODY, NOW + 60)
    assert first[0].verify(first[1], NOW) == again[0].verify(again[1], NOW)


@pytest.mark.parametrize(
    "url",
    [
        "http://api.paypal.com/v1/notifications/certs/CERT-1",
        "https://api.paypal.com.evil.test/v1/notifications/certs/CERT-1",
        "https://api.paypal.com@evil.test/v1/notifications/certs/CERT-1",
        "https://api.paypal.com:8443/v1/notifications/certs/CERT-1",
        "https://api.paypal.com/elsewhere",
        "https://apı.paypal.com/v1/notifications/certs/CERT-1",
        "//api.paypal.com/v1/notifications/certs/CERT-1",
    ],
)
def test_a_certificate_from_elsewhere_is_not_even_asked_for(url: str) -> None:
    made, hook = of_paypal(BODY, NOW)
    fields = {**hook.fields, "paypal-cert-url": url}
    with pytest.raises(Unverified, match="paypal-cert-url"):
        made.verify(Hook(BODY, fields, material={url: certificate()}), NOW)


def test_paypals_certificate_is_asked_for_and_must_be_valid_now() -> None:
    made, hook = of_paypal(BODY, NOW)
    assert made.verify(replace(hook, material={}), NOW) == Wants(CERTIFICATE_AT)
    old = certificate(NOW - 9 * 86_400, NOW - 86_400)
    with pytest.raises(Unverified, match="not valid now"):
        made.verify(replace(hook, material={CERTIFICATE_AT: old}), NOW)
    with pytest.raises(Unverified, match="can be read"):
        made.verify(replace(hook, material={CERTIFICATE_AT: b"no certificate"}), NOW)


def test_paypal_tries_again_for_days_under_the_first_ones_time() -> None:
    made, hook = of_paypal(BODY, NOW - timedelta(days=2).total_seconds())
    assert made.verify(hook, NOW) == Verified("evt_1")
    made, hook = of_paypal(BODY, NOW - timedelta(days=4).total_seconds())
    with pytest.raises(Unverified):
        made.verify(hook, NOW)


def test_a_bank_is_answered_as_snap_has_it() -> None:
    made, hook = of_snap(BODY, NOW)
    verdict = made.verify(hook, NOW)
    assert isinstance(verdict, Verified)
    assert json.loads(verdict.reply.body) == {"responseCode": "2002500", "responseMessage": "Successful"}


@given(st.recursive(st.none() | st.integers() | st.text(max_size=8), lambda inner: st.lists(inner, max_size=3)
       | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=8))  # fmt: skip
def test_minified_json_is_the_same_in_order_without_a_blank(value: Any) -> None:
    spread = json.dumps(value, indent=2, ensure_ascii=False)
    assert minified(spread.encode()).decode() == json.dumps(value, separators=(",", ":"), ensure_ascii=False)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"hub.mode": "subscribe", "hub.verify_token": "mine", "hub.challenge": "1158201444"}, b"1158201444"),
        ({"hub.mode": "subscribe", "hub.verify_token": "other", "hub.challenge": "1"}, None),
        ({"hub.mode": "subscribe", "hub.verify_token": "mine", "hub.challenge": "<script>"}, None),
        ({"hub.verify_token": "mine", "hub.challenge": "1"}, None),
        ({}, None),
    ],
)
def test_meta_learns_whose_address_this_is(query: dict[str, str], said: bytes | None) -> None:
    reply = provider("meta", app_secret="s", verify_token="mine").challenge(query)
    assert (reply.body if reply else None) == said
    assert provider("meta", app_secret="s").challenge(query) is None


def test_every_provider_is_found_by_its_entry_point() -> None:
    assert all(kind.name == name for name, kind in kinds().items())
    assert set(kinds()) >= {
        "stripe", "midtrans", "xendit", "paypal", "snapbi", "easypost", "aftership", "shippo", "biteship",
        "karrio", "meta", "standard",
    }  # fmt: skip
