// Packets and bodies that no client library sends: the sender is answered or closed, nobody else notices.
import assert from "node:assert/strict";
import { after, afterEach, before } from "node:test";
import { roomOf } from "./support/api.mjs";
import { Polling } from "./support/engine.mjs";
import { nextStarting, rawPolling, rawWire } from "./support/raw-session.mjs";
import { Server, scenarios } from "./support/server.mjs";
import { native } from "./support/sockets.mjs";

let server;
let room;
let users;
let healthy;

before(async () => {
  server = await Server.start();
  ({ room, users } = await roomOf(server.url, "ada", "bo"));
  healthy = await native(server.url, users[0], { reconnection: false });
});
after(async () => {
  healthy?.close();
  await server?.close();
});
afterEach(async () => {
  await healthy.ok("ping", {});
  await healthy.ok("message.send", {
    roomId: room.id,
    content: "still here",
    clientId: `h-${Math.random()}`,
  });
  assert.equal(healthy.states.items.length, 1, "the other client never lost its connection");
});

const scenario = scenarios(() => server);
const wire = () => rawWire(server.url, users[1].accessToken);

/** Sends packets on a connection of their own and waits for it to be closed. */
async function assertCloses(what, packets) {
  const socket = await wire();
  for (const packet of packets) socket.send(packet);
  return socket.closed(`${what} to close`);
}

/** Sends packets that may be answered or closed; either way the connection does not hang. */
async function assertHandled(what, packets) {
  const socket = await wire();
  for (const packet of packets) socket.send(packet);
  if (socket.isOpen) socket.send('42987["ping",{}]');
  await nextStarting(socket, "43987").catch((error) => {
    if (socket.isOpen) throw new Error(`${what}: ${error.message}`, { cause: error });
  });
  socket.end();
}

const attachments = (count) =>
  Array.from({ length: count }, (_, num) => ({ _placeholder: true, num }));

scenario("a websocket message over the limit closes that connection with 1009", async () => {
  assert.equal(await assertCloses("1.1 MB of text", [`42["x","${"x".repeat(1_100_000)}"]`]), 1009);
  assert.equal(
    await assertCloses("1.1 MB of binary", [
      '451-["x",{"_placeholder":true,"num":0}]',
      Buffer.alloc(1_100_000),
    ]),
    1009,
  );
});

scenario("a polling body over the limit is answered 413", async () => {
  const session = await rawPolling(server.url, users[1].accessToken);
  const { status } = await session.post(`42["x","${"x".repeat(1_100_000)}"]`);
  assert.equal(status, 413);
});

scenario("malformed packets close", async () => {
  const packets = [
    "x",
    "9",
    "4",
    "4abc",
    '49["a"]',
    "42{}",
    "42[]",
    "42[{}]",
    "42[null]",
    '42"a"',
    "42[",
    '42["a"',
    '42["a"]x',
    '42abc["a"]',
    "40[]",
    '40"x"',
    "40",
    '45["a"]',
    '450-["a"]',
    '45-["a"]',
    '451["a"]',
    '45x-["a"]',
    '42["connect"]',
    '42["connect_error"]',
    '42["disconnect"]',
    '42["disconnecting"]',
    '42["newListener"]',
    '42["removeListener"]',
    '42/none,["a"]',
    "2",
    '42[{"toString":"x"}]',
  ];
  for (const packet of packets) await assertCloses(packet.slice(0, 30), [packet]);
  // Senseless, but the reference server lets these pass: either is fine as long as nothing hangs.
  const odd = ["42", "43[]", "43", "44", "44{}", '43999["a"]', `42${"9".repeat(400)}["a"]`];
  for (const packet of odd) await assertHandled(packet, [packet]);
});

scenario("more than ten attachments, wrong placeholders and mixed order close", async () => {
  await assertCloses("11 attachments", [`4511-${JSON.stringify(["a", ...attachments(11)])}`]);
  await assertCloses("a huge count", ['45999999999-["a"]']);
  await assertCloses("a hundred thousand digits", [`45${"1".repeat(100_000)}`]);
  await assertCloses("text while attachments are due", [
    '451-["a",{"_placeholder":true,"num":0}]',
    '42["a"]',
  ]);
  await assertCloses("binary without a header", [Buffer.from([1, 2, 3])]);
  for (const num of ['"splice"', "-1", "1", "1.5", "null", "1e400"]) {
    const header = `451-["a",{"_placeholder":true,"num":${num}}]`;
    await assertHandled(`placeholder ${num}`, [header, Buffer.from([1])]);
  }
});

