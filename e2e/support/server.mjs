// Starts, stops, kills and restarts the programs under test.
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { Child, freePort, removeAtExit } from "./process.mjs";
import { until } from "./wait.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const from = (name, otherwise) => path.resolve(process.env[name] ?? path.join(root, otherwise));

export const MYNAH_BIN = from("MYNAH_BIN", "target/release/mynah");
export const CONFORMANCE_BIN = from("MYNAH_CONFORMANCE_BIN", "target/debug/examples/conformance");
export const JWT_SECRET = "e2e-only-secret-0123456789-abcdefghijklmnop";
const START_MS = 20_000;

// The suites register and send far more from one address than a person would; a server started with
// `limits: true` keeps its usual rate limits.
export const ROOMY = { MYNAH_LIMITS__RATE: "off" };
// Clients that name no dialect are those of the camelCase backend.
const USUAL = { MYNAH_SOCKETIO__DEFAULT_DIALECT: "camel" };

class Program {
  child = null;

  get log() {
    return this.child?.tail() ?? "";
  }

  async launch(bin, args, env, ready) {
    const child = new Child(bin, args, { env, cwd: this.dataDir });
    this.child = child;
    try {
      await until(
        () => child.ended || answers(ready),
        `${path.basename(bin)} to be ready`,
        START_MS,
      );
      if (child.ended) throw new Error(`${bin} ended while starting`);
    } catch (error) {
      await child.kill();
      throw new Error(`${error.message}\n--- log tail ---\n${child.tail()}`, { cause: error });
    }
    return this;
  }

  kill() {
    return this.child.kill();
  }

  stop() {
    return this.child?.stop();
  }
}

async function answers(url) {
  const response = await fetch(url, { signal: AbortSignal.timeout(2_000) });
  await response.arrayBuffer();
  return response.status === 200;
}

/** `mynah serve` on a free port with its own data folder. */
export class Server extends Program {
  /** `env` adds to the environment; `dataDir` uses that folder instead of a new one. */
  static async start({ env = {}, bin = MYNAH_BIN, dataDir, limits = false } = {}) {
    const server = new Server();
    server.bin = bin;
    server.env = { ...USUAL, ...(limits ? {} : ROOMY), ...env };
    server.dataDir = dataDir ?? mkdtempSync(path.join(tmpdir(), "mynah-e2e-"));
    server.folder = dataDir ? null : removeAtExit(server.dataDir);
    server.port = await freePort();
    server.adminPort = await freePort();
    await server.spawn();
    return server;
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  get adminUrl() {
    return `http://127.0.0.1:${this.adminPort}`;
  }

  spawn() {
    const env = {
      PORT: String(this.port),
      MYNAH_DATA_DIR: this.dataDir,
      MYNAH_ADMIN__PORT: String(this.adminPort),
      JWT_SECRET,
      ...this.env,
    };
    return this.launch(this.bin, ["serve"], env, `${this.url}/readyz`);
  }

  /** Same port and data; `kill` = as after a crash, otherwise after an orderly end. */
  async restart({ kill = false } = {}) {
    await (kill ? this.kill() : this.stop());
    return this.spawn();
  }

  /** Ends the program and removes its data. */
  async close() {
    await this.stop();
    this.folder?.now();
  }
}

/** The echo program that the Engine.IO and Socket.IO cases are written against. */
export class Conformance extends Program {
  static async start() {
    const program = new Conformance();
    const port = await freePort();
    program.url = `http://127.0.0.1:${port}`;
    const args = [
      "--port",
      port,
      "--ping-interval-ms",
      300,
      "--ping-timeout-ms",
      2_000,
      "--max-payload",
      1_000_000,
    ];
    const ready = `${program.url}/engine.io/?EIO=4&transport=polling`;
    return program.launch(CONFORMANCE_BIN, args.map(String), {}, ready);
  }

  close() {
    return this.stop();
  }
}

/** A `test` that prints the tail of the program's log when it fails. */
export function scenarios(program) {
  return (name, run, ms = 60_000) =>
    test(name, { timeout: ms }, async (t) => {
      try {
        await run(t);
      } catch (error) {
        const log = program()?.log;
        if (log) process.stderr.write(`--- ${name}: log tail ---\n${log}\n--- end ---\n`);
        throw error;
      }
    });
}
