// SPDX-License-Identifier: Apache-2.0
// The frame: which page is shown, by the part of the address behind '#', and the header above it.

import { h, patch, say } from './dom.js';
import { live, onChange, start } from './live.js';
import { badge } from './format.js';
import { overview } from './overview.js';
import { pools } from './pools.js';
import { accounts } from './accounts.js';
import { latency } from './latency.js';
import { connections } from './connections.js';
import { sessions } from './sessions.js';
import { events } from './events.js';
import { config } from './config.js';
import { process } from './process.js';

// Each page: { name, title, view(where), opened(where)?, closed()? }. `where` are the parts behind its name.
const PAGES = [overview, pools, accounts, latency, connections, sessions, events, config, process];

const main = document.getElementById('main');
let page = null;
let where = [];

/** The page's own part of the address: #/pools/plain → ['plain']. */
function place() {
  const [path, query] = location.hash.replace(/^#\/?/, '').split('?');
  const parts = path.split('/').map((part) => {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  });
  const found = PAGES.find((p) => p.name === parts[0]) || PAGES[0];
  return [found, Object.assign(parts.slice(1), { query: new URLSearchParams(query || '') })];
}

export function draw() {
  header();
  if (!page) return;
  patch(main, [h('div', { key: page.name, class: `page ${page.name}` }, page.view(where))]);
}

function go() {
  const [next, parts] = place();
  const changed = next !== page;
  if (changed && page?.closed) page.closed();
  page = next;
  where = parts;
  document.title = `${[page.title, ...where.filter(Boolean)].join(' · ')} · weir`;
  if (page.opened) page.opened(where);
  draw();
  if (changed) {
    main.scrollTop = 0;
    window.scrollTo(0, 0);
    say(page.title);
  }
}

// --- the header ------------------------------------------------------------------------------

const STATES = {
  connecting: ['busy', '◌', 'Connecting'],
  live: ['good', '●', 'Live'],
  paused: ['off', '❙❙', 'Paused'],
  lost: ['bad', '↻', 'Reconnecting'],
};

const THEMES = { auto: ['◐', 'As the system'], light: ['☀', 'Light'], dark: ['☾', 'Dark'] };

function theme() {
  return localStorage.getItem('weir-theme') || 'auto';
}

function nextTheme() {
  const order = Object.keys(THEMES);
  localStorage.setItem('weir-theme', order[(order.indexOf(theme()) + 1) % order.length]);
  setTheme();
  say(`Colours: ${THEMES[theme()][1]}`);
  draw();
}

function setTheme() {
  document.documentElement.dataset.theme = theme();
}

function firing() {
  return (live.snap?.alerts?.alerts || []).filter((a) => a.state === 'firing').length;
}

function header() {
  const [kind, shape, word] = STATES[live.state];
  const alerts = firing();
  patch(document.getElementById('nav'), [h('ul', {}, PAGES.map((p, i) => h('li', { key: p.name },
    h('a', { href: `#/${p.name}`, 'aria-current': p === page ? 'page' : null, title: `Press ${i + 1}` }, p.title))))]);
  patch(document.getElementById('status'), [
    alerts > 0 && h('a', { class: 'alarm', href: '#/overview' }, badge('firing', `${alerts} alert${alerts === 1 ? '' : 's'}`)),
    h('span', { class: `stream ${kind}`, id: 'stream', title: 'A snapshot a second, while somebody looks' },
      h('span', { class: 'shape', 'aria-hidden': 'true' }, shape), h('span', { class: 'word' }, word)),
    h('button', { type: 'button', class: 'icon', onclick: nextTheme, 'aria-label': `Colours: ${THEMES[theme()][1]}. Change`, title: `Colours: ${THEMES[theme()][1]}` },
      h('span', { 'aria-hidden': 'true' }, THEMES[theme()][0])),
  ]);
}

function onKey(event) {
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) || document.querySelector('dialog[open]');
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const number = Number(event.key);
  if (number >= 1 && number <= PAGES.length) location.hash = `#/${PAGES[number - 1].name}`;
  if (event.key === '/') {
    const field = main.querySelector('input[type=search]');
    if (field) {
      event.preventDefault();
      field.focus();
    }
  }
}

setTheme();
window.addEventListener('hashchange', go);
window.addEventListener('keydown', onKey);
window.addEventListener('redraw', draw);
onChange(draw);
go();
start();