scenario("a packet whose attachments never come does not hold the others up", async () => {
  const waiting = await wire();
  waiting.send('452-["message.send",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]');
  waiting.send(Buffer.alloc(1_000));
  await healthy.ok("ping", {});
  waiting.end();
});

scenario("attachments where text is expected are refused", async () => {
  const socket = await wire();
  socket.send(
    `451-77${JSON.stringify(["message.send", { roomId: room.id, content: { _placeholder: true, num: 0 } }])}`,
  );
  socket.send(Buffer.from("hello"));
  const ack = JSON.parse((await nextStarting(socket, "4377")).slice(4))[0];
  assert.equal(ack.success, false);
  socket.end();
});

scenario("fifty thousand arguments, deep and wide JSON", async () => {
  await assertHandled("50 000 arguments", [`42["message.send",${"1,".repeat(50_000)}1]`]);
  await assertHandled("400 000 arguments", [`42["message.send",${"1,".repeat(400_000)}1]`]);
  await assertHandled("deep arrays", [
    `42["message.send",${"[".repeat(200_000)}${"]".repeat(200_000)}]`,
  ]);
  await assertHandled("deep objects", [
    `42["message.send",${'{"a":'.repeat(80_000)}1${"}".repeat(80_000)}]`,
  ]);
  const keys = Array.from({ length: 60_000 }, (_, index) => `"k${index}":1`).join(",");
  await assertHandled("60 000 keys", [`42["message.send",{${keys}}]`]);
  await assertHandled("keys of the prototype", [
    '42["message.send",{"__proto__":{"x":1},"constructor":{}}]',
  ]);
  await assertHandled("a deep connect payload", [
    `40/mynah,{"a":${"[".repeat(100_000)}${"]".repeat(100_000)}}`,
  ]);
  await assertHandled("a long number", [
    `42["room.read",{"roomId":"${room.id}","seq":${"9".repeat(50_000)}}]`,
  ]);
  await assertHandled("a lone surrogate", [
    `42["message.send",{"roomId":"${room.id}","content":"\\ud800","clientId":"s"}]`,
  ]);
});

scenario("many packets in one polling body", async () => {
  const polite = await rawPolling(server.url, users[1].accessToken);
  assert.equal(
    (await polite.send(...Array.from({ length: 100 }, () => '42["ping",{}]'))).status,
    200,
  );
  for (const packet of ["4", '42["ping",{}]', ""]) {
    const session = await rawPolling(server.url, users[1].accessToken);
    const body = Array.from(
      { length: Math.floor(900_000 / (packet.length + 1)) },
      () => packet,
    ).join("\x1e");
    await session.post(body);
    assert.equal(await session.refused(), 400);
  }
});

scenario("overlapping polls close only their own session", async () => {
  const session = await rawPolling(server.url, users[1].accessToken);
  await session.send('421["ping",{}]');
  while (!(await session.packets(1)).some((packet) => packet.startsWith("431")));
  const answers = await Promise.all([session.get(), session.get(), session.get()]);
  assert.ok(answers.some(({ status }) => status === 400));
  assert.equal((await session.get()).status, 400);
});

scenario("polling bodies that are no packets", async () => {
  const bodies = [
    ["abc", {}],
    [Buffer.from([0xff, 0xfe, 0x34]), {}],
    ["bnot base64!", {}],
    ['42["ping",{}]', { "content-type": "application/octet-stream" }],
    ["d=4hello", { "content-type": "application/x-www-form-urlencoded" }],
  ];
  for (const [body, headers] of bodies) {
    const session = await rawPolling(server.url, users[1].accessToken);
    await session.post(body, { "content-type": "text/plain;charset=UTF-8", ...headers });
    if (headers["content-type"] !== "application/x-www-form-urlencoded")
      assert.equal(await session.refused(), 400);
  }
});

scenario("sessions that nobody opened", async () => {
  for (const sid of [
    "nobody",
    "__proto__",
    "constructor",
    "",
    "x".repeat(10_000),
    "../..",
    "%00",
  ]) {
    const session = new Polling(server.url, "/socket.io/");
    session.sid = sid || " ";
    const { status, body } = await session.get();
    assert.ok([400, 414, 431].includes(status), `${sid.slice(0, 20)}: ${status}`);
    if (status === 400)
      assert.deepEqual(JSON.parse(body), { code: 1, message: "Session ID unknown" });
  }
});
