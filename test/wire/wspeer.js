// SPDX-License-Identifier: Apache-2.0
// node's ws as a peer: "server [deflate]" prints its port and echoes; "client URL COUNT SIZE [deflate]" sends
// messages, text and binary in turn, to a server that echoes, and prints how many came back as they were.
const WebSocket = require("ws");

const [mode, ...rest] = process.argv.slice(2);
const deflate = rest.includes("deflate") ? { threshold: 0 } : false;

if (mode === "server") {
  const server = new WebSocket.Server({ host: "127.0.0.1", port: 0, perMessageDeflate: deflate, maxPayload: 1 << 26 });
  server.on("listening", () => console.log(server.address().port));
  server.on("connection", (ws) => ws.on("message", (data, isBinary) => ws.send(data, { binary: isBinary })));
} else {
  const [url, count, size] = [rest[0], Number(rest[1]), Number(rest[2])];
  const pattern = Buffer.from(Array.from({ length: size }, (_, i) => 97 + ((i * i) % 23)));
  const ws = new WebSocket(url, { perMessageDeflate: deflate, maxPayload: 1 << 26 });
  let sent = 0, same = 0;
  const ask = () => (sent === count ? ws.close(1000, "done") : ws.send(pattern, { binary: sent++ % 2 === 1 }));
  ws.on("open", ask);
  ws.on("message", (data, isBinary) => {
    same += data.equals(pattern) && isBinary === (sent % 2 === 0) ? 1 : 0;
    ask();
  });
  ws.on("close", (code) => console.log(JSON.stringify({ same, code, deflate: ws.extensions !== "" })));
}
