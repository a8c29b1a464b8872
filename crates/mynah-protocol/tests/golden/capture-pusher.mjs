// Writes pusher.json: what the official server library and pusher-js send, and how pusher-js
// takes what a server sends.
import { createServer } from "node:http";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import Server from "pusher";
import Client from "pusher-js";
import { WebSocketServer } from "ws";

const key = "app-key";
const secret = "a secret: é";
const now = Date.parse("2026-01-31T12:34:56.789Z");
const socketId = "123.456";
const masterKey = Buffer.alloc(32, 7).toString("base64");

async function listen(server) {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server.address().port;
}

// The HTTP API

async function requests() {
  const seen = [];
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const [path, query] = request.url.split("?");
    seen.push({ method: request.method, path, query, body: Buffer.concat(chunks).toString() });
    response.end("{}");
  });
  const host = "127.0.0.1";
  const port = await listen(server);
  const options = { appId: "7", key, secret, host, port, encryptionMasterKeyBase64: masterKey };
  const pusher = new Server(options);
  const { now: clock } = Date;
  Date.now = () => now;

  await pusher.trigger("my-channel", "greeting", { text: "hi" });
  await pusher.trigger(["a", "private-b"], "é€😀", 'a "text" \\ \u2028', { socket_id: socketId });
  await pusher.trigger("presence-a", "e", [1, 2.5, null], { info: "user_count,subscription_count" });
  await pusher.trigger("private-encrypted-a", "e", { secret: true });
  await pusher.sendToUser("7", "note", {});
  await pusher.triggerBatch([
    { channel: "a", name: "one", data: { n: 1 } },
    { channel: "cache-b", name: "two", data: "2", socket_id: socketId, info: "cache" },
  ]);
  await pusher.terminateUserConnections("7");
  await pusher.terminateUserConnections("a user/é+%41");
  await pusher.get({ path: "/channels" });
  const values = ["presence-", "a b", "a+b", "a%2Cb", "é+é", "é %41", "a,b;c=d@e", "", "'\"<>"];
  for (const value of values) {
    const params = { filter_by_prefix: value, info: "user_count" };
    await pusher.get({ path: "/channels", params });
  }
  await pusher.get({ path: "/channels/presence-a", params: { info: ["user_count", "cache"] } });
  await pusher.get({ path: "/channels/presence-a/users", params: { Zebra: 1, apple: "x" } });

  Date.now = clock;
  server.close();
  return seen;
}

// Signatures

function signatures() {
  const options = { appId: "7", key, secret, encryptionMasterKeyBase64: masterKey };
  const pusher = new Server(options);
  const info = { name: "Ada é 😀", list: [1, "2"], "quoted \"": "\\" };
  const channels = [
    ["private-a", undefined],
    ["private-cache-a;b=c@d,e.f", undefined],
    ["private-encrypted-a", undefined],
    ["presence-a", { user_id: "7", user_info: info }],
    ["presence-a", { user_id: 7 }],
    ["presence-cache-a", { user_info: null, user_id: "é" }],
  ].map(([channel, data]) => ({ channel, ...pusher.authorizeChannel(socketId, channel, data) }));
  const users = [{ id: "7" }, { id: "é", user_info: info, watchlist: ["8", "9", "8"] }].map((user) =>
    pusher.authenticateUser(socketId, user),
  );
  const body = JSON.stringify({ time_ms: now, events: [{ name: "channel_occupied", channel: "é" }] });
  const signature = new Server.Token(key, secret).sign(body);
  const headers = {
    "x-pusher-key": key,
    "x-pusher-signature": signature,
    "content-type": "application/json",
  };
  if (!pusher.webhook({ headers, rawBody: body }).isValid()) throw new Error("webhook");
  return { channels, users, webhook: { body, signature } };
}

// pusher-js

/** Frames as the codec writes them; the client's events are recorded beside. */
const frames = [
  '{"event":"pusher:error","data":{"code":4301,"message":"Client event rejected."}}',
  '{"event":"pusher:error","data":{"code":null,"message":"é"}}',
  '{"event":"pusher_internal:subscription_succeeded","channel":"a","data":"{}"}',
  '{"event":"pusher_internal:subscription_succeeded","channel":"presence-a","data":"{\\"presence\\":{\\"ids\\":[\\"7\\",\\"é\\"],\\"hash\\":{\\"7\\":{\\"name\\":\\"Ada\\"},\\"é\\":null},\\"count\\":2}}"}',
  '{"event":"pusher:subscription_error","channel":"private-a","data":{"type":"AuthError","error":"No.","status":401}}',
  '{"event":"pusher_internal:member_added","channel":"presence-a","data":"{\\"user_id\\":\\"8\\",\\"user_info\\":{\\"name\\":\\"Eve\\"}}"}',
  '{"event":"pusher_internal:member_added","channel":"presence-a","data":"{\\"user_id\\":\\"9\\",\\"user_info\\":null}"}',
  '{"event":"pusher_internal:member_removed","channel":"presence-a","data":"{\\"user_id\\":\\"8\\"}"}',
  '{"event":"pusher:cache_miss","channel":"cache-a"}',
  '{"event":"pusher_internal:subscription_count","channel":"a","data":"{\\"subscription_count\\":3}"}',
  '{"event":"greeting","channel":"a","data":"{\\"text\\":\\"\\\\\\"é\\\\\\"\\"}"}',
  '{"event":"greeting","channel":"a","data":"no JSON"}',
  '{"event":"greeting","channel":"a","data":"\\"7\\""}',
  '{"event":"greeting","channel":"presence-a","data":"{}","user_id":"7"}',
  '{"event":"client-typing","channel":"presence-a","data":{"on":[true]},"user_id":"7"}',
  '{"event":"client-typing","channel":"private-b","data":"text"}',
  '{"event":"pusher_internal:watchlist_events","data":"{\\"events\\":[{\\"name\\":\\"online\\",\\"user_ids\\":[\\"8\\",\\"é\\"]},{\\"name\\":\\"offline\\",\\"user_ids\\":[\\"9\\"]}]}"}',
  '{"event":"note","channel":"#server-to-user-7","data":"{\\"n\\":1}"}',
];

