// SPDX-License-Identifier: Apache-2.0
// The program itself: memory, workers, listeners, certificates.

import { h } from './dom.js';
import { act, get } from './api.js';
import { live } from './live.js';
import { badge, button, bytes, card, clock, count, duration, meter, percent, table } from './format.js';
import { lines } from './chart.js';

const past = { rss: [], cpu: [], at: 0 };
let certificates = null;

function note(snap) {
  if (past.at === snap.at_ms) return;
  const { before } = live;
  past.at = snap.at_ms;
  past.rss.push(snap.process.resident_bytes);
  if (before && before.process.pid === snap.process.pid) {
    past.cpu.push(Math.max(0, (snap.process.cpu_seconds - before.process.cpu_seconds) / ((snap.at_ms - before.at_ms) / 1000)));
  }
  for (const list of [past.rss, past.cpu]) if (list.length > 600) list.shift();
}

async function readCertificates() {
  try {
    certificates = (await get('/api/v1/certificates')).certificates;
  } catch {
    certificates = [];
  }
  window.dispatchEvent(new Event('redraw'));
}

const LISTENERS = [
  { name: 'Listener', value: (l) => h('a', { href: `#/pools/${encodeURIComponent(`listener:${l.name}`)}` }, l.name) },
  { name: 'State', value: (l) => badge(l.state) },
  { name: 'Address', value: (l) => l.address },
  { name: 'Clients', num: true, value: (l) => meter(l.connections, l.max_connections, 'clients') },
  { name: 'Requests', num: true, value: (l) => count(l.requests) },
  { name: '2xx', num: true, value: (l) => count(l.answers_2xx) },
  { name: '4xx', num: true, value: (l) => count(l.answers_4xx) },
  { name: '5xx', num: true, value: (l) => count(l.answers_5xx) },
  { name: 'Bad requests', num: true, value: (l) => count(l.bad_requests) },
  { name: 'Turned away', num: true, value: (l) => count(l.refused_full + l.refused_per_ip + l.refused_short) },
  { name: 'In', num: true, value: (l) => bytes(l.bytes_in) },
  { name: 'Out', num: true, value: (l) => bytes(l.bytes_out) },
];

const CERTIFICATES = [
  { name: 'Certificate', value: (c) => h('span', { class: 'wrap' }, c.certificate) },
  { name: 'Shown by', value: (c) => (c.listener ? `listener ${c.listener}` : `upstream ${c.upstream}`) },
  { name: 'Expires', value: (c) => (c.days_left < 0 ? badge('down', `${-c.days_left} days ago`) : badge(c.days_left < 14 ? 'warning' : 'ok', `in ${c.days_left} days`)) },
  { name: 'Weakness', value: (c) => c.weakness || 'none' },
  { name: 'File', value: (c) => h('span', { class: 'wrap' }, c.file) },
];

function facts(p) {
  const rows = [['Node', p.node], ['Version', p.version], ['State', badge(p.state)], ['Process id', String(p.pid)], ['Started', `${new Date(p.started).toLocaleDateString()} ${clock(p.started)}`],
    ['Up', duration(p.uptime_seconds)], ['CPU so far', duration(p.cpu_seconds)], ['Descriptors', meter(p.descriptors, p.descriptors_max, 'descriptors')],
    ['Memory limit', p.overload.memory_max > 0 ? `${percent(p.overload.memory_ratio)} of ${bytes(p.overload.memory_max)}` : 'none'],
    ['Overload', badge(p.overload.level === 'calm' ? 'ok' : 'overloaded', p.overload.level === 'calm' ? 'none' : p.overload.why)],
    ['Log lines dropped', count(p.log_lines_dropped)], ['Access lines dropped', count(p.access_lines_dropped)]];
  rows.push(['User', p.user], ['Capabilities', p.capabilities], ['Sandbox', badge(p.sandbox === 'on' ? 'ok' : 'warning', p.sandbox)]);
  if (p.sandbox_lacks) rows.push(['Sandbox lacks', p.sandbox_lacks]);
  if (p.redis_fault !== undefined) rows.push(['Redis', p.redis_fault ? badge('down', p.redis_fault) : badge('up')]);
  return h('dl', { class: 'facts' }, rows.map(([name, value]) => h('div', { key: name }, h('dt', {}, name), h('dd', {}, value))));
}

export const process = {
  name: 'process',
  title: 'Process',
  opened: readCertificates,
  view: () => {
    const { snap } = live;
    if (!snap) return [h('h1', {}, 'Process'), h('p', { class: 'empty' }, 'Waiting for the first snapshot…')];
    note(snap);
    return [
      h('div', { class: 'head' }, h('h1', {}, 'Process'), h('div', { class: 'row', role: 'group', 'aria-label': 'Actions' },
        button('Drain', () => act('Drain this gateway', 'It takes no new clients, lets open requests end, and then ends itself.', '/api/v1/drain'), { key: 'd' }))),
      h('div', { class: 'cards' },
        card('Facts', { key: 'f', class: 'full' }, facts(snap.process)),
        card('Memory', { key: 'm' }, lines('Resident memory', [{ name: 'resident', points: past.rss, color: 0 }], bytes)),
        card('Processor', { key: 'c' }, lines('Processor time', [{ name: 'of one core', points: past.cpu, color: 1 }], percent)),
        card('Listeners', { key: 'l', class: 'full' }, table('Listeners', LISTENERS, snap.listeners.listeners, (l) => l.name)),
        card('Workers', { key: 'w' }, table('Workers', [
          { name: 'Worker', value: (w) => String(w.worker) },
          { name: 'Clients', num: true, value: (w) => count(w.connections) },
          { name: 'Requests', num: true, value: (w) => count(w.requests) },
        ], snap.process.workers, (w) => w.worker)),
        card('Certificates', { key: 't' }, table('Certificates', CERTIFICATES, certificates || [], (c) => `${c.listener} ${c.upstream} ${c.certificate} ${c.file}`,
          certificates ? 'None is shown: there is no TLS.' : 'Asking…'))),
    ];
  },
};
