"""A local bank that speaks SNAP-BI, and verifies every signature by its own reading of the standard."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from origin.checkout.qris import Merchant, code

SHOP = Merchant("Warung", "Yogyakarta", "ID1020000000001")


@dataclass(slots=True)
class SnapBank:
    """Virtual accounts and codes by the shop's name of the payment."""

    public: RSAPublicKey
    secret: bytes
    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)
    codes: dict[str, dict[str, Any]] = field(default_factory=dict)
    refunds: dict[str, str] = field(default_factory=dict)
    external: list[str] = field(default_factory=list)
    tokens: int = 0
    lose: int = 0

    def application(self) -> web.Application:
        app = web.Application()
        app.add_routes(
            [
                web.post("/api/v1.0/access-token/b2b", self._token),
                web.post("/api/v1.0/transfer-va/create-va", self._verified(self._create_account)),
                web.post("/api/v1.0/transfer-va/status", self._verified(self._account)),
                web.delete("/api/v1.0/transfer-va/delete-va", self._verified(self._delete_account)),
                web.post("/api/v1.0/qr/qr-mpm-generate", self._verified(self._create_code)),
                web.post("/api/v1.0/qr/qr-mpm-query", self._verified(self._code)),
                web.post("/api/v1.0/qr/qr-mpm-cancel", self._verified(self._cancel_code)),
                web.post("/api/v1.0/qr/qr-mpm-refund", self._verified(self._refund_code)),
            ]
        )
        return app

    async def _token(self, request: web.Request) -> web.Response:
        fields = request.headers
        signed = f"{fields['X-CLIENT-KEY']}|{fields['X-TIMESTAMP']}".encode()
        self.public.verify(base64.b64decode(fields["X-SIGNATURE"]), signed, PKCS1v15(), SHA256())
        self.tokens += 1
        return web.json_response(
            {"responseCode": "2007300", "accessToken": f"token{self.tokens}", "expiresIn": "900"}
        )

    def _verified(self, handler: Any) -> Any:
        async def handle(request: web.Request) -> web.Response:
            body, fields = await request.read(), request.headers
            token = fields["Authorization"].removeprefix("Bearer ")
            compact = json.dumps(json.loads(body), separators=(",", ":"), ensure_ascii=True).encode()
            digest = hashlib.sha256(compact).hexdigest().lower()
            signed = f"{request.method}:{request.path}:{token}:{digest}:{fields['X-TIMESTAMP']}"
            right = base64.b64encode(hmac.new(self.secret, signed.encode(), hashlib.sha512).digest()).decode()
            if token != f"token{self.tokens}" or right != fields["X-SIGNATURE"]:
                return web.json_response({"responseCode": "4010000"}, status=401)
            self.external.append(fields["X-EXTERNAL-ID"])
            answer = handler(json.loads(body))
            if self.lose > 0:
                self.lose -= 1
                assert request.transport is not None
                request.transport.abort()
            return web.json_response(answer, status=int(answer["responseCode"][:3]))

        return handle

    def _create_account(self, wanted: Any) -> Any:
        if wanted["trxId"] in self.accounts:
            return {"responseCode": "4092700", "responseMessage": "Conflict"}
        self.accounts[wanted["trxId"]] = {**wanted, "paid": False}
        return {"responseCode": "2002700", "virtualAccountData": wanted}

    def _account(self, wanted: Any) -> Any:
        found = next(
            (one for one in self.accounts.values() if one["virtualAccountNo"] == wanted["virtualAccountNo"]),
            None,
        )
        if found is None:
            return {"responseCode": "4042612", "responseMessage": "Invalid bill"}
        status = {"paymentFlagStatus": "00", "paidAmount": found["totalAmount"]} if found["paid"] else {}
        return {"responseCode": "2002600", "virtualAccountData": {"trxId": found["trxId"], **status}}

    def _delete_account(self, wanted: Any) -> Any:
        del self.accounts[wanted["trxId"]]
        return {"responseCode": "2003100"}

    def _create_code(self, wanted: Any) -> Any:
        name, amount = wanted["partnerReferenceNo"], wanted["amount"]
        text = code(SHOP, int(float(amount["value"]) * 100), name)
        self.codes[name] = {"amount": amount, "latestTransactionStatus": "03"}
        return {"responseCode": "2004700", "referenceNo": f"r-{name}", "qrContent": text}

    def _code(self, wanted: Any) -> Any:
        return {"responseCode": "2005100", **self.codes[wanted["originalPartnerReferenceNo"]]}

    def _cancel_code(self, wanted: Any) -> Any:
        self.codes[wanted["originalPartnerReferenceNo"]]["latestTransactionStatus"] = "05"
        return {"responseCode": "2007700"}

    def _refund_code(self, wanted: Any) -> Any:
        self.refunds.setdefault(wanted["partnerRefundNo"], wanted["refundAmount"]["value"])
        return {"responseCode": "2007800"}
