// SPDX-License-Identifier: Apache-2.0
// An endpoint's state, and what can be done to it.

import { h } from './dom.js';
import { act, encode } from './api.js';
import { badge, button } from './format.js';

const EFFECTS = {
  drain: 'It gets no new requests; what is open goes on to its end.',
  maint: 'It gets no new requests and is not checked, until somebody says ready; what is still open after 30 s is cut.',
  ready: 'It gets requests again.',
};

/** What an operator has said of it, else what the gateway has found. */
export function wordOf(endpoint) {
  if (endpoint.mode !== 'ready') return endpoint.mode;
  if (endpoint.state !== 'up') return endpoint.state;
  return endpoint.healthy ? 'up' : 'unhealthy';
}

export function endpointState(endpoint) {
  return badge(wordOf(endpoint));
}

function action(endpoint, verb) {
  const name = `${endpoint.upstream}/${endpoint.endpoint}`;
  const label = verb === 'maint' ? 'Maintenance' : verb[0].toUpperCase() + verb.slice(1);
  return button(label, () => act(`${label} ${name}`, EFFECTS[verb],
    `/api/v1/endpoints/${encode(endpoint.upstream)}/${encode(endpoint.endpoint)}/${verb}`),
  { key: verb, class: 'small', 'aria-label': `${label} ${name}` });
}

export function endpointActions(endpoint) {
  const word = wordOf(endpoint);
  const verbs = ['drain', 'maint'].includes(word) ? ['ready'] : ['drain', 'maint'];
  return h('span', { class: 'row' }, verbs.map((verb) => action(endpoint, verb)));
}
