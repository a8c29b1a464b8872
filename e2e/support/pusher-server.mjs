// Starts what Pusher clients talk to: Mynah, or the program named by E2E_SOKETI, with the same settings.
// Tests that hold against both show that a Soketi user may change one for the other.
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import Pusher from "pusher";
import { Child, freePort, removeAtExit } from "./process.mjs";
import { JWT_SECRET, MYNAH_BIN, ROOMY, Server } from "./server.mjs";

/** The command that starts Soketi 1.6.1; without it Mynah is tested. */
export const SOKETI = process.env.E2E_SOKETI ?? null;

/** 32 bytes, as the server libraries want it for encrypted channels. */
export const MASTER_KEY = Buffer.alloc(32, 7).toString("base64");

export const APP = { id: "shop", key: "shop-key", secret: "shop-secret-0123456789" };

/** An app as Soketi's configuration file spells it, with everything allowed. */
export const app = (id, more = {}) => ({
  id,
  key: `${id}-key`,
  secret: `${id}-secret-0123456789`,
  enabled: true,
  enableClientMessages: true,
  enableUserAuthentication: true,
  maxConnections: -1,
  maxBackendEventsPerSecond: -1,
  maxClientEventsPerSecond: -1,
  maxReadRequestsPerSecond: -1,
  webhooks: [],
  ...more,
});

const named = (settings) =>
  Object.fromEntries(Object.entries(settings).map(([name, value]) => [`SOKETI_${name}`, value]));

export class PusherServer extends Server {
  /**
   * `soketi`: settings by Soketi's environment names, without `SOKETI_`. `apps`: instead of the one app `APP`,
   * through Soketi's JSON configuration (`config` adds to that file). `toml` (instead of that file) and `env`: for
   * Mynah only.
   */
  static async start({ soketi = {}, apps, config, toml, env = {}, bin = MYNAH_BIN } = {}) {
    const server = new PusherServer();
    server.bin = bin;
    server.dataDir = mkdtempSync(path.join(tmpdir(), "mynah-e2e-"));
    server.folder = removeAtExit(server.dataDir);
    server.port = await freePort();
    server.adminPort = await freePort();
    server.pusherPort = await freePort();
    server.metricsPort = await freePort();
    server.args = [];
    server.apps = apps ?? [APP];
    const one = {
      DEFAULT_APP_ID: APP.id,
      DEFAULT_APP_KEY: APP.key,
      DEFAULT_APP_SECRET: APP.secret,
      DEFAULT_APP_ENABLE_CLIENT_MESSAGES: "true",
      DEFAULT_APP_USER_AUTHENTICATION: "true",
    };
    server.soketi = named({
      PORT: String(server.pusherPort),
      METRICS_SERVER_PORT: String(server.metricsPort),
      ...(apps || config ? {} : one),
      ...soketi,
    });
    if (toml && !SOKETI) writeFileSync(path.join(server.dataDir, "mynah.toml"), toml);
    else if (apps || config) server.#configure(apps, config);
    server.env = { ...ROOMY, ...server.soketi, ...env };
    await server.spawn();
    return server;
  }

  #configure(apps, config = {}) {
    const file = path.join(this.dataDir, "soketi.json");
    const content = { ...config, ...(apps ? { "appManager.array.apps": apps } : {}) };
    writeFileSync(file, JSON.stringify(content));
    if (SOKETI) this.args.push(`--config=${file}`);
    else this.soketi.MYNAH_PUSHER__SOKETI_CONFIG = file;
  }

  spawn() {
    if (!SOKETI) return super.spawn();
    const prefix = this.soketi.SOKETI_PATH_PREFIX ?? "";
    return this.launch(SOKETI, this.args, this.soketi, `${this.pusherUrl}${prefix}/ready`);
  }

  /** Runs `mynah …` beside the server, with its environment; answers what it printed. */
  async run(...args) {
    const env = { MYNAH_DATA_DIR: this.dataDir, JWT_SECRET, ...this.env };
    const child = new Child(this.bin, args, { env, cwd: this.dataDir });
    const { code } = await child.exited;
    const said = child.tail(400);
    if (code !== 0) throw new Error(`mynah ${args.join(" ")} ended with ${code}:\n${said}`);
    return said;
  }

  /** Where pusher-js and the server libraries look for Soketi. */
  get pusherUrl() {
    return `http://127.0.0.1:${this.pusherPort}`;
  }

  get metricsUrl() {
    return `http://127.0.0.1:${this.metricsPort}`;
  }

  /** Options of pusher-js for this server. */
  get clientOptions() {
    return {
      cluster: "mt1",
      wsHost: "127.0.0.1",
      wsPort: this.pusherPort,
      forceTLS: false,
      enabledTransports: ["ws", "wss"],
    };
  }

  /** The server library of an app; `options` add to it. */
  backend({ id, key, secret } = this.apps[0], options = {}) {
    return new Pusher({
      appId: id,
      key,
      secret,
      host: "127.0.0.1",
      port: String(this.pusherPort),
      useTLS: false,
      encryptionMasterKeyBase64: MASTER_KEY,
      ...options,
    });
  }
}

/** What a call of the server library was refused with: `{status, body}`. */
export async function refusal(call) {
  try {
    await call;
  } catch (error) {
    return { status: error.status, body: parsed(error.body) };
  }
  throw new Error("the call was not refused");
}

/** The JSON body of an answer of the server library. */
export async function answer(call) {
  return (await call).json();
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
