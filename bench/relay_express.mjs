// SPDX-License-Identifier: Apache-2.0
//
// relay_express.mjs - a relay in front of AI APIs as they are written with express, ioredis, axios and winston: it knows its
// clients by a key whose hash is in Redis, counts what they have under way and what they have used there, keeps a conversation
// with its account there, and writes a line for each request. Run where npm has installed them.
//
//     node relay_express.mjs LISTEN UPSTREAM REDIS LOG            ports, and a file
import { createHash, randomUUID } from 'node:crypto';
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
const log = winston.createLogger({
    format: winston.format.combine(winston.format.timestamp(), winston.format.json()),
    transports: [new winston.transports.File({ filename: process.argv[5] })],
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

async function relay(request, response) {
    const begun = process.hrtime.bigint();
    const account = await accountOf(request.body);
    const { host, 'content-length': length, ...headers } = request.headers;
    const answer = await api.request({ method: request.method, url: request.originalUrl, data: request.body,
                                       headers: { ...headers, 'x-api-key': account.key } });
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
