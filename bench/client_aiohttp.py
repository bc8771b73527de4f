#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""aiohttp beside client_bench.c: one session, N requests in flight.

    client_aiohttp.py PORT PATH IN_FLIGHT WARM_S SECONDS

One line of JSON, as client_bench prints.
"""
import asyncio
import json
import resource
import sys
import time

import aiohttp


def cpu():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def main(port, path, in_flight, warm, seconds):
    done = {"requests": 0, "failed": 0, "connections": 0}
    trace = aiohttp.TraceConfig()

    async def created(*_):
        done["connections"] += 1

    trace.on_connection_create_end.append(created)
    url, over = f"http://127.0.0.1:{port}{path}", False
    connector = aiohttp.TCPConnector(limit=in_flight, limit_per_host=in_flight)
    async with aiohttp.ClientSession(connector=connector, trace_configs=[trace]) as session:
        async def one():
            while not over:
                async with session.get(url) as answer:
                    await answer.read()
                    done["failed"] += answer.status != 200
                done["requests"] += 1

        tasks = [asyncio.create_task(one()) for _ in range(in_flight)]
        await asyncio.sleep(warm)
        begun, used, before = time.monotonic(), cpu(), done["requests"]
        await asyncio.sleep(seconds)
        took, used, requests = time.monotonic() - begun, cpu() - used, done["requests"] - before
        over = True
        await asyncio.gather(*tasks)
    print(json.dumps({"requests": requests, "seconds": took, "failed": done["failed"],
                      "cpu_us_per_request": used * 1e6 / max(requests, 1),
                      "connections": done["connections"]}))


asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), float(sys.argv[5])))
