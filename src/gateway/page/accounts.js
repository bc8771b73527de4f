// SPDX-License-Identifier: Apache-2.0
// Whose credentials requests go out with: how busy each account is, why it rests and for how long;
// and the clients that the configuration names.

import { h } from './dom.js';
import { act, encode, get } from './api.js';
import { live } from './live.js';
import { badge, button, card, count, duration, meter, table } from './format.js';

let clients = null;

/** What is left of a cooldown now, from a snapshot that is a moment old. */
function left(seconds) {
  return Math.max(0, seconds - (Date.now() - live.heard) / 1000);
}

function resting(account) {
  const rows = account.cooldowns || [];
  if (rows.length === 0) return h('span', { class: 'dim' }, '–');
  return rows.map((c) => h('span', { class: 'wrap', key: `${c.reason} ${c.family}` },
    `${c.reason.replace(/_/g, ' ')}${c.family ? ` (${c.family})` : ''}, `,
    h('b', { class: 'num' }, duration(left(c.left_seconds))), ' left'));
}

function clear(account) {
  const name = `${account.upstream}/${account.account}`;
  if ((account.cooldowns || []).length === 0) return null;
  return button('Clear', () => act(`Clear ${name}`, 'What is held against the account is forgotten, and it gets requests again.',
    `/api/v1/accounts/${encode(account.upstream)}/${encode(account.account)}/clear`), { class: 'small', 'aria-label': `Clear ${name}` });
}

function tokens(row) {
  return `${count(row.input_tokens)} in · ${count(row.output_tokens)} out`;
}

const COLUMNS = [
  { name: 'Account', value: (a) => `${a.upstream} / ${a.account}` },
  { name: 'State', value: (a) => badge(a.state) },
  { name: 'Why it rests', value: resting },
  { name: 'In flight', num: true, value: (a) => meter(a.in_flight, a.concurrent, 'requests') },
  { name: 'Sessions', value: (a) => h('a', { href: `#/sessions?upstream=${encodeURIComponent(a.upstream)}&account=${encodeURIComponent(a.account)}`, 'aria-label': `Sessions of ${a.upstream} / ${a.account}` }, 'Look') },
  { name: 'Priority', num: true, value: (a) => count(a.priority) },
  { name: 'Weight', num: true, value: (a) => count(a.weight) },
  { name: 'Given up', num: true, title: 'requests that went to another account after this one’s answer', value: (a) => count(a.given_up) },
  { name: 'Tokens', num: true, value: tokens },
  { name: 'Proxy', value: (a) => h('span', { class: 'wrap' }, a.proxy || '–') },
  { name: 'Actions', value: clear },
];

/* Of one gateway alone there is nothing to divide. */
const share = (c) => (c.limits === 'own' ? '–' : `${c.share === undefined ? 'no limit' : `${count(c.share)} of ${count(c.concurrent)}`}${c.limits === 'local' ? ' (local: no Redis)' : ''}`);

const CLIENT_COLUMNS = [
  { name: 'Client', value: (c) => c.client },
  { name: 'In flight', num: true, value: (c) => meter(c.in_flight, c.concurrent, 'requests') },
  { name: 'Share', num: true, title: 'of the requests that all gateways together may have open, those that this one may', value: share },
  { name: 'Waiting', num: true, value: (c) => count(c.waiting) },
  { name: 'Rate', num: true, value: (c) => (c.rate ? `${count(c.rate)} in ${c.rate_seconds} s` : 'no limit') },
  { name: 'Priority', value: (c) => c.priority },
  { name: 'Requests', num: true, value: (c) => count(c.requests) },
  { name: 'Refused: open', num: true, value: (c) => count(c.refused_concurrent) },
  { name: 'Refused: rate', num: true, value: (c) => count(c.refused_rate) },
  { name: 'Tokens', num: true, value: tokens },
];

async function readClients() {
  try {
    clients = (await get('/api/v1/clients')).clients;
  } catch {
    clients = clients || [];
  }
  window.dispatchEvent(new Event('redraw'));
}

let timer = 0;

export const accounts = {
  name: 'accounts',
  title: 'Accounts',
  opened: () => {
    clearInterval(timer);
    timer = setInterval(() => { if (!document.hidden) readClients(); }, 3000);
    readClients();
  },
  closed: () => clearInterval(timer),
  view: () => {
    const { snap } = live;
    if (!snap) return [h('h1', {}, 'Accounts'), h('p', { class: 'empty' }, 'Waiting for the first snapshot…')];
    return [
      h('h1', {}, 'Accounts'),
      h('div', { class: 'cards' },
        card('Accounts of upstreams', { key: 'a', class: 'full' }, table('Accounts', COLUMNS, snap.accounts.accounts, (a) => `${a.upstream}/${a.account}`,
          'No upstream has accounts: requests go out as they came.')),
        card('Clients', { key: 'c', class: 'full' }, table('Clients', CLIENT_COLUMNS, clients || [], (c) => c.client,
          clients ? 'The configuration names no clients: whoever reaches a listener may ask.' : 'Asking…'))),
    ];
  },
};
