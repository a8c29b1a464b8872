// A fresh token on the live connection: `session.refresh` (native) and `authenticate` (camel).
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { Api, PASSWORD, roomOf } from "./support/api.mjs";
import { KINDS } from "./support/generations.mjs";
import { Member, VOCABULARIES } from "./support/members.mjs";
import { JWT_SECRET, Server, scenarios } from "./support/server.mjs";
import { forgeries, short } from "./support/tokens.mjs";
import { until } from "./support/wait.mjs";

let server;
before(async () => {
  server = await Server.start();
});
after(() => server?.close());

const scenario = scenarios(() => server);
const REFRESH = { native: "session.refresh", camel: "authenticate" };
const EXPIRING = { native: "session.expiring", camel: "sessionExpiring" };

/** Connects `user` with a token that is good for `seconds`; `ends` is when it ends. */
async function brief(t, user, room, seconds, options) {
  const accessToken = short(user.accessToken, seconds, JWT_SECRET);
  const ends = Date.now() + seconds * 1_000;
  const member = await Member.open(server.url, { ...user, accessToken }, room, options);
  t.after(() => member.close());
  const refresh = (token) => member.client.ask(REFRESH[options.vocabulary], { token });
  return { member, client: member.client, refresh, ends };
}

scenario(
  "a connection outlives the token it began with, on every kind of client",
  async (t) => {
    const cases = KINDS.flatMap((one) =>
      Object.keys(VOCABULARIES).map((vocabulary) => ({ kind: one, vocabulary })),
    );
    const { room, users } = await roomOf(server.url, ...cases.map((_, index) => `u${index}`));
    // Long enough to be connected and renewed.
    const opened = [];
    for (const [index, options] of cases.entries()) {
      const one = await brief(t, users[index], room, 12, options);
      const ack = await one.refresh(users[index].accessToken);
      assert.equal(ack.success, true, `${one.member.name}: ${JSON.stringify(ack)}`);
      opened.push(one);
    }
    const last = Math.max(...opened.map(({ ends }) => ends));
    await until(() => Date.now() > last + 500, "all first tokens to be over", 30_000, 200);
    for (const { member, client } of opened) {
      assert.equal(client.states.items.length, 1, `${member.name} was never disconnected`);
      await member.say("still here");
    }
  },
  120_000,
);

scenario("the notice comes for the new token too", async (t) => {
  const { room, users } = await roomOf(server.url, "ada", "bo");
  await Promise.all(
    Object.keys(VOCABULARIES).map(async (vocabulary, index) => {
      const user = users[index];
      const { client, refresh } = await brief(t, user, room, 32, { vocabulary });
      const first = await client.got(EXPIRING[vocabulary]);
      const ack = await refresh(short(user.accessToken, 33, JWT_SECRET));
      assert.equal(ack.success, true);
      await client.events.atLeast(2, ({ event }) => event === EXPIRING[vocabulary], "a notice");
      const second = client.all(EXPIRING[vocabulary])[1];
      assert.ok(Date.parse(second.expiresAt) > Date.parse(first.expiresAt));
    }),
  );
});

scenario(
  "a token that is not the user's or not good is refused, and nothing changes",
  async (t) => {
    const { room, users } = await roomOf(server.url, "ada", "bo");
    for (const vocabulary of Object.keys(VOCABULARIES)) {
      const { member, client, refresh } = await brief(t, users[0], room, 12, {
        vocabulary,
        reconnection: false,
      });
      const foreign = await refresh(users[1].accessToken);
      assert.equal(foreign.success, false);
      assert.equal(typeof foreign.code, "string");
      const forged = forgeries(users[0].accessToken, JWT_SECRET);
      assert.equal((await refresh(forged.expired)).code, "TOKEN_EXPIRED");
      for (const bad of [
        "another secret",
        "algorithm none",
        "claims exchanged",
        "not a token",
        "empty",
      ]) {
        const refused = await refresh(forged[bad]);
        assert.equal(refused.success, false, bad);
        assert.equal(typeof refused.code, "string", bad);
      }
      for (const bad of [undefined, null, 5, {}, []]) {
        const refused = await refresh(bad);
        assert.equal(refused.success, false, JSON.stringify(bad));
      }
      const said = await member.say("still myself");
      assert.equal(said.senderId ?? said.userId, users[0].user.id);
      const { reason } = await client.state("disconnect", 0, 20_000);
      assert.equal(reason, "transport close", "the first token still counts");
    }
  },
);

scenario("renewed by another sign-in: whoever ends that one ends the connection", async (t) => {
  const { room, users } = await roomOf(server.url, "ada", "bo");
  for (const [index, vocabulary] of Object.keys(VOCABULARIES).entries()) {
    const user = users[index];
    const { client, refresh } = await brief(t, user, room, 600, { vocabulary });
    const again = await new Api(server.url).ok("POST", "/v1/auth/login", {
      email: user.email,
      password: PASSWORD,
    });
    assert.equal((await refresh(again.accessToken)).success, true);
    const signedIn = new Api(server.url, again.accessToken);
    await signedIn.ok("POST", "/v1/auth/logout", { refreshToken: again.refreshToken });
    assert.equal((await client.state("disconnect")).reason, "io server disconnect");
  }
});

scenario("a token of an ended sign-in renews nothing", async (t) => {
  const { room, users } = await roomOf(server.url, "ada");
  const { member, refresh } = await brief(t, users[0], room, 600, { vocabulary: "native" });
  const again = await new Api(server.url).ok("POST", "/v1/auth/login", {
    email: users[0].email,
    password: PASSWORD,
  });
  const signedIn = new Api(server.url, again.accessToken);
  await signedIn.ok("POST", "/v1/auth/logout", { refreshToken: again.refreshToken });
  const refused = await refresh(again.accessToken);
  assert.equal(refused.success, false);
  await member.say("as before");
});
