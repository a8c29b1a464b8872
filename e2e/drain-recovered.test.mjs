// With recovery a restart is invisible: whoever was connected hears all of it, without a word of its page.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { newUser, roomOf } from "./support/api.mjs";
import { KINDS } from "./support/generations.mjs";
import { Member, VOCABULARIES } from "./support/members.mjs";
import { Server, scenarios } from "./support/server.mjs";
import { Client, closing } from "./support/sockets.mjs";
import { TcpProxy } from "./support/tcp-proxy.mjs";
import { Traveller } from "./support/traveller.mjs";
import { until, within } from "./support/wait.mjs";

// Below the ten seconds after which the tests end a server that does not stop.
const DRAIN_S = 8;
let server;
before(async () => {
  server = await Server.start({ env: { MYNAH_SERVER__DRAIN_S: `${DRAIN_S}` } });
});
after(() => server?.close());

const inServer = scenarios(() => server);

/** Each scenario finds a running server, however the one before it ended. */
function scenario(name, run, ms) {
  inServer(
    name,
    async (t) => {
      const ready = await fetch(`${server.url}/readyz`).catch(() => undefined);
      if (ready?.status !== 200) await server.restart();
      await run(t);
    },
    ms,
  );
}

scenario(
  "listeners of all kinds hear everything over a restart under load",
  async (t) => {
    const wanted = KINDS.filter(({ recovers }) => recovers).flatMap((kind) =>
      Object.keys(VOCABULARIES).map((vocabulary) => ({ kind, vocabulary })),
    );
    const { room, users } = await roomOf(
      server.url,
      "ada",
      ...wanted.map((_, index) => `u${index}`),
    );
    const listeners = [];
    for (const [index, options] of wanted.entries())
      listeners.push(await Traveller.open(t, server.url, users[index + 1], room, options));
    const writer = await Member.open(server.url, users[0], room, {
      retries: 1_000,
      ackTimeout: 500,
    });
    t.after(() => writer.close());
    // The library itself repeats what the stopping process did not answer.
    const say = (text) =>
      writer.client.socket.emitWithAck("message.send", {
        roomId: room.id,
        content: text,
        clientId: text,
      });
    const said = Array.from({ length: 300 }, (_, index) => say(`m${index}`));
    await Promise.all(said.slice(0, 20));
    const starts = listeners.map(({ client }) => client.states.items.length);
    await server.restart();
    for (const ack of await within(60_000, Promise.all(said), "all acks"))
      assert.equal(ack.success, true);
    for (const [index, listener] of listeners.entries()) {
      const { recovered } = await listener.client.state("connect", starts[index]);
      assert.equal(recovered, true, listener.member.name);
      await listener.heardAll(users[0].api);
    }
  },
  120_000,
);

scenario("while it drains: not ready, no new connections, REST answers", async (t) => {
  const ada = await newUser(server.url, "ada");
  const clients = await Promise.all(
    Array.from({ length: 40 }, () =>
      Client.open(server.url, { token: ada.accessToken, dialect: "native", reconnection: false }),
    ),
  );
  closing(t, ...clients);
  // One that does not go: until it is closed by force the server drains.
  const line = await TcpProxy.start(server.url);
  t.after(() => line.close());
  const token = ada.accessToken;
  const stays = await Client.open(line.url, { token, dialect: "native", reconnection: false });
  closing(t, stays);
  line.freeze();
  const status = async (path) => {
    const response = await fetch(server.url + path);
    await response.arrayBuffer();
    return response;
  };
  server.child.signal("SIGTERM");
  await until(async () => (await status("/readyz")).status === 503, "the server to be unready");
  assert.equal((await status("/livez")).status, 200);
  const refused = await status("/socket.io/?EIO=4&transport=polling");
  assert.equal(refused.status, 503);
  assert.match(refused.headers.get("retry-after") ?? "", /^\d+$/);
  assert.equal((await ada.api.call("GET", "/v1/auth/me")).status, 200);
  const { code } = await within(DRAIN_S * 1_000 + 10_000, server.child.exited, "the end");
  assert.equal(code, 0);
  for (const client of clients)
    assert.equal((await client.state("disconnect")).reason, "transport close");
});

scenario("who does not go is closed by force in time", async (t) => {
  const { room, users } = await roomOf(server.url, "ada");
  const line = await TcpProxy.start(server.url);
  t.after(() => line.close());
  const deaf = await Member.open(line.url, users[0], room, { reconnection: false });
  t.after(() => deaf.close());
  line.freeze();
  server.child.signal("SIGTERM");
  const { code } = await within(DRAIN_S * 1_000 + 10_000, server.child.exited, "the end");
  assert.equal(code, 0);
});
