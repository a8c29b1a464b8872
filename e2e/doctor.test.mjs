// `mynah doctor`: what it finds behind proxies that are right, and behind those that are not.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before } from "node:test";
import { promisify } from "node:util";
import { Front } from "./support/fronts.mjs";
import { MYNAH_BIN, Server, scenarios } from "./support/server.mjs";
import { Postgres, Redis } from "./support/stores.mjs";

const run = promisify(execFile);
const AREA = "public url";

let server;
before(async () => {
  server = await Server.start({
    env: { MYNAH_HTTP__TRUSTED_PROXIES: "127.0.0.1", MYNAH_SOCKETIO__PING_INTERVAL_MS: "4000" },
  });
});
after(() => server?.close());

const scenario = scenarios(() => server);

/** What the doctor finds, `{code, ok, findings}`. */
async function doctor({ args = [], env = {} } = {}) {
  const options = {
    env: {
      PATH: process.env.PATH,
      MYNAH_DATA_DIR: server.dataDir,
      PORT: String(server.port),
      ...env,
    },
  };
  const told = await run(MYNAH_BIN, ["doctor", "--json", ...args], options).then(
    ({ stdout }) => ({ code: 0, stdout }),
    (error) => error,
  );
  return { code: told.code, ...JSON.parse(told.stdout) };
}

const bad = ({ findings }) => findings.filter(({ grade }) => grade === "wrong");

async function behind(t, kind, change, more = []) {
  const proxy = await Front.start(kind, [server], change);
  t.after(() => proxy.close());
  return doctor({ args: ["--url", proxy.url, ...more] });
}

for (const kind of ["nginx", "haproxy"]) {
  scenario(
    `behind ${kind} as in deploy/ all is well, also for a quiet WebSocket`,
    async (t) => {
      const found = await behind(t, kind, undefined);
      assert.deepEqual(bad(found), []);
      assert.equal(found.code, 0);
      const said = found.findings.filter(({ area }) => area === AREA).map(({ text }) => text);
      for (const words of [
        "polling works",
        "1000 kB come through",
        "WebSockets work",
        "stays open",
        "own address",
      ])
        assert.ok(
          said.some((text) => text.includes(words)),
          `${words} in ${said.join("; ")}`,
        );
    },
    60_000,
  );
}

const MISTAKES = [
  [
    "no Upgrade header",
    (text) => text.replace(/proxy_set_header Upgrade.*\n.*proxy_set_header Connection.*\n/, ""),
    /no WebSocket/,
    /proxy_set_header Upgrade/,
  ],
  [
    "a small limit",
    (text) => text.replace("client_max_body_size 2m", "client_max_body_size 100k"),
    /413/,
    /client_max_body_size/,
  ],
  [
    "claims of clients passed on",
    (text) => text.replace("X-Forwarded-For $remote_addr", "X-Forwarded-For $http_x_forwarded_for"),
    /claim any address/,
    /remote_addr/,
  ],
  [
    "only some paths",
    (text) => text.replace("location / {", "location /socket.io/ { return 404; }\n location / {"),
    /404 to the handshake/,
    /every path/,
  ],
];
for (const [name, change, problem, advice] of MISTAKES) {
  scenario(`${name}: is found, and the remedy told`, async (t) => {
    const found = await behind(t, "nginx", change, ["--quick"]);
    assert.equal(found.code, 1);
    const wrong = bad(found);
    assert.ok(
      wrong.some((finding) => problem.test(finding.text) && advice.test(finding.advice)),
      JSON.stringify(wrong),
    );
  });
}

scenario("quiet connections that are cut early are found", async (t) => {
  const found = await behind(t, "haproxy", (text) =>
    text.replace("timeout tunnel 90s", "timeout tunnel 1s"),
  );
  assert.ok(
    bad(found).some(({ text, advice }) => /quiet WebSocket/.test(text) && /tunnel/.test(advice)),
    JSON.stringify(bad(found)),
  );
});

scenario("nobody there, no name, no url", async () => {
  for (const url of [
    "http://127.0.0.1:9",
    "http://no-such-host.invalid",
    "ftp://x",
    "chat.example.com",
  ]) {
    const found = await doctor({ args: ["--quick", "--url", url] });
    assert.equal(found.code, 1, url);
    assert.equal(bad(found).length, 1, url);
  }
});

scenario("the installation itself: settings, data, broker; and no secret is shown", async () => {
  const env = {
    MYNAH_ENV: "production",
    JWT_SECRET: "a-leaky-secret-word",
    REDIS_URL: "redis://someone:leaky-password@127.0.0.1:9",
    MYNAH_DATA_DIR: "/proc/nowhere/else",
  };
  const found = await doctor({ args: ["--quick"], env });
  assert.equal(found.code, 1);
  const areas = new Set(bad(found).map(({ area }) => area));
  assert.deepEqual([...areas].sort(), ["broker", "configuration", "data folder"]);
  assert.ok(!JSON.stringify(found).includes("leaky"));
});

scenario("PostgreSQL, Redis, clocks and nodes", async (t) => {
  const [postgres, redis] = [await Postgres.start(), await Redis.start()];
  t.after(() => Promise.all([postgres.close(), redis.close()]));
  const env = { DATABASE_URL: postgres.database(), ...redis.env };
  const graded = ({ findings }, area) =>
    findings
      .filter((finding) => finding.area === area)
      .map(({ grade, text }) => `${grade}: ${text}`);
  const empty = await doctor({ args: ["--quick"], env });
  assert.equal(empty.code, 0, JSON.stringify(bad(empty)));
  assert.match(graded(empty, "store").join(), /no tables of ours yet/);

  const node = await Server.start({ env });
  t.after(() => node.close());
  const found = await doctor({ args: ["--quick"], env });
  assert.equal(found.code, 0, JSON.stringify(bad(found)));
  for (const [area, words] of [
    ["store", /ok: PostgreSQL \d+.* answers in .*ok: synchronous_commit is on.*the newest/],
    ["broker", /ok: Redis brings a message back in/],
    ["clock", /ok: .*agree/],
    ["nodes", /ok: one is running/],
  ])
    assert.match(graded(found, area).join("; "), words);
  await redis.kill();
  await postgres.kill();
  const down = await doctor({ args: ["--quick"], env });
  assert.deepEqual(
    bad(down).map(({ area }) => area),
    ["store", "broker"],
  );
  assert.match(bad(down)[0].text, /cannot connect to PostgreSQL at 127/);
});

scenario("the health check of a container", async () => {
  const ask = (port) =>
    run(MYNAH_BIN, ["doctor", "--health"], {
      env: { PATH: process.env.PATH, PORT: String(port) },
    }).then(
      () => 0,
      ({ code }) => code,
    );
  assert.equal(await ask(server.port), 0);
  assert.equal(await ask(9), 1);
});
