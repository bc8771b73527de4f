# SPDX-License-Identifier: Apache-2.0
"""Upstreams behind proxies that are reached through TLS: CONNECT inside of it, and never without."""
import pathlib
import subprocess

import pytest

import peers
import weirtest
from certs import Authority
from test_proxies import Scripted, tinyproxy
from test_tls import TlsUpstream
from weirtest import Upstream, Weir, wait_for

option = pytest.mark.option


@pytest.fixture(scope="module", name="authority")
def authority_():
    with Authority() as authority:
        yield authority


def check(tmp_path, upstream, *words):
    conf = tmp_path / "weir.yaml"
    conf.write_text(weirtest.yaml_of({
        "listeners": [{"name": "web", "address": "127.0.0.1:0", "routes": [{"upstream": "up"}]}],
        "upstreams": [{"name": "up", "endpoints": [{"url": "http://127.0.0.1:1"}], **upstream}]}))
    done = subprocess.run([str(weirtest.WEIR), "check", *words, "-c", str(conf)], capture_output=True, text=True,
                          check=False)
    return done.returncode, done.stdout + done.stderr


def behind(proxy, name="localhost", user=""):
    return f"https://{user}{name}:{proxy.port}"


@option("upstreams.proxy_tls.ca")
@pytest.mark.parametrize("kind", ["haproxy", "squid"])
def test_connect_in_tls(authority, kind):
    front = peers.tls_front if kind == "haproxy" else peers.squid_tls
    with Upstream() as up, tinyproxy() as inner, front(authority.sign("localhost"), inner.port) as proxy, \
            Weir(up, upstream_options={"proxy": behind(proxy), "proxy_tls": {"ca": str(authority.certificate)}}) as weir:
        for _ in range(10):
            assert weir.ask().status == 200
        assert weir.metric("weir_pool_created_total", pool="up") == 1


def test_the_password_goes_inside_of_tls_and_https_passes_through(authority):
    pair = authority.sign("localhost")
    with TlsUpstream(pair) as up, tinyproxy("me", "p-w") as inner, peers.tls_front(pair, inner.port) as proxy:
        ca = str(authority.certificate)
        options = {"proxy_tls": {"ca": ca}, "tls": {"ca": ca}, "protocol": "http1"}
        with Weir(up, upstream_options={"proxy": behind(proxy, user="me:p%2Dw@"), **options}) as weir:
            assert weir.ask().status == 200
        with Weir(up, upstream_options={"proxy": behind(proxy, user="me:no@"), **options}) as weir:
            assert weir.ask().status == 502
        assert up.requests == 1


BAD = {
    "another authority": (lambda a: a.sign("localhost"), None),
    "another name": (lambda a: a.sign("elsewhere.test"), "certificate is for another name"),
    "expired": (lambda a: a.sign("localhost", days=(-9, -1)), "has expired"),
    "self-signed": (lambda a: a.sign("localhost", self_signed=True), "self-signed"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_certificate_that_is_no_good_fails_closed_and_says_why(authority, tmp_path, what):
    make, why = BAD[what]
    with Upstream() as up, tinyproxy() as inner, peers.tls_front(make(authority), inner.port) as proxy:
        options = {"proxy": behind(proxy)}
        if what != "another authority":
            options["proxy_tls"] = {"ca": str(authority.certificate)}
        with Weir(up, upstream_options=options) as weir:
            assert weir.ask().status == 502
            assert not up.requests
        _, said = check(tmp_path, {**options, "endpoints": [{"url": up.url}]}, "--probe")
        assert (why or "not signed by a trusted authority") in said, said
        assert not up.requests


@option("upstreams.proxy_tls.sni")
def test_another_name_may_be_expected(authority):
    with Upstream() as up, tinyproxy() as inner, peers.tls_front(authority.sign("proxy.test"), inner.port) as proxy:
        tls = {"ca": str(authority.certificate)}
        with Weir(up, upstream_options={"proxy": behind(proxy), "proxy_tls": tls}) as weir:
            assert weir.ask().status == 502
        with Weir(up, upstream_options={"proxy": behind(proxy), "proxy_tls": {**tls, "sni": "proxy.test"}}) as weir:
            assert weir.ask().status == 200


def test_a_proxy_that_speaks_no_tls_is_an_error(authority):
    with Upstream() as up, Scripted(b"HTTP/1.1 400 Bad Request\r\n\r\n") as proxy, \
            Weir(up, upstream_options={"proxy": behind(proxy), "proxy_tls": {"ca": str(authority.certificate)}}) as weir:
        assert weir.ask().status == 502
        assert not up.requests


def test_the_authority_is_read_again(authority):
    home = pathlib.Path(authority.directory.name)
    ca = home / "proxy-ca.pem"
    with Authority("another") as another, Upstream() as up, tinyproxy() as inner, \
            peers.tls_front(authority.sign("localhost"), inner.port) as proxy:
        ca.write_bytes(another.certificate.read_bytes())
        with Weir(up, upstream_options={"proxy": behind(proxy), "proxy_tls": {"ca": str(ca)},
                                        "pool": {"retry_first": "1ms", "failures_max": 1000}}) as weir:
            assert weir.ask().status == 502
            ca.write_bytes(authority.certificate.read_bytes())
            wait_for(lambda: weir.ask().status == 200, "the new authority to be trusted")


def test_check_reads_the_authority_and_advises(tmp_path):
    code, said = check(tmp_path, {"proxy": "https://localhost:1", "proxy_tls": {"ca": "/nowhere.pem"}})
    assert code == 1 and "/nowhere.pem" in said, said
    code, said = check(tmp_path, {"proxy": "http://localhost:1", "proxy_tls": {"sni": "a"}})
    assert code == 0 and "proxy_tls is for a proxy of https://" in said, said
