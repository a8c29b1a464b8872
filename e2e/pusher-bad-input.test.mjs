// Frames and requests that no library sends: the sender is answered or closed, nobody else notices.
import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, afterEach, before } from "node:test";
import { AuthProgram } from "./support/pusher-auth.mjs";
import { closing, PusherClient, RawClient } from "./support/pusher-client.mjs";
import { PusherServer } from "./support/pusher-server.mjs";
import { scenarios } from "./support/server.mjs";
import { until } from "./support/wait.mjs";

let server;
let auth;
let backend;
let healthy;
let round = 0;
before(async () => {
  server = await PusherServer.start();
  auth = await AuthProgram.start(server);
  backend = server.backend();
  const user = { id: "healthy" };
  const member = { user_id: "healthy", user_info: {} };
  healthy = await PusherClient.open(server, auth.options({ member, user }));
  await healthy.signIn();
  for (const name of ["news", "private-news", "presence-news"]) await healthy.joined(name);
});
after(async () => {
  healthy?.close();
  await auth?.close();
  await server?.close();
});
afterEach(async () => {
  round += 1;
  await backend.trigger("private-news", "alive", { round });
  await healthy.channel("private-news").got("alive", (data) => data.round === round);
  assert.deepEqual(healthy.states.items, ["connecting", "connected"], "never lost its connection");
  assert.deepEqual(Object.keys(healthy.channel("presence-news").channel.members.members), [
    "healthy",
  ]);
});

const scenario = scenarios(() => server);

const deep = (open, n, close) => open.repeat(n) + close.repeat(n);
const frame = (event, rest) => JSON.stringify({ event, ...rest });

const FRAMES = {
  "nothing at all": [""],
  "no JSON": ["hello", "{", "}", "\u0000", '{"event"', "NaN", "undefined"],
  "JSON that is no frame": ["null", "[]", "7", '"pusher:ping"', "true", "{}", "[null]"],
  "an event that is no text": [
    '{"event":null}',
    '{"event":7}',
    '{"event":{}}',
    '{"event":[]}',
    '{"event":""}',
  ],
  "subscribe without data": [
    frame("pusher:subscribe", {}),
    frame("pusher:subscribe", { data: null }),
  ],
  "subscribe with data that is none": [
    frame("pusher:subscribe", { data: 7 }),
    frame("pusher:subscribe", { data: [] }),
    frame("pusher:subscribe", { data: "" }),
    frame("pusher:subscribe", { data: "x" }),
    frame("pusher:subscribe", { data: {} }),
  ],
  "subscribe to a channel that is no text": [
    frame("pusher:subscribe", { data: { channel: null } }),
    frame("pusher:subscribe", { data: { channel: 7 } }),
    frame("pusher:subscribe", { data: { channel: {} } }),
    frame("pusher:subscribe", { data: { channel: ["a"] } }),
  ],
  "subscribe with auth that is no text": [
    frame("pusher:subscribe", { data: { channel: "private-x", auth: 7 } }),
    frame("pusher:subscribe", { data: { channel: "private-x", auth: {} } }),
    frame("pusher:subscribe", { data: { channel: "private-x", auth: [":"] } }),
    frame("pusher:subscribe", { data: { channel: "presence-x", auth: ":", channel_data: 7 } }),
    frame("pusher:subscribe", { data: { channel: "presence-x", auth: ":", channel_data: "{" } }),
  ],
  "unsubscribe from nothing": [
    frame("pusher:unsubscribe", {}),
    frame("pusher:unsubscribe", { data: null }),
    frame("pusher:unsubscribe", { data: { channel: 7 } }),
  ],
  "sign-in without anything": [
    frame("pusher:signin", {}),
    frame("pusher:signin", { data: null }),
    frame("pusher:signin", { data: { auth: 7, user_data: 7 } }),
    frame("pusher:signin", { data: { auth: ":", user_data: "{" } }),
  ],
  "client events without a channel": [
    frame("client-x", {}),
    frame("client-x", { channel: null, data: {} }),
    frame("client-x", { channel: 7, data: {} }),
    frame("client-x", { channel: {}, data: {} }),
  ],
  "names of objects": [
    frame("__proto__", {}),
    frame("constructor", { data: {} }),
    '{"__proto__":{"event":"pusher:ping"},"event":"pusher:subscribe","data":{"__proto__":{"channel":"a"}}}',
    frame("pusher:subscribe", { data: { channel: "__proto__", auth: "" } }),
    frame("pusher:subscribe", { data: { channel: "constructor", auth: "" } }),
  ],
  "the same key twice": [
    '{"event":"pusher:subscribe","event":"pusher:ping","data":{"channel":"a","channel":"b"}}',
  ],
  "half a character": ['{"event":"client-\\ud800","channel":"news","data":"\\udfff"}'],
  "50,000 opened lists": ["[".repeat(50_000)],
  "20,000 opened and closed lists": [deep("[", 20_000, "]")],
  "20,000 nested objects": ['{"a":'.repeat(20_000)],
  "deep data": [
    `{"event":"pusher:subscribe","data":${deep("[", 30_000, "]")}}`,
    `{"event":"client-x","channel":"private-news","data":${deep("[", 30_000, "]")}}`,
    `{"event":"pusher:signin","data":${'{"a":'.repeat(10_000)}1${"}".repeat(10_000)}}`,
  ],
  "numbers that are too large": [
    `{"event":"client-x","channel":"private-news","data":1e999999}`,
    `{"event":"client-x","channel":"private-news","data":${"9".repeat(50_000)}}`,
  ],
};

