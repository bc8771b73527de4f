# SPDX-License-Identifier: Apache-2.0
"""What is kept of conversations passes to the process that takes over: from memory, with the journal, and what the old
process still changes; and comes back where nothing comes of it."""
import os
import signal
import socket
import threading

import pytest

from test_accounts import Api, row
from test_affinity import by_session, four
from test_sessions import move, records
from upgrading import Upgraded
from weirtest import Weir, wait_for

COUNT = 8


def gateway(api, **more):
    routes = [{"match": {"path": "/"}, "upstream": "up", "affinity": {}}]
    return Upgraded(api.up, routes=routes, upstream_options={"accounts": four()}, **more)


def kept(tmp_path, kind):
    return {"sessions": {"path": str(tmp_path / "sessions")}} if kind == "journal" else {}


@pytest.mark.parametrize("kind", ["memory", "journal"])
def test_conversations_stay_where_they_are(tmp_path, kind):
    with Api() as api, gateway(api, **kept(tmp_path, kind)) as weir:
        places = {number: move(api, weir, number)[1] for number in range(COUNT)}
        for life in range(2):
            weir.upgrade()
            assert records(weir) == len(places)
            for number, place in places.items():
                assert by_session(weir, number)[:2] == (place, "hit")
            weir.alone()
            more = COUNT + life
            places[more] = move(api, weir, more)[1]
        assert weir.metric("weir_session_store_degraded") == 0
        if kind == "journal":  # what was changed in all of the processes is on the disk
            os.kill(weir.pid, signal.SIGKILL)
            os.waitpid(weir.pid, 0)
            weir.passed.clear()
            with Weir(config=weir.config_path.read_text(), ports={"port": weir.port, "admin": weir.admin_port}) as again:
                for number, place in places.items():
                    assert by_session(again, number)[:2] == (place, "hit")


@pytest.mark.parametrize("kind", ["memory", "journal"])
def test_what_the_old_process_still_changes_passes_as_well(tmp_path, kind):
    """A request under way while the processes change goes to another account: its conversation does."""
    with Api() as api, gateway(api, drain=20, **kept(tmp_path, kind)) as weir:
        home = by_session(weir, 1)[0]
        api.says_once(home, (529, ""))
        api.gate = threading.Event()
        answers, asked = [], api.asked[home]
        thread = threading.Thread(target=lambda: answers.append(by_session(weir, 1)))
        thread.start()
        wait_for(lambda: api.asked[home] > asked, "the request at the upstream")
        weir.upgrade()
        assert records(weir) == 0
        api.gate.set()
        thread.join()
        second, said, status = answers[0]
        assert status == 200 and said == "rebound:cooldown" and second != home
        wait_for(lambda: records(weir) == 1, "the change")
        assert by_session(weir, 1)[:2] == (second, "hit")
        weir.alone()
        assert by_session(weir, 1)[:2] == (second, "hit")
        if kind == "journal":
            os.kill(weir.pid, signal.SIGKILL)
            os.waitpid(weir.pid, 0)
            weir.passed.clear()
            with Weir(config=weir.config_path.read_text(), ports={"port": weir.port, "admin": weir.admin_port}) as again:
                assert by_session(again, 1)[:2] == (second, "hit")


@pytest.mark.parametrize("kind", ["memory", "journal"])
def test_they_come_back_where_nothing_comes_of_it(tmp_path, kind):
    """The new process had them already when it found an address of somebody else's."""
    folder = tmp_path / "sessions"
    with Api() as api, socket.create_server(("127.0.0.1", 0)) as other, gateway(api, **kept(tmp_path, kind)) as weir:
        places = {number: move(api, weir, number)[1] for number in range(COUNT)}
        good = weir.config_path.read_text()
        weir.configure(lambda config: config["listeners"].append(
            {**config["listeners"][0], "name": "more", "address": f"127.0.0.1:{other.getsockname()[1]}"}))
        journal = (folder / "sessions.journal").stat().st_ino if kind == "journal" else None
        for _ in range(2):
            assert "listener more" in weir.command().stderr
        weir.config_path.write_text(good)
        places[COUNT] = move(api, weir, COUNT)[1]
        for number, place in places.items():
            assert by_session(weir, number)[:2] == (place, "hit")
        if kind == "journal":
            wait_for(lambda: (folder / "sessions.journal").stat().st_ino != journal
                     and weir.metric("weir_session_store_degraded") == 0, "the journal, written anew")
            places[COUNT + 1] = move(api, weir, COUNT + 1)[1]
            weir.kill()
            with Weir(config=good, ports={"port": weir.port, "admin": weir.admin_port}) as again:
                for number, place in places.items():
                    assert by_session(again, number)[:2] == (place, "hit")
        else:
            weir.upgrade()
            for number, place in places.items():
                assert by_session(weir, number)[:2] == (place, "hit")


def test_what_accounts_wait_for_goes_along():
    """One that cools down, for all models or for some, is not asked because of an upgrade."""
    with Api() as api, gateway(api) as weir:
        home = by_session(weir, 1)[0]
        api.says_once(home, (529, ""))
        second = by_session(weir, 1)[0]
        name = home.removeprefix("k-")
        before = row(weir, name)
        assert second != home and before["state"] == "cooling" and before["reason"] == "overloaded"
        asked = api.asked[home]
        for _ in range(2):
            weir.upgrade()
            after = row(weir, name)
            assert (after["state"], after["reason"]) == ("cooling", "overloaded"), after
            assert before["cooldown_seconds"] - 60 < after["cooldown_seconds"] <= before["cooldown_seconds"]
            assert all(by_session(weir, number)[0] != home for number in range(20))
            weir.alone()
        assert api.asked[home] == asked
