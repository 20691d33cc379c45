"""A real Django shop: sessions, accounts, forms behind its CSRF protection. Run as a script; says its port.

python -m tests.shops.djangoshop DIRECTORY
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import django
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.template import engines
from django.urls import path

LAYOUT = """<!doctype html><html><head><title>Kedai Django</title></head><body class="{{ kind }} page">
{% if user.is_authenticated %}<p>Hello, {{ user.username }}</p><form method="post" action="/accounts/logout">
{% csrf_token %}<button name="go">Log out</button></form>{% endif %}
<p>{{ request.session.cart|length }} items</p>BODY
<script>const csrfToken = "{{ csrf_token }}";</script></body></html>"""
PAGES = {
    "home": '<form method="post" action="/newsletter">{% csrf_token %}<input name="email"></form>',
    "product": '<h1>{{ item }}</h1><form method="post" action="/cart/add">{% csrf_token %}'
    '<input type="hidden" name="item" value="{{ item }}"><input name="quantity"></form>',
    "plain": "<p>about us</p>",
    "entrance": '<form method="post" action="{{ request.path }}">{% csrf_token %}'
    '<input name="name"><input name="password"></form>',
    "cart": "<ul>{% for item in request.session.cart %}<li>{{ item }}</li>{% endfor %}</ul>",
    "orders": "<p>{{ user.username }}'s orders</p>",
}  # fmt: skip


def page(request: HttpRequest, kind: str, **more: Any) -> HttpResponse:
    template = engines["django"].from_string(LAYOUT.replace("BODY", PAGES[kind]))
    return HttpResponse(template.render({"kind": kind, **more}, request))


def home(request: HttpRequest) -> HttpResponse:
    return page(request, "home")


def product(request: HttpRequest, item: str) -> HttpResponse:
    return page(request, "product", item=item)


def about(request: HttpRequest) -> HttpResponse:
    return page(request, "plain")


def newsletter(request: HttpRequest) -> HttpResponse:
    return redirect("/")


def add(request: HttpRequest) -> HttpResponse:
    as_json = request.content_type == "application/json"
    item = json.loads(request.body)["item"] if as_json else request.POST["item"]
    request.session["cart"] = [*request.session.get("cart", []), item]
    return JsonResponse(request.session["cart"], safe=False) if as_json else redirect("/cart/")


def cart(request: HttpRequest) -> HttpResponse:
    return page(request, "cart")


def entrance(request: HttpRequest, kind: str) -> HttpResponse:
    from django.contrib.auth import authenticate, login
    from django.contrib.auth.models import User

    if request.method == "GET":
        return page(request, "entrance")
    name, password = request.POST["name"], request.POST["password"]
    if kind == "register":
        User.objects.create_user(name, password=password)
    user = authenticate(request, username=name, password=password)
    if user is None:
        return HttpResponse("wrong", status=422)
    login(request, user)
    return redirect("/accounts/orders")


def leave(request: HttpRequest) -> HttpResponse:
    from django.contrib.auth import logout

    logout(request)
    return redirect("/")


def orders(request: HttpRequest) -> HttpResponse:
    return page(request, "orders") if request.user.is_authenticated else redirect("/accounts/login")


def forget(request: HttpRequest) -> HttpResponse:
    """For the test: as if every session had expired."""
    from django.contrib.sessions.models import Session

    Session.objects.all().delete()
    return HttpResponse("done")


urlpatterns = [
    path("", home),
    path("about", about),
    path("p/<str:item>", product),
    path("newsletter", newsletter),
    path("cart/add", add),
    path("cart/", cart),
    path("accounts/register", entrance, {"kind": "register"}),
    path("accounts/login", entrance, {"kind": "login"}),
    path("accounts/logout", leave),
    path("accounts/orders", orders),
    path("accounts/forget", forget),
]


def configure(directory: Path) -> None:
    settings.configure(
        SECRET_KEY="of-this-test-alone",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        INSTALLED_APPS=[
            "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions",
        ],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.common.CommonMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "OPTIONS": {
                    "context_processors": [
                        "django.template.context_processors.request",
                        "django.contrib.auth.context_processors.auth",
                    ]
                },
            }
        ],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": directory / "shop.db",
                               "OPTIONS": {"timeout": 30}}},
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        LOGGING_CONFIG=None,
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    )  # fmt: skip
    django.setup()
    call_command("migrate", verbosity=0)


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    configure(Path(sys.argv[1]))
    with make_server("127.0.0.1", 0, get_wsgi_application(), Server, Quiet) as server:
        print(server.server_port, flush=True)
        server.serve_forever()


if __name__ == "__main__":
    sys.modules["tests.shops.djangoshop"] = sys.modules["__main__"]
    main()
