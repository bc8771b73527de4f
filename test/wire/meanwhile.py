# SPDX-License-Identifier: Apache-2.0
"""What a flood must not do: while it goes on, others are served and memory stays within bounds."""
import threading

GROWTH_MAX = 16 << 20  # bytes


class Meanwhile:
    """Around a flood: `ask` is somebody else's request, made again and again until the flood is over; True: served.

    Fails where one of them was not, none was made, or the program grew by more than GROWTH_MAX at any time.
    """

    def __init__(self, weir, ask=None):
        self.weir = weir
        self.ask = ask or (lambda: weir.ask().status == 200)
        self.asked, self.failed, self.most = 0, [], 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def __enter__(self):
        assert self.ask()  # what is needed for a request is there by now
        self.before = self.weir.resident()
        self.cpu = self.weir.cpu_seconds()
        self.thread.start()
        return self

    def watch(self):
        while True:
            try:
                if not self.ask():
                    self.failed.append("a request of somebody else was not served")
            except Exception as error:  # whatever it is, the test has to hear of it
                self.failed.append(f"{type(error).__name__}: {error}")
            self.asked += 1
            self.most = max(self.most, self.weir.resident())
            if self.over.wait(0.005):
                return

    def __exit__(self, kind, *exc):
        self.over.set()
        self.thread.join()
        if kind is None:
            self.most = max(self.most, self.weir.resident())
            assert not self.failed and self.asked, self.failed
            assert self.most - self.before <= GROWTH_MAX, f"grew by {(self.most - self.before) >> 10} KiB"

    @property
    def cpu_seconds(self):
        return self.weir.cpu_seconds() - self.cpu
