// SPDX-License-Identifier: Apache-2.0
// Conversations that are somewhere else than their hash says: where, and why.

import { h } from './dom.js';
import { act, encode, get } from './api.js';
import { badge, button, card, clock, count, duration, table } from './format.js';
import { recent } from './events.js';
import { live } from './live.js';

const FIELDS = [['id', 'Id begins with'], ['user', 'User'], ['upstream', 'Upstream'], ['account', 'Account'], ['key', 'Client']];

let found = null;
let one = null;
let fault = '';
let asked = '';
let timer = 0;

function redraw() {
  window.dispatchEvent(new Event('redraw'));
}

async function search(query) {
  asked = query.toString();
  try {
    found = await get(`/api/v1/sessions?${asked}`);
    fault = '';
  } catch (error) {
    fault = error.message;
    found = found || { sessions: [], cut: false };
  }
  redraw();
}

async function look(id) {
  try {
    one = await get(`/api/v1/sessions/${encodeURIComponent(id)}`);
    fault = '';
  } catch (error) {
    one = null;
    fault = error.status === 404 ? 'There is no record of it: it goes where its hash says, or its time was up.' : error.message;
  }
  redraw();
}

function submit(event) {
  event.preventDefault();
  const query = new URLSearchParams();
  for (const field of event.target.elements) if (field.name && field.value) query.set(field.name, field.value);
  location.hash = `#/sessions?${query}`;
}

function form(query) {
  return h('form', { class: 'filters', onsubmit: submit, role: 'search' },
    FIELDS.map(([name, title], i) => h('label', { key: name }, title, h('input', { name, type: i === 0 ? 'search' : 'text', size: '14', value: query.get(name) || '' }))),
    h('label', {}, 'Status', h('select', { name: 'status' }, h('option', { value: '' }, 'any'),
      ['active', 'idle', 'suspended', 'failed'].map((s) => h('option', { key: s, value: s, selected: query.get('status') === s }, s)))),
    h('button', { type: 'submit', class: 'primary' }, 'Search'));
}

const COLUMNS = [
  { name: 'Session', value: (s) => h('a', { href: `#/sessions/${encodeURIComponent(s.id)}` }, h('code', {}, s.id.slice(0, 16))) },
  { name: 'Status', value: (s) => badge(s.status) },
  { name: 'Upstream', value: (s) => s.upstream || '–' },
  { name: 'Account', value: (s) => s.account || '–' },
  { name: 'Stays for', num: true, title: 'how much longer it is bound to that account', value: (s) => duration(s.bound_seconds) },
  { name: 'Idle', num: true, value: (s) => duration(s.idle_seconds) },
  { name: 'Requests', num: true, value: (s) => count(s.requests) },
  { name: 'Client', value: (s) => s.key || '–' },
  { name: 'User', value: (s) => h('span', { class: 'wrap' }, s.user || '–') },
];

function list(where) {
  return [
    h('h1', {}, 'Sessions'),
    h('p', { class: 'dim' }, 'A conversation is recorded here once it is somewhere else than its hash says: after a move, on a full account, or by a hard pin.'),
    form(where.query),
    fault && h('p', { class: 'notice' }, fault),
    h('section', { class: 'card full' }, found
      ? table('Sessions', COLUMNS, found.sessions, (s) => s.id, 'No recorded conversation fits.')
      : h('p', { class: 'empty' }, 'Asking…')),
    found && h('p', { class: 'dim' }, `${found.sessions.length} found${found.cut ? ', and there are more' : ''}.`),
  ];
}

const WHYS = {
  cooldown: 'its account was cooling down', drained: 'its account was taken out of use', full: 'its account was full', failed: 'its account failed',
  spill: 'its account was full for a moment', pin: 'a response it continues is there', operator: 'an operator moved it', rebind: 'an operator moved it',
};

/** Whether something is held against an account. */
function held(account) {
  return account.reason && account.reason !== 'none';
}

