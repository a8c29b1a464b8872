// Accounts, sessions, error bodies and what the server says about itself.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { Api, newUser, PASSWORD } from "./support/api.mjs";
import { JWT_SECRET, Server, scenarios } from "./support/server.mjs";
import { closing, native } from "./support/sockets.mjs";
import { read, sign } from "./support/tokens.mjs";

let server;
let anyone;
before(async () => {
  server = await Server.start();
  anyone = new Api(server.url);
});
after(() => server?.close());

const scenario = scenarios(() => server);
const refresh = (refreshToken) => anyone.call("POST", "/v1/auth/refresh", { refreshToken });

scenario("register, me, login by email and by name", async () => {
  const ada = await newUser(server.url, "ada");
  assert.equal(typeof ada.expiresIn, "number");
  const me = await ada.api.ok("GET", "/v1/auth/me");
  assert.deepEqual([me.id, me.username, me.email], [ada.user.id, ada.username, ada.email]);
  assert.deepEqual(await ada.api.ok("GET", "/v1/users/me"), me);
  for (const key of Object.keys(me)) assert.doesNotMatch(key, /pass|hash|secret/i);
  for (const who of [{ email: ada.email }, { username: ada.username }]) {
    const answer = await anyone.call("POST", "/v1/auth/login", { ...who, password: PASSWORD });
    assert.ok([200, 201].includes(answer.status));
    assert.equal(answer.body.user.id, ada.user.id);
  }
  const renamed = await ada.api.ok("PATCH", "/v1/users/me", { name: "Ada L." });
  assert.equal(renamed.name, "Ada L.");
});

scenario("refusals of register and login say little and say it exactly", async () => {
  const ada = await newUser(server.url, "ada");
  const wrong = await anyone.call("POST", "/v1/auth/login", {
    email: ada.email,
    password: "not the password",
  });
  const nobody = await anyone.call("POST", "/v1/auth/login", {
    email: "nobody@example.test",
    password: PASSWORD,
  });
  assert.equal(wrong.status, 401);
  assert.equal(nobody.status, 401);
  assert.equal(nobody.body.code, wrong.body.code);
  assert.equal(
    nobody.body.detail,
    wrong.body.detail,
    "a stranger learns nothing about who has an account",
  );
  const taken = await anyone.call("POST", "/v1/auth/register", {
    email: ada.email,
    username: `x${Date.now()}`,
    password: PASSWORD,
  });
  assert.equal(taken.status, 409);
  const short = await anyone.call("POST", "/v1/auth/register", {
    email: "short@example.test",
    password: "seven77",
  });
  assert.ok([400, 422].includes(short.status), `a short password answered ${short.status}`);
  assert.ok(
    short.body.errors.some(({ path }) => path === "password"),
    JSON.stringify(short.body.errors),
  );
});

scenario(
  "refresh rotates; the previous token is tolerated for a moment, older ones end the family",
  async () => {
    const ada = await newUser(server.url, "ada");
    const first = await refresh(ada.refreshToken);
    assert.equal(first.status, 200);
    assert.notEqual(first.body.refreshToken, ada.refreshToken);
    const me = await new Api(server.url, first.body.accessToken).ok("GET", "/v1/auth/me");
    assert.equal(me.id, ada.user.id);

    const otherTab = await refresh(ada.refreshToken);
    assert.equal(otherTab.status, 200, "two tabs may refresh with one token");

    const second = await refresh(otherTab.body.refreshToken);
    assert.equal(second.status, 200);
    const third = await refresh(second.body.refreshToken);
    assert.equal(third.status, 200);
    const reused = await refresh(otherTab.body.refreshToken);
    assert.equal(reused.status, 401);
    assert.equal(reused.body.code, "TOKEN_REUSED");
    const victim = await refresh(third.body.refreshToken);
    assert.equal(victim.status, 401, "the newest token of the family ends with it");

    const other = await anyone.call("POST", "/v1/auth/login", {
      email: ada.email,
      password: PASSWORD,
    });
    assert.equal(
      (await refresh(other.body.refreshToken)).status,
      200,
      "other logins are other families",
    );
  },
);

