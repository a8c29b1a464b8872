// A line that loses answers: what the client said has reached the server, what the server says back has not.
import { connect, createServer } from "node:net";
import { setTimeout as pause } from "node:timers/promises";

/** What marks an acknowledgement in both vocabularies. */
const ACK = /success/;

export class LossyProxy {
  /** How many answers were lost, each with its connection. */
  lost = 0;
  #losing = false;
  #any = false;
  #delayMs = 0;
  #delays = 0;
  #sockets = new Set();

  static start(target) {
    const proxy = new LossyProxy();
    const { hostname, port } = new URL(target);
    proxy.server = createServer((client) =>
      proxy.#accept(client, { host: hostname, port: Number(port) }),
    );
    return new Promise((resolve, reject) => {
      proxy.server.once("error", reject);
      proxy.server.listen(0, "127.0.0.1", () => {
        proxy.url = `http://127.0.0.1:${proxy.server.address().port}`;
        resolve(proxy);
      });
    });
  }

  #accept(client, target) {
    const server = connect(target);
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      socket.on("error", () => {});
      this.#sockets.add(socket);
      socket.once("close", () => {
        this.#sockets.delete(socket);
        client.destroy();
        server.destroy();
      });
    }
    client.on("data", (chunk) => server.write(chunk));
    let order = Promise.resolve();
    server.on("data", (chunk) => {
      const isAck = this.#any || ACK.test(chunk.toString("latin1"));
      if (isAck && this.#losing) {
        this.#losing = false;
        this.lost += 1;
        for (const socket of this.#sockets) socket.destroy();
        return;
      }
      const late = isAck && this.#delays > 0 ? this.#delayMs : 0;
      if (late) this.#delays -= 1;
      const due = Date.now() + late;
      order = order
        .then(() => (due > Date.now() ? pause(due - Date.now()) : undefined))
        .then(() => client.write(chunk));
    });
  }

  /** The next acknowledgement, or with `any` whatever comes next, is lost with every connection. */
  loseNextAnswer({ any = false } = {}) {
    this.#losing = true;
    this.#any = any;
  }

  /** Nothing is lost from here on. */
  pass() {
    this.#losing = false;
  }

  /** Each of the next `count` acknowledgements is under way that much longer. */
  delayAnswers(ms, count) {
    this.#delayMs = ms;
    this.#delays = count;
  }

  close() {
    this.server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}
