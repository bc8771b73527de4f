# SPDX-License-Identifier: Apache-2.0
"""Everybody at once: clients of HTTP/1.1, HTTP/2, event streams, WebSockets and gRPC, who come again and again while a test
does something to the gateway, and crowds who connect just then. Whatever goes wrong for one of them is kept."""
import asyncio
import contextlib
import threading

import aiohttp
import grpc
import websockets

import wsraw
from grpcpeer import GrpcServer
from h2raw import H2
from weirtest import DEADLINE, Client, Upstream, wait_for

EVENTS = 12  # of an event stream, 50 ms apart
BACKLOG = 500


def script(peer):
    """The upstream: answers, event streams, WebSockets that say what they hear."""
    pause = threading.Event()
    while (request := peer.request()) is not None:
        head = request[0]
        if b"upgrade: websocket" in head.lower():
            wsraw.echo(wsraw.WsPeer(peer, head).accept())
            return
        if b"/events" in head:
            peer.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            for number in range(EVENTS):
                event = f"data: {number}\n\n"
                peer.send(f"{len(event):x}\r\n{event}\r\n")
                pause.wait(0.05)
            peer.send("0\r\n\r\n")
        else:
            peer.ok(b"x" * 1000)


KINDS = 7  # of what visitors do


class Visitors:
    """Threads that each do one thing again and again; whatever goes wrong is kept."""

    def __init__(self, port):
        self.port, self.over = port, threading.Event()
        self.done, self.failures, self.threads = {}, [], []

    def start(self, *kinds):
        for kind in kinds:
            self.threads.append(threading.Thread(target=self.run, args=(kind,), daemon=True))
            self.threads[-1].start()
        return self

    def run(self, kind):
        try:
            kind()
        except Exception as error:  # whatever it is, the test has to hear of it
            self.failures.append(f"{kind.__name__}: {type(error).__name__}: {error}")

    def count(self, what):
        self.done[what] = self.done.get(what, 0) + 1

    def start_all(self):
        return self.start(self.kept, self.kept, self.fresh, self.streams, self.events, self.sockets, self.calls, self.library)

    @contextlib.contextmanager
    def turn(self):
        """Around what is done to the gateway: 500 connect meanwhile, with a request each, and all of them are answered; and
        everybody else has had an answer since, before it is over."""
        seen = dict(self.done)
        with crowd(self.port):
            yield
        wait_for(lambda: self.failures or len(self.done) == KINDS and all(self.done[k] > seen.get(k, 0) for k in self.done),
                 "everybody's next turn")
        assert not self.failures, self.failures

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self.threads)

    def kept(self):
        """HTTP/1.1: one connection, until an answer says that it is the last one there."""
        while not self.over.is_set():
            with Client(self.port) as client:
                last = False
                while not last and not self.over.wait(0.002):
                    answer = client.get().final()
                    assert answer is not None and answer.status == 200 and len(answer.body) == 1000, answer
                    last = answer.header("connection") == "close"
                    self.count("kept")

    def fresh(self):
        while not self.over.wait(0.002):
            with Client(self.port) as client:
                answer = client.get(headers="Connection: close\r\n").final()
                assert answer is not None and answer.status == 200, answer
                self.count("fresh")

    def streams(self):
        """HTTP/2: until GOAWAY. A stream that it was too late for was not processed, and is asked for again
        (RFC 9113, 6.8)."""
        while not self.over.is_set():
            with H2(self.port) as h2:
                while not h2.goaways and not self.over.wait(0.002):
                    number = h2.request()
                    h2.until(lambda: h2.stream(number).done or h2.stream(number).reset is not None
                             or any(last < number for last, _ in h2.goaways), "an answer")
                    stream = h2.stream(number)
                    if stream.status is None:
                        assert any(last < number for last, _ in h2.goaways) and stream.reset in (None, 7), stream.reset
                        break
                    assert stream.status == 200 and len(stream.body) == 1000, stream.status
                    self.count("streams")

    def events(self):
        while not self.over.is_set():
            with Client(self.port) as client:
                answer = client.get("/events").final()
                assert answer.status == 200 and answer.complete, answer
                assert answer.body.count(b"data: ") == EVENTS, answer.body
                self.count("events")

    def sockets(self):
        """WebSockets by a library: told to go away (1001), it comes again."""
        async def talk():
            while not self.over.is_set():
                async with websockets.connect(f"ws://127.0.0.1:{self.port}/ws", open_timeout=30) as ws:
                    try:
                        while not self.over.is_set():
                            await ws.send("hello")
                            assert await ws.recv() == "hello"
                            self.count("sockets")
                            await asyncio.sleep(0.005)
                    except websockets.ConnectionClosed as end:
                        assert end.rcvd is not None and end.rcvd.code == 1001, end
        asyncio.run(talk())

    def calls(self):
        """gRPC by its own library."""
        with grpc.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            echo = channel.unary_unary("/t.T/Echo")
            while not self.over.wait(0.002):
                assert echo(b"hello", timeout=30) == b"hello"
                self.count("calls")

    def library(self):
        """A client with a pool of its own."""
        async def ask():
            async with aiohttp.ClientSession() as session:
                while not self.over.is_set():
                    async with session.get(f"http://127.0.0.1:{self.port}/") as answer:
                        assert answer.status == 200 and len(await answer.read()) == 1000
                        self.count("library")
                    await asyncio.sleep(0.002)
        asyncio.run(ask())


@contextlib.contextmanager
def crowd(port, size=BACKLOG):
    """So many connect, and ask, while the body runs; it has begun when that begins."""
    begun, answers, clients = threading.Event(), [], []

    def come():
        begun.set()
        for _ in range(size):
            clients.append(Client(port).get(headers="Connection: close\r\n"))
        answers.extend(client.final() for client in clients)

    thread = threading.Thread(target=come, daemon=True)
    thread.start()
    assert begun.wait(DEADLINE)
    try:
        yield
        thread.join(60)
        assert [a.status if a else None for a in answers] == [200] * size
    finally:
        for client in clients:
            client.close()


@contextlib.contextmanager
def served():
    """What they visit: (its upstream, options of the gateway before it)."""
    with Upstream(script) as upstream, GrpcServer() as grpc_server:
        yield upstream, {
            "routes": [{"match": {"path": "/t.T/"}, "upstream": "calls"}, {"match": {"path": "/"}, "upstream": "up"}],
            "upstreams": [{"name": "up", "endpoints": [{"url": upstream.url}]},
                          {"name": "calls", "protocol": "grpc", "endpoints": [{"url": grpc_server.url}]}],
            "pool": {"max_connections": 2000}}
