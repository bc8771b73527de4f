# SPDX-License-Identifier: Apache-2.0
"""What processes count goes on where another one takes over: metrics never fall."""
import re
import threading

import pytest

from upgrading import Upgraded
from weirtest import Upstream, free_port, wait_for


def counted(text):
    """Counters and histograms of a page: { sample: value }."""
    kinds = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.M))
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            sample, _, value = line.rpartition(" ")
            family, _, labels = sample.partition("{")
            name = family + " " + ",".join(sorted(re.findall(r'\w+="(?:[^"\\]|\\.)*"', labels)))
            base = re.sub(r"_(bucket|count|sum)$", "", family)
            if kinds.get(family) == "counter" or kinds.get(base) == "histogram":
                assert name not in found, f"{name} is twice on the page"
                found[name] = float(value)
    return found


def page(weir):
    return counted(weir.admin("/metrics").text)


def requests(weir, **labels):
    return weir.metric("weir_http_requests_total", **labels)


def script(peer):
    while (request := peer.request()) is not None:
        if b"/teapot" in request[0]:
            peer.send("HTTP/1.1 418 I am\r\nContent-Length: 0\r\n\r\n")
        else:
            peer.ok()


def test_what_was_counted_goes_on():
    with Upstream(script) as upstream, Upgraded(upstream) as weir:
        for _ in range(7):
            assert weir.ask().status == 200
        assert weir.ask("/teapot").status == 418
        before = page(weir)
        weir.upgrade()
        weir.alone()
        after = page(weir)
        assert requests(weir, code="200") == 7
        assert requests(weir, code="418") == 1  # that nobody was answered by the new process
        assert all(after[name] >= value for name, value in before.items()), before
        assert weir.metric("weir_http_request_seconds_count") == 8
        assert weir.metric("weir_http_request_seconds_bucket", le="+Inf") == 8
        assert weir.ask().status == 200
        assert requests(weir, code="200") == 8
        assert weir.metric("weir_http_request_seconds_count") == 9
        assert weir.metric("weir_upgrades_total", result="done") == 1  # and is not counted twice
        openmetrics = weir.admin("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}).text
        assert re.search(r'weir_http_requests_total\{.*code="418".*\} 1$', openmetrics, re.M)
        assert openmetrics.endswith("# EOF\n")


def test_what_the_old_process_counts_until_its_end_is_counted():
    asked, answer = threading.Event(), threading.Event()

    def slow(peer):
        while (request := peer.request()) is not None:
            if b"/slow" in request[0]:
                asked.set()
                assert answer.wait(30)
            peer.ok()

    with Upstream(slow) as upstream, Upgraded(upstream, drain=20) as weir, weir.client() as client:
        client.get("/slow")
        assert asked.wait(20)
        weir.upgrade()
        assert weir.ask().status == 200
        assert requests(weir) == 1
        answer.set()
        assert client.final().status == 200
        weir.alone()
        assert requests(weir, code="200") == 2
        assert weir.metric("weir_http_request_seconds_count") == 2


def test_what_a_configuration_has_no_more_is_gone():
    """As it would be after a reload."""
    port = free_port()

    with Upstream(script) as upstream, Upgraded(upstream) as weir:
        weir.configure(lambda config: config["listeners"].append(
            {**config["listeners"][0], "name": "more", "address": f"127.0.0.1:{port}"}))
        weir.upgrade()
        weir.alone()
        kept, weir.port = weir.port, port
        assert weir.ask("/teapot").status == 418
        weir.port = kept
        weir.configure(lambda config: config["listeners"].pop())
        weir.upgrade()
        weir.alone()
        assert not [name for name in page(weir) if 'listener="more"' in name or 'pool="listener:more"' in name]
        assert requests(weir) == 0


def test_a_filter_leaves_nothing_out_of_what_is_handed_over():
    def only(config, *names):
        config["metrics"] = {"include": list(names)} if names else {}

    with Upstream(script) as upstream, Upgraded(upstream) as weir:
        assert weir.ask().status == 200
        weir.configure(lambda config: only(config, "weir_process_*"))
        weir.upgrade()
        weir.alone()
        assert not [name for name in page(weir) if name.startswith("weir_http")]
        weir.configure(only)
        weir.upgrade()
        weir.alone()
        assert requests(weir) == 1


class Watch(threading.Thread):
    """Reads the metrics again and again, as fast as it can: none may ever be less than it was, or be gone. Who asks a process that ends
    in that moment is cut off, once for each (docs/explanation/upgrade.md), and asks again."""

    def __init__(self, weir):
        super().__init__(daemon=True)
        self.weir, self.over, self.fallen, self.pages, self.generations = weir, threading.Event(), [], 0, set()
        self.cut = 0

    def run(self):
        before = {}
        while not self.over.is_set():
            try:
                text = self.weir.admin("/metrics").text
            except ConnectionError:
                self.cut += 1
                continue
            now = counted(text)
            self.generations.add(re.search(r"^weir_process_generation (\d+)$", text, re.M)[1])
            self.fallen += [(name, value, now.get(name)) for name, value in before.items() if now.get(name, -1) < value]
            before, self.pages = now, self.pages + 1


@pytest.mark.parametrize("workers", [1, 2])
def test_no_figure_falls_while_processes_take_over_from_each_other_under_load(workers):
    with Upstream(script) as upstream, Upgraded(upstream, workers=workers, drain=2) as weir:
        done, over, failed = [], threading.Event(), []

        def load():
            try:
                while not over.is_set():
                    with weir.client() as client:
                        last = False
                        while not last and not over.is_set():
                            answer = client.get("/teapot" if len(done) % 10 == 0 else "/").final()
                            done.append(answer.status)
                            last = answer.header("connection") == "close"
            except Exception as error:  # whatever it is, the test has to hear of it
                failed.append(error)

        threads = [threading.Thread(target=load, daemon=True) for _ in range(3)]
        watch = Watch(weir)
        for thread in [*threads, watch]:
            thread.start()
        for _ in range(3):
            so_far = watch.pages
            wait_for(lambda: watch.pages >= so_far + 5, "pages")  # noqa: B023
            weir.upgrade()
            weir.alone()
        so_far = watch.pages
        wait_for(lambda: watch.pages >= so_far + 5, "pages")
        over.set()
        watch.over.set()
        for thread in [*threads, watch]:
            thread.join(30)
            assert not thread.is_alive()
        assert not failed and not watch.fallen, (failed, watch.fallen[:10])
        assert watch.generations == {"1", "2", "3", "4"} and watch.cut <= 3
        assert requests(weir, code="200") == done.count(200) and requests(weir, code="418") == done.count(418)
        assert weir.metric("weir_http_request_seconds_count") == len(done)
