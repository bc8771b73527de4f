// SPDX-License-Identifier: Apache-2.0
// The configuration in force, read again from its file, and what another one would change.

import { h, say } from './dom.js';
import { get, reasonFor, request } from './api.js';
import { card, table } from './format.js';

let inForce = null; // [{ path, value }]
let fault = '';
let filter = '';
let tried = null; // the answer to a dry run
let readAgain = null; // the answer to a reload
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
  say(tried.ok && tried.said.valid !== false ? 'The configuration could be served' : 'The configuration is refused');
  redraw();
}

async function reload() {
  const reason = await reasonFor('Reload', 'The gateway reads its file again, and puts all of it in force, or nothing. Connections stay.');
  if (reason === null) return;
  running = true;
  redraw();
  try {
    const answer = await request('/api/v1/reload', { method: 'POST', body: JSON.stringify({ reason }), headers: { 'Content-Type': 'application/json' } });
    const said = await answer.json().catch(() => ({}));
    readAgain = { ok: answer.ok, said, message: said.message || said.error?.message || `status ${answer.status}` };
  } catch (error) {
    readAgain = { ok: false, said: {}, message: error.message };
  }
  running = false;
  say(readAgain.ok ? `Reloaded: ${readAgain.message}` : `Not reloaded: ${readAgain.message}`);
  await read();
}

/** What came of the last reload from here. */
function outcome() {
  if (!readAgain) return null;
  const { ok, said, message } = readAgain;
  return h('div', { class: 'verdict' },
    h('p', {}, h('span', { class: `badge ${ok ? 'good' : 'bad'}` }, h('span', { class: 'shape', 'aria-hidden': 'true' }, ok ? '●' : '■'),
      said.result || 'Refused'), ` ${message}`, said.generation ? `; generation ${said.generation} is in force` : ''),
    faultList(said.faults),
    (said.changes || []).length > 0 && changeTable(ok ? 'What has changed' : 'What it would have changed', said, ''));
}

function faultList(faults) {
  return (faults || []).length > 0 && h('ul', { class: 'list' }, faults.map((f, i) => h('li', { key: i },
    h('span', { class: `badge ${f.advice ? 'warn' : 'bad'}` }, h('span', { class: 'shape', 'aria-hidden': 'true' }, f.advice ? '▲' : '■'), f.advice ? 'advice' : 'fault'),
    ` line ${f.line}, column ${f.column}: ${f.message}`)));
}

function changeTable(title, said, none) {
  return table(title, [
    { name: 'Option', value: (c) => h('code', { class: 'wrap' }, c.path) },
    { name: 'Change', value: (c) => c.change },
    { name: 'Before', value: (c) => h('code', { class: 'wrap' }, text(c.running)) },
    { name: 'Then', value: (c) => h('code', { class: 'wrap' }, text(c.wanted)) },
    { name: 'Needs', value: (c) => text(c.apply) },
  ], said.changes || [], (c) => `${c.path} ${c.change}`, none);
}

function text(value) {
  if (value === null || value === undefined) return '–';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** What the gateway said: whether it could be served, what is wrong with it, what it would change. */
function verdict() {
  if (!tried) return null;
  const { said } = tried;
  const good = tried.ok && said.valid !== false;
  return h('div', { class: 'verdict' },
    h('p', {}, h('span', { class: `badge ${good ? 'good' : 'bad'}` }, h('span', { class: 'shape', 'aria-hidden': 'true' }, good ? '●' : '■'),
      good ? 'It could be served' : 'Refused'), ' ', tried.ok ? '' : said.error?.message || said.message || `status ${tried.status}`),
    faultList(said.faults),
    good && tried.ok && changeTable('What it would change', said, 'It would change nothing: it says what is in force.'),
    said.count > (said.changes || []).length && h('p', { class: 'dim' }, `${said.count} changes in all.`));
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
          h('p', { class: 'dim' }, 'Every option, with what was not written as its default; secrets are ***.'),
          h('p', {}, h('button', { type: 'button', disabled: running, onclick: reload }, 'Reload'), ' reads the file again, and puts all of it in force, or nothing.'),
          outcome()),
        card('Try another', { key: 'try', class: 'full' },
          h('p', { class: 'dim' }, 'The gateway reads it, says what it would change, and changes nothing.'),
          h('form', { onsubmit: dryRun },
            h('label', {}, 'Configuration (YAML)', h('textarea', { name: 'text', spellcheck: 'false', required: true })),
            h('p', {}, h('button', { type: 'submit', class: 'primary', disabled: running }, running ? 'Trying…' : 'Dry run'))),
          verdict())),
    ];
  },
};
