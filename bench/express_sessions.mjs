// SPDX-License-Identifier: Apache-2.0
//
// express_sessions.mjs - what express-session's connect-redis takes for a session: made, and looked for. Run where npm has
// installed them.
//
//     node express_sessions.mjs REDIS_PORT COUNT IN_FLIGHT        prints one line of JSON: us of this process's CPU with as many
//                                                                  under way, and what who asks waits (p50) with one
import { createRequire } from 'node:module';
import path from 'node:path';

const require = createRequire(path.join(process.cwd(), 'package.json'));
const { RedisStore } = require('connect-redis');
const { createClient } = require('redis');
const uid = require('uid-safe');

const [port, count, flight] = process.argv.slice(2).map(Number);
const client = createClient({ socket: { port, host: '127.0.0.1' } });
await client.connect();
const store = new RedisStore({ client, prefix: 'express:' });
const ids = Array.from({ length: count }, () => uid.sync(24));
const told = (ask, ...given) => new Promise((done, fail) => ask.call(store, ...given, (err, data) => err ? fail(err) : done(data)));

const session = i => ({
    cookie: { originalMaxAge: 3600000, httpOnly: true, path: '/' },
    user: `user-${i}`, account: `account-${i % 100}`, key: `key-${i % 1000}`, requests: 0, errors: 0,
});

async function each(what) {
    const begun = process.cpuUsage();
    let next = 0;
    await Promise.all(Array.from({ length: flight }, async () => {
        while (next < count)
            await what(next++);
    }));
    const spent = process.cpuUsage(begun);
    return (spent.user + spent.system) / count;
}

await each(i => told(store.set, ids[i], session(i))); // what is compiled on the way is no session's
const create = await each(i => told(store.set, ids[i], session(i)));
const lookUp = await each(i => told(store.get, ids[i]));

async function alone(what) {
    const took = [];
    for (let i = 0; i < count; i++) {
        const begun = process.hrtime.bigint();
        await what(i);
        took.push(Number(process.hrtime.bigint() - begun) / 1e3);
    }
    return took.sort((a, b) => a - b)[count >> 1];
}

const waits = await alone(i => told(store.set, ids[i], session(i)));
const looks = await alone(i => told(store.get, ids[i]));
console.log(JSON.stringify({ 'create us': create, 'look-up us': lookUp, 'create alone us': waits, 'look-up alone us': looks }));
await client.quit();
