// The files of deploy/: every setting is one that the binary knows, times fit together, ports are the same
// everywhere. (nginx.conf and haproxy.cfg run in doctor.test.mjs and rolling.test.mjs.)
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import YAML from "yaml";
import { MYNAH_BIN } from "./support/server.mjs";

const run = promisify(execFile);
const root = fileURLToPath(new URL("..", import.meta.url));
const read = (name) => readFileSync(path.join(root, "deploy", name), "utf8");

/** What an installer fills in. */
const FILLED = {
  POSTGRES_PASSWORD: "p4ss-0f-a-database",
  JWT_SECRET: "kJ8vQm2xT5zR9bN4cW7yL1pD6fH3gS0a",
  MYNAH_AUTH__ENCRYPTION_KEY: "aS0gH3fD6pL1yW7cN4bR9zT5xQm2vJ8k",
  DATABASE_URL: "postgres://mynah:x@postgres:5432/mynah",
  REDIS_URL: "redis://redis:6379",
  ALLOWED_ORIGIN: "https://chat.example.com",
};

/** `${NAME}`, `${NAME:?…}` and `${NAME:-…}`, as Compose does it. */
const filled = (text) =>
  String(text).replace(/\$\{(\w+)(?::([?-])([^}]*))?\}/g, (_, name, kind, rest) => {
    const value = FILLED[name];
    assert.ok(value !== undefined || kind === "-", `${name} is in compose.env.sample`);
    return value ?? rest;
  });

/** The configuration that the binary makes of an environment, as text; fails if it does not fit. */
async function configured(env) {
  const cwd = mkdtempSync(path.join(tmpdir(), "mynah-deploy-"));
  const options = { cwd, env: { ...env, PATH: process.env.PATH } };
  const checked = await run(MYNAH_BIN, ["config", "check"], options).catch((error) => error);
  assert.match(checked.stdout, /the configuration is fine/, checked.stderr);
  assert.equal(checked.stderr, "", "nothing is remarked on");
  return (await run(MYNAH_BIN, ["config", "print"], options)).stdout;
}

/** A whole number of the printed configuration. */
const number = (text, name) => Number(new RegExp(`^${name} = (\\d+)$`, "m").exec(text)[1]);

/** What passes from the signal to the last answer, in seconds. */
const ending = (text) => number(text, "drain_delay_s") + number(text, "drain_s");

function dockerfile() {
  const text = read("Dockerfile").replace(/\\\n\s*/g, " ");
  const lines = text.split("\n").filter((line) => line && !line.startsWith("#"));
  const stages = [];
  for (const line of lines) {
    const [, word, rest] = /^(\w+)\s+(.*)$/.exec(line);
    if (word === "FROM") {
      const [image, , name] = rest.split(/\s+/);
      stages.push({ image, name, steps: [] });
    } else stages.at(-1).steps.push({ word, rest });
  }
  return stages;
}

test("Dockerfile: what is copied is there, and what runs is not root", async () => {
  const stages = dockerfile();
  assert.equal(stages.length, 3);
  for (const [index, { steps }] of stages.entries()) {
    for (const { rest } of steps.filter(({ word }) => word === "COPY")) {
      const parts = rest.split(/\s+/);
      const from = parts.find((part) => part.startsWith("--from="))?.slice(7);
      const sources = parts.filter((part) => !part.startsWith("--")).slice(0, -1);
      if (from)
        assert.ok(
          stages.slice(0, index).some(({ name }) => name === from),
          from,
        );
      else for (const source of sources) assert.ok(existsSync(path.join(root, source)), source);
    }
  }
  const last = stages.at(-1).steps;
  const of = (word) => last.filter((step) => step.word === word).map(({ rest }) => rest);
  assert.match(of("USER")[0], /^65532/);
  assert.match(of("HEALTHCHECK")[0], /"doctor", "--health"/);
  assert.deepEqual(of("CMD"), ['["serve"]']);
  const env = Object.fromEntries(
    of("ENV")[0]
      .split(/\s+/)
      .map((pair) => pair.split("=")),
  );
  const config = await configured({ ...env, JWT_SECRET: FILLED.JWT_SECRET });
  assert.ok(number(config, "drain_delay_s") > 0);
  const { toolchain } = { toolchain: /rust:([\d.]+)/.exec(read("Dockerfile"))[1] };
  const cargo = readFileSync(path.join(root, "Cargo.toml"), "utf8");
  assert.equal(toolchain, /rust-version = "([\d.]+)"/.exec(cargo)[1]);
});

