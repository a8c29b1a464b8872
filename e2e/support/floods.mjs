// Peers that send without end or never read, and what that costs the server.
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { DEADLINE_MS, within } from "./wait.mjs";

/** Resident memory of a process in bytes. */
export function residentBytes(pid) {
  const [, kilobytes] = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(kilobytes) * 1_024;
}

/** Numbers of the admin listener by name and labels. */
export async function metrics(adminUrl) {
  const text = await (await fetch(`${adminUrl}/metrics`)).text();
  const lines = text.split("\n").filter((line) => line && !line.startsWith("#"));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.split(" ").at(-1))]),
  );
}

/** How many connections were ended for being slow, whatever the labels. */
export async function closedSlow(adminUrl) {
  let sum = 0;
  for (const [name, value] of await metrics(adminUrl))
    if (/slow/.test(name) && /closed|closes/.test(name)) sum += value;
  return sum;
}

/** A WebSocket without a library: it reads only when told to. */
export class RawSocket {
  static async open(base, path) {
    const { hostname, port } = new URL(base);
    const raw = new RawSocket();
    raw.socket = connect({ host: hostname, port: Number(port) });
    raw.closed = new Promise((resolve) => raw.socket.once("close", resolve));
    raw.socket.on("error", () => {});
    raw.received = "";
    raw.socket.on("data", (chunk) => (raw.received += chunk.toString("latin1")));
    raw.socket.write(
      `GET ${path} HTTP/1.1\r\nHost: ${hostname}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
        `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString("base64")}\r\n\r\n`,
    );
    await raw.until((text) => text.includes("\r\n\r\n"), "the upgrade");
    return raw;
  }

  /** Reads until `match` holds for everything received. */
  async until(match, what) {
    const { socket } = this;
    let look;
    const seen = new Promise((resolve, reject) => {
      look = () => match(this.received) && resolve();
      socket.on("data", look);
      socket.once("close", () => reject(new Error(`closed before ${what}`)));
      look();
    });
    try {
      await within(DEADLINE_MS, seen, what);
    } finally {
      socket.off("data", look);
    }
  }

  /** Reads nothing from here on. */
  deaf() {
    this.socket.pause();
  }

  text(text) {
    this.socket.write(frame(0x1, Buffer.from(text)));
  }

  /** Writes until the server takes no more for `patienceMs`, is gone, or has taken `bytesMax`. */
  async flood(chunk, bytesMax, patienceMs = 2_000) {
    let written = 0;
    while (written < bytesMax && !this.socket.destroyed) {
      written += chunk.length;
      if (this.socket.write(chunk)) continue;
      const drained = new Promise((resolve) => this.socket.once("drain", () => resolve(true)));
      const taken = within(patienceMs, Promise.race([drained, this.closed]), "the server to read");
      if (!(await taken.catch(() => false))) break;
    }
    return written;
  }

  end() {
    this.socket.destroy();
  }
}

/** One masked frame; the mask is zero, which is a mask like any other. */
export function frame(opcode, payload) {
  const length =
    payload.length < 126
      ? Buffer.from([0x80 | payload.length])
      : Buffer.from([0x80 | 126, payload.length >> 8, payload.length & 255]);
  return Buffer.concat([Buffer.from([0x80 | opcode]), length, Buffer.alloc(4), payload]);
}
