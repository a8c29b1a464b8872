// Child processes and temporary folders that never outlive the test process.
import { spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { createServer } from "node:net";
import { within } from "./wait.mjs";

const LOG_LINES_MAX = 400;
const running = new Set();
const folders = new Set();

process.on("exit", () => {
  for (const child of running) child.signal("SIGKILL");
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(1));

/** Removes `folder` when the test process ends, unless `forget` is called first. */
export function removeAtExit(folder) {
  folders.add(folder);
  return {
    now() {
      folders.delete(folder);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/**
 * A port that was free a moment ago on the loopback address, and is given out once.
 *
 * The system's own choice may be the same twice, and is taken by any outgoing connection meanwhile. These lie below
 * the range that it chooses from, and files that run side by side begin at different places.
 */
export async function freePort() {
  for (;;) {
    // Kept, because others ask while this one is tried.
    const port = nextPort;
    nextPort = port < LAST_PORT ? port + 1 : FIRST_PORT;
    if (await isFree(port)) return port;
  }
}

const FIRST_PORT = 10_000;
const LAST_PORT = 29_999;
let nextPort = FIRST_PORT + Math.floor(Math.random() * (LAST_PORT - FIRST_PORT));

function isFree(port) {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(false));
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
  });
}

/** What a program gets of this environment: no setting of the caller may change what is tested. */
function inherited() {
  const names = ["PATH", "HOME", "TMPDIR", "LANG", "RUST_LOG", "RUST_BACKTRACE"];
  return Object.fromEntries(
    names.filter((name) => name in process.env).map((name) => [name, process.env[name]]),
  );
}

/** One running program; keeps the last lines it wrote. */
export class Child {
  constructor(bin, args, { env = {}, cwd, uid, gid } = {}) {
    this.lines = [];
    this.process = spawn(bin, args, {
      cwd,
      uid,
      gid,
      env: { ...inherited(), ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    running.add(this);
    this.exited = new Promise((resolve) => {
      this.process.once("exit", (code, signal) => {
        running.delete(this);
        resolve({ code, signal });
      });
      this.process.once("error", (error) => {
        running.delete(this);
        this.lines.push(`cannot start ${bin}: ${error.message}`);
        resolve({ code: null, signal: null, error });
      });
    });
    this.ended = false;
    this.exited.then(() => (this.ended = true));
    for (const stream of [this.process.stdout, this.process.stderr]) this.#collect(stream);
  }

  #collect(stream) {
    let rest = "";
    stream.setEncoding("utf8");
    stream.on("data", (chunk) => {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop();
      this.lines.push(...lines);
      if (this.lines.length > LOG_LINES_MAX)
        this.lines.splice(0, this.lines.length - LOG_LINES_MAX);
    });
  }

  tail(count = 60) {
    return this.lines.slice(-count).join("\n");
  }

  signal(name) {
    if (!this.ended && this.process.pid) this.process.kill(name);
  }

  /** Kills at once, as a power cut would. */
  async kill() {
    this.signal("SIGKILL");
    return this.exited;
  }

  /** Asks to end, and insists after `ms`. */
  async stop(ms = 10_000) {
    this.signal("SIGTERM");
    try {
      return await within(ms, this.exited, "the program to end after SIGTERM");
    } catch {
      return this.kill();
    }
  }
}