test("compose.yaml: two nodes that differ in their address, and times that fit", async () => {
  const file = YAML.parse(read("compose.yaml"), { merge: true });
  const sample = read("compose.env.sample");
  const { services, volumes } = file;
  const nodes = Object.entries(services).filter(([, { image }]) => image === "mynah");
  assert.equal(nodes.length, 2);
  for (const [name, node] of nodes) {
    const env = Object.fromEntries(
      Object.entries(node.environment).map(([key, value]) => [key, filled(value)]),
    );
    const config = await configured({ ...env, MYNAH_DATA_DIR: "/data" });
    assert.equal(env.MYNAH_CLUSTER__ADVERTISE, `${name}:${number(config, "port")}`);
    assert.ok(Number.parseInt(node.stop_grace_period, 10) > ending(config));
    for (const wanted of Object.keys(node.depends_on)) assert.ok(services[wanted], wanted);
    for (const mount of node.volumes) assert.ok(mount.split(":")[0] in volumes, mount);
  }
  for (const [, name] of read("compose.yaml").matchAll(/\$\{(\w+):\?/g))
    assert.match(sample, new RegExp(`^${name}=`, "m"), `${name} is in the sample`);
  const subnet = file.networks.default.ipam.config[0].subnet;
  assert.equal(services["mynah-1"].environment.MYNAH_HTTP__TRUSTED_PROXIES, subnet);
  // The proxy looks often enough to notice in time, and knows the nodes by their names.
  const proxy = read("haproxy.cfg");
  for (const [name] of nodes) assert.match(proxy, new RegExp(`server ${name} ${name}:4000`));
  const [, inter, fall] = /inter (\d+)s fall (\d+)/.exec(proxy);
  const delay = Number(services["mynah-1"].environment.MYNAH_SERVER__DRAIN_DELAY_S);
  assert.ok(delay > inter * fall + 1);
});

test("kubernetes.yaml: ports, probes, secrets and times fit", async () => {
  const documents = YAML.parseAllDocuments(read("kubernetes.yaml"));
  for (const document of documents) assert.deepEqual(document.errors, []);
  const all = Object.fromEntries(documents.map((one) => one.toJS()).map((one) => [one.kind, one]));
  const { ConfigMap, Deployment, PodDisruptionBudget, Service, Ingress } = all;
  const pod = Deployment.spec.template;
  const [container] = pod.spec.containers;
  const secrets = [...read("kubernetes.yaml").matchAll(/--from-literal=(\w+)=/g)].map(
    ([, name]) => name,
  );
  const env = { ...ConfigMap.data, MYNAH_CLUSTER__ADVERTISE: "10.0.0.7:4000" };
  for (const name of secrets) env[name] = FILLED[name];
  const config = await configured(env);
  assert.ok(pod.spec.terminationGracePeriodSeconds > ending(config));
  const ready = container.readinessProbe;
  assert.ok(number(config, "drain_delay_s") > ready.periodSeconds * ready.failureThreshold + 2);
  const ports = Object.fromEntries(
    container.ports.map(({ name, containerPort }) => [name, containerPort]),
  );
  const printed = [...config.matchAll(/^port = (\d+)$/gm)].map(([, port]) => Number(port));
  assert.deepEqual(Object.values(ports), printed.slice(0, 2));
  assert.equal(pod.metadata.annotations["prometheus.io/port"], String(ports.operators));
  for (const probe of [container.startupProbe, container.livenessProbe, ready])
    assert.ok(probe.httpGet.port in ports, JSON.stringify(probe));
  assert.deepEqual(
    [container.livenessProbe.httpGet.path, ready.httpGet.path],
    ["/livez", "/readyz"],
  );
  assert.ok(Service.spec.ports[0].targetPort in ports);
  assert.equal(Ingress.spec.rules[0].http.paths[0].backend.service.name, Service.metadata.name);
  const labels = JSON.stringify(pod.metadata.labels);
  for (const { matchLabels } of [Deployment.spec.selector, PodDisruptionBudget.spec.selector])
    assert.equal(JSON.stringify(matchLabels), labels);
  assert.equal(JSON.stringify(Service.spec.selector), labels);
  assert.equal(Deployment.spec.strategy.rollingUpdate.maxUnavailable, 0);
  for (const [name, { configMapRef, secretRef }] of Object.entries(container.envFrom))
    assert.equal((configMapRef ?? secretRef).name, "mynah", name);
});

test("mynah.service: settings are known, systemd takes it, and it is shut in", async (t) => {
  const text = read("mynah.service");
  const env = Object.fromEntries(
    [...text.matchAll(/^Environment=(\w+)=(.*)$/gm)].map(([, name, value]) => [name, value]),
  );
  const config = await configured({ ...env, JWT_SECRET: FILLED.JWT_SECRET });
  assert.ok(Number(/^TimeoutStopSec=(\d+)$/m.exec(text)[1]) > ending(config));
  const folder = mkdtempSync(path.join(tmpdir(), "mynah-unit-"));
  const unit = path.join(folder, "mynah.service");
  writeFileSync(unit, text.replaceAll("/usr/local/bin/mynah", MYNAH_BIN));
  const verified = await run("systemd-analyze", ["verify", "--man=no", unit]).catch((e) => e);
  if (verified.code === "ENOENT") return t.diagnostic("systemd-analyze is not here");
  assert.ok(!/mynah\.service/.test(verified.stderr), verified.stderr);
  const judged = await run("systemd-analyze", ["security", "--offline=true", unit]).catch((e) => e);
  const exposure = /exposure level[^:]*: ([\d.]+)/.exec(judged.stdout ?? "");
  if (exposure) assert.ok(Number(exposure[1]) < 2, judged.stdout);
});

test("Caddyfile: no settings of another world", () => {
  const text = read("Caddyfile");
  assert.equal(text.match(/\{/g).length, text.match(/\}/g).length);
  assert.match(text, /health_uri \/readyz/);
});
