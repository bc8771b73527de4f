// SPDX-License-Identifier: Apache-2.0
// A real server and a real client of gRPC, both by @grpc/grpc-js, bytes in and out.
//
//   node grpcjs.js DIRECTORY server          listens, prints its port, serves until it is stopped
//   node grpcjs.js DIRECTORY client PORT     tries everything, prints what came of it as one JSON object
//
// DIRECTORY is where the package was installed. Times are of the machine's monotonic clock, so that those of both
// processes can be compared.
'use strict';
const path = require('path');
const grpc = require(path.join(process.argv[2], 'node_modules', '@grpc/grpc-js'));

const as_is = (bytes) => bytes;
const now_ms = () => Number(process.hrtime.bigint() / 1000n) / 1000;
const method = (name, requestStream, responseStream) => ({
  path: `/t.T/${name}`, requestStream, responseStream,
  requestSerialize: as_is, requestDeserialize: as_is, responseSerialize: as_is, responseDeserialize: as_is,
});
const service = {
  echo: method('Echo', false, false), sum: method('Sum', true, false), count: method('Count', false, true),
  chat: method('Chat', true, true), fail: method('Fail', false, false), wait: method('Wait', false, false),
  cancelled: method('Cancelled', false, false), metadata: method('Metadata', false, false),
};

function serve() {
  let cancelled_ms = 0;
  const server = new grpc.Server({ 'grpc.max_receive_message_length': -1 });
  server.addService(service, {
    echo: (call, done) => {
      const trailers = new grpc.Metadata();
      trailers.set('x-trailing-bin', Buffer.from([0, 255]));
      done(null, call.request, trailers);
    },
    sum: (call, done) => {
      let sum = 0;
      call.on('data', (part) => { sum += part.length; });
      call.on('end', () => done(null, Buffer.from(String(sum))));
    },
    count: (call) => {
      for (let i = 0; i < Number(call.request.toString()); i++) call.write(Buffer.from(String(i)));
      call.end();
    },
    chat: (call) => {
      call.on('data', (part) => call.write(Buffer.concat([Buffer.from('re: '), part])));
      call.on('end', () => call.end());
    },
    fail: (call, done) => {
      const metadata = new grpc.Metadata();
      metadata.set('x-more-bin', Buffer.from([1, 2]));
      done({ code: grpc.status.FAILED_PRECONDITION, details: 'nicht möglich: 100%\n', metadata });
    },
    wait: (call) => { call.on('cancelled', () => { cancelled_ms = now_ms(); }); },
    cancelled: (call, done) => { done(null, Buffer.from(String(cancelled_ms))); },
    metadata: (call, done) => {
      call.sendMetadata(call.metadata.clone());
      done(null, Buffer.from(call.metadata.get(call.request.toString())[0] || ''));
    },
  });
  server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) => {
    if (error) throw error;
    console.log(port);
  });
}

