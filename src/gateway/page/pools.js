// SPDX-License-Identifier: Apache-2.0
// Every pool as PgBouncer's SHOW POOLS has it; and one of them, with its endpoints.

import { h } from './dom.js';
import { act, encode, get } from './api.js';
import { lately, live, quantile } from './live.js';
import { badge, button, card, count, meter, ms, percent, rate, table } from './format.js';
import { lines, spark } from './chart.js';
import { endpointActions, endpointState } from './endpoints.js';
import { endpointRows } from './overview.js';

const EFFECTS = {
  pause: 'Nobody gets a connection until it is resumed; callers wait, and those who hold one keep it.',
  resume: 'Callers get connections again.',
  reconnect: 'Every connection is replaced: idle ones now, the others when they are given back.',
  flush: 'Every connection is replaced: idle ones now, the others when they are given back; what is still in use after 30 s is cut.',
};

function latest(list) {
  const some = (list || []).slice(-5).filter((n) => n !== null);
  return some.length > 0 ? some.reduce((sum, n) => sum + n, 0) / some.length : null;
}

function linkTo(pool) {
  return h('a', { href: `#/pools/${encodeURIComponent(pool.name)}` }, pool.name);
}

/** How full it is. One of OpenClaw gateways has as many as there may be, always. */
export function poolMeter(pool) {
  return meter(pool.total, pool.name.startsWith('openclaw:') ? null : pool.max_connections, 'connections');
}

const COLUMNS = [
  { name: 'Pool', value: linkTo },
  { name: 'Health', value: (p) => badge(p.paused ? 'paused' : p.health) },
  { name: 'Leases/s', num: true, value: (p) => rate(latest(live.pools.get(p.name)?.acquires)) },
  { name: 'Last minute', value: (p) => spark(live.pools.get(p.name)?.acquires || [], `leases a second of ${p.name}`) },
  { name: 'Waiting', num: true, title: 'callers that wait for a connection', value: (p) => count(p.waiting) },
  { name: 'Oldest wait', num: true, value: (p) => (p.oldest_wait_ms > 0 ? ms(p.oldest_wait_ms) : '–') },
  { name: 'Active', num: true, title: 'connections with leases', value: (p) => count(p.active + p.shared) },
  { name: 'Idle', num: true, value: (p) => count(p.idle) },
  { name: 'Dialling', num: true, value: (p) => count(p.dialling) },
  { name: 'Probing', num: true, value: (p) => count(p.probing) },
  { name: 'Closing', num: true, value: (p) => count(p.closing) },
  { name: 'Connections', num: true, value: poolMeter },
  { name: 'Reused', num: true, value: (p) => (p.kind !== 'listener' && p.grants > 0 ? percent(p.reused / p.grants) : '–') },
  { name: 'Refused', num: true, value: (p) => count(p.refused) },
];

function list(snap) {
  const group = (title, kind) => {
    const rows = snap.pools.pools.filter((p) => (p.kind === 'listener') === (kind === 'listener'));
    return card(title, { key: kind, class: 'full' }, table(title, COLUMNS, rows, (p) => p.name));
  };
  return [h('h1', {}, 'Pools'), h('div', { class: 'cards' }, group('Upstreams', 'upstream'), group('Listeners', 'listener'))];
}

// --- one pool --------------------------------------------------------------------------------

/** Only an upstream is paused: not its clients, and not its OpenClaw gateways apart. */
function verbsOf(pool) {
  const pauses = pool.kind !== 'listener' && !pool.name.startsWith('openclaw:');
  return [pauses && (pool.paused ? 'resume' : 'pause'), 'reconnect', 'flush'].filter(Boolean);
}

function actions(pool) {
  return h('div', { class: 'row', role: 'group', 'aria-label': `Actions on ${pool.name}` },
    verbsOf(pool).map((verb) => {
      const label = verb[0].toUpperCase() + verb.slice(1);
      return button(label, () => act(`${label} ${pool.name}`, EFFECTS[verb], `/api/v1/pools/${encode(pool.name)}/${verb}`), { key: verb });
    }));
}

const PHASES = [['wait_ms', 'Queue'], ['connect_ms', 'Connect'], ['tls_ms', 'TLS'], ['first_byte_ms', 'First byte'], ['hold_ms', 'Held']];

export function phaseRows(snap, name) {
  const bounds = snap.latency.bounds_ms;
  return PHASES.map(([field, title]) => {
    const counts = lately('pools', name, field);
    return { title, n: counts.reduce((sum, n) => sum + n, 0), p50: quantile(counts, bounds, 0.5), p95: quantile(counts, bounds, 0.95), p99: quantile(counts, bounds, 0.99) };
  });
}

export function phaseTable(snap, name) {
  return table(`Phases of ${name}`, [
    { name: 'Phase', value: (r) => r.title },
    { name: 'Times', num: true, value: (r) => count(r.n) },
    { name: 'p50', num: true, value: (r) => ms(r.p50) },
    { name: 'p95', num: true, value: (r) => ms(r.p95) },
    { name: 'p99', num: true, value: (r) => ms(r.p99) },
  ], phaseRows(snap, name), (r) => r.title);
}

