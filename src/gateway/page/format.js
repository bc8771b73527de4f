// SPDX-License-Identifier: Apache-2.0
// Numbers as people read them, and the small pieces that every page is made of.

import { h } from './dom.js';

export function count(n) {
  if (n === null || n === undefined) return '–';
  if (n < 10000) return String(Math.round(n));
  if (n < 1e6) return `${(n / 1e3).toFixed(1)}k`;
  if (n < 1e9) return `${(n / 1e6).toFixed(1)}M`;
  return `${(n / 1e9).toFixed(1)}G`;
}

export function rate(n) {
  if (n === null || n === undefined || Number.isNaN(n)) return '–';
  if (n === 0) return '0';
  return n < 10 ? n.toFixed(1) : count(n);
}

export function percent(part) {
  if (part === null || part === undefined || Number.isNaN(part)) return '–';
  const n = part * 100;
  return `${n > 0 && n < 10 ? n.toFixed(1) : Math.round(n)} %`;
}

/** A duration in milliseconds, in two digits or three. */
export function ms(n) {
  if (n === null || n === undefined || Number.isNaN(n)) return '–';
  if (n < 1) return n === 0 ? '0 ms' : `${n.toFixed(2)} ms`;
  if (n < 10) return `${n.toFixed(1)} ms`;
  if (n < 1000) return `${Math.round(n)} ms`;
  if (n < 60000) return `${(n / 1000).toFixed(n < 10000 ? 2 : 1)} s`;
  return duration(n / 1000);
}

export function duration(s) {
  if (s === null || s === undefined) return '–';
  if (s < 10) return `${s.toFixed(1)} s`;
  const n = Math.floor(s);
  if (n < 60) return `${n} s`;
  if (n < 3600) return `${Math.floor(n / 60)} min ${n % 60} s`;
  if (n < 86400) return `${Math.floor(n / 3600)} h ${Math.floor((n % 3600) / 60)} min`;
  return `${Math.floor(n / 86400)} d ${Math.floor((n % 86400) / 3600)} h`;
}

export function bytes(n) {
  if (n === null || n === undefined) return '–';
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let at = 0;
  while (n >= 1024 && at < units.length - 1) {
    n /= 1024;
    at++;
  }
  return `${at > 0 && n < 100 ? n.toFixed(1) : Math.round(n)} ${units[at]}`;
}

export function plural(n, one, many) {
  return `${count(n)} ${n === 1 ? one : many || `${one}s`}`;
}

export function clock(text) {
  const at = new Date(text);
  return Number.isNaN(at.getTime()) ? String(text) : at.toLocaleTimeString([], { hour12: false });
}

// What a state looks like: a shape and a colour, and always its word.
const SHAPES = { good: '●', warn: '▲', bad: '■', off: '◇', busy: '◐' };
const KINDS = {
  healthy: 'good', up: 'good', ready: 'good', ok: 'good', serving: 'good', idle: 'good', active: 'busy', shared: 'busy',
  degraded: 'warn', overloaded: 'bad', unavailable: 'bad', quiet: 'good', backoff: 'warn', backing_off: 'warn', cooling: 'warn', full: 'warn', drain: 'off', draining: 'off',
  drained: 'off', maint: 'off', paused: 'off', closing: 'off', unknown: 'off', dialling: 'busy', probing: 'busy',
  unhealthy: 'bad', suspended: 'off', down: 'bad', firing: 'bad', failed: 'bad', ejected: 'bad', half_open: 'warn',
  pending: 'warn', warning: 'warn', resolved: 'good', opening: 'busy', stopped: 'off',
};

export function kindOf(word) {
  return KINDS[word] || 'off';
}

/** A state: its shape, its colour and its word. */
export function badge(word, text) {
  const kind = kindOf(word);
  return h('span', { class: `badge ${kind}` }, h('span', { class: 'shape', 'aria-hidden': 'true' }, SHAPES[kind]), text || word);
}

/** How full something is; `most` null or 0: there is no limit. */
export function meter(part, most, label) {
  const share = most ? Math.min(1, part / most) : 0;
  const kind = share >= 0.9 ? 'bad' : share >= 0.7 ? 'warn' : 'good';
  return h('span', { class: 'meter', title: `${label || ''} ${part} of ${most || 'no limit'}` },
    h('span', { class: 'bar', 'aria-hidden': 'true' }, h('span', { class: `fill ${kind}`, style: { width: `${share * 100}%` } })),
    h('span', { class: 'num' }, most ? `${count(part)} / ${count(most)}` : count(part)));
}

/** A card with a heading. */
export function card(title, props, ...kids) {
  return h('section', { class: `card ${props.class || ''}`, key: props.key },
    h('div', { class: 'card-head' }, h('h2', {}, title), props.extra), ...kids);
}

/**
 * A table. columns: [{ name, num, value(row), sort(row) }]; rows need `id(row)`.
 * It scrolls sideways in its own box, which can be reached by keyboard.
 */
export function table(caption, columns, rows, id, empty) {
  if (rows.length === 0) return h('p', { class: 'empty' }, empty || 'Nothing here.');
  return h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': caption },
    h('table', {},
      h('caption', { class: 'sr-only' }, caption),
      h('thead', {}, h('tr', {}, columns.map((c) => h('th', { scope: 'col', class: c.num ? 'num' : null, title: c.title }, c.name)))),
      h('tbody', {}, rows.map((row) => h('tr', { key: String(id(row)) },
        columns.map((c, i) => h(i === 0 ? 'th' : 'td', { scope: i === 0 ? 'row' : null, class: c.num ? 'num' : null }, c.value(row))))))));
}

export function button(text, onclick, props) {
  return h('button', { type: 'button', onclick, ...props }, text);
}
