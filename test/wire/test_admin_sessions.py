# SPDX-License-Identifier: Apache-2.0
"""/api/v1/sessions: what is kept of conversations is found, moved and ended."""
import json
import os
import socket
import subprocess
import threading

import pytest

from test_accounts import Api
from test_affinity import by_session, four, relay
from test_client_keys import bearer, client
from weirtest import WEIR, Weir, wait_for

def page(weir, path="", **words):
    query = "&".join(f"{name}={value}" for name, value in words.items())
    answer = weir.admin(f"/api/v1/sessions{path}" + (f"?{query}" if query else ""))
    return answer.status, json.loads(answer.text)


def sessions(weir, **words):
    status, said = page(weir, **words)
    assert status == 200, said
    return said["sessions"]


def do(weir, session, what, **body):
    answer = weir.admin(f"/api/v1/sessions/{session}/{what}", "POST", body=json.dumps(body) if body else None)
    return answer.status, json.loads(answer.text)


@pytest.fixture(name="gateway")
def fixture_gateway():
    with Api() as api, relay(api, *four()) as weir:
        yield api, weir


def user(name):
    return {"metadata": {"user_id": f"user_{name}_account__session_x"}}


def moved(api, weir, number, headers="", **fields):
    """A conversation that is not with the account that its hash says: those that had it and have it."""
    home, _, _ = by_session(weir, number, headers, **fields)
    api.says_once(home, (529, ""))
    second, said, _ = by_session(weir, number, headers, **fields)
    assert said == "rebound:cooldown"
    weir.admin(f"/api/v1/accounts/up/{home[2:]}/clear", "POST")
    return home[2:], second[2:]


def test_what_is_kept_is_found_by_all_that_it_is_known_by(gateway):
    api, weir = gateway
    assert sessions(weir) == []
    places = {n: moved(api, weir, n, **user(n % 2))[1] for n in range(6)}
    rows = sessions(weir)
    assert sorted(row["account"] for row in rows) == sorted(places.values())
    assert {row["upstream"] for row in rows} == {"up"} and {row["status"] for row in rows} == {"active"}
    assert all(len(row["id"]) == 32 and row["epoch"] == 1 and row["bound_seconds"] > 0 for row in rows)
    for row in rows:
        assert page(weir, "/" + row["id"])[1]["account"] == row["account"]
        assert [found["id"] for found in sessions(weir, id=row["id"][:12])] == [row["id"]]
    for account in {f"a{i}" for i in range(4)}:
        assert len(sessions(weir, account=account)) == list(places.values()).count(account)
    assert len(sessions(weir, user="user_0_account")) == 3 and len(sessions(weir, user="user_2_account")) == 0
    assert sessions(weir, user="user_1_account__session_of%20another")[0]["user"]
    assert len(sessions(weir, upstream="up", status="active")) == 6
    assert sessions(weir, upstream="other") == [] and sessions(weir, status="failed") == []
    assert sessions(weir, key="team-a") == []
    status, said = page(weir, limit=2)
    assert status == 200 and len(said["sessions"]) == 2 and said["cut"]
    assert not page(weir, limit=6)[1]["cut"]
    assert "user_0" not in weir.admin("/api/v1/sessions").text and "s0" not in weir.admin("/api/v1/sessions").text


def test_the_sessions_of_a_key():
    clients = [client("team-a"), client("team-b")]
    with Api() as api, relay(api, *four(), clients=clients) as weir:
        for number, team in enumerate(("team-a", "team-a", "team-b")):
            moved(api, weir, number, bearer(team))
        assert len(sessions(weir)) == 3
        for team, count in (("team-a", 2), ("team-b", 1), ("team-c", 0)):
            assert [row["key"] for row in sessions(weir, key=team)] == [team] * count
        assert "key-team" not in weir.admin("/api/v1/sessions").text


