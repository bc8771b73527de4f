# SPDX-License-Identifier: Apache-2.0
"""The program's commands: what they print, what they leave behind, and their exit status."""
import asyncio
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading

import grpc
import pytest
import websockets

import certs
from weirtest import DEADLINE, ROOT, WEIR, Client, Upstream, Weir, free_port, wait_for
from wsraw import CLOSE, TEXT, WsClient, close_payload, frame

GOOD = """listeners:
  - name: web
    address: "127.0.0.1:%d"
    routes: [{ upstream: up }]
upstreams:
  - name: up
    endpoints: [{ url: "%s" }]
"""


def run(*words, env=None, cwd=None):
    return subprocess.run([str(WEIR), *words], capture_output=True, text=True, timeout=60, check=False,
                          env={**os.environ, **(env or {})}, cwd=cwd)


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "weir.yaml"
    path.write_text(GOOD % (free_port(), "http://127.0.0.1:1"))
    return path


def test_help_is_one_table():
    listing = run("help").stdout
    commands = re.findall(r"^  weir (\w+)", listing, re.M)
    assert set(commands) == {"serve", "demo", "check", "config", "show", "events", "top", "explain", "profile", "endpoint", "pool", "account", "drain",
                             "reload", "upgrade", "healthcheck", "bench", "simulate", "version",
                             "completion", "help"}
    for command in commands:
        one = run(command, "--help")
        assert one.returncode == 0 and one.stdout.startswith(f"weir {command} ")
        assert one.stdout == run("help", command).stdout
    assert run("--help").stdout == listing
    assert run().returncode == 2
    lost = run("serv")
    assert lost.returncode == 2 and "did you mean serve?" in lost.stderr
    assert run("check", "--nonsense").returncode == 2
    assert run("serve").returncode == 2


def test_version():
    assert re.fullmatch(r"weir \d+\.\d+\.\d+\n", run("version").stdout)
    told = run("version", "-v").stdout
    for library in ("libuv", "c-ares", "nghttp2", "libyaml", "xxhash", "glibc"):
        assert re.search(rf"^{library} +\d\S* +\d", told, re.M), told


def test_check_good(good):
    done = run("check", "-c", str(good))
    assert done.returncode == 0 and "valid: 1 listeners, 1 upstreams" in done.stdout
    told = json.loads(run("check", "-c", str(good), "--format", "json").stdout)
    assert told == {"valid": True, "errors": 0, "faults": []}


