# SPDX-License-Identifier: Apache-2.0
"""A real Prometheus scrapes a running gateway with the files of contrib/: every rule and every panel's query answers."""
import json
import os
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import peers
from test_accounts import Api
from test_affinity import by_session, four, relay
from weirtest import ROOT, free_port, wait_for

CONTRIB = ROOT / "contrib"
RULES = CONTRIB / "prometheus" / "weir.rules.yml"


def promtool(*arguments, **options):
    return subprocess.run([peers.find("promtool", "prometheus"), *arguments], capture_output=True, text=True, check=False,
                          **options)


def prometheus(directory, weir, *more):
    """Debian's, with the configuration that we ship: another target, and no patience."""
    config = (CONTRIB / "prometheus" / "prometheus.yml").read_text()
    assert config.count("127.0.0.1:9901") == 1 and config.count("15s") == 2
    config = config.replace("127.0.0.1:9901", f"127.0.0.1:{weir.admin_port}").replace("15s", "1s")
    (directory / "prometheus.yml").write_text(config)
    (directory / RULES.name).write_text(RULES.read_text())
    port = free_port()
    return peers.Server([peers.find("prometheus", "prometheus"), f"--config.file={directory}/prometheus.yml",
                         f"--storage.tsdb.path={directory}/data", f"--web.listen-address=127.0.0.1:{port}", *more], port)


def get(server, path, **query):
    with urllib.request.urlopen(f"{server.url}/api/v1/{path}?{urllib.parse.urlencode(query)}", timeout=20) as answer:
        said = json.load(answer)
    assert said["status"] == "success", said
    return said["data"]


def is_ready(server):
    try:
        return urllib.request.urlopen(f"{server.url}/-/ready", timeout=20).status == 200
    except urllib.error.URLError:
        return False


def panels():
    dashboard = json.loads((CONTRIB / "grafana" / "weir.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            expr = target["expr"].replace("$__rate_interval", "1m").replace("$instance", ".*")
            assert "$" not in expr, expr
            yield panel["title"], expr


def test_rules_are_sound():
    for arguments in (("check", "rules", str(RULES)), ("check", "config", str(CONTRIB / "prometheus" / "prometheus.yml")),
                      ("test", "rules", "weir.rules.test.yml")):
        judged = promtool(*arguments, cwd=CONTRIB / "prometheus", env={**os.environ, "TZ": "UTC"})
        assert judged.returncode == 0, judged


def test_a_real_prometheus_has_answers_to_everything(tmp_path):
    with Api() as api, relay(api, *four()) as weir:
        for number in range(4):
            assert by_session(weir, number)[2] == 200
        with prometheus(tmp_path, weir) as server:
            wait_for(lambda: is_ready(server), "Prometheus to be ready", deadline=60)

            def rules():
                return [rule for group in get(server, "rules")["groups"] for rule in group["rules"]]
            wait_for(lambda: rules() and all(rule["health"] == "ok" for rule in rules()), "every rule to be evaluated",
                     deadline=60)
            assert len(rules()) == RULES.read_text().count("expr:")
            names = {rule["name"] for rule in rules() if rule.get("state") == "firing"}
            assert not names, names
            asked = list(panels())
            assert len(asked) > 30
            for title, expr in asked:
                wait_for(lambda: get(server, "query", query=expr)["result"], f"an answer to {title}: {expr}", deadline=60)

            def is_up():
                (target,) = get(server, "targets")["activeTargets"]
                return target["health"] == "up" and not target["lastError"]
            wait_for(is_up, "a scrape that was in time", deadline=60)
