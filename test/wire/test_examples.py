# SPDX-License-Identifier: Apache-2.0
"""The programs of examples/, run as their reader would run them, against servers on loopback: scripted
ones here, and PostgreSQL and Redis themselves with a data folder of their own."""
import contextlib
import os
import pathlib
import pwd
import re
import shutil
import socket
import socketserver
import subprocess
import tempfile
import threading

import pytest

from peers import accepts, find
import openclawpeer
from weirtest import DEADLINE, ROOT, Client, Upstream, dead_port, free_port, wait_for

EXAMPLES = pathlib.Path(os.environ.get("WEIR_BUILD", ROOT / "build/dev")) / "examples"
LINES_MAX = 79


def run(name, *arguments, timeout=60):
    """The lines it prints. It must end well, and leave no sanitizer report."""
    done = subprocess.run([EXAMPLES / name, *map(str, arguments)], capture_output=True, text=True,
                          timeout=timeout, check=False)
    assert done.returncode == 0 and not done.stderr, f"{done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout.splitlines()


class Lines:
    """A server that answers each line with what `answer(line)` says; None: it hangs up."""

    def __init__(self, answer):
        heard = self.heard = []

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                heard.append("(connection)")
                for raw in self.rfile:
                    line = raw.decode().rstrip("\r\n")
                    heard.append(line)
                    if (said := answer(line)) is None:
                        return
                    self.wfile.write(said.encode() + b"\r\n")

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    connections = property(lambda self: self.heard.count("(connection)"))


def echo(line):
    return line


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.c")), ids=lambda path: path.stem)
def test_is_short_and_uses_public_headers_alone(path):
    text = path.read_text()
    assert text.count("\n") <= LINES_MAX
    included = re.findall(r'#include ["<]([^">]+)[">]', text)
    assert not [name for name in included if name.split("/")[0] in os.listdir(ROOT / "src")]
    assert f"(\"{path.stem}\"" in pathlib.Path(__file__).read_text(), "nothing runs it"


def test_hello():
    with Lines(echo) as server:
        assert run("hello", "127.0.0.1", server.port) == [
            "hello, over a new connection", "hello, over a used connection",
            "hello, over a used connection"]
        assert server.connections == 1


def test_hello_says_why_there_is_no_connection():
    said = run("hello", "127.0.0.1", dead_port())
    assert said[0] == "no connection: connection refused"


def test_threads():
    with Lines(echo) as server:
        said = run("threads", "127.0.0.1", server.port)
        assert said == [f"answered 600, over {server.connections} connections"]
        assert 1 <= server.connections <= 3


def test_foreign_loop():
    with Lines(echo) as server:
        assert run("foreign_loop", server.port) == [
            "no error, new connection", "no error, used connection", "no error, used connection"]
        assert server.connections == 1


# --- the five documents ------------------------------------------------------------------------


def test_000_openclaw():
    with openclawpeer.double() as gateway:
        said = run("openclaw", gateway.url, gateway.token, f"ws://127.0.0.1:{dead_port()}", "retry_first=10ms",
                   "jitter=0")
    assert said[:5] == [
        'alice: {"ok":true}, connected',
        "alice tells chat",
        'alice: {"runId":"run-0","times":1}, connected',
        "carol: down (connection refused), error, 4 errors",
        "mallory: denied (unauthorized: gateway token mismatch), error, 1 errors"]
    assert sorted(said[5:8]) == ["one of all: answered", "one of all: denied", "one of all: down"]
    assert said[8:] == ["3 connections: 0 active, 1 idle, 2 in error"]


def test_004_sessions(tmp_path):
    served = ["served by a1", "served by a1", "event: rebound", "served by a2"]
    folder = tmp_path / "sessions"
    assert run("sessions", folder) == [
        "event: created", "a new session", *served,
        "ann: account a1, served by a2, 3 requests, 1 errors, active", "live 1, created 1, recovered 0, moved 1"]
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert run("sessions", folder) == [
        "exists", "served by a2", "served by a2", "served by a2",
        "ann: account a1, served by a2, 6 requests, 2 errors, active", "live 1, created 0, recovered 1, moved 0"]


def test_001_http_client():
    with Upstream() as upstream:
        url = f"http://127.0.0.1:{upstream.port}"
        said = run("http_client", f"{url}/a", f"{url}/b", f"{url}/c")
    assert len([line for line in said if line.startswith("200 ")]) == 3
    assert [line.split(", ")[2] for line in said[:3]] == ["new connection"] + 2 * ["used connection"]
    assert said[3] == ("total_connections 1, acquired_connections 0, max_connections 100, "
                       "max_connections_per_host 30")
    assert said[4] == "sent 3, answered 3, reused 2"


def test_001_websocket_manager():
    assert run("manager") == [
        "found conn1", "ping conn1", "ping conn2", "ping conn1", "ping conn2",
        "close conn2: the probe was not answered in time", "conn1 is idle",
        "close conn1: retired by its user", "total_connections 0, max_connections 1000"]


def test_websocket():
    said = run("websocket")
    assert said[:2] == ["ann heard welcome", "bob heard welcome"]
    assert sorted(said[2:4]) == ["ann heard hello", "bob heard hello"]
    assert said[4:] == ["2 are there, at most 1000"]