def test_check_bad(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("listeners:\n  - name: web\n    adress: x\nworkers: many\n")
    done = run("check", "-c", str(path))
    assert done.returncode == 1
    assert f"{path}:3:5: unknown option adress; did you mean address?" in done.stdout
    assert f"{path}:4:10: workers: many is not a number" in done.stdout
    told = json.loads(run("check", "-c", str(path), "--format=json").stdout)
    assert not told["valid"] and told["errors"] == 3
    assert {(f["line"], f["column"]) for f in told["faults"]} == {(2, 5), (3, 5), (4, 10)}
    assert all(f["severity"] == "error" and f["file"] == str(path) for f in told["faults"])
    absent = run("check", "-c", str(tmp_path / "absent.yaml"))
    assert absent.returncode == 1 and "No such file" in absent.stdout


def test_check_advice_alone_is_valid(tmp_path):
    path = tmp_path / "advice.yaml"
    path.write_text('listeners: [{ name: web, address: "127.0.0.1:8080" }]\n')
    done = run("check", "-c", str(path))
    assert done.returncode == 0 and ": advice: listener web has no routes" in done.stdout


def test_check_counts_descriptors(good):
    """More connections than the process may have descriptors: said where it runs, in both forms, and valid all the same."""
    few = ("sh", "-c", 'ulimit -n 512; exec "$0" "$@"', str(WEIR), "check", "-c", str(good))
    done = subprocess.run(few, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 and re.search(r"weir\.yaml:1:1: advice: all limits of connections together need 1\d{3} file "
                                              r"descriptors, of which 512 are allowed here: ", done.stdout), done.stdout
    told = json.loads(subprocess.run([*few, "--format", "json"], capture_output=True, text=True, timeout=60, check=False).stdout)
    assert told["valid"] and told["errors"] == 0 and [fault["severity"] for fault in told["faults"]] == ["advice"]


def test_check_counts_memory(good):
    """A thousand clients, and less memory than they may need."""
    good.write_text("overload: { memory: 40MiB }\n" + good.read_text())
    done = subprocess.run([str(WEIR), "check", "-c", str(good)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 and re.search(r"weir\.yaml:1:1: advice: all limits together may need \d\d MiB of memory \(64 KiB for "
                                              r"each client, 150 bytes for each conversation\), of which 40 are allowed here: ",
                                              done.stdout), done.stdout


def test_check_probe(tmp_path):
    path = tmp_path / "weir.yaml"
    with Upstream() as upstream:
        path.write_text(GOOD % (free_port(), upstream.url))
        done = run("check", "-c", str(path), "--probe")
        assert done.returncode == 0 and re.search(r"up/127\.0\.0\.1:\d+: connected in \d", done.stdout)
    path.write_text(GOOD % (free_port(), f"http://127.0.0.1:{free_port()}"))
    done = run("check", "-c", str(path), "--probe")
    assert done.returncode == 0 and "advice: cannot connect (connect): refused" in done.stdout


def test_config_dump_reads_back(good, tmp_path):
    dumped = run("config", "dump", "-c", str(good))
    assert dumped.returncode == 0 and 'max_connections: 1000' in dumped.stdout
    again = tmp_path / "again.yaml"
    again.write_text(dumped.stdout)
    assert run("config", "dump", "-c", str(again)).stdout == dumped.stdout
    as_json = run("config", "dump", "-c", str(good), "--format", "json").stdout
    assert json.loads(as_json)["upstreams"][0]["pool"]["idle_timeout"] == "5m"


def test_config_schema_knows_every_option():
    schema = json.loads(run("config", "schema").stdout)

    def walk(node, path):
        found = set()
        for name, child in node.get("properties", {}).items():
            below = child.get("items", child)
            deeper = walk(below, path + [name])
            found |= deeper or {".".join(path + [name])}
        return found

    options = set(run("config", "options").stdout.split())
    assert walk(schema, []) - {"include"} == options
    reference = run("config", "reference").stdout
    for option in options:
        assert option in reference
    assert (ROOT / "docs/options.md").read_text() == reference, "build/dev/weir config reference >docs/options.md"


@pytest.fixture(scope="module", name="certificates")
def folder_of_certificates(tmp_path_factory):
    """ca.pem, client.pem and client.key."""
    home = tmp_path_factory.mktemp("tls")
    with certs.Authority() as authority:
        certificate, key = authority.sign("client.example")
        for file, name in ((authority.certificate, "ca.pem"), (certificate, "client.pem"), (key, "client.key")):
            shutil.copy(file, home / name)
    return home


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda path: path.name)
def test_examples_are_valid(example, certificates):
    wanted = re.findall(r"\$\{(\w+_SHA256)\}", example.read_text())  # without a default, as nobody's key is one
    keys = {name: hashlib.sha256(name.encode()).hexdigest() for name in wanted}
    done = run("check", "-c", str(example), env={"TLS_DIR": str(certificates), **keys})
    assert done.returncode == 0, done.stdout


def test_environment_and_includes(tmp_path):
    port, admin = free_port(), free_port()
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "token").write_text("from-a-file\n")
    (tmp_path / "main.yaml").write_text(
        f'include: conf.d/*.yaml\nadmin: {{ address: "127.0.0.1:{admin}", token: "${{file:{tmp_path}/token}}" }}\n'
        'log: { access: "${WEIR_TEST_ACCESS:-off}" }\n')
    with Upstream() as upstream:
        (tmp_path / "conf.d/listeners.yaml").write_text(
            f'listeners: [{{ name: web, address: "127.0.0.1:{port}", routes: [{{ upstream: up }}] }}]\n')
        (tmp_path / "conf.d/upstreams.yaml").write_text(
            'upstreams: [{ name: up, endpoints: [{ url: "${WEIR_TEST_UPSTREAM}" }] }]\n')
        told = run("check", "-c", "main.yaml", cwd=tmp_path)
        assert told.returncode == 1 and "conf.d/upstreams.yaml:1:44: ${WEIR_TEST_UPSTREAM}" in told.stdout

        class Placed(Weir):
            def _ready(self):
                self.port, self.admin_port = port, admin
                return super()._ready()

        with Placed(config=(tmp_path / "main.yaml").read_text().replace("conf.d", str(tmp_path / "conf.d")),
                    env={"WEIR_TEST_UPSTREAM": upstream.url}) as weir:
            assert weir.ask().status == 200
            assert weir.admin("/metrics").status == 401
            assert weir.admin("/metrics", headers={"Authorization": "Bearer from-a-file"}).status == 200


def test_serve_starts_nothing_when_broken(tmp_path):
    port = free_port()
    path = tmp_path / "bad.yaml"
    path.write_text(f'listeners: [{{ name: web, address: "127.0.0.1:{port}" }}]\nbogus: 1\n')
    done = run("serve", "-c", str(path))
    assert done.returncode == 1 and f"{path}:2:1: unknown option bogus" in done.stderr
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 1)


@pytest.mark.parametrize("taken", ["listener web", "admin"])
def test_a_port_in_use_is_a_clear_error(tmp_path, taken):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        path = tmp_path / "weir.yaml"
        web = port if taken == "listener web" else free_port()
        admin = port if taken == "admin" else free_port()
        path.write_text(GOOD % (web, "http://127.0.0.1:1") + f'admin: {{ address: "127.0.0.1:{admin}" }}\n')
        done = run("serve", "-c", str(path))
        assert done.returncode == 1
        assert f"{taken}: cannot listen on 127.0.0.1:{port}: another program listens there" in done.stderr


class Demo:
    def __init__(self, *words):
        self.process = subprocess.Popen([str(WEIR), "demo", *(words if "--visitors" in words else (*words, "--visitors", "0"))], stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True)
        self.lines = []
        for line in self.process.stdout:
            self.lines.append(line)
            if "Ctrl-C" in line:
                break
        self.text = "".join(self.lines)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.send_signal(signal.SIGINT)
        rest, _ = self.process.communicate(timeout=30)
        assert self.process.returncode == 0 and "Sanitizer" not in rest, rest

    def port(self, name):
        return int(re.search(rf"{name} +http://127\.0\.0\.1:(\d+)", self.text)[1])


def test_demo():
    with Demo("--port", "0", "--tls-port", "0", "--admin-port", "0") as demo:
        with Client(demo.port("gateway")) as client:
            assert b"Hello from the demo upstream" in client.get("/").response().body
            assert b"took its time: 50 ms" in client.get("/slow?ms=50").response().body
            client.send("POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n")
            assert client.response().body.endswith(b"\nabcdefg")
            client.get("/events")
            stream = b""
            while stream.count(b"data: ") < 2:
                stream += client.sock.recv(65536)
            assert b"text/event-stream" in stream and b'data: {"tick": 1}' in stream
        port = re.search(r"https://127\.0\.0\.1:(\d+)", demo.text)[1]
        done = subprocess.run(["curl", "-sk", f"https://localhost:{port}/"], capture_output=True, check=True)
        assert b"Hello from the demo upstream" in done.stdout
        with Client(demo.port("gateway")) as client, Client(demo.port("gateway")) as reader:
            reader.get("/openclaw/claw/events")
            text = b""
            while b": ready" not in text:
                text += reader.sock.recv(4096)
            client.send('POST /openclaw/claw/emit HTTP/1.1\r\nHost: t\r\nContent-Length: 12\r\n\r\n{"count": 3}')
            assert client.response("POST").status == 200
            while text.count(b"event: chat") < 3:
                text += reader.sock.recv(4096)
        with Client(demo.port("admin")) as client:
            page = client.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").response()
            assert b'weir_pool_reused_total{pool="plain"}' in page.body


def test_demo_grpc():
    """The line that is printed, and a real client."""
    with Demo("--port", "0", "--tls-port", "0", "--admin-port", "0") as demo:
        line = re.search(r"  (printf .*)\n", demo.text)[1]
        assert subprocess.run(["sh", "-c", line], capture_output=True, check=True, timeout=20).stdout == b"hello"
        with grpc.insecure_channel(f"127.0.0.1:{demo.port('gateway')}") as channel:
            assert channel.unary_unary("/demo.Words/Echo")(b"a", timeout=20) == b"a"
            assert list(channel.stream_stream("/demo.Words/Echo")(iter([b"a", b"b"]), timeout=20)) == [b"a", b"b"]
            assert list(channel.unary_stream("/demo.Words/Count")(b"3", timeout=20)) == [b"3", b"2", b"1"]
            assert sum(1 for _ in channel.unary_stream("/demo.Words/Count")(b"100000", timeout=60)) == 100000
            assert channel.unary_unary("/grpc.health.v1.Health/Check")(b"\x0a\x05words", timeout=20) == b"\x08\x01"
            with pytest.raises(grpc.RpcError) as failed:
                list(channel.unary_stream("/demo.Words/Count")(b"many", timeout=20))
            assert failed.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_demo_accounts():
    """Two accounts, of which one cools down once it has been asked enough."""
    with Demo("--port", "0", "--tls-port", "0", "--admin-port", "0") as demo:
        admin = demo.port("admin")

        def accounts():
            with Client(admin) as client:
                rows = client.send("GET /api/v1/accounts HTTP/1.1\r\nHost: localhost\r\n\r\n").response().json()["accounts"]
            return {row["account"]: row for row in rows}

        words, sessions = b" ".join([b"Hello", b"from", b"a", b"demo", b"account."]), []
        with Client(demo.port("gateway")) as client:
            for stream in (b"false", b"true", b"false", b"true", b"false"):
                body = b'{"stream": %s, "messages": [{"role": "user", "content": "hi"}]}' % stream
                client.send(b"POST /v1/messages HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
                answer = client.response("POST")
                sessions.append(answer.header("x-weir-session"))
                if stream == b"true":
                    said = "".join(re.findall(r'"text_delta","text":"([^"]*)"', answer.body.decode()))
                    assert answer.status == 200 and said.encode() == words
                else:
                    assert answer.status == 200 and words in answer.body
        assert sessions == ["new", "hit", "hit", "rebound:cooldown", "hit"]
        small, spare = accounts()["small"], accounts()["spare"]
        assert small["state"] == "cooling" and small["reason"] == "rate_limit" and 0 < small["cooldown_seconds"] <= 20
        assert spare["state"] == "ready"
        assert (small["input_tokens"], small["output_tokens"]) == (36, 15)
        assert (spare["input_tokens"], spare["output_tokens"]) == (24, 10)
        # The line that is printed does what it says.
        line = re.search(r"  (curl -id .*)\n", demo.text)[1]
        done = subprocess.run(line, shell=True, capture_output=True, text=True, timeout=60, check=True)
        assert " 200 " in done.stdout and "message_stop" in done.stdout


def websocket_line(demo):
    """The line of the demo's that tries its WebSocket, as it is printed."""
    return re.search(r"python3 -m websockets (\S+)", demo.text)[1]


def test_demo_websocket():
    with Demo("--port", "0", "--tls-port", "0", "--admin-port", "0") as demo:
        url = websocket_line(demo)
        assert url == f"ws://127.0.0.1:{demo.port('gateway')}/echo" and f'new WebSocket("{url}")' in demo.text

        async def echo():
            async with websockets.connect(url, max_size=None) as ws:
                for said in ("päivää", b"\0\xff", "x" * 1_000_000, ""):
                    await ws.send(said)
                    assert await ws.recv() == said
                pong = await ws.ping()
                await pong
            return ws.close_code

        assert asyncio.run(echo()) == 1000


def test_demo_websocket_as_its_line_says():
    with Demo("--port", "0", "--tls-port", "0", "--admin-port", "0") as demo:
        client = subprocess.Popen([sys.executable, "-m", "websockets", websocket_line(demo)], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        client.stdin.write("hello, weir\n")
        client.stdin.flush()
        text = ""
        while "< hello, weir" not in text:
            text += (line := client.stdout.readline())
            assert line, text
        client.stdin.close()
        text += client.stdout.read()
        assert client.wait(DEADLINE) == 0 and "1000" in text, text


def test_demo_websocket_of_one_that_says_much_at_once():
    messages = [frame(TEXT, f"{n:0100}", mask=b"abcd") for n in range(20_000)]
    with Demo("--port", "0", "--tls-port", "0", "--admin-port", "0") as demo, \
            WsClient(demo.port("gateway"), "/echo", ahead=b"".join(messages[:5])) as client:
        writer = threading.Thread(target=client.send, args=(b"".join(messages[5:]),))
        writer.start()
        for n in range(20_000):
            assert client.frame().data == b"%0100d" % n
        writer.join(DEADLINE)
        client.say(CLOSE, close_payload(1000))
        assert client.frame().code == 1000


def test_demo_websocket_that_is_not_asked_for_rightly():
    with Demo("--port", "0", "--tls-port", "0", "--admin-port", "0") as demo:
        direct = int(re.search(r"upstreams +127\.0\.0\.1:(\d+)", demo.text)[1])
        for port in (demo.port("gateway"), direct):
            with WsClient(port, key="short", opens=False) as client:
                assert client.answer.status == 400
                assert client.get("/").response().status == 200 if port == direct else True


def test_demo_says_which_port_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = run("demo", "--port", str(port), "--tls-port", "0", "--admin-port", "0")
        assert done.returncode == 1
        assert f"cannot listen on 127.0.0.1:{port}" in done.stderr and "--port" in done.stderr


def test_sigusr1_reopens_the_access_log():
    with Upstream() as upstream, Weir(upstream) as weir:
        weir.ask("/before")
        wait_for(lambda: any(line["path"] == "/before" for line in weir.access()), "a line")
        moved = weir.access_log.with_suffix(".1")
        weir.access_log.rename(moved)
        weir.process.send_signal(signal.SIGUSR1)
        wait_for(lambda: weir.access_log.exists(), "a new file")
        weir.ask("/after")
        wait_for(lambda: any(line["path"] == "/after" for line in weir.access()), "a line in it")
        assert "/after" not in moved.read_text()


def held(upstream_release):
    def script(peer):
        while peer.request() is not None:
            upstream_release.wait(20)
            peer.ok()
    return script


def test_signals_at_the_very_end_change_nothing():
    """Whenever another one comes, until the process is gone: it has ended by itself."""
    with Upstream() as upstream, Weir(upstream) as weir:
        assert weir.ask().status == 200
        while weir.process.poll() is None:
            weir.process.send_signal(signal.SIGTERM)
            weir.process.send_signal(signal.SIGINT)
        assert weir.process.returncode == 0, weir.text()


def test_sigterm_drains_and_a_second_one_does_not_wait():
    import threading
    release = threading.Event()
    with Upstream(held(release)) as upstream, Weir(upstream) as weir:
        client = weir.client()
        client.get()
        wait_for(lambda: weir.metric("weir_pool_connections", pool="up", state="active") == 1, "a request")
        weir.process.send_signal(signal.SIGTERM)
        wait_for(lambda: weir.admin("/readyz").status == 503, "it to say that it drains")
        with pytest.raises((ConnectionRefusedError, ConnectionResetError, AssertionError)):
            with weir.client() as late:
                assert late.get().response() is not None
        release.set()
        answer = client.response()
        assert answer.status == 200 and answer.body == b"ok"
        assert weir.process.wait(20) == 0
        client.close()
    release.clear()
    with Upstream(held(release)) as upstream, Weir(upstream) as weir:
        client = weir.client()
        client.get()
        wait_for(lambda: weir.metric("weir_pool_connections", pool="up", state="active") == 1, "a request")
        weir.process.send_signal(signal.SIGTERM)
        wait_for(lambda: weir.admin("/readyz").status == 503, "it to say that it drains")
        weir.process.send_signal(signal.SIGTERM)
        assert weir.process.wait(10) == 0
        assert client.response() is None
        client.close()
        release.set()


def test_the_pid_that_was_started_serves(relay):
    assert json.loads(relay.admin("/api/v1/process").text)["pid"] == relay.process.pid
    children = pathlib.Path(f"/proc/{relay.process.pid}/task/{relay.process.pid}/children")
    words = children.read_text().split() if children.exists() else []
    assert all(pathlib.Path(f"/proc/{pid}/comm").read_text() == "weir-launcher\n" for pid in words)