class Client {
  constructor(port) {
    this.client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure(),
      { 'grpc.max_receive_message_length': -1, 'grpc.max_metadata_size': 65536 });
  }

  in_ms(ms) { return { deadline: new Date(Date.now() + ms) }; }

  // What came of a unary call: its answer, or code and details; its metadata both ways.
  unary(path, request, metadata = new grpc.Metadata(), timeout_ms = 20000) {
    const got = {};
    return new Promise((done) => {
      const call = this.client.makeUnaryRequest(path, as_is, as_is, request, metadata, this.in_ms(timeout_ms), (error, answer) => {
        got.error = error;
        got.answer = answer;
      });
      call.on('metadata', (initial) => { got.initial = initial; });
      call.on('status', (status) => { done({ ...got, status }); });
      got.call = call;
    });
  }

  sum(parts) {
    return new Promise((done, fail) => {
      const call = this.client.makeClientStreamRequest('/t.T/Sum', as_is, as_is, new grpc.Metadata(), this.in_ms(20000),
        (error, answer) => (error ? fail(error) : done(Number(answer.toString()))));
      parts.forEach((part) => call.write(part));
      call.end();
    });
  }

  async count(most) {
    let next = 0;
    const call = this.client.makeServerStreamRequest('/t.T/Count', as_is, as_is, Buffer.from(String(most)), new grpc.Metadata(),
      this.in_ms(20000));
    for await (const part of call) if (Number(part.toString()) === next) next++;
    return next;
  }

  // Each question is asked when the answer to the one before has come.
  chat(turns) {
    return new Promise((done, fail) => {
      let turn = 0;
      const call = this.client.makeBidiStreamRequest('/t.T/Chat', as_is, as_is, new grpc.Metadata(), this.in_ms(20000));
      call.on('data', (part) => {
        if (part.toString() !== `re: ${turn}`) fail(new Error(`${part} is no answer to ${turn}`));
        turn++;
        if (turn < turns) call.write(Buffer.from(String(turn))); else call.end();
      });
      call.on('error', fail);
      call.on('end', () => done(turn));
      call.write(Buffer.from('0'));
    });
  }

  async cancel() {
    const before = Number((await this.unary('/t.T/Cancelled', Buffer.alloc(0))).answer.toString());
    const call = this.client.makeUnaryRequest('/t.T/Wait', as_is, as_is, Buffer.alloc(0), new grpc.Metadata(), this.in_ms(20000), () => {});
    const ended = new Promise((done) => { call.on('status', (status) => done(status.code)); });
    await this.unary('/t.T/Echo', Buffer.from('behind it')); // by now the server has the call, too
    const left_ms = now_ms();
    call.cancel();
    const code = await ended;
    let heard_ms = before;
    for (const end_ms = now_ms() + 5000; heard_ms === before && now_ms() < end_ms;) {
      heard_ms = Number((await this.unary('/t.T/Cancelled', Buffer.alloc(0))).answer.toString());
    }
    return { code, took_ms: heard_ms - left_ms };
  }
}

async function ask(port) {
  const to = new Client(port);
  const out = {};
  const echo = await to.unary('/t.T/Echo', Buffer.from('hello'));
  out.echo = echo.answer.toString();
  out.trailing = echo.status.metadata.get('x-trailing-bin')[0].toString('hex');
  const long = Buffer.alloc(3000000, 'x');
  out.long = (await to.unary('/t.T/Echo', long)).answer.equals(long);
  out.sum = await to.sum([Buffer.from('a'), Buffer.from('bc'), Buffer.alloc(100000)]);
  out.count = await to.count(1000);
  out.chat = await to.chat(200);
  out.many = (await Promise.all([...Array(300).keys()].map((i) => to.unary('/t.T/Echo', Buffer.from(String(i))))))
    .filter((got, i) => got.answer && got.answer.toString() === String(i)).length;
  const metadata = new grpc.Metadata();
  metadata.set('x-big', 'm'.repeat(16000));
  metadata.set('x-bytes-bin', Buffer.from([0, 1, 255]));
  const big = await to.unary('/t.T/Metadata', Buffer.from('x-big'), metadata);
  out.big = [big.answer.length, big.initial.get('x-big')[0].length, big.initial.get('x-bytes-bin')[0].toString('hex')];
  const failed = await to.unary('/t.T/Fail', Buffer.alloc(0));
  out.failed = [failed.status.code, failed.status.details, failed.status.metadata.get('x-more-bin')[0].toString('hex')];
  out.unknown = (await to.unary('/t.T/Nothing', Buffer.alloc(0))).status.code;
  out.deadline = (await to.unary('/t.T/Wait', Buffer.alloc(0), new grpc.Metadata(), 300)).status.code;
  out.cancels = [];
  for (let i = 0; i < 5; i++) out.cancels.push(await to.cancel());
  out.health = [];
  for (const name of ['', 'up', 'nobody at all']) {
    const question = name ? Buffer.concat([Buffer.from([10, name.length]), Buffer.from(name)]) : Buffer.alloc(0);
    const got = await to.unary('/grpc.health.v1.Health/Check', question);
    out.health.push([got.status.code, got.answer ? got.answer.toString('hex') : '']);
  }
  to.client.close();
  return out;
}

if (process.argv[3] === 'server') serve();
else {
  ask(Number(process.argv[4])).then((out) => console.log(JSON.stringify(out)), (error) => {
    console.error(error);
    process.exit(1);
  });
}
