# SPDX-License-Identifier: Apache-2.0
"""POST /api/v1/proxies/test: a way through a proxy is tried, and which step failed is said, without a secret."""
import json

import pytest

from certs import Authority
from proxies import KINDS, PASSWORD, USER, proxy
from test_proxies import Scripted
from weirtest import Upstream, Weir, dead_port


@pytest.fixture(scope="module", name="authority")
def authority_():
    with Authority() as authority:
        yield authority


def post(weir, body, **headers):
    data = body if isinstance(body, (bytes, str)) else json.dumps(body)
    answer = weir.admin("/api/v1/proxies/test", "POST", headers, data)
    assert PASSWORD not in answer.text and "p%2Dw" not in answer.text
    return answer


def tried(weir, **body):
    answer = post(weir, body)
    assert answer.status == 200, answer.text
    return json.loads(answer.text)


@pytest.mark.parametrize("kind", KINDS)
def test_the_proxy_of_an_upstream(authority, kind):
    with Upstream() as up, proxy(kind, authority) as (url, kill), Weir(up, upstream_options={
            "proxy": url, "proxy_tls": {"ca": str(authority.certificate)} if "tls" in kind else {}}) as weir:
        said = tried(weir, upstream="up")
        assert (said["open"], said["step"], said["why"]) == (True, None, None)
        assert 0 < said["exit_seconds"] <= said["seconds"]
        assert said["steps"]["proxy"] == said["exit_seconds"]
        assert not up.requests
        kill()
        said = tried(weir, upstream="up")
        assert (said["open"], said["step"]) == (False, "connect") and "refused" in said["why"]


def test_any_proxy(authority):
    with Upstream() as up, Weir(up) as weir, proxy("microsocks", authority, login=True) as (url, _):
        target = f"127.0.0.1:{up.port}"
        assert tried(weir, proxy=url, target=target)["open"]
        said = tried(weir, proxy=url.replace(f"{USER}:", "you:"), target=target)
        assert (said["open"], said["step"]) == (False, "proxy")
        said = tried(weir, proxy=url, target=f"127.0.0.1:{dead_port()}")
        assert (said["open"], said["step"]) == (False, "proxy")
        assert not up.requests


def test_a_proxy_that_says_nothing_holds_up_nobody():
    with Upstream() as up, Scripted() as silent, Weir(up, upstream_options={
            "proxy": f"socks5://127.0.0.1:{silent.port}", "pool": {"connect_timeout": "300ms"}}) as weir:
        said = tried(weir, upstream="up")
        assert not said["open"] and said["step"] == "proxy"


COMMANDS = {
    "nothing": ("", 400), "no object": ("[]", 400), "empty": ("{}", 400), "a number": ('{"upstream": 1}', 400),
    "both": ('{"upstream": "up", "proxy": "socks5://h", "target": "h:1"}', 400),
    "no target": ('{"proxy": "socks5://h"}', 400), "an unknown key": ('{"upstream": "up", "x": "y"}', 400),
    "no proxy": ('{"proxy": "ftp://h", "target": "h:1"}', 400),
    "a target with a user": ('{"proxy": "socks5://h", "target": "u@h:1"}', 400),
    "nobody": ('{"upstream": "other"}', 404), "no such endpoint": ('{"upstream": "up", "endpoint": "x"}', 404),
    "without a proxy": ('{"upstream": "up"}', 400), "deep": ('{"a":' * 10000, 400), "long": ("x" * 100_000, 413),
}


@pytest.mark.parametrize("what", COMMANDS)
def test_what_is_no_command(what):
    body, status = COMMANDS[what]
    with Upstream() as up, Weir(up) as weir:
        answer = post(weir, body)
        assert answer.status == status, answer.text
        if status != 413:
            assert json.loads(answer.text)["error"]["code"] == status
        assert weir.admin("/livez").status == 200


def test_it_is_a_command_and_needs_the_token():
    with Upstream() as up, Weir(up) as weir:
        answer = weir.admin("/api/v1/proxies/test")
        assert answer.status == 405 and answer.headers["allow"] == "POST"
        assert post(weir, '{"upstream": "up"}', Origin="http://elsewhere.test").status == 403
