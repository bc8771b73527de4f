// SPDX-License-Identifier: Apache-2.0
// How it goes, in one sentence, a few figures and what is worst.

import { h } from './dom.js';
import { lately, live, quantile } from './live.js';
import { badge, card, count, duration, kindOf, ms, percent, plural, rate, table } from './format.js';
import { lines, spark } from './chart.js';
import { endpointActions, endpointState } from './endpoints.js';
import { poolMeter } from './pools.js';
import { eventTable, notable, recent } from './events.js';

function last(list) {
  return list && list.length > 0 ? list[list.length - 1] : null;
}

/** The mean of the last seconds: what an eye can follow. */
function mean(list, seconds = 5) {
  const some = (list || []).slice(-seconds).filter((n) => n !== null);
  return some.length > 0 ? some.reduce((sum, n) => sum + n, 0) / some.length : null;
}

export function upstreamPools(snap) {
  return snap.pools.pools.filter((p) => p.kind !== 'listener');
}

/** { kind, text, why }: the state of the whole. */
function health(snap, all) {
  const bad = snap.pools.pools.filter((p) => kindOf(p.health) === 'bad');
  const warn = snap.pools.pools.filter((p) => kindOf(p.health) === 'warn');
  const downs = snap.endpoints.endpoints.filter((e) => (e.state === 'down' || !e.healthy) && e.mode !== 'maint');
  const alerts = (snap.alerts?.alerts || []).filter((a) => a.state === 'firing');
  const requests = mean(all?.requests);
  const errors = mean(all?.errors);
  const traffic = requests === null ? 'Counting the traffic…'
    : requests === 0 ? 'No requests just now.'
      : `${rate(requests)} requests a second, ${errors > 0 ? `${percent(errors / requests)} of them failing` : 'none failing'}.`;
  const names = (list) => list.slice(0, 3).map((p) => p.name || p.endpoint).join(', ') + (list.length > 3 ? ' …' : '');
  if (snap.process.state !== 'serving') return { kind: 'warn', text: `The gateway is ${snap.process.state}.`, why: traffic };
  if (bad.length > 0) return { kind: 'bad', text: `${plural(bad.length, 'pool')} in trouble: ${names(bad)}.`, why: `${bad[0].why || ''}. ${traffic}` };
  if (snap.process.overload.level !== 'calm') return { kind: 'bad', text: `The gateway is overloaded: ${snap.process.overload.why}.`, why: traffic };
  if (alerts.length > 0) return { kind: 'warn', text: `${plural(alerts.length, 'alert')} firing: ${alerts.map(alertName).slice(0, 3).join(', ')}.`, why: traffic };
  if (downs.length > 0) return { kind: 'warn', text: `${plural(downs.length, 'endpoint')} down: ${names(downs)}.`, why: traffic };
  if (warn.length > 0) return { kind: 'warn', text: `${plural(warn.length, 'pool')} under strain: ${names(warn)}.`, why: `${warn[0].why || ''}. ${traffic}` };
  return { kind: 'good', text: 'All is well.', why: traffic };
}

const MARKS = { good: '✓', warn: '!', bad: '✕' };

function tile(name, value, more, points) {
  return h('div', { class: 'tile', key: name },
    h('dt', {}, name), h('dd', {}, h('span', { class: 'value' }, value), more && h('span', { class: 'more' }, more),
      points && spark(points, `${name} over the last minute`)));
}

function tiles(snap, all) {
  const ups = upstreamPools(snap);
  const sum = (field) => ups.reduce((n, p) => n + (p[field] || 0), 0);
  const limit = ups.some((p) => p.max_connections === null) ? null : sum('max_connections');
  const wait = Math.max(0, ...snap.pools.pools.map((p) => p.oldest_wait_ms));
  const requests = mean(all?.requests);
  const errors = mean(all?.errors, 10);
  const reused = ups.map((p) => live.pools.get(p.name)).filter(Boolean);
  const grants = sum('grants');
  const failing = requests > 0 ? errors / mean(all?.requests, 10) : 0;
  const clients = snap.listeners.listeners.reduce((n, l) => n + l.connections, 0);
  return h('dl', { class: 'tiles' },
    tile('Requests a second', rate(requests), null, all?.requests),
    tile('Errors', requests === null ? '–' : percent(failing), `${rate(errors)} a second`, all?.errors),
    tile('First byte, p95', ms(last(all?.p95)), `p50 ${ms(last(all?.p50))} · p99 ${ms(last(all?.p99))}`, all?.p95),
    tile('Connections', count(sum('total')), limit === null ? 'no limit' : `of ${count(limit)}; ${count(clients)} clients`,
      reused.length > 0 ? reused[0].open.map((_, i) => reused.reduce((n, s) => n + (s.open[i] || 0), 0)) : null),
    tile('Oldest wait', wait > 0 ? ms(wait) : 'none', `${count(sum('waiting'))} waiting`),
    tile('Reused', grants > 0 ? percent(sum('reused') / grants) : '–', `of ${plural(grants, 'lease')}`));
}

