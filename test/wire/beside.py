# SPDX-License-Identifier: Apache-2.0
"""What slow clients must not do: make others wait. How long others wait is told beside a control: a second gateway that nobody
attacks, asked by the same asker, at the same time, in turns.

A machine that has other things to do makes everybody wait now and then, for longer than any figure that is worth a promise; but it
makes both gateways wait. Not the usual answer is compared but the longest one of each: that of the attacked gateway may be longer by
MORE_MAX at most. Chance may still fall upon one of the two alone, and does not fall upon the same one time after time; what an
attack does, it does each time. So an attack that seems to be felt is made again, and has failed where it is felt in each of TRIES.

The figure is the release program's (`make bounds`); the sanitizers make of each millisecond of work several."""
import threading
import time

from weirtest import Client, Upstream, Weir, is_sanitized

USUAL_MAX = 0.05  # seconds
MORE_MAX = 0.25 if is_sanitized() else USUAL_MAX
TRIES = 3


class Beside:
    """Around an attack on `weir`: both are asked until it is over."""

    def __init__(self, weir, control):
        self.ports = (weir.port, control.port)
        self.took = ([], [])  # seconds
        self.over, self.error = threading.Event(), None
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        try:
            while not self.over.is_set() or not self.took[1]:
                for port, took in zip(self.ports, self.took):
                    took.append(asked(port))
                self.over.wait(0.002)
        except BaseException as why:  # whatever it is, the test has to hear of it
            self.error = why

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, kind, *exc):
        self.over.set()
        self.thread.join()
        if kind is None and self.error is not None:
            raise self.error

    @property
    def usual(self):
        """Of the attacked one, and of the other."""
        return tuple(sorted(took)[len(took) // 2] for took in self.took)

    @property
    def longest(self):
        return tuple(max(took) for took in self.took)

    def is_felt(self):
        return self.usual[0] > self.usual[1] + USUAL_MAX or self.longest[0] > self.longest[1] + MORE_MAX

    def __str__(self):
        (usual, beside), (longest, longest_beside) = self.usual, self.longest
        return (f"{len(self.took[0])} others waited {1000 * usual:.1f} ms, the longest {1000 * longest:.0f}; "
                f"beside it {1000 * beside:.1f}, {1000 * longest_beside:.0f}")


def asked(port):
    """How long somebody waits for an answer, on a connection of its own."""
    begun = time.monotonic()
    with Client(port) as client:
        client.get()
        assert client.final().status == 200
    return time.monotonic() - begun


def must_not_be_felt(weir, attack):
    """`attack()` is made while others ask."""
    said = []
    with Upstream() as upstream, Weir(upstream, workers=1) as control:
        for port in (weir.port, control.port):
            asked(port)  # what is needed for a request is there by now
        while len(said) < TRIES:
            with Beside(weir, control) as beside:
                attack()
            said.append(str(beside))
            if not beside.is_felt():
                break
        print("\n".join(said))
        assert not beside.is_felt(), said
