"""A local server that speaks as much of Midtrans' Snap and Core APIs as the checkout uses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass(slots=True)
class MidtransStandIn:
    """Transactions by order id. A page that nobody used is no transaction, as at Midtrans."""

    transactions: dict[str, dict[str, Any]] = field(default_factory=dict)
    pages: dict[str, dict[str, Any]] = field(default_factory=dict)
    refunds: dict[str, int] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    lose: int = 0

    def application(self) -> web.Application:
        app = web.Application()
        app.add_routes(
            [
                web.post("/snap/v1/transactions", self._page),
                web.post("/v2/charge", self._charge),
                web.get("/v2/{id}/status", self._status),
                web.post("/v2/{id}/cancel", self._ended("cancel")),
                web.post("/v2/{id}/expire", self._ended("expire")),
                web.post("/v2/{id}/refund", self._refund),
                web.post("/v2/capture", self._capture),
            ]
        )
        return app

    def pay(self, order: str) -> None:
        """The visitor paid, on the page or by transfer."""
        if order in self.pages:
            page = self.pages[order]
            held = page.get("credit_card", {}).get("type") == "authorize"
            self._new(order, page["transaction_details"]["gross_amount"], "authorize" if held else "capture")
            if "credit_card" in page:
                self.transactions[order]["masked_card"] = "48111111-1114"
        else:
            self.transactions[order]["transaction_status"] = "settlement"

    def _new(self, order: str, amount: int, status: str) -> dict[str, Any]:
        self.transactions[order] = {
            "status_code": "201" if status == "pending" else "200",
            "transaction_id": f"t-{order}",
            "order_id": order,
            "gross_amount": f"{amount}.00",
            "currency": "IDR",
            "transaction_status": status,
            "fraud_status": "accept",
        }
        return self.transactions[order]

    async def _page(self, request: web.Request) -> web.Response:
        wanted = await request.json()
        self.keys.append(request.headers["Idempotency-Key"])
        order = wanted["transaction_details"]["order_id"]
        self.pages[order] = wanted
        self._lost(request)
        url = f"https://app.midtrans.test/{order}"
        return web.json_response({"token": order, "redirect_url": url}, status=201)

    async def _charge(self, request: web.Request) -> web.Response:
        wanted = await request.json()
        details = wanted["transaction_details"]
        if details["order_id"] in self.transactions:
            return web.json_response({"status_code": "406", "status_message": "order_id has been used"})
        made = self._new(details["order_id"], details["gross_amount"], "pending")
        match wanted["payment_type"]:
            case "qris":
                made["qr_string"] = "00020101021226QR"
            case "echannel":
                made |= {"bill_key": "123456", "biller_code": "70012"}
            case "permata":
                made["permata_va_number"] = "8562000"
            case _:
                made["va_numbers"] = [
                    {"bank": wanted["bank_transfer"]["bank"], "va_number": "812785002530231"}
                ]
        self._lost(request)
        return web.json_response(made)

    async def _status(self, request: web.Request) -> web.Response:
        found = self.transactions.get(request.match_info["id"])
        if found is None:
            missing = {"status_code": "404", "status_message": "Transaction doesn't exist."}
            return web.json_response(missing, status=404)
        return web.json_response(found)

    def _ended(self, status: str) -> Any:
        async def end(request: web.Request) -> web.Response:
            found = self.transactions.get(request.match_info["id"])
            if found is None:
                return web.json_response({"status_code": "404", "status_message": "none"}, status=404)
            found["transaction_status"] = status
            return web.json_response(found)

        return end

    async def _refund(self, request: web.Request) -> web.Response:
        wanted, found = await request.json(), self.transactions[request.match_info["id"]]
        if wanted["refund_key"] not in self.refunds:
            self.refunds[wanted["refund_key"]] = wanted["amount"]
            total = int(float(found.get("refund_amount", 0))) + wanted["amount"]
            found |= {"transaction_status": "partial_refund", "refund_amount": f"{total}.00"}
        self._lost(request)
        return web.json_response(found)

    async def _capture(self, request: web.Request) -> web.Response:
        wanted = await request.json()
        found = next(
            one for one in self.transactions.values() if one["transaction_id"] == wanted["transaction_id"]
        )
        found |= {"transaction_status": "capture", "gross_amount": f"{wanted['gross_amount']}.00"}
        return web.json_response(found)

    def _lost(self, request: web.Request) -> None:
        if self.lose > 0:
            self.lose -= 1
            assert request.transport is not None
            request.transport.abort()
