# SPDX-License-Identifier: Apache-2.0
"""Where the secrets of a configuration are: in memory while it is in force, and nowhere else; not in answers, logs, errors, the
environment or a core, and no longer than that."""
import json
import os
import pathlib
import re
import signal
import stat
import subprocess
import tempfile

import pytest

from test_overload import is_sanitized
from weirtest import WEIR, Upstream, Weir, dead_port, free_port, wait_for

IS_ROOT = os.geteuid() == 0
SECRETS = ("planted-token-0f3a9c", "planted-viewer-77ab", "planted-account-51fe", "planted-file-c0ffee", "planted-credential-9d")
WRITTEN = "planted-in-the-file-5e7d"  # in the configuration itself


def regions(pid, wanted):
    """The bytes of those mappings whose name is wanted."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            fields = line.split(maxsplit=5)
            name = fields[5].strip() if len(fields) > 5 else ""
            if "r" in fields[1] and wanted(name):
                start, end = (int(part, 16) for part in fields[0].split("-"))
                memory.seek(start)
                yield memory.read(end - start)


def test_secrets_are_seen_nowhere(tmp_path):
    token, viewer, account, in_file, credential = SECRETS
    (tmp_path / "key").write_text(in_file + "\n")
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "a3").write_text(credential + "\n")
    environment = {"T_TOKEN": token, "T_VIEWER": viewer, "T_ACCOUNT": account, "CREDENTIALS_DIRECTORY": str(credentials)}

    def script(peer):
        while peer.request() is not None:
            peer.send("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")

    operator = {"Authorization": f"Bearer {token}"}
    with Upstream(script) as upstream, tempfile.TemporaryDirectory() as room:
        log = pathlib.Path(room) / "access.log"
        ports = {"port": free_port(), "admin": free_port()}
        config = {
            "admin": {"address": f"127.0.0.1:{ports['admin']}", "token": "${T_TOKEN}", "viewer_token": "${T_VIEWER}"},
            "log": {"level": "debug", "access": str(log)}, "workers": 1,
            "listeners": [{"name": "web", "address": f"127.0.0.1:{ports['port']}", "routes": [{"upstream": "up"}]}],
            "upstreams": [{"name": "up", "endpoints": [{"url": upstream.url}, {"url": f"http://127.0.0.1:{dead_port()}"}],
                           "accounts": [{"name": "a1", "headers": {"x-api-key": "${T_ACCOUNT}"}},
                                        {"name": "a2", "headers": {"x-api-key": f"${{file:{tmp_path / 'key'}}}"}},
                                        {"name": "a3", "headers": {"x-api-key": "${credential:a3}"}}]}]}
        with Weir(config=config, env=environment, ports=ports) as weir:
            answers = [weir.ask(f"/{n}") for n in range(6)]
            assert all(secret.encode() in upstream.bytes for secret in (account, in_file, credential))
            texts = [repr(answer.fields) + answer.body.decode() for answer in answers]
            document = json.loads(weir.admin("/api/v1/openapi.json", headers=operator).text)
            for path, methods in document["paths"].items():
                if "get" in methods and "{" not in path and path not in ("/api/v1/live", "/api/v1/events"):
                    texts.append(weir.admin(path, headers=operator).text)
            texts.append(weir.admin("/api/v1/events?limit=100", headers={**operator, "Accept": "application/json"}).text)
            assert len(texts) > 25
            pid = weir.process.pid
            if IS_ROOT:
                environ = pathlib.Path(f"/proc/{pid}/environ").read_text()
                assert "T_TOKEN=" in environ and "T_ACCOUNT=" in environ  # their names, and nothing behind
                texts.append(environ)
                stack = b"".join(regions(pid, lambda name: name == "[stack]"))  # where the environment lies, too
                assert b"T_TOKEN=" in stack
                texts.append(stack.decode("latin-1"))
                assert re.search(r"Max core file size +0 ", pathlib.Path(f"/proc/{pid}/limits").read_text())
            wait_for(lambda: len(weir.access()) >= 0 and log.exists(), "the access log")
        texts += [pathlib.Path(log).read_text()]
    for secret in SECRETS:
        for text in texts:
            assert secret not in text, text[:500]


@pytest.mark.skipif(not IS_ROOT, reason="its environment is its own, and root's to read")
def test_what_a_reload_reads_first_is_overwritten_as_well():
    first, later = SECRETS[:2]
    with Upstream() as upstream, Weir(upstream, env={"T_FIRST": first, "T_LATER": later},
                                      upstream_options={"accounts": [{"name": "a1", "headers": {"x-api-key": "${T_FIRST}"}}]}) as weir:
        environ = pathlib.Path(f"/proc/{weir.process.pid}/environ")
        assert first not in environ.read_text() and later in environ.read_text()
        for _ in range(2):
            weir.config_path.write_text(weir.config_path.read_text().replace("T_FIRST", "T_LATER"))
            assert weir.admin("/api/v1/reload", "POST").status == 200
            assert weir.ask().status == 200 and later.encode() in upstream.bytes
            assert later not in environ.read_text() and "T_LATER=" in environ.read_text()


def test_a_secret_that_cannot_be_had_is_named_and_not_shown(tmp_path):
    def said(value, **environment):
        config = tmp_path / "weir.yaml"
        config.write_text(f"listeners: [ {{ name: web, address: \"127.0.0.1:1\", routes: [ {{ upstream: up }} ] }} ]\n"
                          f"upstreams: [ {{ name: up, endpoints: [ {{ url: \"http://127.0.0.1:1\" }} ],\n"
                          f"  accounts: [ {{ name: a, headers: {{ x-api-key: \"{value}\" }} }} ] }} ]\n")
        clean = {name: v for name, v in os.environ.items() if name != "CREDENTIALS_DIRECTORY"}
        done = subprocess.run([str(WEIR), "check", "-c", str(config)], capture_output=True, text=True, check=False,
                              env={**clean, **environment})
        assert done.returncode == 1
        return done.stdout + done.stderr

    assert "no credentials were passed" in said("${credential:key}")
    assert "No such file" in said("${credential:key}", CREDENTIALS_DIRECTORY=str(tmp_path))
    assert "has a name, and no path" in said("${credential:../key}", CREDENTIALS_DIRECTORY=str(tmp_path))
    (tmp_path / "key").write_bytes(b"planted\0secret")
    text = said("${credential:key}", CREDENTIALS_DIRECTORY=str(tmp_path))
    assert "a NUL in it" in text and "planted" not in text


def test_nobody_of_the_same_user_looks_inside():
    """Not dumpable: /proc/PID is root's, whoever the process is."""
    with Upstream() as upstream, Weir(upstream) as weir:
        assert os.stat(f"/proc/{weir.process.pid}/mem").st_uid == 0
        assert stat.S_IMODE(os.stat(f"/proc/{weir.process.pid}/environ").st_mode) == 0o400


