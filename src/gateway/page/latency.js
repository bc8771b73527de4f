// SPDX-License-Identifier: Apache-2.0
// How long requests take: as a heat map over time, and by phase and endpoint.

import { h } from './dom.js';
import { live, quantile } from './live.js';
import { card, count, ms, table } from './format.js';
import { heat, lines } from './chart.js';
import { phaseRows } from './pools.js';
import { endpointRows, upstreamPools } from './overview.js';
import { endpointActions, endpointState } from './endpoints.js';

// Two classes of the gateway's are one row of the picture: 128 µs, 512 µs, 2 ms, …
const JOINED = 2;

function short(us) {
  if (us < 1000) return `${us} µs`;
  if (us < 1e6) return `${Math.round(us / 1000)} ms`;
  return us < 6e7 ? `${Math.round(us / 1e6)} s` : `${Math.round(us / 6e7)} min`;
}

function join(column) {
  const rows = [];
  for (let i = 0; i < column.length; i += JOINED) rows.push(column.slice(i, i + JOINED).reduce((sum, n) => sum + n, 0));
  return rows;
}

function heatCard(name, bounds) {
  const route = live.routes.get(name);
  const columns = (route?.heat || []).map(join);
  const labels = [];
  for (let i = JOINED - 1; i < bounds.length; i += JOINED) labels.push(`≤ ${short(bounds[i])}`);
  while (columns.length > 0 && labels.length < columns[0].length) labels.push('more');
  const all = (route?.heat || []).reduce((sum, one) => one.map((n, i) => n + (sum[i] || 0)), []);
  const half = quantile(all, bounds, 0.5);
  const said = half === null ? 'none yet' : `half of them within ${ms(half / 1000)}, 95 % within ${ms(quantile(all, bounds, 0.95) / 1000)}`;
  return card('Whole requests', { key: 'heat', class: 'full' },
    h('p', { class: 'dim' }, `Each column is a second, each row a time; the stronger the colour, the more requests. Seen here: ${said}.`),
    heat(columns, labels, `Requests by time taken: ${said}`));
}

function phases(snap, names) {
  const rows = names.flatMap((name) => phaseRows(snap, name).filter((r) => r.n > 0).map((r) => ({ ...r, pool: name })));
  const top = Math.max(1, ...rows.map((r) => r.p95 || 0));
  return table('Phases by pool', [
    { name: 'Pool', value: (r) => h('a', { href: `#/pools/${encodeURIComponent(r.pool)}` }, r.pool) },
    { name: 'Phase', value: (r) => r.title },
    { name: 'Times', num: true, value: (r) => count(r.n) },
    { name: 'p50', num: true, value: (r) => ms(r.p50) },
    { name: 'p95', num: true, value: (r) => h('span', { class: 'bar-cell' }, h('span', { class: 'bar', 'aria-hidden': 'true' }, h('span', { class: 'fill', style: { width: `${((r.p95 || 0) / top) * 100}%` } })), ms(r.p95)) },
    { name: 'p99', num: true, value: (r) => ms(r.p99) },
  ], rows, (r) => `${r.pool} ${r.title}`, 'No request yet.');
}

export const latency = {
  name: 'latency',
  title: 'Latency',
  view: (where) => {
    const { snap } = live;
    if (!snap) return [h('h1', {}, 'Latency'), h('p', { class: 'empty' }, 'Waiting for the first snapshot…')];
    const pools = upstreamPools(snap).map((p) => p.name);
    const name = where[0] && live.routes.has(where[0]) ? where[0] : '';
    const route = live.routes.get(name);
    return [
      h('h1', {}, 'Latency'),
      h('nav', { class: 'choice', 'aria-label': 'Upstream' }, ['', ...[...live.routes.keys()].filter(Boolean)].map((one) =>
        h('a', { key: `u-${one}`, href: `#/latency${one ? `/${encodeURIComponent(one)}` : ''}`, 'aria-current': one === name ? 'true' : null }, one || 'All upstreams'))),
      h('div', { class: 'cards' },
        heatCard(name, snap.latency.bounds_us),
        card('First byte', { key: 'fb', class: 'full' }, lines('Time to the first byte', [
          { name: 'p50', points: route?.p50 || [], color: 2 }, { name: 'p95', points: route?.p95 || [], color: 1 },
          { name: 'p99', points: route?.p99 || [], color: 4 }], ms)),
        card('Where time goes', { key: 'ph' }, h('p', { class: 'dim' }, 'Of the last minute.'), phases(snap, name ? [name] : pools)),
        card('Endpoints', { key: 'ep' }, h('p', { class: 'dim' }, 'The slowest first.'), table('Endpoints, the slowest first', [
          { name: 'Endpoint', value: (e) => `${e.upstream} / ${e.endpoint}` },
          { name: 'State', value: endpointState },
          { name: 'p50', num: true, value: (e) => ms(e.p50) },
          { name: 'p95', num: true, value: (e) => ms(e.p95) },
          { name: 'Actions', value: endpointActions },
        ], endpointRows(snap).filter((e) => !name || e.upstream === name), (e) => e.id))),
    ];
  },
};
