# SPDX-License-Identifier: Apache-2.0
"""A tool that serves: it prints its port, serves until its input ends, and then says in JSON what it saw."""
import contextlib
import json
import subprocess


class Tool:
    def __init__(self, *command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True)
        self.port = int(self.process.stdout.readline())
        self.said = None

    def end(self):
        out, err = self.process.communicate(timeout=60)
        assert self.process.returncode == 0 and not err, err
        self.said = json.loads(out)
        return self.said

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.said is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                print(self.process.communicate(timeout=30)[1])  # what it died of, if it did
            self.process.kill()
            self.process.wait()
