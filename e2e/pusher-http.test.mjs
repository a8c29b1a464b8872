// The HTTP API through the pusher server library, and beside it as a hostile or honest caller without it.
import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import { after, before } from "node:test";
import { AuthProgram } from "./support/pusher-auth.mjs";
import { closing, PusherClient, RawClient } from "./support/pusher-client.mjs";
import { answer, app, PusherServer, refusal } from "./support/pusher-server.mjs";
import { scenarios } from "./support/server.mjs";

const [SHOP, OTHER, DISABLED, SLOW] = [
  app("shop"),
  app("other"),
  app("disabled", { enabled: false }),
  app("slow", { maxBackendEventsPerSecond: 2, maxReadRequestsPerSecond: 2 }),
];

let server;
let auth;
let backend;
before(async () => {
  server = await PusherServer.start({ apps: [SHOP, OTHER, DISABLED, SLOW] });
  auth = await AuthProgram.start(server, SHOP);
  backend = server.backend(SHOP);
});
after(async () => {
  await auth?.close();
  await server?.close();
});

const scenario = scenarios(() => server);

async function client(t, user_id = "ada") {
  const member = { user_id, user_info: { name: user_id } };
  const it = await PusherClient.open(server, auth.options({ member }));
  closing(t, it);
  return it;
}

/** A request as the libraries sign it; `change(query)` may spoil it. `{status, body, headers}`. */
async function call(method, path, { it = SHOP, body, change = (query) => query, rawBody } = {}) {
  const text = rawBody ?? (body === undefined ? undefined : JSON.stringify(body));
  const query = {
    auth_key: it.key,
    auth_timestamp: String(Math.floor(Date.now() / 1_000)),
    auth_version: "1.0",
    ...(text === undefined ? {} : { body_md5: createHash("md5").update(text).digest("hex") }),
  };
  const sent = change({ ...query, sign: true });
  const { sign, ...params } = sent;
  const full = path.startsWith("/apps") ? path : `/apps/${it.id}${path}`;
  if (sign) {
    const pairs = Object.keys(params)
      .sort()
      .map((name) => `${name.toLowerCase()}=${params[name]}`)
      .join("&");
    const signed = `${method}\n${full}\n${pairs}`;
    params.auth_signature = createHmac("sha256", it.secret).update(signed).digest("hex");
  }
  const search = new URLSearchParams(params);
  const response = await fetch(`${server.pusherUrl}${full}?${search}`, {
    method,
    body: text,
    headers: text === undefined ? {} : { "content-type": "application/json" },
  });
  const said = await response.text();
  let parsed = said;
  try {
    parsed = JSON.parse(said);
  } catch {
    // plain text
  }
  return { status: response.status, body: parsed, headers: response.headers };
}

const EVENT = { name: "e", channel: "c", data: "{}" };

scenario("events: an empty object, or what info asks for", async (t) => {
  const ada = await client(t);
  const bo = await client(t, "bo");
  await ada.joined("presence-info");
  await bo.joined("presence-info");
  await ada.joined("plain-info");
  const plain = await backend.trigger("plain-info", "e", {});
  assert.equal(plain.status, 200);
  assert.equal(typeof (await plain.json()), "object");
  const told = await answer(
    backend.trigger(
      ["presence-info", "plain-info", "empty-info"],
      "e",
      {},
      {
        info: "user_count,subscription_count",
      },
    ),
  );
  assert.deepEqual(told.channels["presence-info"], { user_count: 2, subscription_count: 2 });
  assert.deepEqual(told.channels["plain-info"], { subscription_count: 1 });
  assert.deepEqual(told.channels["empty-info"], { subscription_count: 0 });
});

scenario("batch: an object for each event when info is asked for", async (t) => {
  const ada = await client(t);
  await ada.joined("batch-info");
  const told = await answer(
    backend.triggerBatch([
      { channel: "batch-info", name: "a", data: {}, info: "subscription_count" },
      { channel: "batch-info", name: "b", data: {} },
    ]),
  );
  assert.equal(told.batch.length, 2);
  assert.deepEqual(told.batch[0], { subscription_count: 1 });
  assert.deepEqual(told.batch[1], {});
});

scenario("batch: all or nothing", async (t) => {
  const ada = await client(t);
  const channel = await ada.joined("atomic");
  const spoiled = [
    { channel: "atomic", name: "first", data: "{}" },
    { channel: "not allowed", name: "second", data: "{}" },
  ];
  const { status } = await call("POST", "/batch_events", { body: { batch: spoiled } });
  assert.equal(status, 400);
  await backend.trigger("atomic", "fence", {});
  await channel.got("fence");
  assert.deepEqual(channel.all("first"), []);
});

