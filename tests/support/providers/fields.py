"""A provider's host for pages: its script, and a frame of its own that a card is filled in in."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

BAD = "4000000000000002"
FRAME = """<!doctype html><html lang="en"><title>Card</title>
<form><p><label>Card number <input id="number" autocomplete="cc-number"></label></p>{button}</form>
<script>
const pay = async (token) => {{
  const body = JSON.stringify({{ number: document.querySelector("#number").value, token }});
  parent.postMessage(await (await fetch("/paid", {{ method: "POST", body }})).json(), "*");
}};
addEventListener("message", (event) => pay(event.data));
document.querySelector("form").addEventListener("submit", (event) => {{
  event.preventDefault(); pay(new URL(location).searchParams.get("token"));
}});
</script>"""
STRIPE = """{
const base = new URL(document.currentScript.src).origin;
window.Stripe = (key, { locale }) => ({ initCheckoutElementsSdk: ({ clientSecret }) => {
  const frame = document.createElement("iframe"), heard = {};
  frame.title = "Card"; frame.src = base + "/frame"; frame.onload = () => heard.ready();
  const confirm = () => new Promise((done) => {
    addEventListener("message", (event) => { if (event.origin === base) done(event.data); }, { once: true });
    frame.contentWindow.postMessage(clientSecret, base);
  });
  return {
    createPaymentElement: () => ({
      on: (name, call) => { heard[name] = call; },
      mount: (place) => { fetch(`${base}/used?key=${key}&language=${locale}`); place.append(frame); },
    }),
    loadActions: async () => ({ type: "success", actions: { confirm } }),
  };
} }); }
"""
SNAP = """{
const base = new URL(document.currentScript.src).origin, key = document.currentScript.dataset.clientKey;
window.snap = { embed: (token, { embedId, language, onSuccess, onError }) => {
  const frame = document.createElement("iframe");
  frame.title = "Card"; frame.src = base + "/frame?token=" + token;
  addEventListener("message", (event) => {
    if (event.origin === base) (event.data.type === "success" ? onSuccess : onError)({});
  });
  fetch(`${base}/used?key=${key}&language=${language}`);
  document.getElementById(embedId).append(frame);
} }; }
"""


@dataclass(slots=True)
class FieldsHost:
    """Beside a provider's API: `pay` marks the payment of a token as paid there."""

    pay: Callable[[str], None]
    numbers: list[str] = field(default_factory=list)
    used: list[tuple[str, str]] = field(default_factory=list)  # public key and language

    def join(self, app: web.Application) -> web.Application:
        app.add_routes(
            [
                web.get("/stripe.js", self._script(STRIPE)),
                web.get("/snap.js", self._script(SNAP)),
                web.get("/frame", self._frame),
                web.get("/used", self._used),
                web.post("/paid", self._paid),
            ]
        )
        return app

    def _script(self, text: str) -> Any:
        async def give(_request: web.Request) -> web.Response:
            return web.Response(text=text, content_type="text/javascript")

        return give

    async def _frame(self, request: web.Request) -> web.Response:
        button = "<button>Pay</button>" if "token" in request.query else ""
        return web.Response(text=FRAME.format(button=button), content_type="text/html")

    async def _used(self, request: web.Request) -> web.Response:
        self.used.append((request.query["key"], request.query["language"]))
        return web.Response(headers={"Access-Control-Allow-Origin": "*"})

    async def _paid(self, request: web.Request) -> web.Response:
        said = json.loads(await request.read())
        self.numbers.append(said["number"])
        if said["number"] == BAD:
            return web.json_response({"type": "error", "error": {"message": "Your card was declined."}})
        self.pay(said["token"])
        return web.json_response({"type": "success"})
