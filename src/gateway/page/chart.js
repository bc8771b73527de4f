// SPDX-License-Identifier: Apache-2.0
// Three pictures of numbers over time: a spark, lines, and a heat map. Drawn here rather than by a
// library because none of Debian's draws all three, and these lines are a tenth of what one weighs.
// Each has a sentence for who cannot see it.

import { h } from './dom.js';

const W = 600;
const H = 150;

function pathOf(points, x, y) {
  let path = '';
  let pen = false;
  points.forEach((value, i) => {
    if (value === null || value === undefined || Number.isNaN(value)) {
      pen = false;
      return;
    }
    path += `${pen ? 'L' : 'M'}${x(i).toFixed(1)} ${y(value).toFixed(1)}`;
    pen = true;
  });
  return path;
}

function most(list) {
  let top = 0;
  for (const value of list) if (value > top) top = value;
  return top;
}

/** The last points of one series, small enough for a table's cell. */
export function spark(points, label) {
  const shown = points.slice(-60);
  const top = most(shown) || 1;
  const room = Math.max(20, shown.length); // what is young is not squeezed into a corner
  const x = (i) => (room - shown.length + i) * (100 / (room - 1));
  const y = (v) => 22 - (v / top) * 20;
  return h('svg', { class: 'spark', viewBox: '0 0 100 24', preserveAspectRatio: 'none', role: 'img', 'aria-label': label },
    h('path', { class: 'line s0', d: pathOf(shown, x, y) }));
}

/** A round number not below n. */
function roundUp(n) {
  if (n <= 0) return 1;
  const unit = 10 ** Math.floor(Math.log10(n));
  for (const step of [1, 2, 2.5, 5, 10]) if (n <= step * unit) return step * unit;
  return 10 * unit;
}

const SPANS = [60, 120, 300, 600]; // seconds; the first that has room for what is known

/** series: [{ name, points, color }], newest last, one point a second. */
export function lines(title, series, format) {
  const span = SPANS.find((n) => n >= most(series.map((s) => s.points.length))) || SPANS[SPANS.length - 1];
  const shown = series.map((s) => ({ ...s, points: s.points.slice(-span) }));
  const top = roundUp(most(shown.map((s) => most(s.points))));
  const x = (length) => (i) => (span - length + i) * (W / (span - 1));
  const y = (v) => H - 2 - (v / top) * (H - 8);
  const now = shown.map((s) => `${s.name} ${format(s.points[s.points.length - 1])}`).join(', ');
  return h('figure', { class: 'chart' },
    h('div', { class: 'plot' },
      h('div', { class: 'axis', 'aria-hidden': 'true' }, h('span', {}, format(top)), h('span', {}, format(top / 2)), h('span', {}, '0')),
      h('svg', { viewBox: `0 0 ${W} ${H}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': `${title}, now: ${now}` },
        [0, 0.5, 1].map((at) => h('line', { class: 'grid', x1: 0, x2: W, y1: y(top * at), y2: y(top * at) })),
        shown.map((s, i) => h('path', { key: s.name, class: `line s${s.color ?? i % 6}`, d: pathOf(s.points, x(s.points.length), y) })))),
    h('div', { class: 'times', 'aria-hidden': 'true' }, h('span', {}, `${span / 60} min ago`), h('span', {}, 'now')),
    h('figcaption', { class: 'legend' },
      shown.map((s, i) => h('span', { key: s.name, class: 'entry' },
        h('span', { class: `swatch s${s.color ?? i % 6}`, 'aria-hidden': 'true' }), s.name, ' ',
        h('b', {}, format(s.points[s.points.length - 1]))))));
}

/** columns: lists of counts, one a second, newest last; a row of cells for each class of times. */
export function heat(columns, labels, title) {
  const span = SPANS.find((n) => n >= columns.length) || SPANS[SPANS.length - 1];
  const rows = labels.length;
  const draw = (canvas) => {
    const cw = 4;
    const ch = 14;
    canvas.width = span * cw;
    canvas.height = rows * ch;
    const ink = getComputedStyle(canvas).getPropertyValue('--heat').trim().split(',').map(Number);
    const paint = canvas.getContext('2d');
    const shown = columns.slice(-span);
    const top = Math.max(1, most(shown.map((c) => most(c))));
    shown.forEach((column, i) => {
      column.forEach((n, row) => {
        if (n === 0) return;
        const strength = 0.2 + 0.8 * (Math.log(1 + n) / Math.log(1 + top));
        paint.fillStyle = `rgba(${ink.join(',')},${strength})`;
        paint.fillRect((span - shown.length + i) * cw, (rows - 1 - row) * ch, cw, ch - 1);
      });
    });
  };
  return h('figure', { class: 'chart' },
    h('div', { class: 'plot heat' },
      h('div', { class: 'axis rows', 'aria-hidden': 'true' }, labels.slice().reverse().map((text) => h('span', { key: text }, text))),
      h('canvas', { role: 'img', 'aria-label': title, draw })),
    h('div', { class: 'times', 'aria-hidden': 'true' }, h('span', {}, `${span / 60} min ago`), h('span', {}, 'now')));
}
