# SPDX-License-Identifier: Apache-2.0
"""The dashboard in a real browser: every page, by eye (pictures are kept), by keyboard, and with hostile names in it.

The pictures are in BUILD/dashboard/.
"""
import contextlib
import os
import pathlib

import pytest

from browser import Browser
from weirtest import ROOT, Upstream, Weir

PICTURES = pathlib.Path(os.environ.get("WEIR_BUILD", ROOT / "build/dev")) / "dashboard"
PAGES = ("overview", "pools", "events")


@pytest.fixture(scope="module", name="browser")
def one_for_all():
    with Browser() as browser:
        yield browser


@pytest.fixture(name="page")
def own_page(browser):
    with browser.page() as page:
        page.colours("light")
        yield page
        assert not page.complaints, page.complaints


def address(weir, path=""):
    return f"http://127.0.0.1:{weir.admin_port}/#/{path}"


def shown(page, weir, path, words):
    """Opens a page by its deep link, as from a bookmark, and waits until it says that."""
    page.open("about:blank")
    page.open(address(weir, path))
    for word in words:
        page.until(f"document.querySelector('main').innerText.includes({word!r})", f"{word!r} on {path}")


def test_overview_is_live(relay, page):
    relay.ask()
    shown(page, relay, "overview", ["All is well.", "First byte", "Slowest endpoints", "Nothing fires"])
    page.until("document.querySelector('#stream').innerText.includes('Live')")
    for _ in range(5):
        relay.ask()
    page.until("/of [6-9]|of \\d\\d+/.test(document.querySelector('.tiles').innerText)", "the leases in the tile")
    assert not [request for request in page.requests if not request["url"].startswith(address(relay)[:-3])
                and not request["url"].startswith("about:")]


def test_pools_and_one_of_them(relay, page):
    relay.ask()
    shown(page, relay, "pools", ["Upstreams", "Listeners", "listener:web"])
    page.click("[...document.querySelectorAll('main a')].find(a => a.innerText === 'up')")
    page.until("location.hash === '#/pools/up'")
    page.until("document.querySelector('h1').innerText.includes('up')")
    page.until(f"document.querySelector('main').innerText.includes('127.0.0.1:{relay.upstream.port}')")
    shown(page, relay, "pools/nobody", ["There is no pool of that name."])


def test_events_arrive_by_themselves(page):
    with Upstream() as up, Weir(up) as weir:
        shown(page, weir, "events", ["Events"])
        page.until("document.querySelector('#stream').innerText.includes('Live')")
        weir.ask()
        page.until("document.querySelector('main').innerText.includes('connection added')")
        page.click("document.querySelector('input[type=search]')")
        page.type("listener:web")
        page.until("[...document.querySelectorAll('tbody tr')].length > 0 && "
                   "[...document.querySelectorAll('tbody tr')].every(r => r.innerText.includes('listener:web'))")


def test_it_reconnects_and_says_so(page):
    with contextlib.ExitStack() as stack:
        up = stack.enter_context(Upstream())
        weir = stack.enter_context(Weir(up))
        shown(page, weir, "overview", ["All is well."])
        ports = {"port": weir.port, "admin": weir.admin_port}
        weir.stop()
        page.until("document.querySelector('#stream').innerText.includes('Reconnecting')")
        again = stack.enter_context(Weir(config=weir.config_path.read_text(), ports=ports))
        page.until("document.querySelector('#stream').innerText.includes('Live')")
        assert again.process.pid != weir.process.pid
        page.complaints.clear()  # that nobody answered for a while is the point


@pytest.mark.parametrize("name", PAGES)
def test_pictures(relay, page, name):
    relay.ask()
    shown(page, relay, name, [name.capitalize()] if name != "overview" else ["All is well."])
    for scheme in ("light", "dark"):
        page.colours(scheme)
        for width in (1400, 400):
            page.size(width)
            page.until(f"innerWidth === {width}")
            assert page.run("document.documentElement.scrollWidth") <= width, "it scrolls sideways"
            page.picture(PICTURES / f"{name}-{scheme}-{width}.png")
