// SPDX-License-Identifier: Apache-2.0
// The configuration in force, and what another one would change.

import { h, say } from './dom.js';
import { get, request } from './api.js';
import { card, table } from './format.js';

let inForce = null; // [{ path, value }]
let fault = '';
let filter = '';
let tried = null; // the answer to a dry run
let running = false;

function redraw() {
  window.dispatchEvent(new Event('redraw'));
}

/** An object as lines "a.b[name].c: value". Items that have a name are called by it. */
function flatten(value, path, out) {
  if (Array.isArray(value)) {
    if (value.length === 0) out.push({ path, value: '[]' });
    value.forEach((item, i) => flatten(item, `${path}[${item && typeof item === 'object' && item.name ? item.name : i}]`, out));
  } else if (value && typeof value === 'object') {
    const entries = Object.entries(value);
    if (entries.length === 0) out.push({ path, value: '{}' });
    for (const [key, item] of entries) flatten(item, path ? `${path}.${key}` : key, out);
  } else {
    out.push({ path, value: value === null ? 'null' : String(value) });
  }
  return out;
}

async function read() {
  try {
    inForce = flatten(await get('/api/v1/config'), '', []);
    fault = '';
  } catch (error) {
    fault = error.message;
  }
  redraw();
}

async function dryRun(event) {
  event.preventDefault();
  const text = event.target.elements.text.value;
  running = true;
  redraw();
  try {
    const answer = await request('/api/v1/config?dry_run=1', { method: 'PUT', body: text, headers: { 'Content-Type': 'application/yaml' } });
    const body = await answer.text();
    tried = { ok: answer.ok, status: answer.status };
    try {
      tried.said = JSON.parse(body);
    } catch {
      tried.said = { message: body };
    }
  } catch (error) {
    tried = { ok: false, status: 0, said: { message: error.message } };
  }
  running = false;
  say(tried.ok ? 'The configuration is good' : 'The configuration is refused');
  redraw();
}

function text(value) {
  return typeof value === 'object' && value !== null ? JSON.stringify(value, null, 2) : String(value);
}

/** What the gateway said: a list of changes, of faults, or whatever it is. */
function verdict() {
  if (!tried) return null;
  const { said } = tried;
  const changes = said.changes || said.diff;
  const faults = said.faults || said.errors;
  return h('div', { role: 'status', class: 'verdict' },
    h('p', {}, h('span', { class: `badge ${tried.ok ? 'good' : 'bad'}` }, h('span', { class: 'shape', 'aria-hidden': 'true' }, tried.ok ? '●' : '■'),
      tried.ok ? 'It is good' : `Refused${tried.status ? ` (${tried.status})` : ''}`), ' ', tried.ok ? '' : said.error?.message || said.message || ''),
    Array.isArray(changes) && table('What it would change', [
      { name: 'Option', value: (c) => h('span', { class: 'wrap' }, c.path || c.option || '') },
      { name: 'Now', value: (c) => h('span', { class: 'wrap' }, text(c.from ?? c.now ?? c.before ?? '')) },
      { name: 'Then', value: (c) => h('span', { class: 'wrap' }, text(c.to ?? c.then ?? c.after ?? '')) },
    ], changes.map((c, i) => ({ ...c, i })), (c) => c.i, 'Nothing: it says what is in force.'),
    Array.isArray(faults) && h('ul', { class: 'list' }, faults.map((f, i) => h('li', { key: i }, text(f)))),
    !Array.isArray(changes) && !Array.isArray(faults) && tried.ok && h('pre', { class: 'text', tabindex: '0' }, text(said)));
}

export const config = {
  name: 'configuration',
  title: 'Configuration',
  opened: read,
  view: () => {
    const shown = (inForce || []).filter((row) => `${row.path} ${row.value}`.toLowerCase().includes(filter.toLowerCase()));
    return [
      h('h1', {}, 'Configuration'),
      fault && h('p', { class: 'notice' }, fault),
      h('div', { class: 'cards' },
        card('In force', { key: 'now', class: 'full' },
          h('div', { class: 'filters' }, h('label', {}, 'Search', h('input', { type: 'search', placeholder: 'option or value …  ( / )', oninput: (e) => { filter = e.target.value; redraw(); } }))),
          h('div', { class: 'tall' }, inForce ? table('Options in force', [
            { name: 'Option', value: (r) => h('code', { class: 'wrap' }, r.path) },
            { name: 'Value', value: (r) => h('code', { class: 'wrap' }, r.value) },
          ], shown, (r) => r.path, 'No option fits.') : h('p', { class: 'empty' }, 'Asking…')),
          h('p', { class: 'dim' }, 'Every option, with what was not written as its default; secrets are ***.')),
        card('Try another', { key: 'try', class: 'full' },
          h('p', { class: 'dim' }, 'The gateway reads it as a reload would, says what it would change, and changes nothing.'),
          h('form', { onsubmit: dryRun },
            h('label', {}, 'Configuration (YAML)', h('textarea', { name: 'text', spellcheck: 'false', required: true })),
            h('p', {}, h('button', { type: 'submit', class: 'primary', disabled: running }, running ? 'Trying…' : 'Dry run'))),
          verdict())),
    ];
  },
};
