// The official Socket.IO Admin UI: first the way it talks, then the page itself in a browser.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { ADMIN, ADMIN_ENV, serveUi, startNode } from "./support/admin-ui.mjs";
import { newUser } from "./support/api.mjs";
import { launch } from "./support/browser.mjs";
import { Server, scenarios } from "./support/server.mjs";
import { Client, native } from "./support/sockets.mjs";
import { until } from "./support/wait.mjs";

let server;
before(async () => {
  server = await Server.start({ env: ADMIN_ENV });
});
after(() => server?.close());

const scenario = scenarios(() => server);

const nsp = "/admin";
/** As the page connects: over polling first, without reconnecting until it is in. */
const asPage = { nsp, transports: ["polling", "websocket"], withCredentials: true };

async function looker(t, options = {}) {
  const client = await Client.open(server.url, { ...asPage, auth: ADMIN, ...options });
  t.after(() => client.close());
  return client;
}

const stats = (client) => client.all("server_stats");
const sum = (client, type, subType) =>
  stats(client)
    .flatMap(({ aggregatedEvents }) => aggregatedEvents)
    .filter((event) => event.type === type && (!subType || event.subType === subType))
    .reduce((total, { count }) => total + count, 0);
const socketsIn = ({ namespaces }, name) =>
  namespaces.find((namespace) => namespace.name === name)?.socketsCount;

scenario("wrong credentials are refused with the words that the page looks for", async () => {
  for (const auth of [
    { username: "admin", password: "wrong" },
    { username: "nobody", password: ADMIN.password },
    { username: "", password: "" },
    { sessionId: "no-such-session" },
    { sessionId: null },
    {},
  ]) {
    const { message } = await Client.refused(server.url, { ...asPage, auth });
    assert.equal(message, "invalid credentials", JSON.stringify(auth));
  }
});

/** What a value is made of; of a list, what its members have in common. */
function shape(value) {
  if (Array.isArray(value))
    return [...new Set(value.map((item) => JSON.stringify(shape(item))))].sort();
  if (value === null || typeof value !== "object") return typeof value;
  const fields = Object.entries(value).map(([key, field]) => [key, shape(field)]);
  return Object.fromEntries(fields.sort(([a], [b]) => (a < b ? -1 : 1)));
}

scenario("events, fields and reasons are those of the Node server", async (t) => {
  const node = await startNode();
  t.after(() => node.close());
  const told = [];
  for (const url of [node.url, server.url]) {
    const admin = await Client.open(url, { ...asPage, auth: ADMIN });
    t.after(() => admin.close());
    const open = (transport) =>
      Client.open(url, { nsp, transports: [transport], auth: ADMIN, reconnection: false });
    // Leaving the namespace, closing the transport, and a connection that breaks.
    for (const transport of ["websocket", "polling"]) {
      (await open(transport)).close();
      (await open(transport)).cut();
    }
    (await open("websocket")).socket.io.engine.transport.ws.terminate();
    await until(() => sum(admin, "rawDisconnection") >= 5, "the ends to be counted");
    const refused = await Client.refused(url, { ...asPage, auth: { ...ADMIN, password: "wrong" } });
    const events = stats(admin).flatMap(({ aggregatedEvents }) => aggregatedEvents);
    told.push({
      session: typeof admin.all("session")[0],
      config: admin.all("config")[0],
      stats: shape({ ...stats(admin).at(-1), aggregatedEvents: [] }),
      types: [...new Set(events.map(({ type }) => type))].sort(),
      reasons: [...new Set(events.map(({ subType }) => subType))].sort(),
      happened: shape(events),
      refused: refused.message,
    });
  }
  assert.deepEqual(told[1], told[0]);
});

scenario("a sign-in gives a session that opens the door again", async (t) => {
  const first = await looker(t);
  const sessionId = await first.got("session");
  assert.match(sessionId, /^[\w-]{20}$/);
  assert.deepEqual(await first.got("config"), { supportedFeatures: ["AGGREGATED_EVENTS"] });
  const again = await looker(t, { auth: { sessionId } });
  await again.got("config");
  await again.got("server_stats");
  assert.deepEqual(again.all("session"), []);
  const order = first.events.items.map(({ event }) => event).slice(0, 3);
  assert.deepEqual(order, ["session", "config", "server_stats"]);
});

