// SPDX-License-Identifier: Apache-2.0
//
// relay_express.mjs - a relay in front of AI APIs as they are written with express, ioredis, axios and winston: it knows its
// clients by a key whose hash is in Redis, counts what they have under way and what they have used there, keeps a conversation
// with its account there, and writes a line for each request. Run where npm has installed them.
//
//     node relay_express.mjs LISTEN UPSTREAM REDIS LOG [PRICES]   ports, and files
//
// With PRICES, a file of what models cost, it does for each request what a public relay of this kind does besides, as its
// source had it (claude-relay-service: services/claudeRelayService.js, middleware/auth.js): the account is read again for
// its token, for its proxy (of a list of all) and for what is sent in its name; the body is copied by way of its text; the
// most tokens that the model may have are looked up in that file, which is read and parsed for it; and what was noted of
// the account's errors and limits is cleared and asked for. Each step says so in the log, which goes to the console as well.
// Left out is what needs more of its own world: decryption of tokens, headers of a certain client, what tokens cost.
import { createHash, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';

process.env.NODE_ENV = 'production';
const require = createRequire(path.join(process.cwd(), 'package.json'));
const axios = require('axios');
const express = require('express');
const Redis = require('ioredis');
const winston = require('winston');

const [listen, upstream, redisPort] = process.argv.slice(2, 5).map(Number);
const redis = new Redis({ port: redisPort, host: '127.0.0.1', enableAutoPipelining: true });
const prices = process.argv[6];
const log = winston.createLogger({
    format: winston.format.combine(winston.format.timestamp(), winston.format.json()),
    transports: [new winston.transports.File({ filename: process.argv[5] }), ...(prices ? [new winston.transports.Console()] : [])],
});
const api = axios.create({
    baseURL: `http://127.0.0.1:${upstream}`, responseType: 'stream', validateStatus: () => true, maxBodyLength: Infinity,
    httpAgent: new http.Agent({ keepAlive: true, maxSockets: 1024 }),
});
const hash = text => createHash('sha256').update(text).digest('hex');
const LIMIT = 1000, TTL = 1800;

await redis.hset(`key:${hash('team-a-key')}`, { name: 'team-a', limit: LIMIT });
await redis.sadd('accounts', 'a1', 'a2');
await redis.hset('account:a1', { name: 'a1', key: 'key-of-a1', status: 'active', priority: 50 });
await redis.hset('account:a2', { name: 'a2', key: 'key-of-a2', status: 'active', priority: 50 });

async function authenticate(request, response, next) {
    const client = await redis.hgetall(`key:${hash(request.get('x-api-key') ?? '')}`);
    if (!client.name)
        return response.status(401).json({ error: { code: 'client_key_wrong' } });
    const open = await redis.incr(`open:${client.name}`);
    response.on('close', () => redis.decr(`open:${client.name}`));
    if (open > client.limit)
        return response.status(429).json({ error: { code: 'client_busy' } });
    request.client = client;
    next();
}

async function accountOf(asked) {
    const key = `session:${hash(JSON.stringify([asked.model, asked.system, asked.messages?.[0]]))}`;
    const bound = await redis.get(key);
    const names = bound ? [bound] : await redis.smembers('accounts');
    const accounts = (await Promise.all(names.map(name => redis.hgetall(`account:${name}`)))).filter(a => a.status === 'active');
    const account = accounts.sort((a, b) => a.priority - b.priority)[0];
    await redis.setex(key, TTL, account.name);
    return account;
}

const accountNamed = name => redis.hgetall(`account:${name}`);

function edited(asked) {
    const body = JSON.parse(JSON.stringify(asked));
    const model = JSON.parse(readFileSync(prices, 'utf8'))[body.model];
    if (model === undefined)
        log.info(`model ${body.model} has no price`);
    else if (body.max_tokens > model.max_tokens)
        body.max_tokens = model.max_tokens;
    for (const message of body.messages ?? [])
        for (const part of Array.isArray(message.content) ? message.content : [])
            delete part.cache_control?.ttl;
    return body;
}

async function prepared(request, account) {
    log.info('key', { client: request.client.name, model: request.body.model });
    log.info(`request of ${request.client.name} goes to ${account.name}`);
    await accountNamed(account.name);
    await accountNamed(account.name); // its token
    const body = edited(request.body);
    const all = await Promise.all((await redis.smembers('accounts')).map(accountNamed));
    log.debug('proxy', { proxy: all.find(a => a.name === account.name)?.proxy });
    await accountNamed(account.name); // its user agent
    log.info(`user agent ${await redis.get(`agent:${account.name}`)}`);
    return body;
}

async function settled(account) {
    await redis.del(`unauthorized:${account.name}`);
    await redis.del(`failed:${account.name}`);
    await accountNamed(account.name); // is it limited
    await redis.get(`overloaded:${account.name}`);
    log.info(`request to ${account.name} is over`);
}

async function relay(request, response) {
    const begun = process.hrtime.bigint();
    const account = await accountOf(request.body);
    const body = prices ? await prepared(request, account) : request.body;
    const { host, 'content-length': length, ...headers } = request.headers;
    const answer = await api.request({ method: request.method, url: request.originalUrl, data: body,
                                       headers: { ...headers, 'x-api-key': account.key } });
    if (prices)
        await settled(account);
    response.status(answer.status).set(answer.headers);
    let bytes = 0;
    answer.data.on('data', part => bytes += part.length);
    answer.data.on('end', () => {
        const day = new Date().toISOString().slice(0, 10);
        redis.pipeline().hincrby(`usage:${request.client.name}:${day}`, 'requests', 1).hincrby(`usage:${account.name}:${day}`, 'requests', 1).exec();
        log.info('request', { id: randomUUID(), client: request.client.name, account: account.name, method: request.method,
                              path: request.originalUrl, status: answer.status, bytes, ms: Number(process.hrtime.bigint() - begun) / 1e6 });
    });
    answer.data.pipe(response);
}

const app = express();
app.disable('x-powered-by');
app.use(express.json({ limit: '10mb' }));
app.use(authenticate);
app.use((request, response, next) => relay(request, response).catch(next));
app.listen(listen, '127.0.0.1', () => console.log(`port ${listen}`));
