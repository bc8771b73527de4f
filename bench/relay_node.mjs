// SPDX-License-Identifier: Apache-2.0
//
// relay_node.mjs - a relay as one writes it in Node: reads a request's JSON, finds the conversation's account by what the
// conversation begins with, asks the upstream in that account's name over a kept connection, and passes the answer on.
//
//     node relay_node.mjs LISTEN UPSTREAM
import { createHash } from 'node:crypto';
import http from 'node:http';

const [listen, upstream] = process.argv.slice(2).map(Number);
const agent = new http.Agent({ keepAlive: true, maxSockets: 1024 });
const accounts = ['key-of-a1', 'key-of-a2'];
const places = new Map();

function accountOf(body) {
    const asked = JSON.parse(body);
    const key = createHash('sha256').update(JSON.stringify([asked.model, asked.system, asked.messages?.[0]])).digest('hex');
    let place = places.get(key);
    if (place === undefined || place.until < Date.now())
        places.set(key, place = { account: accounts[places.size % accounts.length] });
    place.until = Date.now() + 1800000;
    return place.account;
}

function pass(request, response, body) {
    const headers = { ...request.headers, host: `127.0.0.1:${upstream}`, 'x-api-key': accountOf(body) };
    const asked = http.request({ port: upstream, host: '127.0.0.1', method: request.method, path: request.url, headers, agent },
        answer => {
            response.writeHead(answer.statusCode, answer.headers);
            answer.pipe(response);
        });
    asked.on('error', () => response.writeHead(502).end());
    asked.end(body);
}

http.createServer((request, response) => {
    const parts = [];
    request.on('data', part => parts.push(part));
    request.on('end', () => pass(request, response, Buffer.concat(parts)));
}).listen(listen, '127.0.0.1', () => console.log(`port ${listen}`));
