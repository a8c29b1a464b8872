// PostgreSQL, Redis and NATS of one's own: in temporary folders, on free ports, gone with the test process.
import { execFileSync } from "node:child_process";
import { chownSync, existsSync, mkdtempSync, readdirSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { Child, freePort, removeAtExit } from "./process.mjs";
import { until, within } from "./wait.mjs";

const NOBODY = 65_534;
const START_MS = 30_000;

/** A program where Debian keeps it. */
function program(name, packaged) {
  const versions = "/usr/lib/postgresql";
  const folders = existsSync(versions)
    ? readdirSync(versions).map((version) => path.join(versions, version, "bin"))
    : [];
  const all = [...(process.env.PATH ?? "").split(":"), "/usr/sbin", "/usr/local/sbin", ...folders];
  const found = all.map((folder) => path.join(folder, name)).find((file) => existsSync(file));
  if (!found) throw new Error(`${name} is missing: apt-get install ${packaged}`);
  return found;
}

/** Whether something listens on a port of this machine. */
function listens(port) {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => resolve(true));
    socket.once("error", () => resolve(false));
    socket.once("close", () => socket.destroy());
    socket.once("connect", () => socket.end());
  });
}

/** A program that can be killed and started again on the same port. */
class Engine {
  async spawn() {
    this.child = new Child(this.bin, this.args, { cwd: this.folder, ...this.identity });
    await until(() => this.child.ended || listens(this.port), `${this.name} to listen`, START_MS);
    if (this.child.ended) throw new Error(`${this.name} ended:\n${this.child.tail()}`);
    return this;
  }

  kill() {
    return this.child.kill();
  }

  /** Stops it as it is, and lets it go on. */
  pause() {
    this.child.signal("SIGSTOP");
  }

  resume() {
    this.child.signal("SIGCONT");
  }

  async close() {
    await this.kill();
    this.removal.now();
  }
}

export class Postgres extends Engine {
  name = "postgres";
  databases = 0;

  static async start() {
    const engine = new Postgres();
    engine.folder = mkdtempSync(path.join(tmpdir(), "mynah-pg-"));
    engine.removal = removeAtExit(engine.folder);
    const isRoot = process.getuid() === 0;
    // It does not run as root.
    engine.identity = isRoot ? { uid: NOBODY, gid: NOBODY } : {};
    if (isRoot) chownSync(engine.folder, NOBODY, NOBODY);
    const data = path.join(engine.folder, "data");
    const options = { ...engine.identity, cwd: engine.folder, env: { LC_ALL: "C" }, stdio: "pipe" };
    const init = ["--no-sync", "--encoding=UTF8", "--locale=C", "--auth=trust", "-U", "chat", "-D"];
    execFileSync(program("initdb", "postgresql"), [...init, data], options);
    engine.port = await freePort();
    engine.bin = program("postgres", "postgresql");
    const settings = {
      listen_addresses: "127.0.0.1",
      unix_socket_directories: "",
      port: engine.port,
    };
    engine.args = ["-D", data];
    for (const [key, value] of Object.entries(settings)) engine.args.push("-c", `${key}=${value}`);
    return engine.spawn();
  }

  /**
   * Ends it at once, without tidying up its data. SIGKILL would leave its sessions behind for a moment, in which it
   * does not start again, and its shared memory for ever.
   */
  async kill() {
    this.child.signal("SIGQUIT");
    this.child.signal("SIGCONT");
    await within(START_MS, this.child.exited, "postgres to end").catch(() => this.child.kill());
  }

  /** A new, empty database. */
  database() {
    this.databases += 1;
    const name = `chat${this.databases}`;
    const psql = program("psql", "postgresql");
    execFileSync(psql, ["-q", "-c", `CREATE DATABASE ${name}`, this.url("postgres")], {
      stdio: "pipe",
      timeout: START_MS,
    });
    return this.url(name);
  }

  url(name) {
    return `postgres://chat@127.0.0.1:${this.port}/${name}`;
  }
}

export class Redis extends Engine {
  name = "redis-server";

  static async start() {
    const engine = new Redis();
    engine.folder = mkdtempSync(path.join(tmpdir(), "mynah-redis-"));
    engine.removal = removeAtExit(engine.folder);
    engine.port = await freePort();
    engine.bin = program("redis-server", "redis-server");
    engine.args = ["--port", String(engine.port), "--save", "", "--bind", "127.0.0.1"];
    return engine.spawn();
  }

  get env() {
    return { REDIS_URL: `redis://127.0.0.1:${this.port}` };
  }
}

export class Nats extends Engine {
  name = "nats-server";

  static async start() {
    const engine = new Nats();
    engine.folder = mkdtempSync(path.join(tmpdir(), "mynah-nats-"));
    engine.removal = removeAtExit(engine.folder);
    engine.port = await freePort();
    engine.bin = program("nats-server", "nats-server");
    engine.args = ["-a", "127.0.0.1", "-p", String(engine.port)];
    return engine.spawn();
  }

  get env() {
    return { NATS_URL: `nats://127.0.0.1:${this.port}` };
  }
}