scenario("channels: the occupied ones, by prefix, with the members counted", async (t) => {
  const ada = await client(t);
  const tab = await client(t);
  for (const it of [ada, tab]) await it.joined("presence-list-1");
  await ada.joined("presence-list-2");
  await ada.joined("list-3");
  const all = await answer(backend.get({ path: "/channels" }));
  for (const name of ["presence-list-1", "presence-list-2", "list-3"])
    assert.ok(name in all.channels, name);
  const some = await answer(
    backend.get({
      path: "/channels",
      params: { filter_by_prefix: "presence-list-", info: "user_count" },
    }),
  );
  assert.deepEqual(some.channels, {
    "presence-list-1": { user_count: 1 },
    "presence-list-2": { user_count: 1 },
  });
  ada.unsubscribe("list-3");
  await ada.settled();
  const later = await answer(backend.get({ path: "/channels" }));
  assert.ok(!("list-3" in later.channels), "at once, without a cache");
});

scenario("channels: user_count without the presence- prefix is refused with 400", async () => {
  const refused = await refusal(backend.get({ path: "/channels", params: { info: "user_count" } }));
  assert.equal(refused.status, 400);
});

scenario("channel: occupied or not, with what info asks for", async (t) => {
  const ada = await client(t);
  const tab = await client(t);
  for (const it of [ada, tab]) await it.joined("presence-one");
  const params = { info: "user_count,subscription_count" };
  const one = await answer(backend.get({ path: "/channels/presence-one", params }));
  assert.deepEqual(one, { occupied: true, user_count: 1, subscription_count: 2 });
  const none = await answer(backend.get({ path: "/channels/nobody-here" }));
  assert.equal(none.occupied, false);
  const refused = await refusal(
    backend.get({ path: "/channels/nobody-here", params: { info: "user_count" } }),
  );
  assert.equal(refused.status, 400);
});

scenario("users of a presence channel; of another channel 400", async (t) => {
  const ada = await client(t);
  const seven = await client(t, 7);
  for (const it of [ada, seven]) await it.joined("presence-users");
  const { users } = await answer(backend.get({ path: "/channels/presence-users/users" }));
  assert.deepEqual(users.map(({ id }) => String(id)).sort(), ["7", "ada"]);
  const refused = await refusal(backend.get({ path: "/channels/plain/users" }));
  assert.equal(refused.status, 400);
  assert.equal(refused.body.error, "The channel must be a presence channel.");
});

for (const [what, change, status] of [
  ["a wrong signature", (q) => ({ ...q, sign: false, auth_signature: "00".repeat(32) }), 401],
  ["no signature", (q) => ({ ...q, sign: false }), 401],
  ["a key of another app", (q) => ({ ...q, auth_key: OTHER.key }), 401],
  ["an unknown key", (q) => ({ ...q, auth_key: "nobody" }), 401],
  ["a time of long ago", (q) => ({ ...q, auth_timestamp: "1000000000" }), 401],
  ["a time to come", (q) => ({ ...q, auth_timestamp: "4000000000" }), 401],
  ["a time that is none", (q) => ({ ...q, auth_timestamp: "now" }), 401],
  ["another body than the digest's", (q) => ({ ...q, body_md5: "0".repeat(32) }), 401],
  ["no digest of the body", ({ body_md5: _, ...q }) => q, 401],
]) {
  scenario(`refused with ${status}: ${what}`, async (t) => {
    const ada = await client(t);
    const channel = await ada.joined("c");
    const refused = await call("POST", "/events", { body: EVENT, change });
    assert.equal(refused.status, status, JSON.stringify(refused.body));
    assert.equal(refused.body.code, status);
    assert.equal(typeof refused.body.error, "string");
    await backend.trigger("c", "fence", {});
    await channel.got("fence");
    assert.deepEqual(channel.all("e"), []);
  });
}

scenario("names and order of the query do not matter, values are signed as decoded", async () => {
  const odd = (query) => ({ ...query, odd: "a b&c=d/ü", filter_by_prefix: "presence-" });
  assert.equal((await call("GET", "/channels", { change: odd })).status, 200);
});

scenario(
  "an unknown app 404, a disabled one 403, another app's channels are its own",
  async (t) => {
    const unknown = await call("POST", "/events", { it: { ...SHOP, id: "nobody" }, body: EVENT });
    assert.equal(unknown.status, 404);
    assert.equal(unknown.body.error, "The app nobody could not be found.");
    const disabled = await refusal(server.backend(DISABLED).trigger("c", "e", {}));
    assert.equal(disabled.status, 403);
    const ada = await client(t);
    const channel = await ada.joined("shared-name");
    await server.backend(OTHER).trigger("shared-name", "e", { from: "other" });
    await backend.trigger("shared-name", "e", { from: "shop" });
    assert.deepEqual(await channel.got("e"), { from: "shop" });
    const { channels } = await answer(server.backend(OTHER).get({ path: "/channels" }));
    assert.deepEqual(channels, {});
  },
);

