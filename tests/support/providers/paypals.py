"""A local server that speaks as much of PayPal's orders and payments APIs as the checkout uses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass(slots=True)
class PayPalStandIn:
    """Orders by id; what was asked with a key is done once."""

    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    answers: dict[tuple[str, str], Any] = field(default_factory=dict)
    lose: int = 0

    def application(self) -> web.Application:
        app = web.Application()
        app.add_routes(
            [
                web.post("/v1/oauth2/token", self._token),
                web.post("/v2/checkout/orders", self._keyed(self._create)),
                web.get("/v2/checkout/orders/{id}", self._show),
                web.post("/v2/checkout/orders/{id}/capture", self._keyed(self._capture)),
                web.post("/v2/checkout/orders/{id}/authorize", self._keyed(self._authorize)),
                web.post("/v2/payments/authorizations/{id}/capture", self._keyed(self._take)),
                web.post("/v2/payments/authorizations/{id}/void", self._keyed(self._void)),
                web.post("/v2/payments/captures/{id}/refund", self._keyed(self._refund)),
            ]
        )
        return app

    def approve(self, id: str) -> None:
        """The visitor approved on PayPal's page."""
        self.orders[id]["status"] = "APPROVED"

    async def _token(self, _request: web.Request) -> web.Response:
        return web.json_response({"access_token": "A", "token_type": "Bearer", "expires_in": 900})

    def _keyed(self, handler: Any) -> Any:
        async def handle(request: web.Request) -> web.Response:
            key = request.path, request.headers["PayPal-Request-Id"]
            body = await request.json() if request.body_exists and request.content_length else {}
            if key not in self.answers:
                self.answers[key] = handler(request.match_info.get("id", ""), body)
            if self.lose > 0:
                self.lose -= 1
                assert request.transport is not None
                request.transport.abort()
            return web.json_response(self.answers[key], status=201)

        return handle

    def _create(self, _id: str, wanted: Any) -> Any:
        id = f"O{len(self.orders) + 1}"
        links = [{"rel": "payer-action", "href": f"https://paypal.test/{id}", "method": "GET"}]
        self.orders[id] = {
            "id": id,
            "intent": wanted["intent"],
            "status": "PAYER_ACTION_REQUIRED",
            "purchase_units": [wanted["purchase_units"][0] | {"payments": {}}],
            "links": links,
        }
        return self.orders[id]

    async def _show(self, request: web.Request) -> web.Response:
        found = self.orders.get(request.match_info["id"])
        if found is None:
            return web.json_response({"name": "RESOURCE_NOT_FOUND", "message": "none"}, status=404)
        return web.json_response(found)

    def _capture(self, id: str, _body: Any) -> Any:
        order = self.orders[id]
        unit = order["purchase_units"][0]
        unit["payments"]["captures"] = [{"id": f"C{id}", "status": "COMPLETED", "amount": unit["amount"]}]
        order["status"] = "COMPLETED"
        return order

    def _authorize(self, id: str, _body: Any) -> Any:
        order = self.orders[id]
        unit = order["purchase_units"][0]
        unit["payments"]["authorizations"] = [{"id": f"A{id}", "status": "CREATED", "amount": unit["amount"]}]
        order["status"] = "COMPLETED"
        return order

    def _take(self, id: str, wanted: Any) -> Any:
        payments = self.orders[id[1:]]["purchase_units"][0]["payments"]
        payments["authorizations"][0]["status"] = "CAPTURED"
        payments["captures"] = [{"id": f"C{id[1:]}", "status": "COMPLETED", "amount": wanted["amount"]}]
        return payments["captures"][0]

    def _void(self, id: str, _body: Any) -> Any:
        payments = self.orders[id[1:]]["purchase_units"][0]["payments"]
        payments["authorizations"][0]["status"] = "VOIDED"
        return payments["authorizations"][0]

    def _refund(self, id: str, wanted: Any) -> Any:
        payments = self.orders[id[1:]]["purchase_units"][0]["payments"]
        made = {"id": "R1", "status": "COMPLETED", "amount": wanted["amount"]}
        payments.setdefault("refunds", []).append(made)
        return made
