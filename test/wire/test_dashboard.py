# SPDX-License-Identifier: Apache-2.0
"""The dashboard in a real browser: every page, by mouse and by keyboard, with hostile names in it, and for who does not see.

One browser and, where nothing is changed, one gateway serve all tests. Pictures of every page are in BUILD/dashboard/.
"""
import contextlib
import json
import os
import pathlib
import subprocess

import pytest

import peers
from browser import Browser
from test_accounts import Api
from test_admin import keyed
from weirtest import ROOT, Upstream, Weir, wait_for

BUILD = pathlib.Path(os.environ.get("WEIR_BUILD", ROOT / "build/dev"))
PICTURES = BUILD / "dashboard"
AXE = "axe-core@4.10.3"
# Each page, and what it says once its figures are there.
PAGES = {"overview": "Slowest endpoints", "pools": "listener:web", "accounts": "up / one", "latency": "Where time goes",
         "connections": "127.0.0.1", "sessions": "Account", "events": "connection added", "configuration": "listeners[web].address",
         "process": "Process id"}
HOSTILE = "<img src=x onerror=document.title='owned'>\"'&{{7*7}}"


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


@pytest.fixture(scope="module", name="axe")
def installed():
    """axe-core, from the npm registry; installed once for a build directory's tests."""
    home = BUILD / "npm" / AXE
    script = home / "node_modules/axe-core/axe.min.js"
    if not script.exists():
        home.mkdir(parents=True, exist_ok=True)
        done = subprocess.run([peers.find("npm", "npm"), "install", AXE, "--no-audit", "--no-fund", "--ignore-scripts",
                               "--no-save"], cwd=home, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return script.read_text()


def judge(page, axe):
    page.run(axe + ";0")
    found = page.run("axe.run(document, {resultTypes: ['violations']}).then(r => r.violations.map(v => "
                     "v.id + ': ' + v.nodes.map(n => n.target + ' ' + n.failureSummary).join(' | ')))")
    assert not found, found


def accounts(api, **more):
    return Weir(api.up, upstream_options={"accounts": [
        {"name": name, "headers": {"x-api-key": name}, "priority": n} for n, name in enumerate(("one", "two"))]},
        routes=[{"match": {"path": "/"}, "upstream": "up", "affinity": {}}], **more)


def chat(weir, text):
    body = json.dumps({"messages": [{"role": "user", "content": text}]}).encode()
    return weir.ask("/v1/messages", method="POST", headers=f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n",
                    body=body)


@pytest.fixture(scope="module", name="busy")
def gateway():
    """Two accounts, of which one cools down: conversations have moved."""
    with Api() as api, accounts(api) as weir:
        weir.api = api
        api.says("one", 429, "Retry-After: 600\r\n")
        for n in range(5):
            assert chat(weir, f"conversation {n}").status == 200
        yield weir


def address(weir, path=""):
    return f"http://127.0.0.1:{weir.admin_port}/#/{path}"


def says(page, *words):
    for word in words:
        page.until(f"document.querySelector('main').innerText.includes({json.dumps(word)})", f"the page to say {word!r}")


def shown(page, weir, path, *words):
    """Opens a page by its deep link, as from a bookmark, and waits until it says that."""
    page.open("about:blank")
    page.open(address(weir, path))
    says(page, *words)


def is_live(page):
    page.until("document.querySelector('#stream').innerText.includes('Live')", "the stream")


def button(label):
    return f"[...document.querySelectorAll('button')].find(b => (b.getAttribute('aria-label') || b.innerText) === {json.dumps(label)})"


def confirm(page, reason):
    """Says why, and presses Enter."""
    page.until("document.activeElement.name === 'reason'", "the question for a reason")
    page.type(reason)
    page.key("Enter", text="\r", number=13)
    page.until("!document.querySelector('dialog')", "the dialog to be gone")


# --- pages -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAGES)
def test_page(busy, page, axe, name):
    """It is there by its link, says its figures, asks nobody else, fits a phone, in the light and in the dark; and axe-core,
    which knows what keeps people out, finds nothing."""
    assert chat(busy, f"for {name}").status == 200  # there may have been nobody for a while
    shown(page, busy, name, PAGES[name])
    is_live(page)
    assert page.run("document.querySelector('nav [aria-current]').innerText").lower() == name
    assert page.run("document.title").lower().startswith(name)
    for scheme in ("light", "dark"):
        page.colours(scheme)
        for width in (1400, 400):
            page.size(width)
            page.until(f"innerWidth === {width}")
            assert page.run("document.documentElement.scrollWidth") <= width, "it scrolls sideways"
            page.picture(PICTURES / f"{name}-{scheme}-{width}.png")
        judge(page, axe)
    own = f"http://127.0.0.1:{busy.admin_port}/"
    assert not [r["url"] for r in page.requests if not r["url"].startswith((own, "about:"))]
    assert all("token" not in r["url"] for r in page.requests)


def test_overview_follows_the_traffic(busy, page):
    shown(page, busy, "overview", "Slowest endpoints")
    is_live(page)
    before = page.until("(/of (\\d+) leases/.exec(document.querySelector('.tiles').innerText) || [])[1]")
    chat(busy, "one more")
    page.until(f"/of (\\d+) leases/.exec(document.querySelector('.tiles').innerText)[1] > {before}", "the lease in the tile")


def test_pools_and_one_of_them(busy, page):
    shown(page, busy, "pools", "Upstreams", "Listeners")
    page.click("[...document.querySelectorAll('main a')].find(a => a.innerText === 'up')")
    page.until("location.hash === '#/pools/up'")
    says(page, f"127.0.0.1:{busy.api.up.port}", "Where time goes")
    shown(page, busy, "pools/nobody", "There is no pool of that name.")


def test_events_arrive_by_themselves_and_are_searched(page):
    with Upstream() as up, Weir(up) as weir:
        shown(page, weir, "events", "Events")
        is_live(page)
        weir.ask()
        says(page, "connection added")
        page.click("document.querySelector('input[type=search]')")
        page.type("listener:web")
        page.until("[...document.querySelectorAll('tbody tr')].length > 0 && "
                   "[...document.querySelectorAll('tbody tr')].every(r => r.innerText.includes('listener:web'))")


def test_a_conversation_and_why_it_is_there(busy, page):
    shown(page, busy, "sessions", "two")
    page.click("document.querySelector('main input[name=account]')")
    page.type("nobody")
    page.click(button("Search"))
    says(page, "No recorded conversation fits.")
    assert "account=nobody" in page.run("location.hash")
    shown(page, busy, "sessions?account=two", "two")
    page.click("document.querySelector('main tbody a')")
    says(page, "It is bound to account two", "That account is", "one is cooling: rate limit")


def test_configuration_is_searched_and_tried(busy, page):
    shown(page, busy, "configuration", "listeners[web].address")
    page.click("document.querySelector('input[type=search]')")
    page.type("priority")
    page.until("!document.querySelector('main').innerText.includes('listeners[web].address')")
    for wanted, said in ((busy.config_path.read_text().replace('"info"', '"error"'), ("It could be served", "log.level", "changed")),
                         ("bogus: 1", ("Refused", "line 1, column"))):
        page.run("document.querySelector('textarea').value = ''")
        page.click("document.querySelector('textarea')")
        page.type(wanted)
        page.click(button("Dry run"))
        says(page, *said)
    assert json.loads(busy.admin("/api/v1/config").text)["log"]["level"] == "info"


# --- what is changed ---------------------------------------------------------------------------


def test_an_endpoint_is_drained_and_made_ready(page):
    with Upstream() as one, Upstream() as two, Weir([one.url, two.url]) as weir:
        weir.ask()
        name = f"up/127.0.0.1:{one.port}"

        def mode():
            rows = json.loads(weir.admin("/api/v1/endpoints").text)["endpoints"]
            return {row["url"]: row["mode"] for row in rows}[one.url]
        shown(page, weir, "overview", "Slowest endpoints")
        page.click(button(f"Drain {name}"))
        page.until("document.activeElement.name === 'reason'", "the question for a reason")
        page.key("Escape", number=27)
        page.until("!document.querySelector('dialog')", "the dialog to be gone")
        assert mode() == "ready"
        page.click(button(f"Drain {name}"))
        confirm(page, "it is slow " + HOSTILE)
        wait_for(lambda: mode() == "drain", "the drain")
        page.click(button(f"Ready {name}"))
        confirm(page, "it is fast again")
        wait_for(lambda: mode() == "ready", "its end")
        shown(page, weir, "events", "it is slow " + HOSTILE, "it is fast again")
        assert page.run("document.title").startswith("Events")


def test_the_file_is_read_again(page):
    """Reload asks why, says what has changed; and of a file that is broken where, while all goes on as before."""
    with Upstream() as up, Weir(up) as weir:
        text = weir.config_path.read_text()

        def level():
            return json.loads(weir.admin("/api/v1/config").text)["log"]["level"]

        def reload(reason, *words):
            page.click(button("Reload"))
            confirm(page, reason)
            says(page, *words)
        shown(page, weir, "configuration", "log.level")
        weir.config_path.write_text(text.replace('"info"', '"error"'))
        page.click(button("Reload"))
        page.until("document.activeElement.name === 'reason'", "the question for a reason")
        page.key("Escape", number=27)
        page.until("!document.querySelector('dialog')", "the dialog to be gone")
        assert level() == "info"
        reload("less to read", "reloaded", "generation 2", "What has changed", "log.level")
        assert level() == "error"
        weir.config_path.write_text(text.replace('"info"', '"loud"'))
        at = text.index('"info"')
        line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
        reload("a mistake", "invalid", f"line {line}, column {column}", "loud", "generation 2")
        assert level() == "error" and weir.ask().status == 200
        page.picture(PICTURES / "reload.png")
        shown(page, weir, "events", "less to read", "a mistake", "config reload")


def test_a_pool_is_steered(page):
    with Upstream() as up, Weir(up) as weir:
        assert weir.ask().status == 200
        shown(page, weir, "pools/up", "Endpoints")
        for verb, before in (("Pause", "healthy"), ("Resume", "paused"), ("Reconnect", "healthy"), ("Flush", "healthy")):
            page.until(f"document.querySelector('h1').innerText.includes({before!r})", f"{before} in the heading")
            page.click(button(verb))
            confirm(page, f"a test of {verb}")
            page.until(f"document.querySelector('#notices')?.innerText.includes('{verb} up: done.')", f"the word that {verb} is done")
        events = json.loads(weir.admin("/api/v1/events").text)["events"]
        assert [e["why"] for e in events if e["event"] == "changed"] == [
            f"a test of {verb}" for verb in ("Pause", "Resume", "Reconnect", "Flush")]


def test_an_account_is_cleared(page):
    with Api() as api, accounts(api) as weir:
        api.says("one", 429, "Retry-After: 600\r\n")
        assert chat(weir, "hello").status == 200
        shown(page, weir, "accounts", "cooling", "rate limit", "left")
        page.click(button("Clear up/one"))
        confirm(page, "they said sorry")
        page.until("!document.querySelector('main').innerText.includes('cooling')", "the account to be ready")


# --- who may, and what goes wrong --------------------------------------------------------------


def test_a_token_is_asked_for_and_kept_out_of_sight(page):
    with Upstream() as up, keyed(up, token="s3cret", viewer_token="lookout") as weir:
        page.open(address(weir, "pools/up"))
        page.until("document.activeElement.name === 'token'", "the question for the token")
        assert page.run("document.activeElement.type") == "password"
        page.type("wrong")
        page.key("Enter", text="\r", number=13)
        page.until("document.querySelector('dialog')?.innerText.includes('That token is not the one.')")
        page.until("document.activeElement.name === 'token'")
        page.type("lookout")
        page.key("Enter", text="\r", number=13)
        says(page, "Endpoints")
        page.click(button("Flush"))
        confirm(page, "may I?")
        page.until("document.querySelector('#notices')?.innerText.includes('this token may only look')")
        assert not [r for r in page.requests if "lookout" in r["url"] or "lookout" in r.get("postData", "")]
        assert page.run("document.cookie + JSON.stringify(localStorage)").find("lookout") < 0
        page.complaints.clear()  # the browser tells of each 401 and 403


def test_overload_is_what_the_overview_says_first(page):
    with Upstream() as up, Weir(up, overload={"memory": "1MiB"}) as weir:
        shown(page, weir, "overview", "The gateway is overloaded: memory at", "new clients are answered 503")
        shown(page, weir, "process", "Memory limit", "of 1.0 MiB")


def test_status_with_a_password(page):
    with Upstream() as up, keyed(up, token="s3cret") as weir:
        page.open(f"http://me:s3cret@127.0.0.1:{weir.admin_port}/status")
        assert "is serving" in page.text()
        # The browser has the password now, and shows it by itself: it opens nothing else.
        own = f"http://127.0.0.1:{weir.admin_port}"
        page.open(own + "/")
        done = page.run(f"fetch('{own}/api/v1/pools/up/flush', {{method: 'POST', body: '{{}}', credentials: 'include'}})"
                        ".then(r => r.status)")
        assert done == 401
        page.complaints.clear()  # the browser tells of each 401


def test_it_reconnects_and_says_so(page):
    with contextlib.ExitStack() as stack:
        up = stack.enter_context(Upstream())
        weir = stack.enter_context(Weir(up))
        shown(page, weir, "overview", "All is well.")
        ports = {"port": weir.port, "admin": weir.admin_port}
        weir.stop()
        page.until("document.querySelector('#stream').innerText.includes('Reconnecting')")
        again = stack.enter_context(Weir(config=weir.config_path.read_text(), ports=ports))
        is_live(page)
        assert again.process.pid != weir.process.pid
        page.complaints.clear()  # that nobody answered for a while is the point


def test_who_does_not_look_reads_nothing(busy, page):
    shown(page, busy, "overview", "Slowest endpoints")
    is_live(page)
    hide = "Object.defineProperty(document, 'hidden', {value: %s, configurable: true}); document.dispatchEvent(new Event('visibilitychange'))"
    page.run(hide % "true")
    page.until("document.querySelector('#stream').innerText.includes('Paused')")
    asked = len(page.requests)
    page.run("new Promise(done => setTimeout(done, 1500))")
    assert len(page.requests) == asked
    page.run(hide % "false")
    is_live(page)
    assert [r["url"] for r in page.requests[asked:]].count(f"http://127.0.0.1:{busy.admin_port}/api/v1/live") == 1


def test_hostile_names_are_text(page):
    """In a request's path, agent and session, in an operator's reason, in the address of the page itself."""
    with Api() as api, accounts(api) as weir:
        api.says("one", 429, "Retry-After: 600\r\n")
        weir.ask("/%3Cscript%3Edocument.title='owned'%3C/script%3E", headers=f"User-Agent: {HOSTILE}\r\nX-Session-Id: {HOSTILE}\r\n")
        reason = json.dumps({"reason": HOSTILE}).encode()
        assert weir.admin("/api/v1/pools/up/flush", "POST", body=reason).status == 200
        shown(page, weir, "events", HOSTILE)
        for name in ("overview", "sessions", "connections", "configuration"):
            page.run(f"location.hash = '#/{name}'")
            page.until(f"document.querySelector('.page.{name}')")
        for name in ("pools", "sessions", "latency"):
            page.run(f"location.hash = '#/{name}/' + encodeURIComponent({json.dumps(HOSTILE)})")
            page.until(f"document.querySelector('.page.{name} h1')")
        shown(page, weir, "pools/%3Cimg%20src=x%20onerror=document.title=1%3E", "There is no pool of that name.")
        assert "<img" in page.run("document.title") and page.run("document.querySelectorAll('main img, main script').length") == 0
        page.open(f"http://127.0.0.1:{weir.admin_port}/status")
        assert "is serving" in page.text() and page.run("document.querySelectorAll('img, script').length") == 0
        page.complaints.clear()  # a session that is not there is a 404


# --- hands and eyes ----------------------------------------------------------------------------


def test_by_keyboard_alone(busy, page):
    shown(page, busy, "overview", "Slowest endpoints")
    for number, name in enumerate(PAGES, 1):
        page.key(str(number), f"Digit{number}", text=str(number), number=48 + number)
        page.until(f"location.hash === '#/{name}'", f"page {number}")
    page.key("7", "Digit7", text="7", number=55)
    page.until("document.querySelector('input[type=search]')")
    page.key("/", "Slash", text="/", number=191)
    page.until("document.activeElement.type === 'search'")
    page.open("about:blank")
    page.open(address(busy, "pools"))
    says(page, "Listeners")
    page.key("Tab", number=9)
    assert page.run("document.activeElement.className") == "skip"
    reached = []
    for _ in range(14):
        page.key("Tab", number=9)
        reached.append(page.run("document.activeElement.innerText || document.activeElement.getAttribute('aria-label') || ''"))
    assert "Pools" in reached and "Process" in reached and any(text.startswith("Colours") or text == "◐" for text in reached)
    # An update a second does not take the focus away.
    page.run("document.querySelector('main a').focus()")
    held = page.run("document.activeElement.innerText")
    page.run("new Promise(done => setTimeout(done, 2500))")
    assert page.run("document.activeElement.innerText") == held


def test_status_without_javascript(busy, page, axe):
    page.open(f"http://127.0.0.1:{busy.admin_port}/status")
    judge(page, axe)
    page.call("Emulation.setScriptExecutionDisabled", value=True)
    page.open(f"http://127.0.0.1:{busy.admin_port}/status")
    text = page.text()
    for word in ("is serving", "listener:web", f"127.0.0.1:{busy.api.up.port}", "rate_limit", "two"):
        assert word in text, word
    page.picture(PICTURES / "status.png")
    page.open(f"http://127.0.0.1:{busy.admin_port}/")
    assert "/status" in page.run("document.querySelector('noscript')?.textContent || document.body.innerText")