class Running:
    """An example that is talked to: say() is a line of its input, hear() waits for one of its output."""

    def __init__(self, name, *arguments):
        self.process = subprocess.Popen([EXAMPLES / name, *arguments], text=True, bufsize=1,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.watch = threading.Timer(DEADLINE, self.process.kill)
        self.watch.start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.stdin.close()
        try:
            assert self.process.wait(30) == 0
        finally:
            self.watch.cancel()
            self.process.kill()
            self.process.stdout.close()

    def say(self, line):
        self.process.stdin.write(line + "\n")

    def ask(self, line, start):
        self.say(line)
        return self.hear(start)

    def hear(self, start):
        said = []
        for line in self.process.stdout:
            said.append(line.rstrip())
            if line.startswith(start):
                return line.rstrip()
        raise AssertionError(f"ended without {start!r}: {said}")


def test_002_server():
    with Running("server") as server:
        port = int(server.hear("http://127.0.0.1:").split(":")[2])
        with contextlib.ExitStack() as stack:
            first, second = (stack.enter_context(Client(port)) for _ in range(2))
            assert first.get("/one").response().body == b"/one"
            assert second.get("/two").response().body == b"/two"
            assert server.hear("connection_added") and server.hear("connection_added")
            wait_for(lambda: server.ask("2", "Connection pool status").endswith(": overloaded"),
                     "the health of a full pool", every=0.2)
            assert server.hear("Utilization") == "Utilization: 100.0%"
            assert server.hear("connections") == "connections 2 of 2, requests 2, rejected 0"
            third = stack.enter_context(Client(port))
            assert third.get("/three").response().status == 503
            assert server.hear("Connection pool limit reached").endswith("the limit of connections is reached")
            assert first.get("/four").response().body == b"/four"  # nobody was dropped for it
            assert server.ask("9999999", "not a valid") == "not a valid max_connections"
            assert server.hear("connections") == "connections 2 of 2, requests 3, rejected 1"
            assert server.ask("2000", "connections").startswith("connections 2 of 2000")


def test_003_accounts():
    with Lines(lambda line: "welcome" if line.startswith("login") else "sent") as server:
        said = run("accounts", server.port)
    events = [line for line in said if line.startswith("Pool event")]
    assert [line for line in said if line not in events] == [
        "account: idle 1, active 0, errors 0", "pool: created 2, reused 1"]
    assert [line for line in events if "connection_added" in line] == [
        "Pool event: connection_added, +1234567890 "] * 2
    assert "Pool event: connection_removed, +1234567890 retired" in events
    logins = [line for line in server.heard if line.startswith("login")]
    assert sorted(logins) == ["login +1234567890-0.session", "login +1234567890-1.session"]


class Proxy:
    """An HTTP proxy that knows CONNECT, and who may use it."""

    def __init__(self, user):
        connects = self.connects = []

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                head = [line.decode().strip() for line in iter(self.rfile.readline, b"\r\n")]
                host, port = head[0].split()[1].split(":")
                connects.append(int(port))
                if f"Proxy-Authorization: {user}" not in head:
                    self.wfile.write(b"HTTP/1.1 407 Who?\r\nContent-Length: 0\r\n\r\n")
                    return
                try:
                    far = socket.create_connection((host, int(port)), 5)
                except OSError:
                    self.wfile.write(b"HTTP/1.1 502 Refused\r\nContent-Length: 0\r\n\r\n")
                    return
                with far:
                    self.wfile.write(b"HTTP/1.1 200 Here\r\nVia: test\r\n\r\n")
                    back = threading.Thread(target=self.pump, args=(far, self.connection))
                    back.start()
                    self.pump(self.connection, far)
                    back.join()

            @staticmethod
            def pump(source, target):
                with contextlib.suppress(OSError):
                    while data := source.recv(4096):
                        target.sendall(data)
                with contextlib.suppress(OSError):
                    target.shutdown(socket.SHUT_WR)

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))

    __enter__, __exit__ = Lines.__enter__, Lines.__exit__


def test_004_relay_fails_over():
    primary = dead_port()
    with Lines(echo) as standby, Proxy("u:p") as proxy:
        said = run("relay", f"http://u:p@127.0.0.1:{proxy.port}", primary, standby.port,
                   "retry_first=1ms", "jitter=0")
        assert 1 <= standby.connections <= 2  # the profile keeps two where there is load
    assert said[:2] == ["endpoint 0: refused", "endpoint 1: hello, new"]
    assert said[-2:] == ["endpoint 0: down", "endpoint 1: hello, cache hit"]
    assert proxy.connects.count(primary) == 3  # then it was down, and not asked any more


def test_004_relay_never_goes_around_its_proxy():
    with Lines(echo) as api, Proxy("u:p") as proxy:
        said = run("relay", f"http://u:wrong@127.0.0.1:{proxy.port}", api.port, api.port)
        assert not [line for line in said if "hello" in line] and api.connections == 0
        said = run("relay", f"http://u:p@127.0.0.1:{dead_port()}", api.port, api.port)
        assert said[0] == "endpoint 0: proxy" and api.connections == 0


