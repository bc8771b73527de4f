// SPDX-License-Identifier: Apache-2.0
// Every connection there is, read anew every two seconds while the page is open.

import { h, say } from './dom.js';
import { get } from './api.js';
import { badge, bytes, count, ms, table } from './format.js';

const SHOWN = 300;
const EVERY_MS = 2000;

let rows = null;
let cut = false;
let fault = '';
let timer = 0;
let held = false;
const filter = { text: '', state: '', pool: '' };
let order = 'in_state_ms';

function redraw() {
  window.dispatchEvent(new Event('redraw'));
}

async function read() {
  try {
    const got = await get('/api/v1/connections');
    rows = got.connections;
    cut = got.cut;
    fault = '';
  } catch (error) {
    fault = error.message;
  }
  redraw();
}

function matches(c) {
  return (!filter.state || c.state === filter.state) && (!filter.pool || c.pool === filter.pool)
    && (!filter.text || `${c.key} ${c.note || ''} ${c.pool} ${c.id} ${c.why || ''}`.toLowerCase().includes(filter.text.toLowerCase()));
}

function traffic(c) {
  if (c.websocket) return `WebSocket: ${bytes(c.websocket.bytes_in)} in · ${bytes(c.websocket.bytes_out)} out`;
  return '';
}

/** Of TCP, where the gateway tells it. */
function tcp(c) {
  return c.tcp ? `rtt ${ms(c.tcp.rtt_ms)}${c.tcp.retransmits ? ` · ${count(c.tcp.retransmits)} sent again` : ''}` : '';
}

/** A WebSocket on a stream of HTTP/2 has a row of its own, beside that of its connection. */
function idOf(c) {
  return `${c.worker}:${c.id}${c.stream ? `/${c.stream}` : ''}`;
}

const COLUMNS = [
  { name: 'Connection', value: idOf },
  { name: 'Pool', value: (c) => h('a', { href: `#/pools/${encodeURIComponent(c.pool)}` }, c.pool) },
  { name: 'State', value: (c) => badge(c.retiring ? 'closing' : c.state, c.retiring ? `${c.state}, retiring` : c.state) },
  { name: 'Key', value: (c) => h('span', { class: 'wrap' }, c.key) },
  { name: 'Client', value: (c) => c.note || '' },
  { name: 'In state', num: true, value: (c) => ms(c.in_state_ms) },
  { name: 'Age', num: true, value: (c) => ms(c.age_ms) },
  { name: 'Uses', num: true, value: (c) => count(c.uses) },
  { name: 'Leases', num: true, value: (c) => count(c.leases) },
  { name: 'More', value: (c) => h('span', { class: 'wrap' }, [c.why, traffic(c), tcp(c)].filter(Boolean).join(' · ')) },
];

const ORDERS = { in_state_ms: 'longest in state', age_ms: 'oldest', uses: 'most used', leases: 'most leases' };

function options(list, chosen, all) {
  return [h('option', { value: '', selected: !chosen }, all), list.map((name) => h('option', { key: name, value: name }, name))];
}

function bar() {
  const states = [...new Set(rows.map((c) => c.state))].sort();
  const pools = [...new Set(rows.map((c) => c.pool))].sort();
  return h('div', { class: 'filters' },
    h('label', {}, 'Search', h('input', { type: 'search', placeholder: 'key, client, reason …  ( / )', oninput: (e) => { filter.text = e.target.value; redraw(); } })),
    h('label', {}, 'State', h('select', { onchange: (e) => { filter.state = e.target.value; redraw(); } }, options(states, filter.state, 'all'))),
    h('label', {}, 'Pool', h('select', { onchange: (e) => { filter.pool = e.target.value; redraw(); } }, options(pools, filter.pool, 'all'))),
    h('label', {}, 'Order', h('select', { onchange: (e) => { order = e.target.value; redraw(); } },
      Object.entries(ORDERS).map(([value, text]) => h('option', { key: value, value }, text)))),
    h('button', { type: 'button', 'aria-pressed': held ? 'true' : 'false', onclick: () => { held = !held; say(held ? 'The table stands still' : 'The table follows'); redraw(); } }, held ? '▶ Follow' : '❙❙ Hold'));
}

export const connections = {
  name: 'connections',
  title: 'Connections',
  opened: () => {
    clearInterval(timer);
    timer = setInterval(() => { if (!held && !document.hidden) read(); }, EVERY_MS);
    read();
  },
  closed: () => clearInterval(timer),
  view: () => {
    if (!rows) return [h('h1', {}, 'Connections'), h('p', { class: 'empty' }, fault || 'Asking…')];
    const found = rows.filter(matches).sort((a, b) => b[order] - a[order]);
    return [
      h('h1', {}, 'Connections'), bar(),
      fault && h('p', { class: 'notice' }, `Not read anew: ${fault}`),
      h('section', { class: 'card full' },
        table('Connections', COLUMNS, found.slice(0, SHOWN), (c) => `${c.pool} ${idOf(c)}`, rows.length > 0 ? 'None fits.' : 'There is no connection.')),
      h('p', { class: 'dim' }, `${Math.min(found.length, SHOWN)} of ${rows.length}${cut ? ', and the gateway left some out' : ''}. `,
        Object.entries(rows.reduce((sum, c) => ({ ...sum, [c.state]: (sum[c.state] || 0) + 1 }), {})).map(([state, n]) => `${n} ${state}`).join(', ')),
    ];
  },
};