function alertName(alert) {
  return `${alert.alert.replace(/_/g, ' ')}${alert.pool ? ` of ${alert.pool}` : ''}`;
}

function alertCard(snap) {
  const all = snap.alerts?.alerts || [];
  const rows = all.filter((a) => a.state !== 'quiet').sort((a) => (a.state === 'firing' ? -1 : 1));
  const fired = all.filter((a) => a.state === 'quiet' && a.fired > 0);
  return card('Alerts', { key: 'alerts', class: 'one' }, rows.length === 0
    ? h('p', { class: 'empty' }, badge('ok', 'Nothing fires'), all.length > 0 && ` ${all.length} rules are watched.`)
    : h('ul', { class: 'list' }, rows.map((a) => h('li', { key: alertName(a) },
      badge(a.state), ' ', h('b', {}, alertName(a)), ' ', h('span', { class: 'dim' }, `for ${duration(a.since_seconds)}`),
      h('div', { class: 'wrap' }, a.message || a.text)))),
  fired.length > 0 && h('p', { class: 'dim' }, `Cleared: ${fired.map((a) => `${alertName(a)}, ${duration(a.since_seconds)} ago`).join('; ')}.`));
}

/** Every endpoint with its times of the last minute, the slowest first. */
export function endpointRows(snap) {
  const bounds = snap.latency.bounds_ms;
  return snap.endpoints.endpoints.map((e) => {
    const id = `${e.upstream} ${e.endpoint}`;
    const counts = lately('endpoints', id, 'first_byte_ms');
    return { ...e, id, p50: quantile(counts, bounds, 0.5), p95: quantile(counts, bounds, 0.95) };
  }).sort((a, b) => (b.p95 ?? -1) - (a.p95 ?? -1));
}

function slowest(snap) {
  const rows = endpointRows(snap).slice(0, 6);
  const top = Math.max(1, ...rows.map((r) => r.p95 || 0));
  return card('Slowest endpoints', { key: 'slow', class: 'three' }, table('Endpoints, the slowest first', [
    { name: 'Endpoint', value: (r) => h('a', { href: `#/pools/${encodeURIComponent(r.upstream)}` }, `${r.upstream} / ${r.endpoint}`) },
    { name: 'State', value: endpointState },
    { name: 'First byte p50', num: true, value: (r) => ms(r.p50) },
    { name: 'p95', num: true, value: (r) => h('span', { class: 'bar-cell' }, h('span', { class: 'bar', 'aria-hidden': 'true' }, h('span', { class: 'fill', style: { width: `${((r.p95 || 0) / top) * 100}%` } })), ms(r.p95)) },
    { name: 'Open', num: true, value: (r) => count(r.busy) },
    { name: 'Failed', num: true, value: (r) => count(r.failed) },
    { name: 'Actions', value: endpointActions },
  ], rows, (r) => r.id, 'There is no endpoint.'));
}

function poolCard(snap) {
  return card('Pools', { key: 'pools', class: 'wide', extra: h('a', { href: '#/pools' }, 'All of it') }, table('Pools', [
    { name: 'Pool', value: (p) => h('a', { href: `#/pools/${encodeURIComponent(p.name)}` }, p.name) },
    { name: 'Health', value: (p) => badge(p.health) },
    { name: 'Leases/s', num: true, value: (p) => rate(mean(live.pools.get(p.name)?.acquires)) },
    { name: 'Connections', num: true, value: poolMeter },
    { name: 'Waiting', num: true, value: (p) => count(p.waiting) },
  ], snap.pools.pools, (p) => p.name));
}

export const overview = {
  name: 'overview',
  title: 'Overview',
  view: () => {
    const { snap } = live;
    if (!snap) return [h('h1', {}, 'Overview'), h('p', { class: 'empty' }, 'Waiting for the first snapshot…')];
    const all = live.routes.get('');
    const now = health(snap, all);
    recent();
    return [
      h('h1', { class: 'sr-only' }, 'Overview'),
      h('section', { class: `sentence ${now.kind}`, 'aria-label': 'Health', key: 'sentence' },
        h('span', { class: 'mark', 'aria-hidden': 'true' }, MARKS[now.kind]),
        h('div', {}, h('p', { class: 'big' }, now.text), h('p', {}, now.why)),
        h('p', { class: 'dim up' }, `up ${duration(snap.process.uptime_seconds)}`)),
      tiles(snap, all),
      h('div', { class: 'cards' },
        card('Requests', { key: 'req' }, lines('Requests a second', [
          { name: 'requests/s', points: all?.requests || [], color: 0 },
          { name: 'errors/s', points: all?.errors || [], color: 3 }], rate)),
        card('First byte', { key: 'fb' }, lines('Time to the first byte', [
          { name: 'p50', points: all?.p50 || [], color: 2 },
          { name: 'p95', points: all?.p95 || [], color: 1 },
          { name: 'p99', points: all?.p99 || [], color: 4 }], ms)),
        slowest(snap), alertCard(snap), poolCard(snap),
        card('What happened', { key: 'events', class: 'wide', extra: h('a', { href: '#/events' }, 'All of it') }, eventTable(notable().slice(0, 8)))),
    ];
  },
};