# --- all of memory ---------------------------------------------------------------------------------

RESERVED = 1 << 32  # bytes; a mapping that is larger is what sanitizers reserve
PIECE, OVERLAP = 64 << 20, 64


def pieces(memory, start, end):
    """The bytes of a mapping, each piece with the beginning of the next one: a secret may lie across."""
    for at in range(start, end, PIECE):
        memory.seek(at)
        yield memory.read(min(PIECE + OVERLAP, end - at))


def places(pid, secrets):
    """{secret: names of the mappings that it lies in, as often as it does}; of all that can be read."""
    found = {secret: [] for secret in secrets}
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            fields = line.split(maxsplit=5)
            name = fields[5].strip() if len(fields) > 5 else "nameless"
            start, end = (int(part, 16) for part in fields[0].split("-"))
            if "r" not in fields[1] or name.startswith(("[vvar", "[vsyscall")) or end - start >= RESERVED:
                continue
            for piece in pieces(memory, start, end):
                for secret in secrets:
                    found[secret] += [name] * piece.count(secret.encode())
    return found


@pytest.mark.skipif(not IS_ROOT, reason="memory of a process that is not dumpable is root's to read")
def test_all_of_memory_is_searched(tmp_path):
    """While a configuration is in force its secrets are in it, since each request needs them; of one that was replaced nothing
    is left but what the environment said, once, for the configuration that is read next. (The sanitizers' runtime has the
    environment a second time.)"""
    token, _, account, in_file, credential = SECRETS
    (tmp_path / "key").write_text(in_file + "\n")
    (tmp_path / "a3").write_text(credential + "\n")
    environment = {"T_TOKEN": token, "T_ACCOUNT": account, "CREDENTIALS_DIRECTORY": str(tmp_path)}
    values = ["${T_ACCOUNT}", f"${{file:{tmp_path / 'key'}}}", "${credential:a3}", WRITTEN]
    ports = {"port": free_port(), "admin": free_port()}
    with Upstream() as upstream:
        config = {"admin": {"address": f"127.0.0.1:{ports['admin']}", "token": "${T_TOKEN}"}, "log": {"access": "off"}, "workers": 1,
                  "listeners": [{"name": "web", "address": f"127.0.0.1:{ports['port']}", "routes": [{"upstream": "up"}]}],
                  "upstreams": [{"name": "up", "endpoints": [{"url": upstream.url}],
                                 "accounts": [{"name": f"a{n}", "headers": {"x-api-key": value}} for n, value in enumerate(values)]}]}
        planted = (token, account, in_file, credential, WRITTEN)
        with Weir(config=config, env=environment, ports=ports) as weir:
            for _ in range(12):
                assert weir.ask().status == 200
            assert all(secret.encode() in upstream.bytes for secret in planted[1:])
            found = places(weir.process.pid, planted)
            assert all(found.values()), found  # else nobody has looked
            assert "[stack]" not in sum(found.values(), []), found
            print("in force:", {secret: len(names) for secret, names in found.items()})

            del config["admin"]["token"]
            config["upstreams"][0]["accounts"] = [{"name": "b", "headers": {"x-api-key": "another"}}]
            weir.config_path.write_text(json.dumps(config))
            assert weir.admin("/api/v1/reload", "POST", headers={"Authorization": f"Bearer {token}"}).status == 200
            wait_for(lambda: weir.metric("weir_config_generations") == 1, "the older one to end")
            left = dict.fromkeys((token, account), 1 + is_sanitized())

            def is_gone():
                """Buffers hold what passed last."""
                weir.ask("/" + "x" * 3000)
                weir.admin("/readyz", headers={"X-Long": "x" * 3000})
                nonlocal found
                found = places(weir.process.pid, planted)
                return all(len(names) <= left.get(secret, 0) for secret, names in found.items())
            try:
                wait_for(is_gone, "the former secrets to be gone")
            finally:
                print("replaced:", {secret: len(names) for secret, names in found.items()})


def test_who_dies_leaves_no_core(tmp_path):
    """Where others leave one."""
    inside = ["sh", "-c", f'ulimit -c unlimited; cd {tmp_path} && exec "$@"', "sh"]
    subprocess.run([*inside, "sh", "-c", "kill -ABRT $$"], check=False)
    cores = list(tmp_path.iterdir())
    if not cores:
        pytest.skip("cores go elsewhere here, or nowhere")
    for core in cores:
        core.unlink()
    with Upstream() as upstream, Weir(upstream, wrapper=inside) as weir:
        assert weir.ask().status == 200
        weir.process.send_signal(signal.SIGABRT)
        assert weir.process.wait(20) == -signal.SIGABRT
        weir.ends_with = -signal.SIGABRT
        assert not list(tmp_path.iterdir())