scenario("the figures follow clients that come and go", async (t) => {
  const admin = await looker(t);
  // Those who looked before may not be gone yet.
  const first = await admin.got("server_stats", (s) => s.clientsCount === 1);
  assert.equal(first.serverId, first.hostname);
  assert.ok(Number.isInteger(first.pid) && first.uptime >= 0);
  assert.equal(first.pid, server.child.process.pid);
  const before = first.clientsCount;
  const user = await newUser(server.url, "ada");
  const overWebsocket = await native(server.url, user);
  const overPolling = await native(server.url, user, { transports: ["polling"] });
  t.after(() => overWebsocket.close());
  t.after(() => overPolling.close());
  const came = await admin.got(
    "server_stats",
    (s) => s.clientsCount === before + 2 && s.pollingClientsCount === 1,
  );
  assert.equal(socketsIn(came, "/"), 2);
  assert.ok(socketsIn(came, nsp) >= 1);
  await until(() => sum(admin, "rawConnection") >= 2, "connections to be counted");

  const room = await user.api.createRoom("figures");
  await overWebsocket.ok("message.send", { roomId: room.id, content: "hello", clientId: "1" });
  for (const type of ["packetsIn", "packetsOut", "bytesIn", "bytesOut"])
    await until(() => sum(admin, type) > 0, type);

  const heard = stats(admin).length;
  overWebsocket.close();
  overPolling.close();
  await admin.got(
    "server_stats",
    (s) => stats(admin).indexOf(s) >= heard && s.clientsCount === before && socketsIn(s, "/") === 0,
  );
  await until(
    () => sum(admin, "rawDisconnection", "transport close") >= 2,
    "disconnections to be counted with their reason",
  );
  const last = stats(admin).at(-1);
  assert.equal(last.pollingClientsCount, 0);
  assert.equal(socketsIn(last, "/"), 0);
  for (const { timestamp, count } of last.aggregatedEvents) {
    assert.equal(timestamp % 1_000, 0);
    assert.ok(count > 0);
  }
});

scenario("everybody who looks is sent the same figures, every two seconds", async (t) => {
  const [one, other] = [await looker(t), await looker(t)];
  const ofBoth = await until(() => {
    const shared = stats(one).filter((s) => stats(other).some((o) => o.uptime === s.uptime));
    return shared.length >= 3 && shared;
  }, "three shared figures");
  const uptimes = ofBoth.map(({ uptime }) => uptime);
  for (const [at, uptime] of uptimes.slice(1).entries()) {
    const pause = uptime - uptimes[at];
    assert.ok(pause > 1.5 && pause < 8, `a pause of ${pause} s`);
  }
});

scenario("nobody can act on the chat through the namespace", async (t) => {
  const admin = await looker(t);
  const client = await native(server.url, await newUser(server.url, "bo"));
  t.after(() => client.close());
  const before = client.events.items.length;
  admin.socket.emit("emit", "/", undefined, "forged", 1);
  admin.socket.emit("join", "/", "room");
  admin.socket.emit("leave", "/", "room");
  admin.socket.emit("_disconnect", "/", true);
  const heard = stats(admin).length;
  await until(() => stats(admin).length > heard + 1, "the next figures");
  assert.ok(client.socket.connected);
  assert.equal(client.events.items.length, before);
});

scenario("guessing is limited, and the limit says when to try again", async (t) => {
  const limited = await Server.start({ env: ADMIN_ENV, limits: true });
  t.after(() => limited.close());
  const wrong = { ...asPage, auth: { ...ADMIN, password: "wrong" } };
  const answers = [];
  for (let turn = 0; turn < 6; turn++) answers.push(await Client.refused(limited.url, wrong));
  assert.ok(answers.slice(0, 5).every(({ message }) => message === "invalid credentials"));
  assert.match(answers[5].message, /^too many sign-ins: try again in \d+ s$/);
  assert.equal(answers[5].data.code, "RATE_LIMITED");
});

scenario("without the setting there is no such namespace", async (t) => {
  const plain = await Server.start();
  t.after(() => plain.close());
  const { message } = await Client.refused(plain.url, { ...asPage, auth: ADMIN });
  assert.equal(message, "Invalid namespace");
});

scenario(
  "the official page signs in, lists the server as healthy and counts its clients",
  async (t) => {
    const ui = await serveUi();
    t.after(() => ui.close());
    const browser = await launch();
    t.after(() => browser.close());
    const page = await browser.newPage();
    page.setDefaultTimeout(20_000);
    const complaints = [];
    page.on("pageerror", (error) => complaints.push(error.message));
    // Its fonts come from elsewhere; the tests need no network.
    await page.route(
      (url) => url.hostname !== "127.0.0.1",
      (route) => route.abort(),
    );
    const user = await newUser(server.url, "carol");
    const client = await native(server.url, user);
    t.after(() => client.close());
    try {
      await page.goto(ui.url);
      await signIn(page, { ...ADMIN, password: "wrong" });
      await page.getByText("Invalid credentials").waitFor();
      await signIn(page, ADMIN);
      await page.getByRole("dialog").waitFor({ state: "hidden" });

      await page.goto(`${ui.url}#/servers/`);
      const clients = (count) =>
        page
          .getByRole("row")
          .filter({ hasText: "Healthy" })
          .getByRole("cell", { name: count, exact: true });
      await clients("2").first().waitFor();
      const second = await native(server.url, user);
      await clients("3").first().waitFor();
      second.close();
      await clients("2").first().waitFor();

      // A reload resumes the session: no form, the server is there again.
      await page.reload();
      await clients("2").first().waitFor();
      assert.equal(await page.getByRole("dialog").count(), 0);
      assert.deepEqual(complaints, []);
    } catch (error) {
      const shown = await page.locator("body").ariaSnapshot();
      throw new Error(`${error.message}\n--- the page showed ---\n${shown}`, { cause: error });
    }
  },
  120_000,
);

/** Fills in the form that the page opens with. */
async function signIn(page, { username, password }) {
  await page.getByLabel("Server URL").fill(server.url);
  await page.getByLabel("Username").fill(username);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Connect" }).click();
}
