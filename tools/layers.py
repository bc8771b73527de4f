#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Fails on an include against src/LAYERS, the picture of the architecture as a file.

    tools/layers.py [ROOT]      judge the tree at ROOT (this one without it)
    tools/layers.py --self-test make a bad tree and see each fault found

A file of src/LAYER may include its own layer, the layers its line names, include/weir, and system
headers. Public headers include nothing of src. Tests beside the sources and those of test/ may reach
into test/ as well. A circle among the layers, and a folder of src/ that has no line, are faults too.
"""
import pathlib
import re
import sys
import tempfile

INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"')
SYSTEM = re.compile(r"^\s*#\s*include\s*<([^>]+)>")

# What only one layer may touch: libuv, DNS and sockets belong to io; time and descriptors are kept
# from the layers that only compute.
ONLY_IO = re.compile(r"^(uv\.h|uv/.*|ares.*\.h|openssl/.*)$")
NO_SYSTEM = re.compile(r"^(sys/(socket|epoll|time|un)\.h|netinet/.*|arpa/.*|netdb\.h|pthread\.h|poll\.h)$")
PURE = ("base", "core", "proto")
# … but for what only computes: digests and base64, addresses as text.
COMPUTES = {"proto": ("openssl/evp.h", "arpa/inet.h")}


def read_layers(path):
    layers = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        line = line.split("#")[0].strip()
        if not line:
            continue
        name, colon, below = line.partition(":")
        if not colon or not name.isidentifier():
            raise SystemExit(f"{path}:{number}: not a line of the form 'layer: layer...'")
        layers[name] = below.split()
    return layers


def faults_of_layers(layers):
    """Each line may only name lines above it: no circle can be written."""
    seen = []
    for name, below in layers.items():
        for other in below:
            if other not in seen:
                yield f"src/LAYERS: {name} names {other}, which is not a line above it"
        seen.append(name)


def faults_of_file(root, path, layer, layers):
    allowed = {layer, *layers.get(layer, ())}
    is_test = path.name.endswith(("_test.c", "_bench.c"))
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        place = f"{path.relative_to(root)}:{number}"
        own = INCLUDE.match(line)
        if own:
            target = own.group(1)
            top = target.split("/")[0]
            if "/" not in target or target.startswith("."):
                yield f'{place}: "{target}" is not written as "layer/file.h"'
            elif top in layers and top not in allowed:
                yield f'{place}: {layer} may not include {top} ("{target}")'
            elif top not in layers and not is_test:
                yield f'{place}: "{target}" is of no layer'
        system = SYSTEM.match(line)
        if system and not is_test:
            header = system.group(1)
            if header in COMPUTES.get(layer, ()):
                continue
            if ONLY_IO.match(header) and layer in PURE:
                yield f"{place}: {layer} may not include <{header}>"
            if NO_SYSTEM.match(header) and layer in PURE:
                yield f"{place}: {layer} only computes; <{header}> is not for it"


def faults_of_tree(root):
    layers = read_layers(root / "src" / "LAYERS")
    yield from faults_of_layers(layers)
    for folder in sorted(p for p in (root / "src").iterdir() if p.is_dir()):
        if folder.name not in layers:
            yield f"src/{folder.name}: a folder without a line in src/LAYERS"
            continue
        for path in sorted(folder.rglob("*.[ch]")):
            yield from faults_of_file(root, path, folder.name, layers)
    public = root / "include"
    for path in sorted(public.rglob("*")) if public.is_dir() else ():
        if path.suffix not in (".h", ".def"):
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if INCLUDE.match(line):
                yield f'{path.relative_to(root)}:{number}: a public header includes with <weir/...>'


def self_test():
    """A made-up tree with one fault of each kind; every one must be named, and nothing else."""
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        files = {
            "src/LAYERS": "base:\ncore: base\nio: base\nbad: later\nlater: base core\n",
            "src/base/a.h": "#include <stdint.h>\n",
            "src/core/good.c": '#include "core/a.h"\n#include <weir/weir.h>\n#include "base/a.h"\n',
            "src/core/up.c": '#include "io/loop.h"\n',
            "src/core/socket.c": "#include <sys/socket.h>\n",
            "src/core/uv.c": "#include <uv.h>\n",
            "src/core/near.c": '#include "a.h"\n',
            "src/core/odd.c": '#include "nowhere/a.h"\n',
            "src/core/odd_test.c": '#include "support/clock.h"\n',
            "src/bad/a.c": "",
            "src/later/a.c": '#include "base/a.h"\n#include "core/a.h"\n',
            "src/stray/a.c": "",
            "include/weir/weir.h": '#include "core/a.h"\n',
        }
        for name, text in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        found = list(faults_of_tree(root))
        wanted = ("src/LAYERS: bad names later", "src/core/up.c:1:", "src/core/socket.c:1:",
                  "src/core/uv.c:1:", "src/core/near.c:1:", "src/core/odd.c:1:", "src/stray:",
                  "include/weir/weir.h:1:")
        for start in wanted:
            if sum(fault.startswith(start) for fault in found) != 1:
                raise SystemExit(f"self-test: {start!r} was not found exactly once in {found}")
        if len(found) != len(wanted):
            raise SystemExit(f"self-test: more faults than were made: {found}")
    print("layers: the self-test found every fault")


def main():
    if "--self-test" in sys.argv[1:]:
        self_test()
        return 0
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else __file__).resolve()
    if root.is_file():
        root = root.parent.parent
    faults = list(faults_of_tree(root))
    for fault in faults:
        print(fault)
    print(f"layers: {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
