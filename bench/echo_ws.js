// SPDX-License-Identifier: Apache-2.0
// node's ws as an echo server, beside websocket_bench: prints its port; at the end of the input its CPU time.
const WebSocket = require("ws");
const server = new WebSocket.Server({ host: "127.0.0.1", port: 0, perMessageDeflate: false });
let messages = 0;
server.on("listening", () => console.log(server.address().port));
server.on("connection", (ws) => ws.on("message", (data, binary) => { messages++; ws.send(data, { binary }); }));
process.stdin.on("end", () => {
  const { user, system } = process.cpuUsage();
  console.log(JSON.stringify({ cpu_s: (user + system) / 1e6, messages }));
  process.exit(0);
});
process.stdin.resume();
