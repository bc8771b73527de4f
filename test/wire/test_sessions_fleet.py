# SPDX-License-Identifier: Apache-2.0
"""/api/v1/sessions?scope=fleet: what all gateways have that share a Redis, whoever of them is asked."""
from test_accounts import Api
from test_admin_sessions import do, moved, page, sessions, show, user
from test_affinity import by_session, four, relay
from test_sessions_redis import Redis, is_stored
from weirtest import wait_for


def fleet(weir, **words):
    return sessions(weir, scope="fleet", **words)


def gateway(api, redis, **more):
    return relay(api, *four(), sessions=redis.sessions(more))


def listed(redis):
    return sum(int(redis.ask("ZCARD", key).lstrip(":")) for key in redis.keys("weir:i:*"))


def test_what_one_has_is_found_at_the_other():
    with Redis() as redis, Api() as api, gateway(api, redis) as one, gateway(api, redis) as two:
        places = {n: moved(api, one if n % 2 else two, n, **user(n % 3))[1] for n in range(6)}
        is_stored(redis, 6)
        assert len(sessions(one)) == len(sessions(two)) == len(sessions(one, scope="gateway")) == 3
        rows = fleet(two)
        assert sorted(row["account"] for row in rows) == sorted(places.values()) and len({row["id"] for row in rows}) == 6
        assert {row["upstream"] for row in rows} == {"up"} and all(row["epoch"] == 1 and row["bound_seconds"] > 0 for row in rows)
        for weir in (one, two):
            assert [len(fleet(weir, user=f"user_{n}_account")) for n in range(4)] == [2, 2, 2, 0]
            assert len(fleet(weir, upstream="up", status="active")) == 6
            assert fleet(weir, upstream="other") == fleet(weir, status="failed") == fleet(weir, key="team-a") == []
            for account in set(places.values()):
                assert len(fleet(weir, account=account)) == list(places.values()).count(account)
            assert [row["id"] for row in fleet(weir, id=rows[0]["id"][:12])] == [rows[0]["id"]]
        status, said = page(one, scope="fleet", limit=5)
        assert status == 200 and len(said["sessions"]) == 5 and said["cut"] and not page(one, scope="fleet", limit=6)[1]["cut"]
        assert page(one, scope="all")[0] == 400
        table = show("sessions", "scope=fleet", "user=user_1_account", "--admin", f"127.0.0.1:{one.admin_port}")
        assert table.returncode == 0 and len(table.stdout.splitlines()) == 3, table
        assert one.metric("weir_session_search_pages_total", result="answered") >= 14
        # What one ends the other does not find any more.
        gone = sessions(one)[0]["id"]
        assert do(one, gone, "end")[0] == 200
        wait_for(lambda: gone not in {row["id"] for row in fleet(two)}, "it to be gone")
        assert len(fleet(two)) == 5 and listed(redis) == 5


def test_the_one_that_had_it_is_killed():
    with Redis() as redis, Api() as api, gateway(api, redis) as two:
        with gateway(api, redis) as one:
            moved(api, one, 1, **user(1))
            is_stored(redis, 1)
            one.kill()
        assert sessions(two) == [] and len(fleet(two, user="user_1_account")) == 1


def test_what_has_expired_is_gone():
    with Redis() as redis, Api() as api, gateway(api, redis, ttl="1s", affinity_ttl="1s") as one, gateway(api, redis) as two:
        moved(api, one, 1)
        is_stored(redis, 1)
        wait_for(lambda: fleet(two) == [], "its time to be up")
        assert redis.keys("weir:s:*") and listed(redis) == 1
        redis.ask("DEL", *redis.keys("weir:s:*"))  # as it does itself when the slack is over
        assert fleet(two) == [] and listed(redis) == 0


def test_a_redis_that_is_emptied_has_them_again():
    with Redis() as redis, Api() as api, gateway(api, redis) as one, gateway(api, redis) as two:
        for n in range(4):
            moved(api, one, n, **user(1))
        is_stored(redis, 4)
        assert len(fleet(two, user="user_1_account")) == 4
        redis.ask("FLUSHALL")
        wait_for(lambda: len(fleet(two, user="user_1_account")) == 4, "all to be told again")


def test_a_list_that_is_something_else():
    with Redis() as redis, Api() as api, gateway(api, redis) as one, gateway(api, redis) as two:
        moved(api, one, 1, **user(1))
        is_stored(redis, 1)
        [key] = redis.keys("weir:i:*")
        redis.ask("SET", key, "no list")
        fleet(one)
        assert one.metric("weir_session_lists_spoilt_total") == 1
        wait_for(lambda: len(fleet(two, user="user_1_account")) == 1, "it to be listed again")
        assert by_session(one, 1)[1] == by_session(two, 1)[1] == "hit"


def test_without_the_redis_it_is_said():
    with Redis() as redis, Api() as api, gateway(api, redis) as one:
        moved(api, one, 1)
        is_stored(redis, 1)
        with redis.stopped():
            status, error = page(one, scope="fleet")
            assert status == 503 and "scope=fleet" in error["error"]["message"]
            assert len(sessions(one)) == 1 and one.metric("weir_session_search_pages_total", result="failed") >= 1
        wait_for(lambda: page(one, scope="fleet")[0] == 200, "it to answer again")
        assert len(fleet(one)) == 1


def test_a_gateway_without_a_redis_is_all_there_is():
    with Api() as api, relay(api, *four()) as weir:
        moved(api, weir, 1)
        assert len(fleet(weir)) == len(sessions(weir)) == 1
