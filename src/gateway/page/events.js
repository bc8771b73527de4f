// SPDX-License-Identifier: Apache-2.0
// What happened, the latest first. The list is read again when a snapshot says that there is more.

import { h, say } from './dom.js';
import { get } from './api.js';
import { live } from './live.js';
import { clock, ms, table } from './format.js';

let list = []; // newest first
let written = -1;
let reading = false;
let readAt = 0;
let open = false; // this page is: then the list follows at once, else now and then
let held = false;
const filter = { text: '', kind: '' };

async function read(upTo) {
  reading = true;
  readAt = Date.now();
  try {
    const got = await get('/api/v1/events');
    list = got.events.map((e, i) => ({ ...e, id: e.id ?? `${e.time} ${e.worker} ${e.event} ${i}` })).reverse();
    written = upTo;
    window.dispatchEvent(new Event('redraw'));
  } catch {
    // the next snapshot asks again
  } finally {
    reading = false;
  }
}

/** The events known now; asks for more where there are more. */
export function recent() {
  const now = live.snap?.last_event;
  const due = Date.now() - readAt >= (open ? 900 : 3000);
  if (due && !reading && !held && !document.hidden && now !== undefined && now !== written) read(now);
  return list;
}

const KINDS = {
  good: /^(key_up|pool_warm|endpoint_returned|account_recovered|alert_cleared|overload_over)$/,
  bad: /^(key_down|openclaw_denied|pool_limit_reached|endpoint_ejected|alert_firing|overload|events_lost)$/,
  warn: /^(connection_error|connection_timeout|account_cooled|lease_overdue|session_rebound|health_status_changed)$/,
  busy: /^changed$/,
};
const SHAPES = { good: '●', bad: '■', warn: '▲', busy: '◐', off: '◇' };

function kindOf(event) {
  return Object.keys(KINDS).find((kind) => KINDS[kind].test(event.event)) || 'off';
}

function words(text) {
  return String(text).replace(/_/g, ' ');
}

/** What an event says besides its name, in a few words. */
function detail(e) {
  const parts = [];
  if (e.event === 'changed') parts.push(`${e.who}: ${e.what}`);
  else if (e.what) parts.push(words(e.what));
  if (e.session) parts.push(`session ${e.session}${e.count > 1 ? ` and ${e.count - 1} more` : ''}`);
  if (e.from) parts.push(`from ${e.from}`);
  if (e.account) parts.push(`${e.from ? 'to ' : ''}${e.account}${e.family ? ` (${e.family})` : ''}`);
  if (e.health) parts.push(words(e.health));
  if (e.key) parts.push(e.key);
  if (e.why) parts.push(words(e.why));
  if (e.failures) parts.push(`${e.failures} failures in a row`);
  if (e.retry_after_ms) parts.push(`again in ${ms(e.retry_after_ms)}`);
  if (e.total && /^connection|limit/.test(e.event)) parts.push(`${e.total} open`);
  if (e.waiting) parts.push(`${e.waiting} waiting`);
  return parts.join(' · ');
}

export function eventTable(rows) {
  return table('Events, the latest first', [
    { name: 'Time', value: (e) => h('time', { datetime: e.time }, clock(e.time)) },
    { name: 'Event', value: (e) => h('span', { class: `badge ${kindOf(e)}` }, h('span', { class: 'shape', 'aria-hidden': 'true' }, SHAPES[kindOf(e)]), e.event.replace(/_/g, ' ')) },
    { name: 'Pool', value: (e) => (e.pool ? h('a', { href: `#/pools/${encodeURIComponent(e.pool)}` }, e.pool) : '') },
    { name: 'What', value: (e) => h('span', { class: 'wrap' }, detail(e)) },
  ], rows, (e) => e.id, 'Nothing has happened yet.');
}

/** What an operator would want to have been told. */
export function notable() {
  return recent().filter((e) => kindOf(e) !== 'off');
}

function matches(event) {
  if (filter.kind && event.event !== filter.kind) return false;
  return !filter.text || JSON.stringify(event).toLowerCase().includes(filter.text.toLowerCase());
}

function redraw() {
  window.dispatchEvent(new Event('redraw'));
}

function bar(all) {
  const kinds = [...new Set(all.map((e) => e.event))].sort();
  return h('div', { class: 'filters' },
    h('label', {}, 'Search', h('input', { type: 'search', placeholder: 'pool, key, reason …  ( / )', oninput: (event) => { filter.text = event.target.value; redraw(); } })),
    h('label', {}, 'Kind', h('select', { onchange: (event) => { filter.kind = event.target.value; redraw(); } },
      h('option', { value: '' }, 'all'), kinds.map((kind) => h('option', { key: kind, value: kind }, kind.replace(/_/g, ' '))))),
    h('button', { type: 'button', 'aria-pressed': held ? 'true' : 'false', onclick: () => { held = !held; say(held ? 'The list stands still' : 'The list follows'); redraw(); } },
      held ? '▶ Follow' : '❙❙ Hold'));
}

export const events = {
  name: 'events',
  title: 'Events',
  opened: () => { open = true; },
  closed: () => { open = false; },
  view: () => {
    const all = recent();
    const shown = all.filter(matches);
    return [
      h('h1', {}, 'Events'),
      bar(all),
      h('section', { class: 'card full' }, eventTable(shown.slice(0, 300))),
      h('p', { class: 'dim' }, `${shown.length} of ${all.length} events that are kept.`),
    ];
  },
};