# --- real servers ------------------------------------------------------------------------------


def test_uv_loop():
    with Upstream() as upstream:
        said = run("uv_loop", f"http://127.0.0.1:{upstream.port}/")
    assert said[:5] == ["no error, status 200"] * 5
    assert said[5].endswith("and the timer ran")


def as_nobody():
    """PostgreSQL does not run as root: then its children are those of its package's user."""
    if os.getuid() != 0:
        return {}
    user = pwd.getpwnam("postgres")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


@contextlib.contextmanager
def server_of(command, port, home, **how):
    with open(home / "log", "w", encoding="utf-8") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=home, **how)
    try:
        wait_for(lambda: process.poll() is None and accepts(port), f"{command[0]} to listen")
        yield
    finally:
        process.terminate()
        process.wait(20)


@contextlib.contextmanager
def folder(how):
    with tempfile.TemporaryDirectory(prefix="weir-peer-") as name:
        if how:
            shutil.chown(name, how["user"], how["group"])
        yield pathlib.Path(name)


@pytest.fixture(scope="module")
def postgres():
    port, how = free_port(), as_nobody()
    programs = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))
    assert programs, "postgresql is not installed (see tools/packages.txt)"
    with folder(how) as home:
        subprocess.run([programs[-1] / "initdb", "-D", home / "data", "-U", "weir", "-A", "trust", "-N"],
                       check=True, capture_output=True, cwd=home, **how)
        command = [programs[-1] / "postgres", "-D", home / "data", "-p", str(port), "-k", home,
                   "-h", "127.0.0.1", "-F", "-c", "shared_buffers=1MB"]
        asked = [programs[-1] / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
        with server_of(command, port, home, **how):  # which may answer that it is starting up
            wait_for(lambda: subprocess.run(asked, check=False).returncode == 0, "PostgreSQL")
            yield port


def test_postgres(postgres):
    assert run("postgres", "127.0.0.1", postgres, "weir", "postgres", "max_total=1") == [
        "SELECT 6 * 7: 42, new session",
        "BEGIN: -, used session",
        "SELECT pg_current_xact_id_if_assigned() IS NULL: t, used session",
        "SELECT pg_terminate_backend(pg_backend_pid()): -, used session",
        "SELECT 'back': back, new session"]


def test_redis():
    port = free_port()
    with folder({}) as home:
        command = [find("redis-server", "redis-server"), "--port", str(port), "--bind", "127.0.0.1",
                   "--save", "", "--dir", str(home)]
        with server_of(command, port, home):
            said = run("redis", port, 3, "visits")
            assert said in (["grants 800, connections 2"], ["grants 800, connections 1"])
            with socket.create_connection(("127.0.0.1", port), 5) as client:
                client.sendall(b"SELECT 3\r\nGET visits\r\nGET nothing\r\n")
                assert b"$3\r\n800\r\n" in client.makefile("rb").read(len(b"+OK\r\n$3\r\n800\r\n"))


def test_grpc_client():
    from grpcpeer import GrpcServer
    with GrpcServer() as server:
        def call(method, *messages, deadline=0):
            return run("grpc_client", f"{server.url}/t.T/{method}", deadline, *messages)

        assert call("Echo", "-") == ["reply 0  12345"]
        assert call("Echo", "hello") == ["message hello", "status 0  ok AP8"]
        assert server.metadata[-1]["x-from"] == "an example"
        assert call("Sum", "a", "bc", "x" * 70000) == ["message 70003", "status 0  ok "]
        assert call("Count", "200") == [*(f"message {i}" for i in range(200)), "status 0  ok "]
        assert call("Chat", "a", "b") == ["message re: a", "message re: b", "status 0  ok "]
        assert call("Fail", "x") == ["status 9 nicht möglich: 100%", " ok "]
        assert call("Nothing", "x")[0].startswith("status 12 ")
        assert call("Fail", "-")[0].startswith("reply 9 nicht")
        ended = call("Wait", "x", deadline=300)
        assert len(ended) == 1 and ended[0].startswith("status 4 ")
        assert server.deadlines[-1] < 0.31
    assert run("grpc_client", f"http://127.0.0.1:{dead_port()}/t.T/Echo", 0, "x") == [
        "status 14 connection refused refused "]


def test_grpc_server():
    import grpc
    with Running("grpc_server") as server, grpc.insecure_channel(server.hear("127.0.0.1:")) as channel:
        assert channel.unary_unary("/example.Words/Echo")(b"hello") == b"hello"
        assert list(channel.unary_stream("/example.Words/Count")(b"abc")) == [b"word"] * 3
        assert sum(1 for _ in channel.unary_stream("/example.Words/Count")(b"x" * 100000)) == 100000
        assert channel.stream_unary("/example.Words/Sum")(iter([b"a", b"bc"])) == b"3"
        assert list(channel.stream_stream("/example.Words/Chat")(iter([b"a", b"b"]))) == [b"a", b"b"]
        assert channel.unary_unary("/grpc.health.v1.Health/Check")(b"") == b"\x08\x01"
