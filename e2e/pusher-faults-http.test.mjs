// Requests that stopped Soketi, hung it, or were accepted by it or Sockudo although nobody may send them.
import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import { connect } from "node:net";
import { after, afterEach, before } from "node:test";
import { closing, RawClient } from "./support/pusher-client.mjs";
import { app, PusherServer } from "./support/pusher-server.mjs";
import { scenarios } from "./support/server.mjs";
import { within } from "./support/wait.mjs";

// Nobody has to sign in: that would end the listener after a while.
const FREE = { enableUserAuthentication: false };
const [SHOP, OTHER] = [app("shop", FREE), app("other", FREE)];
const DISABLED = app("disabled", { enabled: false });

let server;
let backend;
let listener;
before(async () => {
  server = await PusherServer.start({ apps: [SHOP, OTHER, DISABLED] });
  backend = server.backend(SHOP);
  listener = await RawClient.open(server);
  listener.send({ event: "pusher:subscribe", data: { channel: "c" } });
  await listener.find("pusher_internal:subscription_succeeded");
});
after(async () => {
  listener?.close();
  await server?.close();
});

let fences = 0;
/** Nothing that was refused reached anybody, and the next right request does. */
afterEach(async () => {
  fences += 1;
  await backend.trigger("c", `fence-${fences}`, {});
  await listener.find(`fence-${fences}`);
  const leaked = listener.frames.items.filter(({ event }) => event === "leak");
  assert.deepEqual(leaked, []);
});

const scenario = scenarios(() => server);

const LEAK = { name: "leak", channel: "c", data: "{}" };
const now = () => Math.floor(Date.now() / 1_000);

/** The query of a request, signed with the secret of `it`; `more` overrides its parameters. */
function signed(method, path, text, { it = SHOP, more = {} } = {}) {
  const params = {
    auth_key: it.key,
    auth_timestamp: String(now()),
    auth_version: "1.0",
    ...(text ? { body_md5: createHash("md5").update(text).digest("hex") } : {}),
    ...more,
  };
  const pairs = Object.keys(params)
    .sort()
    .map((name) => `${name}=${params[name]}`)
    .join("&");
  const hmac = createHmac("sha256", it.secret).update(`${method}\n${path}\n${pairs}`);
  return `${pairs}&auth_signature=${hmac.digest("hex")}`;
}

async function send(method, path, text, query) {
  const response = await fetch(`${server.pusherUrl}${path}?${query}`, {
    method,
    body: method === "GET" ? undefined : text,
    headers: { "content-type": "application/json" },
    signal: AbortSignal.timeout(15_000),
  });
  return { status: response.status, body: await response.json().catch(() => null) };
}

/** A rightly signed POST of any text. */
const post = (path, text, options) => send("POST", path, text, signed("POST", path, text, options));

const events = "/apps/shop/events";
const batch = "/apps/shop/batch_events";

scenario("bodies of any shape are answered with 400", async () => {
  const values = [
    "null",
    "7",
    "true",
    '"text"',
    "[]",
    "[null]",
    "{}",
    "{",
    "nul",
    "[".repeat(50_000),
  ];
  values.push(
    '{"a":'.repeat(20_000),
    "\u0000",
    "é",
    '{"name":"leak"}',
    `{"batch":${"[".repeat(900)}`,
  );
  for (const text of values) {
    for (const path of [events, batch]) {
      const { status, body } = await post(path, text);
      assert.equal(status, 400, `${path} ${text.slice(0, 20)}`);
      assert.equal(body.error, "The received data is incorrect");
      assert.equal(body.code, 400);
    }
  }
});

scenario("a list of channels that is no list is answered", async () => {
  for (const channels of ["c", 7, true, {}, { 0: "c", length: 1 }, [], [7], [null], [["c"]]]) {
    const text = JSON.stringify({ name: "leak", data: "{}", channels });
    const { status } = await within(15_000, post(events, text), "an answer");
    assert.equal(status, 400, text);
  }
});

scenario("a batch that is missing, no list, or holds what is no event", async () => {
  const values = [undefined, null, 7, "c", {}, [null], [7], [[]], [{}], [LEAK, null], [LEAK, {}]];
  values.push([LEAK, { ...LEAK, channel: "a b" }], [LEAK, { ...LEAK, name: 7 }]);
  values.push([LEAK, { ...LEAK, data: "x".repeat(102_401) }], Array(11).fill(LEAK));
  for (const value of values) {
    const { status } = await post(batch, JSON.stringify({ batch: value }));
    assert.ok(status === 400 || status === 413, `${status} ${JSON.stringify(value)?.slice(0, 60)}`);
  }
});

scenario(
  "a captured request is worth nothing ten minutes later, or at another address",
  async () => {
    const text = JSON.stringify(LEAK);
    for (const offset of [-601, 601, -86_400, -800_000_000]) {
      const more = { auth_timestamp: String(now() + (offset < 0 ? offset - 5 : offset + 5)) };
      assert.equal((await post(events, text, { more })).status, 401, String(offset));
    }
    for (const auth_timestamp of ["", "now", "1e9", "-1", "9".repeat(30), `${now()}.5`]) {
      assert.equal((await post(events, text, { more: { auth_timestamp } })).status, 401);
    }
    const query = signed("POST", events, text);
    assert.equal((await send("POST", batch, text, query)).status, 401);
    assert.equal((await send("POST", "/apps/other/events", text, query)).status, 401);
    assert.equal((await send("PUT", events, text, query)).status >= 400, true);
    const other = JSON.stringify({ ...LEAK, data: "[]" });
    assert.equal((await send("POST", events, other, query)).status, 401);
  },
);

