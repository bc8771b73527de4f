// SPDX-License-Identifier: Apache-2.0
//
// undici beside client_bench.c: dispatch(), its cheapest interface, N requests in flight.
//
//     node client_undici.mjs UNDICI PORT PATH IN_FLIGHT WARM_S SECONDS
//
// UNDICI is the package's folder. One line of JSON, as client_bench prints.
import { createRequire } from 'node:module';

const [undici, port, path, inFlight, warm, seconds] = process.argv.slice(2);
const { Pool } = createRequire(import.meta.url)(undici);
const pool = new Pool(`http://127.0.0.1:${port}`, { connections: Number(inFlight), pipelining: 1 });
const start = process.hrtime.bigint() + BigInt(Math.round(Number(warm) * 1e9));
const length = BigInt(Math.round(Number(seconds) * 1e9));
let requests = 0, failed = 0, checks = 0, connections = 0;
let begun = 0n, cpu = null, over = false;
pool.on('connect', () => { connections += 1; });

function count(good) {
  if (!good) failed += 1;
  if (cpu !== null && !over) requests += 1;
  if (++checks % 64 !== 0) return;
  const now = process.hrtime.bigint();
  if (cpu === null && now >= start) {
    begun = now;
    cpu = process.cpuUsage();
  } else if (cpu !== null && !over && now >= begun + length) {
    over = true;
    const used = process.cpuUsage(cpu);
    console.log(JSON.stringify({
      requests, seconds: Number(now - begun) / 1e9,
      cpu_us_per_request: (used.user + used.system) / Math.max(requests, 1), connections, failed,
    }));
    process.exit(0);
  }
}

let status = 0;
const handler = {
  onConnect() {},
  onHeaders(code) { status = code; return true; },
  onData() { return true; },
  onComplete() { count(status === 200); next(); },
  onError() { count(false); next(); },
};
const request = { path, method: 'GET' };

function next() {
  pool.dispatch(request, handler);
}

for (let i = 0; i < Number(inFlight); i += 1) next();
