"""A local server that speaks as much of Xendit's invoice and refund APIs as the checkout uses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

WHEN = "2026-11-27T05:00:00.000Z"


@dataclass(slots=True)
class XenditStandIn:
    """Invoices by id, and refunds by key."""

    invoices: dict[str, dict[str, Any]] = field(default_factory=dict)
    refunds: dict[str, Any] = field(default_factory=dict)
    lose: int = 0
    refuse: int = 0

    def application(self) -> web.Application:
        app = web.Application()
        app.add_routes(
            [
                web.post("/v2/invoices/", self._create),
                web.get("/v2/invoices", self._listed),
                web.get("/v2/invoices/{id}", self._show),
                web.post("/invoices/{id}/expire!", self._expire),
                web.post("/refunds", self._refund),
            ]
        )
        return app

    def pay(self, id: str) -> None:
        """The visitor paid on the invoice's page."""
        self.invoices[id]["status"] = "PAID"

    async def _create(self, request: web.Request) -> web.Response:
        if self.refuse > 0:
            self.refuse -= 1
            return web.json_response({"error_code": "SERVICE_UNAVAILABLE", "message": "later"}, status=503)
        wanted, id = await request.json(), f"inv{len(self.invoices) + 1}"
        self.invoices[id] = {
            "id": id,
            "external_id": wanted["external_id"],
            "user_id": "u",
            "status": "PENDING",
            "merchant_name": "Warung",
            "merchant_profile_picture_url": "https://xendit.test/p.png",
            "amount": wanted["amount"],
            "currency": wanted["currency"],
            "expiry_date": WHEN,
            "invoice_url": f"https://checkout.xendit.test/{id}",
            "available_banks": [],
            "available_retail_outlets": [],
            "available_ewallets": [],
            "available_qr_codes": [],
            "available_direct_debits": [],
            "available_paylaters": [],
            "should_send_email": False,
            "created": WHEN,
            "updated": WHEN,
        }
        self._lost(request)
        return web.json_response(self.invoices[id])

    async def _listed(self, request: web.Request) -> web.Response:
        wanted = request.query.get("external_id")
        return web.json_response([one for one in self.invoices.values() if one["external_id"] == wanted])

    async def _show(self, request: web.Request) -> web.Response:
        found = self.invoices.get(request.match_info["id"])
        if found is None:
            return web.json_response({"error_code": "INVOICE_NOT_FOUND_ERROR", "message": "none"}, status=404)
        return web.json_response(found)

    async def _expire(self, request: web.Request) -> web.Response:
        found = self.invoices[request.match_info["id"]]
        found["status"] = "EXPIRED"
        return web.json_response(found)

    async def _refund(self, request: web.Request) -> web.Response:
        key, wanted = request.headers["idempotency-key"], await request.json()
        self.refunds.setdefault(key, wanted["amount"])
        self._lost(request)
        return web.json_response({"id": "rfd-1", "amount": wanted["amount"], "currency": wanted["currency"]})

    def _lost(self, request: web.Request) -> None:
        if self.lose > 0:
            self.lose -= 1
            assert request.transport is not None
            request.transport.abort()