scenario(
  "logout ends this session only, logout-all ends every session and live socket",
  async (t) => {
    const ada = await newUser(server.url, "ada");
    const login = async () =>
      (await anyone.call("POST", "/v1/auth/login", { email: ada.email, password: PASSWORD })).body;
    const phone = await login();
    const desk = await login();
    const api = new Api(server.url, phone.accessToken);
    await api.ok("POST", "/v1/auth/logout", { refreshToken: phone.refreshToken });
    assert.equal((await refresh(phone.refreshToken)).status, 401);
    assert.equal((await refresh(desk.refreshToken)).status, 200);

    const open = await login();
    const clients = [
      await native(server.url, open, { reconnection: false }),
      await native(server.url, open, {
        reconnection: false,
        transports: ["polling"],
        upgrade: false,
      }),
    ];
    closing(t, ...clients);
    const bystander = await native(server.url, await newUser(server.url, "bo"));
    t.after(() => bystander.close());
    await new Api(server.url, open.accessToken).ok("POST", "/v1/auth/logout-all", {});
    for (const client of clients) await client.state("disconnect");
    assert.equal((await refresh(open.refreshToken)).status, 401);
    assert.equal(
      (await new Api(server.url, open.accessToken).call("GET", "/v1/auth/me")).status,
      401,
    );
    await bystander.ok("ping", {});
  },
);

scenario(
  "a token signed with the configured secret is believed, with its end in the past it is not",
  async () => {
    const ada = await newUser(server.url, "ada");
    const { header, claims } = read(ada.accessToken);
    const resigned = new Api(server.url, sign(header, claims, JWT_SECRET));
    assert.equal((await resigned.ok("GET", "/v1/auth/me")).id, ada.user.id);
    const expired = new Api(
      server.url,
      sign(header, { ...claims, exp: 1_000_000_900 }, JWT_SECRET),
    );
    const answer = await expired.call("GET", "/v1/auth/me");
    assert.equal(answer.status, 401);
    assert.equal(answer.body.code, "TOKEN_EXPIRED");
  },
);

scenario("a socket ends with its token", async (t) => {
  const ada = await newUser(server.url, "ada");
  const { header, claims } = read(ada.accessToken);
  const exp = Math.floor(Date.now() / 1_000) + 6;
  const accessToken = sign(header, { ...claims, exp }, JWT_SECRET);
  const client = await native(server.url, { accessToken }, { reconnection: false });
  t.after(() => client.close());
  await client.state("disconnect");
  assert.ok(Date.now() >= (exp - 1) * 1_000, "not before its time");
});

scenario("guessing a password is slowed down, other accounts are not", async (t) => {
  const limited = await Server.start({ limits: true });
  t.after(() => limited.close());
  const ada = await newUser(limited.url, "ada");
  const bo = await newUser(limited.url, "bo");
  const login = (email, password) =>
    new Api(limited.url).call("POST", "/v1/auth/login", { email, password });
  const statuses = [];
  for (let guess = 0; guess < 6; guess += 1)
    statuses.push((await login(ada.email, `guess ${guess}`)).status);
  assert.deepEqual(statuses, [401, 401, 401, 401, 401, 429]);
  const refused = await login(ada.email, PASSWORD);
  assert.equal(refused.status, 429);
  assert.ok(Number(refused.headers.get("retry-after")) > 0);
  assert.equal((await login(bo.email, PASSWORD)).status, 200);
});

const PROBLEM_KEYS = [
  "type",
  "title",
  "status",
  "detail",
  "code",
  "requestId",
  "timestamp",
  "path",
  "method",
];

