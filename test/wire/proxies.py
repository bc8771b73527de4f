# SPDX-License-Identifier: Apache-2.0
"""Every kind of outbound proxy, real, on loopback: a URL, and a way to kill it."""
import contextlib

import peers
from test_proxies import microsocks, tinyproxy

USER, PASSWORD = "me", "p-w"
KINDS = ["microsocks", "dante", "tinyproxy", "squid", "tinyproxy-tls", "squid-tls"]
# dante looks users up in the system's own list, which is not a test's to change.
WITH_LOGIN = ["microsocks", "tinyproxy", "squid", "squid-tls"]


@contextlib.contextmanager
def proxy(kind, authority, login=False):
    """(URL, kill): kill() ends it. `authority` signs for those of TLS."""
    credentials = (USER, PASSWORD) if login else ()
    scheme = "https" if kind.endswith("-tls") else "socks5" if kind in ("microsocks", "dante") else "http"
    with contextlib.ExitStack() as stack:
        if kind == "microsocks":
            front = stack.enter_context(microsocks(*credentials))
        elif kind == "dante":
            front = stack.enter_context(peers.dante())
        elif kind == "tinyproxy":
            front = stack.enter_context(tinyproxy(*credentials))
        elif kind == "squid":
            front = stack.enter_context(peers.squid(credentials))
        elif kind == "squid-tls":
            front = stack.enter_context(peers.squid(credentials, pair=authority.sign("localhost")))
        else:
            inner = stack.enter_context(tinyproxy(*credentials))
            front = stack.enter_context(peers.tls_front(authority.sign("localhost"), inner.port))
        user = f"{USER}:p%2Dw@" if login else ""
        yield f"{scheme}://{user}localhost:{front.port}", front.stop
