# SPDX-License-Identifier: Apache-2.0
"""A name server of the test's own: UDP on loopback, told what names lead to."""
import socket
import struct
import threading

A, AAAA, SRV = 1, 28, 33


def name_bytes(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


class NameServer:
    """`names` is {name: [addresses]}, `services` {name: [(priority, weight, port, target)]}; they may change at any
    time. Of names in `fails` it says that it cannot tell, or of one kind of records where that is there with the name."""

    def __init__(self, names, ttl=1, services=None):
        self.names, self.ttl, self.asked = names, ttl, []
        self.services, self.fails = services or {}, set()
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
        """Look-ups of a name so far: questions for IPv4 addresses, or for services."""
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
        known = self.services.get(name) if kind == SRV else self.names.get(name)
        if kind in (A, SRV):
            self.asked.append(name)
        found = []
        if kind in (A, AAAA):
            family = socket.AF_INET if kind == A else socket.AF_INET6
            found = [socket.inet_pton(family, address) for address in known or [] if (":" in address) == (kind == AAAA)]
        elif kind == SRV:
            found = [struct.pack(">HHH", *service[:3]) + name_bytes(service[3]) for service in known or []]
        records = b"".join(struct.pack(">HHHIH", 0xC00C, kind, 1, self.ttl, len(data)) + data for data in found)
        code = 2 if name in self.fails or (name, kind) in self.fails else 0 if known is not None else 3
        head = struct.pack(">HHHHHH", struct.unpack(">H", packet[:2])[0], 0x8180 | code, 1, len(found), 0, 0)
        return head + question + records