for (const [what, texts] of Object.entries(FRAMES)) {
  scenario(`frames: ${what}`, async (t) => {
    for (const text of texts) {
      const raw = await RawClient.open(server);
      closing(t, raw);
      raw.send(text);
      raw.send(frame("pusher:ping", { data: {} }));
      const ended = raw.closed.then(() => "closed");
      const after = await Promise.race([raw.find("pusher:pong").catch(() => "closed"), ended]);
      assert.ok(after);
      const answers = raw.frames.items.map(({ event }) => event);
      const wanted = ["pusher:connection_established", "pusher:error", "pusher:pong"];
      const may = [...wanted, "pusher:subscription_error"];
      const joined = answers.filter((event) => event === "pusher_internal:subscription_succeeded");
      if (what !== "names of objects") {
        assert.deepEqual(joined, []);
        for (const event of answers)
          assert.ok(may.includes(event), `${text.slice(0, 80)}: ${event}`);
      }
    }
  });
}

scenario(
  "data that is encoded twice is what an honest but wrong client sends: understood",
  async (t) => {
    const raw = await RawClient.open(server);
    closing(t, raw);
    raw.send(frame("pusher:subscribe", { data: JSON.stringify({ channel: "twice", auth: "" }) }));
    await raw.find("pusher_internal:subscription_succeeded");
  },
);

scenario("a message larger than any event ends that connection alone", async (t) => {
  const raw = await RawClient.open(server);
  closing(t, raw);
  raw.send(frame("client-x", { channel: "private-news", data: "x".repeat(5_000_000) }));
  const { code } = await raw.closed;
  assert.ok(code === 1009 || code === 1006, String(code));
});

scenario("a thousand subscriptions and as many to nothing", async (t) => {
  const raw = await RawClient.open(server);
  closing(t, raw);
  for (let n = 0; n < 1_000; n += 1) {
    raw.send(frame("pusher:subscribe", { data: { channel: `many-${n}`, auth: "" } }));
    raw.send(frame("pusher:unsubscribe", { data: { channel: `none-${n}` } }));
  }
  await raw.settled();
  raw.close();
  await until(async () => {
    const { channels } = await (await backend.get({ path: "/channels" })).json();
    return !Object.keys(channels).some((name) => name.startsWith("many-"));
  }, "all of them to be given up");
});

/** Sends bytes as they are and answers what came back until the other end closed, or `ms` of silence. */
function bytes(text) {
  return new Promise((resolve) => {
    let said = "";
    const socket = connect(server.pusherPort, "127.0.0.1", () => socket.write(text));
    socket.setTimeout(3_000, () => socket.destroy());
    socket.on("data", (chunk) => {
      said += chunk;
      if (/\r\n\r\n/.test(said)) socket.end();
    });
    socket.on("error", () => {});
    socket.on("close", () => resolve(said));
  });
}

scenario("requests that are none", async () => {
  const host = "Host: 127.0.0.1\r\n";
  const upgrade = `${host}Connection: Upgrade\r\nUpgrade: websocket\r\n`;
  const key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
  for (const text of [
    "hello\r\n\r\n",
    `GET /app/shop-key HTTP/1.1\r\n${host}\r\n`,
    `GET /app/shop-key HTTP/1.1\r\n${upgrade}\r\n`,
    `GET /app/shop-key HTTP/1.1\r\n${upgrade}${key}Sec-WebSocket-Version: 99\r\n\r\n`,
    `GET /app/%zz HTTP/1.1\r\n${upgrade}${key}Sec-WebSocket-Version: 13\r\n\r\n`,
    `GET /app/ HTTP/1.1\r\n${upgrade}${key}Sec-WebSocket-Version: 13\r\n\r\n`,
    `GET /app HTTP/1.1\r\n${upgrade}${key}Sec-WebSocket-Version: 13\r\n\r\n`,
    `GET /app/a/b/c HTTP/1.1\r\n${upgrade}${key}Sec-WebSocket-Version: 13\r\n\r\n`,
    `POST /apps/shop/events HTTP/1.1\r\n${host}Content-Length: 99999999999999999999\r\n\r\n`,
    `POST /apps/shop/events HTTP/1.1\r\n${host}Content-Length: -1\r\n\r\n`,
    `POST /apps/shop/events?auth_key=%ff%fe&auth_signature=%00 HTTP/1.1\r\n${host}Content-Length: 2\r\n\r\n{}`,
    `POST /apps/%2e%2e/events HTTP/1.1\r\n${host}Content-Length: 2\r\n\r\n{}`,
    `GET /apps/shop/channels/${"x".repeat(20_000)} HTTP/1.1\r\n${host}\r\n`,
    `GET /apps/shop/channels?${"a=1&".repeat(5_000)} HTTP/1.1\r\n${host}\r\n`,
  ]) {
    const said = await bytes(text);
    assert.ok(!said.startsWith("HTTP/1.1 5"), `${text.slice(0, 60)}: ${said.slice(0, 60)}`);
  }
});

scenario("a flood of frames that mean nothing", async (t) => {
  const raw = await RawClient.open(server);
  closing(t, raw);
  for (let n = 0; n < 20_000 && raw.socket.readyState === 1; n += 1) {
    raw.send(frame(`unknown-${n}`, { data: {}, channel: "news" }));
  }
  const ended = raw.closed.then(() => true);
  await Promise.race([raw.settled().catch(() => true), ended]);
});
