// SPDX-License-Identifier: Apache-2.0
// One event stream of snapshots, and what follows from two of them in a row. fetch() reads it, not
// EventSource, which cannot send a token. A page that nobody looks at reads nothing.

import { request } from './api.js';

const SPAN = 600; // seconds of the past that are kept
const PATIENCE_MS = 8000; // a stream that says nothing for so long is dead

/** What the pages read. `state`: connecting, live, paused, lost. */
export const live = {
  state: 'connecting', tries: 0, at: 0, heard: 0, snap: null, before: null,
  pools: new Map(), // name → { acquires, errors, open, waiting }: lists, a point a second
  routes: new Map(), // upstream → { requests, errors, p50, p95, p99, heat }; '' is all of them
};

const hearers = new Set();
let reader = null;
let timer = 0;
let generation = 0;

export function onChange(hear) {
  hearers.add(hear);
}

function tell() {
  for (const hear of hearers) hear();
}

// --- figures ---------------------------------------------------------------------------------

/** Flat pairs to a list of counts. */
export function spread(pairs, length) {
  const list = new Array(length).fill(0);
  for (let i = 0; pairs && i < pairs.length; i += 2) list[pairs[i]] = pairs[i + 1];
  return list;
}

export function minus(now, before) {
  return now.map((n, i) => Math.max(0, n - (before ? before[i] || 0 : 0)));
}

function plus(sum, list) {
  return list.map((n, i) => n + (sum[i] || 0));
}

/** The value below which the share q of the counts lies, within its class by its place. */
export function quantile(counts, bounds, q) {
  const all = counts.reduce((sum, n) => sum + n, 0);
  if (all === 0) return null;
  let left = q * all;
  for (let i = 0; i < counts.length; i++) {
    if (counts[i] > 0 && left <= counts[i]) {
      const low = i === 0 ? 0 : bounds[i - 1];
      const high = i < bounds.length ? bounds[i] : low * 2;
      return low + (high - low) * (left / counts[i]);
    }
    left -= counts[i];
  }
  return bounds[bounds.length - 1];
}

function push(list, value) {
  list.push(value);
  if (list.length > SPAN) list.shift();
}

function seriesOf(map, name, fields) {
  if (!map.has(name)) map.set(name, Object.fromEntries(fields.map((f) => [f, []])));
  return map.get(name);
}

const POOL_FIELDS = ['acquires', 'errors', 'open', 'active', 'idle', 'waiting', 'reused'];
const ROUTE_FIELDS = ['requests', 'errors', 'p50', 'p95', 'p99', 'heat', 'first'];

function rates(now, before, seconds) {
  const old = new Map(before.pools.pools.map((p) => [p.name, p]));
  for (const pool of now.pools.pools) {
    const was = old.get(pool.name) || pool;
    const s = seriesOf(live.pools, pool.name, POOL_FIELDS);
    const per = (field) => Math.max(0, pool[field] - was[field]) / seconds;
    push(s.acquires, per('acquires'));
    push(s.errors, per('refused') + per('dials_failed'));
    push(s.open, pool.total);
    push(s.active, pool.active + pool.shared);
    push(s.idle, pool.idle);
    push(s.waiting, pool.waiting);
    push(s.reused, pool.grants > was.grants ? (pool.reused - was.reused) / (pool.grants - was.grants) : null);
  }
}

const FAILED = ['5xx', 'cut'];

function sumOf(codes, words) {
  return words.reduce((sum, word) => sum + (codes[word] || 0), 0);
}

/** What one upstream's routes did between two snapshots. */
function routeDelta(now, was, length) {
  const finished = ['2xx', '3xx', '4xx', '5xx', 'left', 'cut'];
  const codes = was ? was.codes : {};
  return {
    requests: sumOf(now.codes, finished) - sumOf(codes, finished),
    errors: sumOf(now.codes, FAILED) - sumOf(codes, FAILED),
    first: minus(spread(now.first_byte_us, length), was && spread(was.first_byte_us, length)),
    total: minus(spread(now.total_us, length), was && spread(was.total_us, length)),
  };
}

function pushRoute(name, sum, seconds, bounds) {
  const s = seriesOf(live.routes, name, ROUTE_FIELDS);
  push(s.first, sum.first);
  // Ten seconds of answers make a quantile that does not jump.
  const recent = s.first.slice(-10).reduce((sum, one) => plus(sum, one), []);
  push(s.requests, sum.requests / seconds);
  push(s.errors, sum.errors / seconds);
  for (const [field, q] of [['p50', 0.5], ['p95', 0.95], ['p99', 0.99]]) {
    const us = quantile(recent, bounds, q);
    push(s[field], us === null ? null : us / 1000);
  }
  push(s.heat, sum.total);
}

