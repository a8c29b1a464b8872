// Apps and their keys while clients are connected: made, rotated, switched off, imported from Soketi.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, test } from "node:test";
import { closing, PusherClient } from "./support/pusher-client.mjs";
import { app, PusherServer, refusal, SOKETI } from "./support/pusher-server.mjs";
import { until } from "./support/wait.mjs";

const TTL_S = "1";
const OLD = { id: "written", key: "old-key", secret: "old-secret-0123456789abcdef" };
const NEW = { id: "written", key: "new-key", secret: "new-secret-0123456789abcdef" };
const GONE = { id: "written", key: "gone-key", secret: "gone-secret-0123456789abcdef" };
const TOML = `[pusher]
app_cache_ttl_s = ${TTL_S}

[[pusher.apps]]
id = "${NEW.id}"
key = "${NEW.key}"
secret = "${NEW.secret}"

[[pusher.apps.old_keys]]
key = "${OLD.key}"
secret = "${OLD.secret}"

[[pusher.apps.old_keys]]
key = "${GONE.key}"
secret = "${GONE.secret}"
expires_at = "2026-01-01T00:00:00Z"
`;

let server;
before(async () => {
  if (!SOKETI) server = await PusherServer.start({ apps: [NEW], toml: TOML });
});
after(() => server?.close());

function scenario(name, run) {
  const skip = SOKETI ? "Soketi reads its apps once" : false;
  test(name, { timeout: 60_000, skip }, async (t) => {
    try {
      await run(t);
    } catch (error) {
      process.stderr.write(`--- ${name}: log tail ---\n${server.log}\n--- end ---\n`);
      throw error;
    }
  });
}

/** Makes an app with the program; `{id, key, secret}`. */
async function create(id, ...settings) {
  const { key, secret } = JSON.parse(
    await server.run("app", "create", "--id", id, "--json", ...settings),
  );
  return { id, key, secret };
}

/** A client of an app that has become known to the running server. */
async function client(t, { key }) {
  return until(async () => {
    const it = new PusherClient(server, { key });
    const state = await it.states.find((state) => state !== "connecting", "an end or a beginning");
    if (state !== "connected") return null;
    closing(t, it);
    return it;
  }, "the app to be known");
}

/** Waits until pusher-js is refused with `code`. */
function refused({ key }, code) {
  return until(async () => {
    const it = new PusherClient(server, { key });
    const state = await it.states.find((state) => state !== "connecting", "an end or a beginning");
    const error = it.errors.items.find(({ data }) => data?.code)?.data.code;
    it.close();
    return state === "disconnected" && error === code;
  }, `${key} to be refused with ${code}`);
}

/** An event signed by one key of an app reaches a client that came with another. */
async function reaches(from, it, channel, name) {
  await server.backend(from).trigger("news", name, { n: 1 });
  await channel.got(name);
  assert.equal(it.state, "connected");
}

scenario("written down: both keys are good, the one that has ended is not", async (t) => {
  const [old, young] = [await client(t, OLD), await client(t, NEW)];
  const channels = [await old.joined("news"), await young.joined("news")];
  for (const [n, from] of [OLD, NEW].entries()) {
    await reaches(from, old, channels[0], `e${n}`);
    await reaches(from, young, channels[1], `f${n}`);
  }
  await refused(GONE, 4001);
  assert.equal((await refusal(server.backend(GONE).trigger("news", "e", {}))).status, 401);
});

scenario("made while the server runs; its settings hold", async (t) => {
  const shop = await create("shop", "--client-events", "false");
  const it = await client(t, shop);
  const channel = await it.joined("news");
  await reaches(shop, it, channel, "e");
  const listed = JSON.parse(await server.run("app", "list", "--json"));
  assert.ok(JSON.stringify(listed).includes('"shop"'));
  assert.ok(!JSON.stringify(listed).includes(shop.secret), "secrets are shown once");
});

scenario("rotated: the old key goes on until it is expired, sockets stay", async (t) => {
  const before = await create("rotating");
  const old = await client(t, before);
  const channel = await old.joined("news");
  const printed = JSON.parse(await server.run("app", "rotate", "rotating", "--json"));
  const fresh = { id: "rotating", key: printed.key, secret: printed.secret };
  assert.notEqual(fresh.key, before.key);
  const young = await client(t, fresh);
  await reaches(fresh, old, channel, "by-new");
  await reaches(before, old, channel, "by-old");
  await server.run("app", "expire", "rotating", before.key);
  await refused(before, 4001);
  await until(
    () =>
      server
        .backend(before)
        .trigger("news", "x", {})
        .then(
          () => false,
          ({ status }) => status === 401,
        ),
    "the old key to be refused",
  );
  await young.settled();
  await reaches(fresh, young, await young.joined("news"), "after");
});

scenario("disabled and enabled again", async (t) => {
  const shop = await create("closing");
  await client(t, shop);
  await server.run("app", "disable", "closing");
  await refused(shop, 4003);
  assert.equal((await refusal(server.backend(shop).trigger("news", "e", {}))).status, 403);
  await server.run("app", "enable", "closing");
  await client(t, shop);
});

scenario("imported from Soketi's JSON file, twice without harm", async (t) => {
  const file = path.join(server.dataDir, "from-soketi.json");
  const apps = [app("moved-a"), app("moved-b", { maxConnections: 1 })];
  writeFileSync(file, JSON.stringify({ "appManager.array.apps": apps }));
  for (let n = 0; n < 2; n += 1) await server.run("app", "import", "--soketi-config", file);
  const it = await client(t, apps[0]);
  await reaches(apps[0], it, await it.joined("news"), "e");
  await client(t, apps[1]);
  await refused(apps[1], 4004);
});
