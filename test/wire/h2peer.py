# SPDX-License-Identifier: Apache-2.0
"""An HTTP/2 server of python3-h2 that does what a test says, on plain TCP by prior knowledge."""
import contextlib
import socket
import threading

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from weirtest import DEADLINE


class Peer:
    """One connection: events of h2 in, answers out. A script may use self.h2 as it likes."""

    def __init__(self, home, sock):
        self.home, self.sock = home, sock
        self.h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, validate_outbound_headers=False,
                                      normalize_outbound_headers=False))
        self.bodies, self.heads, self.pending = {}, {}, {}
        self.pings = 0
        self.resets = []
        self.lock = threading.RLock()
        self.is_open = True

    def run(self):
        with contextlib.suppress(OSError, h2.exceptions.ProtocolError):
            if self.home.greet:
                self.greet()
            while self.is_open and (data := self.sock.recv(65536)):
                with self.lock:
                    for event in self.h2.receive_data(data):
                        self._take(event)
                    self.send()
        self.is_open = False
        self.sock.close()

    def greet(self):
        with self.lock:
            self.h2.local_settings = h2.settings.Settings(client=False, initial_values=self.home.settings)
            self.h2.initiate_connection()
            self.send()

    def send(self):
        with self.lock:
            if data := self.h2.data_to_send():
                self.sock.sendall(data)

    def _take(self, event):
        if isinstance(event, h2.events.RequestReceived):
            self.heads[event.stream_id] = {k.decode() if isinstance(k, bytes) else k:
                                           v.decode() if isinstance(v, bytes) else v
                                           for k, v in event.headers}
            self.bodies[event.stream_id] = b""
            if self.heads[event.stream_id].get("expect") == "100-continue" and event.stream_ended is None:
                self.h2.send_headers(event.stream_id, [(":status", "100")])
        elif isinstance(event, h2.events.DataReceived):
            self.bodies[event.stream_id] += event.data
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.TrailersReceived):
            self.home.trailers.append(dict(event.headers))
        elif isinstance(event, h2.events.StreamEnded):
            self.home.asked(self, event.stream_id)
        elif isinstance(event, h2.events.StreamReset):
            self.resets.append((event.stream_id, event.error_code))
            self.pending.pop(event.stream_id, None)
        elif isinstance(event, h2.events.PingReceived):
            self.pings += 1
        elif isinstance(event, (h2.events.WindowUpdated, h2.events.RemoteSettingsChanged)):
            self._flow()

    def answer(self, stream, body=b"fine", status=200, headers=(), trailers=None, length=True):
        """Head, body as the windows allow, trailers; nothing where the stream is gone."""
        with self.lock, contextlib.suppress(OSError, h2.exceptions.ProtocolError):
            head = [(":status", str(status)), *headers]
            if length and trailers is None:
                head.append(("content-length", str(len(body))))
            done = not body and trailers is None
            self.h2.send_headers(stream, head, end_stream=done)
            if not done:
                self.pending[stream] = (body, trailers)
                self._flow()
            self.send()

    def _flow(self):
        for stream, (body, trailers) in list(self.pending.items()):
            while body:
                room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)
                if room <= 0:
                    break
                part, body = body[:room], body[room:]
                self.h2.send_data(stream, part, end_stream=not body and trailers is None)
            self.pending[stream] = (body, trailers)
            if not body:
                del self.pending[stream]
                if trailers is not None:
                    self.h2.send_headers(stream, list(trailers), end_stream=True)

    def cut(self):
        self.is_open = False
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)


class H2Upstream:
    """Serves until it is stopped. `script(peer, stream)` is called for each complete request."""

    def __init__(self, script=None, settings=None, greet=True):
        self.script = script or (lambda peer, stream: peer.answer(stream))
        self.settings = {h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 100, **(settings or {})}
        self.greet = greet
        self.peers, self.requests, self.trailers = [], 0, []
        self.most = 0  # requests open at a time, of all connections
        self.open = 0
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.settimeout(DEADLINE * 6)
                peer = self.peer_of(sock)
                self.peers.append(peer)
                threading.Thread(target=peer.run, daemon=True).start()

    def peer_of(self, sock):
        return Peer(self, sock)

    def asked(self, peer, stream):
        self.requests += 1
        self.script(peer, stream)

    @property
    def heads(self):
        return [head for peer in self.peers for head in peer.heads.values()]

    @property
    def alive(self):
        return [peer for peer in self.peers if peer.is_open]

    def stop(self):
        self.listener.close()
        for peer in self.peers:
            peer.cut()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()