/** Why it is where it is, in sentences: from what was told of it. */
function why(session) {
  const moves = recent().filter((e) => e.session && session.id.startsWith(e.session));
  const accounts = (live.snap?.accounts.accounts || []).filter((a) => a.upstream === session.upstream);
  const own = accounts.find((a) => a.account === session.account);
  return card('Why it is there', { key: 'why' },
    h('p', {}, 'It is bound to account ', h('b', {}, session.account || '–'), session.bound_seconds > 0 ? ` of ${session.upstream || '–'}, and stays for ${duration(session.bound_seconds)} after its last request.` : ' for no longer than this request.'),
    moves.length === 0
      ? h('p', { class: 'dim' }, 'Its move is older than the events that are kept, was one of many told as one, or it was recorded here at once.')
      : h('ul', { class: 'list' }, moves.map((e) => h('li', { key: e.id }, h('time', { datetime: e.time }, clock(e.time)), ' ',
        `${e.from ? `from ${e.from} ` : ''}to ${e.account}: `, h('b', {}, WHYS[e.why] || String(e.why).replace(/_/g, ' '))))),
    own && h('p', {}, 'That account is ', badge(own.state), held(own) ? ` (${own.reason.replace(/_/g, ' ')})` : '', '.'),
    accounts.filter((a) => a !== own).map((a) => h('p', { key: a.account, class: 'dim' }, `${a.account} is ${a.state}${held(a) ? `: ${a.reason.replace(/_/g, ' ')}, ${duration(a.cooldown_seconds)} left` : ''}.`)));
}

function rebind(session, account) {
  return button(`Move to ${account}`, async () => {
    if (await act(`Move ${session.id.slice(0, 12)} to ${account}`, 'The next request of this conversation goes there.',
      `/api/v1/sessions/${encode(session.id)}/rebind`, { account, epoch: session.epoch })) look(session.id);
  }, { key: account });
}

function detail(id) {
  const crumbs = h('p', { class: 'crumbs' }, h('a', { href: '#/sessions' }, 'Sessions'), ' / ', id.slice(0, 16));
  if (!one || one.id !== id) return [crumbs, h('h1', {}, 'Session'), h('p', { class: 'empty' }, fault || 'Asking…')];
  const others = (live.snap?.accounts.accounts || []).filter((a) => a.upstream === one.upstream && a.account !== one.account).map((a) => a.account);
  const facts = [['Status', badge(one.status)], ['Upstream', one.upstream], ['Account', one.account], ['Client', one.key], ['User', one.user],
    ['Requests', count(one.requests)], ['Known for', duration(one.age_seconds)], ['Idle for', duration(one.idle_seconds)],
    ['Forgotten in', duration(one.expires_seconds)], ['Times placed', count(one.epoch)]];
  return [
    crumbs, h('div', { class: 'head' }, h('h1', {}, h('code', {}, one.id)),
      h('div', { class: 'row', role: 'group', 'aria-label': 'Actions' }, others.map((account) => rebind(one, account)),
        button('End it', async () => {
          if (await act(`End ${one.id.slice(0, 12)}`, 'The record is forgotten: the conversation goes where its hash says, like a new one.', `/api/v1/sessions/${encode(one.id)}/end`)) look(one.id);
        }, { key: '(end)' }))),
    h('div', { class: 'cards' }, why(one),
      card('What is known', { key: 'facts' }, h('dl', { class: 'facts' }, facts.map(([name, value]) => h('div', { key: name }, h('dt', {}, name), h('dd', {}, value || '–')))))),
  ];
}

export const sessions = {
  name: 'sessions',
  title: 'Sessions',
  opened: (where) => {
    clearInterval(timer);
    fault = '';
    const read = () => (where[0] ? look(where[0]) : search(where.query));
    timer = setInterval(() => { if (!document.hidden) read(); }, 3000);
    read();
  },
  closed: () => clearInterval(timer),
  view: (where) => {
    recent();
    return where[0] ? detail(where[0]) : list(where);
  },
};