const FACTS = [['created', 'created'], ['dials', 'dials'], ['dials_failed', 'dials failed'], ['acquires', 'leases asked for'], ['grants', 'leases given'],
  ['reused', 'of them reused'], ['waits', 'of them after waiting'], ['refused', 'callers refused'], ['closed', 'closed'], ['evicted', 'evicted'],
  ['probes', 'probes'], ['overdue', 'leases overdue'], ['keys', 'keys'], ['keys_down', 'keys down']];

function detail(snap, name) {
  const pool = snap.pools.pools.find((p) => p.name === name);
  const crumbs = h('p', { class: 'crumbs' }, h('a', { href: '#/pools' }, 'Pools'), ' / ', name);
  if (!pool) return [crumbs, h('h1', {}, name), h('p', { class: 'empty' }, 'There is no pool of that name.')];
  const s = live.pools.get(name) || {};
  const rows = endpointRows(snap).filter((e) => e.upstream === name);
  return [
    crumbs,
    h('div', { class: 'head' }, h('h1', {}, name, ' ', badge(pool.paused ? 'paused' : pool.health)), actions(pool)),
    h('p', { class: 'dim' }, pool.why || ''),
    h('div', { class: 'cards' },
      card('Connections', { key: 'c' }, lines('Connections', [
        { name: 'open', points: s.open || [], color: 0 }, { name: 'active', points: s.active || [], color: 1 },
        { name: 'idle', points: s.idle || [], color: 2 }, { name: 'waiting', points: s.waiting || [], color: 3 }], count)),
      card('Leases', { key: 'l' }, lines('Leases a second', [
        { name: 'leases/s', points: s.acquires || [], color: 0 }, { name: 'failed/s', points: s.errors || [], color: 3 }], rate)),
      pool.kind !== 'listener' && card('Endpoints', { key: 'e', class: 'full' }, table(`Endpoints of ${name}`, [
        { name: 'Endpoint', value: (e) => e.endpoint },
        { name: 'State', value: endpointState },
        { name: 'Weight', num: true, value: (e) => count(e.weight) },
        { name: 'Zone', value: (e) => e.zone || '–' },
        { name: 'Priority', num: true, value: (e) => count(e.priority) },
        { name: 'Open', num: true, value: (e) => count(e.busy) },
        { name: 'Answered', num: true, value: (e) => count(e.answered) },
        { name: 'Failed', num: true, value: (e) => count(e.failed) },
        { name: 'First byte p50', num: true, value: (e) => ms(e.p50) },
        { name: 'p95', num: true, value: (e) => ms(e.p95) },
        { name: 'Actions', value: endpointActions },
      ], rows, (e) => e.id, 'This pool has no endpoints of its own.')),
      capacityCard(name),
      card('Where time goes', { key: 'p' }, phaseTable(snap, name)),
      card('Since it began', { key: 'f' }, h('dl', { class: 'facts' }, FACTS.map(([field, text]) => h('div', { key: field }, h('dt', {}, text), h('dd', {}, count(pool[field]))))))),
  ];
}

let capacity = []; // as it was when the page was opened, and every few seconds since
let timer = 0;

async function readCapacity() {
  try {
    capacity = (await get('/api/v1/capacity')).capacity;
  } catch {
    capacity = [];
  }
  window.dispatchEvent(new Event('redraw'));
}

function capacityCard(name) {
  const c = capacity.find((row) => row.pool === name);
  return c && card('Is it large enough?', { key: 'cap', class: 'full' },
    h('p', {}, h('b', {}, c.advice)),
    h('dl', { class: 'facts' }, [['callers a second', rate(c.arrivals_per_second)], ['lease held', ms(c.hold_seconds * 1000)], ['leases on average', rate(c.offered_load)],
      ['in use of what may be', percent(c.utilization)], ['wait, predicted', c.predicted_wait_seconds === null ? 'without end' : ms(c.predicted_wait_seconds * 1000)],
      ['advised at most', count(c.advised_max_connections)], ['advised idle', count(c.advised_min_idle)]]
      .map(([text, value]) => h('div', { key: text }, h('dt', {}, text), h('dd', {}, value)))));
}

export const pools = {
  name: 'pools',
  title: 'Pools',
  opened: (where) => {
    clearInterval(timer);
    if (!where[0]) return;
    timer = setInterval(() => { if (!document.hidden) readCapacity(); }, 5000);
    readCapacity();
  },
  closed: () => clearInterval(timer),
  view: (where) => {
    const { snap } = live;
    if (!snap) return [h('h1', {}, 'Pools'), h('p', { class: 'empty' }, 'Waiting for the first snapshot…')];
    return where[0] ? detail(snap, where[0]) : list(snap);
  },
};
