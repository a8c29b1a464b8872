// nginx and HAProxy with the files of deploy/, in front of servers on this machine.
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { Child, freePort, removeAtExit } from "./process.mjs";
import { until } from "./wait.mjs";

const deploy = fileURLToPath(new URL("../../deploy", import.meta.url));

/** How each is started, and what of its file names the servers and the port. */
const KINDS = {
  nginx: {
    file: "nginx.conf",
    command: (file) => ["nginx", "-e", "stderr", "-g", "daemon off;", "-c", file],
    adapt: (text, folder) =>
      text
        .replace("pid /tmp/mynah-nginx.pid", `pid ${folder}/nginx.pid`)
        .replace(
          "worker_processes auto",
          `${process.getuid() === 0 ? "user root;\n" : ""}worker_processes 1`,
        )
        .replace("worker_rlimit_nofile 65536;", "")
        .replace("worker_connections 32768", "worker_connections 4096")
        .replace(
          "http {",
          ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].reduce(
            (all, name) => `${all}\n${name}_temp_path ${folder}/${name};`,
            "http {",
          ),
        )
        .replace("listen 8080", "listen 127.0.0.1:8080"),
  },
  haproxy: {
    file: "haproxy.cfg",
    command: (file) => ["haproxy", "-db", "-f", file],
    adapt: (text) =>
      text.replace("maxconn 40000", "maxconn 4000").replace("bind :8080", "bind 127.0.0.1:8080"),
  },
};

export class Front {
  /** `change` rewrites the text of the file before it is used; `servers` take the places of mynah-1 and mynah-2. */
  static async start(kind, servers, change = (text) => text) {
    const proxy = new Front();
    const { file, command, adapt } = KINDS[kind];
    const folder = mkdtempSync(path.join(tmpdir(), "mynah-proxy-"));
    proxy.folder = removeAtExit(folder);
    proxy.port = await freePort();
    let text = change(adapt(readFileSync(path.join(deploy, file), "utf8"), folder), folder);
    text = text.replace("127.0.0.1:8080", `127.0.0.1:${proxy.port}`);
    for (const [index, { port }] of servers.entries())
      text = text.replace(`mynah-${index + 1}:4000`, `127.0.0.1:${port}`);
    // Nobody is at the places that are left.
    text = text.replace(/^.*mynah-\d:4000.*$/gm, "");
    const own = path.join(folder, file);
    writeFileSync(own, text);
    const [name, ...args] = command(own);
    // Only root has this folder on the PATH.
    const bin = existsSync(`/usr/sbin/${name}`) ? `/usr/sbin/${name}` : name;
    proxy.child = new Child(bin, args, { cwd: folder });
    await until(async () => {
      if (proxy.child.ended) throw new Error(proxy.child.tail());
      return (await fetch(`${proxy.url}/livez`)).status === 200;
    }, `${kind} to lead to Mynah`);
    return proxy;
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  get log() {
    return this.child.tail();
  }

  async close() {
    await this.child.stop();
    this.folder.now();
  }
}