const long = "n".repeat(201);
const eleven = Array.from({ length: 11 }, () => EVENT);
const hundredOne = Array.from({ length: 101 }, (_, n) => `c${n}`);
for (const [what, path, body, status, error] of [
  [
    "too many channels",
    "/events",
    { name: "e", channels: hundredOne, data: "{}" },
    400,
    /Cannot broadcast to more than 100 channels at once/,
  ],
  [
    "too many events",
    "/batch_events",
    { batch: eleven },
    400,
    /Cannot batch-send more than 10 messages at once/,
  ],
  [
    "too long an event name",
    "/events",
    { ...EVENT, name: long },
    400,
    /Event name is too long\. Maximum allowed size is 200\./,
  ],
  [
    "too much data",
    "/events",
    { ...EVENT, data: "x".repeat(110_000) },
    413,
    /The event data should be less than 100 KB\./,
  ],
  ["too long a channel name", "/events", { ...EVENT, channel: long }, 400, /./],
  ["a channel name that is none", "/events", { ...EVENT, channel: "a b" }, 400, /./],
  ["no name", "/events", { channel: "c", data: "{}" }, 400, /The received data is incorrect/],
  ["no data", "/events", { channel: "c", name: "e" }, 400, /The received data is incorrect/],
  ["no channel", "/events", { name: "e", data: "{}" }, 400, /The received data is incorrect/],
  ["no channels", "/events", { name: "e", data: "{}", channels: [] }, 400, /./],
  ["a name that is no text", "/events", { ...EVENT, name: 7 }, 400, /./],
  ["channels that are no list", "/events", { name: "e", data: "{}", channels: {} }, 400, /./],
  [
    "an encrypted event for two",
    "/events",
    { name: "e", data: "{}", channels: ["private-encrypted-a", "b"] },
    400,
    /./,
  ],
  ["null", "/events", null, 400, /./],
  ["a list", "/events", [], 400, /./],
  ["a text", "/events", "x", 400, /./],
  ["a batch that is missing", "/batch_events", {}, 400, /./],
  ["a batch that is no list", "/batch_events", { batch: {} }, 400, /./],
  ["a batch that holds null", "/batch_events", { batch: [null] }, 400, /./],
  ["null as a batch", "/batch_events", null, 400, /./],
]) {
  scenario(`refused with ${status}: ${what}`, async () => {
    const refused = await call("POST", path, { body });
    assert.equal(refused.status, status, JSON.stringify(refused.body));
    assert.equal(refused.body.code, status);
    assert.match(refused.body.error, error);
    await backend.trigger("c", "still-here", {});
  });
}

scenario("a body that is no JSON, or nested without end, is refused", async () => {
  for (const rawBody of ["{", "", "x", "[".repeat(50_000), `{"a":${"[".repeat(20_000)}`]) {
    const { status } = await call("POST", "/events", { rawBody });
    assert.equal(status, 400, rawBody.slice(0, 10));
  }
  const large = await call("POST", "/events", { rawBody: "x".repeat(120_000_000) }).catch(() => ({
    status: 413,
  }));
  assert.equal(large.status, 413);
  await backend.trigger("c", "still-here", {});
});

scenario("over the rates of the app: 429 with Retry-After", async () => {
  const slow = server.backend(SLOW);
  const answers = await Promise.allSettled(
    Array.from({ length: 12 }, () => slow.trigger("c", "e", {})),
  );
  const refused = answers.filter(({ status }) => status === "rejected");
  assert.ok(refused.length > 0 && refused.length < 12, `${refused.length} of 12 refused`);
  for (const { reason } of refused) {
    assert.equal(reason.status, 429);
    assert.deepEqual(JSON.parse(reason.body), { error: "Too many requests.", code: 429 });
  }
  const calls = await Promise.all(
    Array.from({ length: 12 }, () => call("GET", "/channels", { it: SLOW })),
  );
  const last = calls.find(({ status }) => status === 429);
  assert.ok(last, "reads have their own rate");
  assert.ok(Number(last.headers.get("retry-after")) >= 1);
  assert.equal(last.headers.get("x-ratelimit-limit"), "2");
  assert.equal(last.headers.get("x-ratelimit-remaining"), "0");
});

scenario("methods and paths that do not exist are 404 or 405", async () => {
  for (const [method, path] of [
    ["GET", "/events"],
    ["POST", "/channels"],
    ["GET", "/nothing"],
    ["DELETE", "/channels/c"],
  ]) {
    const { status } = await call(method, path);
    assert.ok(status === 404 || status === 405, `${method} ${path}: ${status}`);
  }
});

scenario("an event that its own socket is left out of needs a socket id that is one", async () => {
  for (const socket_id of ["x", 7, "1", "1.2.3", "a.b"]) {
    const { status } = await call("POST", "/events", { body: { ...EVENT, socket_id } });
    assert.equal(status, 400, String(socket_id));
  }
  const raw = await RawClient.open(server);
  raw.close();
  const gone = await call("POST", "/events", { body: { ...EVENT, socket_id: raw.socketId } });
  assert.equal(gone.status, 200);
});
