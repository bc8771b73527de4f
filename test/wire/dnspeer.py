# SPDX-License-Identifier: Apache-2.0
"""A name server of the test's own: UDP on loopback, told what names lead to."""
import socket
import struct
import threading

A, AAAA = 1, 28


class NameServer:
    """`names` is {name: [IPv4 addresses]}, and may change at any time."""

    def __init__(self, names, ttl=1):
        self.names, self.ttl, self.asked = names, ttl, []
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.sock.getsockname()[1]}"
        self.errors = []
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self.sock.getsockname())
        self.thread.join(10)
        self.sock.close()
        assert not self.errors, self.errors

    def count(self, name):
        """Look-ups of a name so far: questions for IPv4 addresses."""
        return self.asked.count(name)

    def _serve(self):
        while True:
            packet, peer = self.sock.recvfrom(512)
            if not packet:
                return
            try:
                self.sock.sendto(self._answer(packet), peer)
            except Exception as error:  # a fault of the server itself must fail the test
                self.errors.append(error)

    def _answer(self, packet):
        labels, at = [], 12
        while packet[at]:
            labels.append(packet[at + 1:at + 1 + packet[at]].decode())
            at += 1 + packet[at]
        kind = struct.unpack(">H", packet[at + 1:at + 3])[0]
        question = packet[12:at + 5]
        name = ".".join(labels).lower()
        known = self.names.get(name)
        if kind == A:
            self.asked.append(name)
        found = list(known or []) if kind == A else []
        records = b"".join(struct.pack(">HHHIH", 0xC00C, A, 1, self.ttl, 4) + socket.inet_aton(a) for a in found)
        code = 0 if known is not None else 3
        head = struct.pack(">HHHHHH", struct.unpack(">H", packet[:2])[0], 0x8180 | code, 1, len(found), 0, 0)
        return head + question + records
