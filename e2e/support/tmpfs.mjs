// A small file system that can be filled up and freed again.
import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmdirSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

export class SmallDisk {
  /** Mounts `megabytes`; needs root and the right to mount. */
  constructor(megabytes) {
    if (process.getuid?.() !== 0) {
      throw new Error(
        "the full-disk test mounts a tmpfs: run it as root (or in a user namespace that may mount)",
      );
    }
    this.folder = mkdtempSync(path.join(tmpdir(), "mynah-disk-"));
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", `size=${megabytes}m`, "tmpfs", this.folder], {
        stdio: "pipe",
      });
    } catch (error) {
      rmdirSync(this.folder);
      throw new Error(
        `the full-disk test needs CAP_SYS_ADMIN to mount a tmpfs: ${error.stderr ?? error.message}`,
        { cause: error },
      );
    }
    this.atExit = () => this.release();
    process.on("exit", this.atExit);
  }

  get filler() {
    return path.join(this.folder, "filler");
  }

  /** Writes until nothing more fits. */
  fill() {
    const file = openSync(this.filler, "a");
    try {
      for (const size of [1 << 20, 1 << 16, 1 << 12, 1])
        writeUntilFull(file, Buffer.alloc(size, 1));
    } finally {
      closeSync(file);
    }
  }

  free() {
    rmSync(this.filler, { force: true });
  }

  /** Unmounts and removes the folder. */
  release() {
    process.off("exit", this.atExit);
    execFileSync("umount", ["-l", this.folder], { stdio: "pipe" });
    rmdirSync(this.folder);
  }
}

function writeUntilFull(file, chunk) {
  try {
    for (;;) writeSync(file, chunk);
  } catch (error) {
    if (error.code !== "ENOSPC") throw error;
  }
}