def test_a_session_is_rebound_and_its_next_request_goes_there(gateway):
    api, weir = gateway
    home, second = moved(api, weir, 1)
    row = sessions(weir)[0]
    third = next(f"a{i}" for i in range(4) if f"a{i}" not in (home, second))
    status, said = do(weir, row["id"], "rebind", account=third, epoch=row["epoch"])
    assert status == 200 and said["account"] == third and said["epoch"] == row["epoch"] + 1
    assert by_session(weir, 1)[:2] == (f"k-{third}", "hit")
    assert do(weir, row["id"], "rebind", account=home, epoch=row["epoch"])[0] == 409
    assert by_session(weir, 1)[0] == f"k-{third}"
    assert do(weir, row["id"], "rebind", account=second)[0] == 200
    assert by_session(weir, 1)[0] == f"k-{second}"
    wait_for(lambda: weir.text().count('"session rebound"') == 2, "a line for each")


def test_a_session_is_ended_and_goes_home(gateway):
    api, weir = gateway
    home, _ = moved(api, weir, 1)
    row = sessions(weir)[0]
    assert do(weir, row["id"], "end") == (200, {"ended": True})
    assert sessions(weir) == [] and page(weir, "/" + row["id"])[0] == 404
    assert by_session(weir, 1)[0] == f"k-{home}"
    assert do(weir, row["id"], "end")[0] == 404
    wait_for(lambda: '"session ended"' in weir.text(), "its line")


@pytest.mark.parametrize("query", ["colour=red", "limit=x", "limit=10001", "status=busy", "user=%zz", "user=%00",
                                   "id=" + "a" * 300])
def test_what_cannot_be_asked_is_refused(gateway, query):
    _, weir = gateway
    assert weir.admin(f"/api/v1/sessions?{query}").status == 400


def test_a_wrong_command_changes_nothing(gateway):
    api, weir = gateway
    _, second = moved(api, weir, 1)
    row = sessions(weir)[0]
    path = f"/api/v1/sessions/{row['id']}"
    for body in ("", "[]", "{}", '{"account":1}', '{"account":"a1","colour":"red"}', '{"account":"a1","epoch":-1}',
                 '{"account":"a1","account":"a2"}', '{"account":"' + "a" * 200 + '"}'):
        assert weir.admin(f"{path}/rebind", "POST", body=body).status == 400, body
    assert do(weir, row["id"], "rebind", account="nobody")[0] == 404
    assert do(weir, "0" * 32, "rebind", account="a1")[0] == 404
    assert do(weir, "nonsense", "end")[0] == 404 and weir.admin("/api/v1/sessions/").status == 404
    for method, where in (("POST", ""), ("DELETE", ""), ("GET", "/end"), ("GET", "/rebind")):
        assert weir.admin(path + where, method).status == 405
    assert sessions(weir)[0]["account"] == second and sessions(weir)[0]["epoch"] == row["epoch"]


# --- weir show -----------------------------------------------------------------------------------------------------


def show(*words, env=None):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WEIR_ADMIN")}
    return subprocess.run([str(WEIR), "show", *words], capture_output=True, text=True, timeout=60, check=False,
                          env={**clean, **(env or {})})


def test_the_command_shows_them(gateway):
    api, weir = gateway
    places = sorted(moved(api, weir, n)[1] for n in range(3))
    where = f"127.0.0.1:{weir.admin_port}"
    for said in (show("sessions", "--admin", where), show("sessions", env={"WEIR_ADMIN": where}),
                 show("sessions", "--admin", f"http://{where}/#/pools"),
                 show("sessions", "-c", str(weir.config_path))):
        assert said.returncode == 0 and not said.stderr, said
        head, *rows = said.stdout.splitlines()
        assert head.split()[:3] == ["id", "upstream", "account"]
        assert sorted(row.split()[2] for row in rows) == places
    one = sessions(weir)[0]
    said = show("sessions", "-o", "json", f"id={one['id']}", "user=", "--admin", where)
    assert [row["id"] for row in json.loads(said.stdout)["sessions"]] == [one["id"]]
    assert show("sessions", "limit=1", "--admin", where).stdout.endswith("… and more\n")
    assert show("sessions", "user=a b&c", "--admin", where).stdout.count("\n") == 1
    for other in ("pools", "endpoints", "accounts", "keys", "connections", "listeners", "clients", "certificates",
                  "events", "process"):
        said = show(other, "--admin", where)
        assert said.returncode == 0 and said.stdout and not said.stderr, said
    assert "up" in show("pools", "--admin", where).stdout and str(weir.process.pid) in show(
        "process", "--admin", where).stdout


