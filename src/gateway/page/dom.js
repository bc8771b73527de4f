// SPDX-License-Identifier: Apache-2.0
// The page as values: a view is a function that returns nodes as plain objects, and patch() makes
// the document so. What stays the same is not touched: focus, selection and scrolling survive an
// update a second. Text becomes text nodes and attributes, never markup.

const SVG = 'http://www.w3.org/2000/svg';
const SVG_TAGS = new Set(['svg', 'path', 'line', 'rect', 'circle', 'g', 'text', 'title', 'polyline', 'polygon']);

/** A node: h('td', {class: 'num'}, '12'). `key` tells rows of a list apart. */
export function h(tag, props, ...kids) {
  return { tag, props: props || {}, key: props ? props.key : undefined, kids };
}

function flat(kids, out = []) {
  for (const kid of kids) {
    if (Array.isArray(kid)) flat(kid, out);
    else if (kid !== null && kid !== undefined && kid !== false && kid !== true) {
      out.push(typeof kid === 'object' ? kid : String(kid));
    }
  }
  return out;
}

function fits(node, kid) {
  if (!node) return false;
  if (typeof kid === 'string') return node.nodeType === 3;
  return node.nodeType === 1 && node.weirTag === kid.tag && node.weirKey === kid.key;
}

function make(kid) {
  if (typeof kid === 'string') return document.createTextNode(kid);
  const node = SVG_TAGS.has(kid.tag) ? document.createElementNS(SVG, kid.tag) : document.createElement(kid.tag);
  node.weirTag = kid.tag;
  node.weirKey = kid.key;
  node.weirProps = {};
  return node;
}

function setProp(node, name, value, before) {
  if (name === 'key') return;
  if (name.startsWith('on')) {
    const event = name.slice(2);
    if (before) node.removeEventListener(event, before);
    if (value) node.addEventListener(event, value);
  } else if (name === 'style') {
    for (const [key, text] of Object.entries(value || {})) node.style.setProperty(key, text);
  } else if (name === 'draw') {
    value(node); // a canvas draws itself
  } else if (name === 'value' && node.weirTag !== 'option') {
    if (node.value !== (value ?? '')) node.value = value ?? '';
  } else if (value === null || value === undefined || value === false) {
    node.removeAttribute(name);
  } else {
    node.setAttribute(name, value === true ? '' : String(value));
  }
}

function update(node, kid) {
  if (typeof kid === 'string') {
    if (node.data !== kid) node.data = kid;
    return;
  }
  const before = node.weirProps;
  for (const name of Object.keys(before)) if (!(name in kid.props)) setProp(node, name, null, before[name]);
  for (const [name, value] of Object.entries(kid.props)) {
    if (before[name] !== value || name === 'style') setProp(node, name, value, before[name]);
  }
  node.weirProps = kid.props;
  patch(node, kid.kids);
}

/** Makes the children of `parent` what `kids` say. */
export function patch(parent, kids) {
  const wanted = flat(kids);
  const keys = new Set(wanted.map((kid) => kid.key).filter((key) => key !== undefined));
  const known = new Map();
  for (const node of parent.childNodes) if (node.weirKey !== undefined) known.set(node.weirKey, node);
  let at = parent.firstChild;
  for (const kid of wanted) {
    while (at && at.weirKey !== undefined && !keys.has(at.weirKey)) {
      const gone = at;
      at = at.nextSibling;
      gone.remove();
    }
    let node = kid.key !== undefined ? known.get(kid.key) : at;
    if (!fits(node, kid)) node = make(kid);
    if (node === at) at = at.nextSibling;
    else parent.insertBefore(node, at);
    update(node, kid);
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}

/** Says something to who listens instead of looking. */
export function say(text) {
  document.getElementById('said').textContent = text;
}
