// SPDX-License-Identifier: Apache-2.0
// Questions to the gateway that serves this page. Where it wants a token, the token is asked for
// once, kept for as long as the tab lives, sent in a header and never in an address.

import { h, patch, say } from './dom.js';

const KEPT = 'weir-token';

function token() {
  return sessionStorage.getItem(KEPT) || '';
}

function headers(more) {
  const all = { ...more };
  if (token()) all.Authorization = `Bearer ${token()}`;
  return all;
}

let asking = null;

/** Shows a dialog; resolves with what `read` makes of its form, or null when it was left. */
function ask(title, lines, fields, confirm) {
  return new Promise((resolve) => {
    const host = document.getElementById('dialogs');
    const dialog = document.createElement('dialog');
    const done = (value) => {
      dialog.close();
      dialog.remove();
      resolve(value);
    };
    dialog.setAttribute('aria-labelledby', 'dialog-title');
    patch(dialog, [h('form', {
      method: 'dialog',
      onsubmit: (event) => {
        event.preventDefault();
        done(Object.fromEntries([...event.target.elements].filter((e) => e.name).map((e) => [e.name, e.value])));
      },
    },
    h('h2', { id: 'dialog-title' }, title),
    lines.map((line) => h('p', {}, line)),
    fields.map((f) => h('label', {}, f.label, h('input', { name: f.name, type: f.type || 'text', required: f.required, autocomplete: 'off', maxlength: '200', placeholder: f.hint }))),
    h('div', { class: 'row end' },
      h('button', { type: 'button', onclick: () => done(null) }, 'Cancel'),
      h('button', { type: 'submit', class: 'primary' }, confirm)))]);
    dialog.addEventListener('cancel', (event) => {
      event.preventDefault();
      done(null);
    });
    host.append(dialog);
    dialog.showModal();
    const first = dialog.querySelector('input');
    if (first) first.focus();
  });
}

/** Asks for the token, once for all who want it. Resolves when there is one. */
function askForToken(wrong) {
  if (!asking) {
    sessionStorage.removeItem(KEPT);
    asking = ask('This gateway wants a token',
      [wrong ? 'That token is not the one.' : 'It is admin.token of its configuration. It stays in this tab, and goes with it.'],
      [{ name: 'token', label: 'Token', type: 'password', required: true }], 'Continue').then((got) => {
      asking = null;
      if (got) sessionStorage.setItem(KEPT, got.token);
      return Boolean(got);
    });
  }
  return asking;
}

/** fetch() with the token; a missing or wrong one is asked for until it is right or given up. */
export async function request(path, options = {}) {
  for (;;) {
    const answer = await fetch(path, { ...options, headers: headers(options.headers), cache: 'no-store', credentials: 'omit' });
    if (answer.status !== 401 || options.quiet) return answer;
    if (!await askForToken(Boolean(token()))) return answer;
  }
}

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function refusal(answer) {
  let message = answer.statusText || 'refused';
  try {
    const body = await answer.json();
    message = body.error?.message || message;
  } catch {
    // what is not JSON has nothing to add
  }
  return new Refused(answer.status, message);
}

export async function get(path) {
  const answer = await request(path);
  if (!answer.ok) throw await refusal(answer);
  return answer.json();
}

export async function send(method, path, body, more) {
  const answer = await request(path, { method, body, headers: { 'Content-Type': 'application/json', ...more } });
  if (!answer.ok) throw await refusal(answer);
  const text = await answer.text();
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

let notices = [];
let nextNotice = 1;

function drawNotices() {
  let host = document.getElementById('notices');
  if (!host) {
    host = document.createElement('div');
    host.id = 'notices';
    document.body.append(host);
  }
  patch(host, notices.map((n) => h('div', { key: n.id, class: `toast ${n.good ? 'good' : 'bad'}` }, h('span', { 'aria-hidden': 'true' }, n.good ? '✓ ' : '✕ '), n.text)));
}

export function notice(text, good) {
  const one = { id: nextNotice++, text, good };
  notices = [...notices.slice(-3), one];
  say(text);
  drawNotices();
  setTimeout(() => {
    notices = notices.filter((n) => n !== one);
    drawNotices();
  }, 6000);
}

/** Why whoever clicked wants it, or null: he does not. what: "Drain 127.0.0.1:80"; effect: a sentence. */
export async function reasonFor(what, effect) {
  const got = await ask(`${what}?`, [effect], [{ name: 'reason', label: 'Reason', required: true, hint: 'Goes into the log, for whoever asks later' }], what.split(' ')[0]);
  return got && got.reason;
}

/** Changes something, once whoever clicked has confirmed it and said why. path: of the command. */
export async function act(what, effect, path, body) {
  const reason = await reasonFor(what, effect);
  if (reason === null) return false;
  try {
    await send('POST', path, JSON.stringify({ ...body, reason }));
    notice(`${what}: done.`, true);
    return true;
  } catch (error) {
    notice(`${what}: ${error.status === 403 ? 'this token may only look.' : error.message}`, false);
    return false;
  }
}

export function encode(name) {
  return encodeURIComponent(name).replace(/%3A/g, ':');
}