scenario("errors: problem+json under /v1, the Nest form under /api", async () => {
  const cases = [
    ["GET", "/rooms", undefined, 401],
    ["POST", "/auth/login", { password: 5 }, 400],
    ["GET", "/no/such/thing", undefined, 404],
  ];
  for (const [method, path, body, status] of cases) {
    const v1 = await anyone.call(method, `/v1${path}`, body);
    const shown = `${method} /v1${path}: ${v1.status} ${JSON.stringify(v1.body)}`;
    assert.ok(v1.status === status || (status === 400 && v1.status === 422), shown);
    assert.match(v1.type, /^application\/problem\+json/);
    for (const key of PROBLEM_KEYS) assert.ok(key in v1.body, `${key} in ${shown}`);
    assert.equal(v1.body.status, v1.status);
    assert.equal(v1.body.path, `/v1${path}`);

    const api = await anyone.call(method, `/api${path}`, body);
    assert.equal(api.status, v1.status, `/api${path}`);
    assert.match(api.type, /^application\/json/);
    assert.equal(api.body.statusCode, api.status);
    assert.ok("message" in api.body, JSON.stringify(api.body));
    // Nest's plain UnauthorizedException has no `error`.
    assert.equal("error" in api.body, api.status !== 401, JSON.stringify(api.body));
  }
});

const UNKNOWN = "00000000-0000-4000-8000-000000000000";

scenario("the OpenAPI document is served and every path in it exists", async () => {
  const ada = await newUser(server.url, "ada");
  const found = ["/openapi.json", "/v1/openapi.json"].map((path) => anyone.call("GET", path));
  const answer = (await Promise.all(found)).find(({ status }) => status === 200);
  assert.ok(answer, "served at /openapi.json or /v1/openapi.json");
  const document = answer.body;
  assert.match(document.openapi, /^3\.[01]\./);
  const operations = Object.entries(document.paths).flatMap(([path, item]) =>
    Object.keys(item)
      .filter((key) => /^(get|post|put|patch|delete)$/.test(key))
      .map((method) => [method, path]),
  );
  assert.ok(operations.length >= 20, `only ${operations.length} operations`);
  const prefix =
    document.servers?.[0]?.url?.replace(/^https?:\/\/[^/]+/, "").replace(/\/$/, "") ?? "";
  // A path that does not exist answers the same to everyone; one that does asks who is there first.
  const nowhere = (await anyone.call("GET", "/v1/no/such/thing")).body.code;
  for (const [method, path] of operations) {
    const concrete = prefix + path.replace(/\{[^}]+\}/g, UNKNOWN);
    const reply = await anyone.call(
      method.toUpperCase(),
      concrete,
      method === "get" ? undefined : {},
    );
    const shown = `${method} ${concrete}: ${reply.status} ${JSON.stringify(reply.body)}`;
    assert.ok(reply.status < 500, shown);
    assert.notEqual(reply.status, 405, shown);
    assert.ok(reply.status !== 404 || (reply.body.code && reply.body.code !== nowhere), shown);
  }
  assert.equal((await ada.api.call("GET", "/v1/auth/me")).status, 200);
});

scenario("health, readiness and metrics", async () => {
  for (const path of ["/health", "/healthz", "/livez", "/ready", "/readyz"]) {
    assert.equal((await anyone.call("GET", path)).status, 200, path);
  }
  const client = await native(server.url, await newUser(server.url, "ada"));
  const metrics = await new Api(server.adminUrl).call("GET", "/metrics");
  client.close();
  assert.equal(metrics.status, 200);
  assert.match(metrics.type, /^text\/plain|openmetrics/);
  const samples = metrics.body.split("\n").filter((line) => line && !line.startsWith("#"));
  assert.ok(
    samples.some((line) => line.startsWith("mynah_")),
    metrics.body.slice(0, 400),
  );
  for (const line of samples) assert.match(line, /^[a-zA-Z_:][\w:]*(\{.*\})? \S+/);
  const publicly = await anyone.call("GET", "/metrics");
  assert.ok(
    publicly.status === 404 || !String(publicly.body).includes("mynah_"),
    "not on the public port",
  );
});