function routes(now, before, seconds) {
  const bounds = now.latency.bounds_us;
  const length = bounds.length + 1;
  const old = new Map(before.latency.routes.map((r) => [`${r.listener} ${r.upstream}`, r]));
  const sums = new Map([['', { requests: 0, errors: 0, first: [], total: [] }]]);
  for (const route of now.latency.routes) {
    const delta = routeDelta(route, old.get(`${route.listener} ${route.upstream}`), length);
    for (const name of route.upstream === '' ? [''] : ['', route.upstream]) {
      const sum = sums.get(name) || { requests: 0, errors: 0, first: [], total: [] };
      sums.set(name, {
        requests: sum.requests + delta.requests, errors: sum.errors + delta.errors,
        first: plus(sum.first, delta.first), total: plus(sum.total, delta.total),
      });
    }
  }
  for (const [name, sum] of sums) pushRoute(name, sum, seconds, bounds);
}

// The last minute of /api/v1/latency, a look a second: { pools, endpoints }, rows by their names.
const looks = [];

function look(latency) {
  looks.push({
    pools: new Map(latency.pools.map((row) => [row.pool, row])),
    endpoints: new Map(latency.endpoints.map((row) => [`${row.upstream} ${row.endpoint}`, row])),
  });
  if (looks.length > 61) looks.shift();
}

/** The counts of the last minute, or since the gateway began where there were none in it. of: pools or endpoints. */
export function lately(of, name, field) {
  const length = live.snap.latency.bounds_ms.length + 1;
  const row = looks[looks.length - 1][of].get(name);
  if (!row) return [];
  const all = spread(row[field], length);
  const before = looks[0][of].get(name);
  const recent = before ? minus(all, spread(before[field], length)) : all;
  return recent.some((n) => n > 0) ? recent : all;
}

function take(snap) {
  const before = live.snap;
  const started = snap.process?.started;
  if (before && before.process?.started === started && snap.at_ms > before.at_ms) {
    const seconds = Math.max(0.2, (snap.at_ms - before.at_ms) / 1000);
    if (seconds < 10) {
      rates(snap, before, seconds);
      routes(snap, before, seconds);
    }
  } else if (before && before.process?.started !== started) { // another gateway: another past
    live.pools.clear();
    live.routes.clear();
    looks.length = 0;
  }
  live.before = before;
  live.snap = snap;
  live.at = snap.at_ms;
  live.heard = Date.now();
  look(snap.latency);
}

// --- the stream ------------------------------------------------------------------------------

function event(text) {
  const data = text.split('\n').filter((line) => line.startsWith('data: ')).map((line) => line.slice(6)).join('\n');
  if (!text.startsWith('event: snapshot')) return;
  take(JSON.parse(data));
  live.state = 'live';
  live.tries = 0;
  tell();
}

async function read(own, stop) {
  const answer = await request('/api/v1/live', { signal: stop.signal, headers: { Accept: 'text/event-stream' } });
  if (!answer.ok) throw new Error(`${answer.status}`);
  reader = answer.body.getReader();
  const decoder = new TextDecoder();
  let text = '';
  let silence = setTimeout(() => stop.abort(), PATIENCE_MS);
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done || own !== generation) return;
      clearTimeout(silence);
      silence = setTimeout(() => stop.abort(), PATIENCE_MS);
      text += decoder.decode(value, { stream: true });
      const parts = text.split('\n\n');
      text = parts.pop();
      // Who was away for a while is interested in the last one only.
      if (parts.length > 0) event(parts[parts.length - 1]);
    }
  } finally {
    clearTimeout(silence);
  }
}

let stopper = null;

async function run() {
  const own = ++generation;
  stopper = new AbortController();
  const stop = stopper;
  try {
    await read(own, stop);
  } catch {
    // a connection that ended is told below, whatever ended it
  }
  stop.abort();
  if (own !== generation) return;
  live.state = 'lost';
  live.tries++;
  tell();
  timer = setTimeout(run, Math.min(5000, 500 * live.tries));
}

export function start() {
  document.addEventListener('visibilitychange', () => {
    clearTimeout(timer);
    if (document.hidden) {
      generation++;
      if (stopper) stopper.abort();
      live.state = 'paused';
      tell();
    } else {
      live.state = 'connecting';
      tell();
      run();
    }
  });
  if (!document.hidden) run();
}