const established =
  '{"event":"pusher:connection_established","data":"{\\"socket_id\\":\\"123.456\\",\\"activity_timeout\\":1}"}';
const signedIn =
  '{"event":"pusher:signin_success","data":"{\\"user_data\\":\\"{\\\\\\"id\\\\\\":\\\\\\"7\\\\\\"}\\"}"}';
const pong = '{"event":"pusher:pong","data":"{}"}';
const ping = '{"event":"pusher:ping","data":"{}"}';

async function conversation() {
  const signer = new Server({ appId: "7", key, secret, encryptionMasterKeyBase64: masterKey });
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  await once(server, "listening");
  const sent = [];
  const heard = [];
  const opened = once(server, "connection");
  const client = new Client(key, {
    cluster: "mt1",
    wsHost: "127.0.0.1",
    wsPort: server.address().port,
    forceTLS: false,
    enabledTransports: ["ws"],
    channelAuthorization: {
      customHandler: ({ socketId, channelName }, done) => {
        const member = { user_id: "7", user_info: { name: "Ada" } };
        const data = channelName.startsWith("presence-") ? member : undefined;
        const answer = signer.authorizeChannel(socketId, channelName, data);
        done(null, answer);
      },
    },
    userAuthentication: {
      customHandler: ({ socketId }, done) =>
        done(null, signer.authenticateUser(socketId, { id: "7", watchlist: ["8", "9"] })),
    },
  });
  const [socket, request] = await opened;
  socket.on("message", (data) => {
    const text = data.toString();
    sent.push(text);
    if (text.includes("pusher:signin")) socket.send(signedIn);
    if (text.includes("pusher:ping")) socket.send(pong);
  });
  socket.send(established);
  await once(client.connection, "connected").catch(() => {});
  const idle = sent.length;
  while (!sent.slice(idle).some((text) => text.includes("pusher:ping"))) await pause(50);

  client.signin();
  const names = ["a", "cache-a", "private-a", "private-b", "presence-a", "private-encrypted-a"];
  const channels = names.map((name) => client.subscribe(name));
  while (!sent.some((text) => text.includes("#server-to-user-7"))) await pause(20);
  const user = '{"event":"pusher_internal:subscription_succeeded","channel":"#server-to-user-7","data":"{}"}';
  const succeeded = '{"event":"pusher_internal:subscription_succeeded","channel":"private-b","data":"{}"}';
  socket.send(user);
  socket.send(succeeded);
  await pause(100);

  const channelOf = (channel) => (name, data, metadata) => {
    const members = data?.members ? { count: data.count, members: data.members, me: data.me } : data;
    heard.push({ channel, name, data: members, metadata });
  };
  channels.forEach((channel, index) => channel.bind_global(channelOf(names[index])));
  client.user.bind_global(channelOf("user"));
  client.user.watchlist.bind_global(channelOf("watchlist"));
  client.connection.bind("error", (error) => heard.push({ connection: error }));
  const reactions = [];
  for (const frame of frames) {
    heard.length = 0;
    socket.send(frame);
    await pause(60);
    reactions.push({ frame, heard: structuredClone(heard) });
  }

  socket.send(ping);
  channels[3].trigger("client-typing", { on: true, "é": "\u0000" });
  channels[4].trigger("client-nothing");
  channels[4].trigger("client-text", "text");
  client.unsubscribe("a");
  await pause(200);
  client.disconnect();
  server.close();
  return {
    url: request.url,
    sent: sent.filter((text, index) => sent.indexOf(text) === index),
    answers: [established, signedIn, pong, ping],
    reactions,
  };
}

const manifest = JSON.parse(readFileSync(new URL("package.json", import.meta.url), "utf8"));
const { pusher, "pusher-js": client } = manifest.dependencies;
const talk = await conversation();
const line = (value) => JSON.stringify(value);
const list = (entries) => `[\n${entries.map(line).join(",\n")}\n]`;
const { channels, users, webhook } = signatures();
const entries = [
  ["captured_from", line({ pusher, "pusher-js": client })],
  ["app", line({ key, secret, socket_id: socketId, now_s: Math.floor(now / 1000) })],
  ["requests", list(await requests())],
  ["channels", list(channels)],
  ["users", list(users)],
  ["webhook", line(webhook)],
  ["url", line(talk.url)],
  ["sent", list(talk.sent)],
  ["answers", list(talk.answers)],
  ["reactions", list(talk.reactions)],
];
const text = entries.map(([name, value]) => `${line(name)}:${value}`).join(",\n");
writeFileSync(new URL("pusher.json", import.meta.url), `{\n${text}\n}\n`);
process.exit(0);