def test_the_command_shows_its_token_and_finds_a_unix_socket(tmp_path):
    path = f"unix:{tmp_path}/admin.sock"

    class Hidden(Weir):
        def _ready(self):
            return show("process", "--admin", path, env={"WEIR_ADMIN_TOKEN": "see"}).returncode == 0

    admin = {"address": path, "token": "do", "viewer_token": "see"}
    with Hidden(admin=admin) as weir:
        said = show("listeners", "--admin", path, env={"WEIR_ADMIN_TOKEN": "do"})
        assert said.returncode == 0 and f"127.0.0.1:{weir.port}" in said.stdout
        for token in ("", "wrong"):
            said = show("listeners", "--admin", path, env={"WEIR_ADMIN_TOKEN": token})
            assert said.returncode == 1 and "401" in said.stderr and not said.stdout


@pytest.mark.parametrize("words", [(), ("colours",), ("pools", "id=1"), ("sessions", "id"), ("pools", "-o", "xml"),
                                   ("sessions", "user=" + "x" * 4000)])
def test_the_command_says_what_it_does_not_understand(words):
    said = show(*words)
    assert said.returncode == 2 and said.stderr.startswith("weir show: ") and not said.stdout


def show_what_says(answer):
    """`weir show` asks somebody who says that, whatever is asked; None: nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))

        def serve():
            peer, _ = listener.accept()
            with peer:
                peer.recv(65536)
                peer.sendall(answer)

        if answer is not None:
            listener.listen()
            threading.Thread(target=serve, daemon=True).start()
        return show("sessions", "--admin", f"127.0.0.1:{listener.getsockname()[1]}")


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}",
                                    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{]",
                                    b"HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\n{}", None])
def test_what_is_no_admin_interface_is_no_list(answer):
    said = show_what_says(answer)
    assert said.returncode == 1 and said.stderr.startswith("weir show: ") and not said.stdout


def test_clients_are_shown_with_their_priority():
    with Weir(clients=[client("urgent", priority="high")]) as weir:
        head, row = show("clients", "--admin", f"127.0.0.1:{weir.admin_port}").stdout.splitlines()
    assert head.split()[:2] == ["client", "priority"] and row.split()[:2] == ["urgent", "high"]


@pytest.mark.parametrize("text,shown", [("a\x1b[2Jb", "a?[2Jb"), ("a\x9b2Jb", "a?2Jb"), ("a\x7fb", "a?b"),
                                        ("a\u202eb\u2066c", "a?b?c"), ("\xc4\u20ac\U0001f600", "\xc4\u20ac\U0001f600")])
@pytest.mark.parametrize("is_escaped", [True, False])
def test_what_a_terminal_might_obey_is_not_shown(text, shown, is_escaped):
    if not is_escaped and text[1] < " ":
        text, shown = "a", "a"  # as it is it would be no JSON
    row = {"id": text, "upstream": "u", "user": [text]}
    rows = json.dumps({"sessions": [row], "cut": False}, ensure_ascii=is_escaped).encode()
    said = show_what_says(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(rows), rows))
    head, line = said.stdout.splitlines()
    assert line.split()[:2] == [shown, "u"] and head.index("upstream") == line.index(" u ") + 1
    assert not any(sign in said.stdout for sign in "\x1b\x9b\x7f\u202e\u2066")


def test_what_a_terminal_might_obey_is_no_reason():
    text = b"no\x1b[2J\x9b2J\xc2\x9b"
    said = show_what_says(b"HTTP/1.1 404 No\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))
    assert said.returncode == 1 and said.stderr.endswith(": 404 no?[2J?2J?\n")