scenario("the key must be of the app that is called, and be signed for", async () => {
  const text = JSON.stringify(LEAK);
  for (const options of [
    { it: OTHER },
    { it: { ...SHOP, secret: OTHER.secret } },
    { it: { ...OTHER, secret: SHOP.secret } },
    { more: { auth_key: OTHER.key } },
    { more: { auth_key: "" } },
    { more: { auth_version: "2.0" } },
  ]) {
    assert.equal((await post(events, text, options)).status, 401, JSON.stringify(options));
  }
  const query = signed("POST", events, text);
  for (const name of ["auth_key", "auth_timestamp", "auth_version", "auth_signature", "body_md5"]) {
    const parts = query.split("&").filter((part) => !part.startsWith(`${name}=`));
    assert.equal((await send("POST", events, text, parts.join("&"))).status, 401, name);
    const twice = `${query}&${name}=${name === "auth_key" ? OTHER.key : "0"}`;
    assert.equal((await send("POST", events, text, twice)).status, 401, `${name} twice`);
  }
  assert.equal((await send("POST", events, text, "")).status, 401);
  assert.equal((await send("POST", events, text, "&&=&a&%&%zz=%".repeat(200))).status, 401);
});

scenario("a disabled app answers no call of the API", async () => {
  const text = JSON.stringify(LEAK);
  for (const [method, path, body] of [
    ["POST", "/events", text],
    ["POST", "/batch_events", JSON.stringify({ batch: [LEAK] })],
    ["POST", "/users/ada/terminate_connections", "{}"],
    ["GET", "/channels", undefined],
    ["GET", "/channels/c", undefined],
    ["GET", "/channels/presence-c/users", undefined],
  ]) {
    const full = `/apps/disabled${path}`;
    const query = signed(method, full, body, { it: DISABLED });
    assert.equal((await send(method, full, body, query)).status, 403, full);
  }
});

scenario("channels and users in paths are names, not paths or patterns", async () => {
  for (const name of [
    "..",
    "%2e%2e",
    "a%2Fb",
    "%00",
    "a b",
    "%",
    "%zz",
    "%ff",
    "c".repeat(4_000),
    "*",
  ]) {
    for (const path of [`/apps/shop/channels/${name}`, `/apps/shop/channels/${name}/users`]) {
      const url = new URL(`${server.pusherUrl}${path}`);
      const { status } = await send("GET", url.pathname, "", signed("GET", url.pathname, ""));
      assert.ok(status < 500, `${path}: ${status}`);
    }
    const path = new URL(`${server.pusherUrl}/apps/shop/users/${name}/terminate_connections`);
    const { status } = await post(path.pathname, "{}");
    assert.ok(status < 500, `${path.pathname}: ${status}`);
  }
});

/** Writes raw bytes; the status line of what comes back, or what ended it. */
function exchange(bytes, ms = 5_000) {
  const { port } = new URL(server.pusherUrl);
  return new Promise((resolve) => {
    const socket = connect(Number(port), "127.0.0.1", () => socket.write(bytes));
    let text = "";
    socket.setTimeout(ms, () => socket.destroy());
    socket.on("data", (chunk) => {
      text += chunk;
      if (text.includes("\r\n\r\n")) socket.destroy();
    });
    socket.on("error", () => {});
    socket.on("close", () => resolve(text.split("\r\n")[0] || "closed"));
  });
}

scenario("broken requests and headers without end are refused", async () => {
  const head = "POST /apps/shop/events HTTP/1.1\r\nhost: a\r\n";
  for (const bytes of [
    "\r\n\r\n\r\n",
    "GET\r\n\r\n",
    "POST /apps/shop/events HTTP/9.9\r\n\r\n",
    `${head}content-length: -1\r\n\r\n`,
    `${head}content-length: 5\r\ncontent-length: 6\r\n\r\nhello`,
    `${head}x: ${"a".repeat(1_000_000)}\r\n\r\n`,
    `${head}${"x: y\r\n".repeat(5_000)}\r\n`,
    `POST /apps/shop/events?${"a=b&".repeat(50_000)} HTTP/1.1\r\nhost: a\r\n\r\n`,
    `${head}content-length: 4\r\n\r\n\xff\xfe\xfd\xfc`,
    `${head}transfer-encoding: chunked\r\n\r\nzz\r\n`,
  ]) {
    const status = await exchange(Buffer.from(bytes, "latin1"));
    assert.match(status, /^(HTTP\/1\.1 [45]\d\d|closed)/, bytes.slice(0, 60));
    assert.doesNotMatch(status, / 500/);
  }
});

scenario("a body of a stranger is not waited for", async () => {
  const head = `POST ${events}?auth_key=x HTTP/1.1\r\nhost: a\r\ncontent-length: 90000000\r\n\r\n`;
  assert.match(await exchange(Buffer.from(head)), / 40[01]|413|closed/);
});

scenario("a hundred callers that never finish leave room for others", async (t) => {
  const { port } = new URL(server.pusherUrl);
  const idle = Array.from({ length: 100 }, () => {
    const socket = connect(Number(port), "127.0.0.1");
    socket.on("error", () => {});
    socket.write(`POST ${events} HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n{`);
    return { close: () => socket.destroy() };
  });
  closing(t, ...idle);
  const { status } = await backend.trigger("c", "through", {});
  assert.equal(status, 200);
});
