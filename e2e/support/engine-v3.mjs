// Engine.IO revision 3 by hand: polling bodies with lengths, client pings.
import { Polling, Wire } from "./engine.mjs";

/** `6:4hello`: a packet with its length in UTF-16 units. */
export const framed = (...packets) => packets.map((p) => `${p.length}:${p}`).join("");

/** The packets of a text body. */
export function unframed(body) {
  const packets = [];
  let rest = body;
  while (rest !== "") {
    const colon = rest.indexOf(":");
    const length = Number(rest.slice(0, colon));
    packets.push(rest.slice(colon + 1, colon + 1 + length));
    rest = rest.slice(colon + 1 + length);
  }
  return packets;
}

/** A polling session of revision 3; `b64: true` wants binary as base64. */
export class PollingV3 extends Polling {
  static async open(base, path, { b64 = true } = {}) {
    const session = new PollingV3(base, path);
    const response = await fetch(session.url(b64 ? { b64: 1 } : {}));
    const text = await response.text();
    if (response.status !== 200) throw new Error(`handshake answered ${response.status}: ${text}`);
    session.handshake = JSON.parse(unframed(text)[0].slice(1));
    session.sid = session.handshake.sid;
    return session;
  }

  url(query = {}) {
    return super.url({ EIO: 3, ...query });
  }

  send(...packets) {
    return this.post(framed(...packets));
  }

  /** Reads until `count` packets came. */
  async packets(count) {
    const got = [];
    while (got.length < count) {
      const { status, body } = await this.get();
      if (status !== 200)
        throw new Error(`poll answered ${status} after ${JSON.stringify(got)}: ${body}`);
      got.push(...unframed(body));
    }
    return got;
  }

  /** The bytes of one GET. */
  async bytes() {
    const response = await fetch(this.url());
    const kind = response.headers.get("content-type");
    return { kind, bytes: Buffer.from(await response.arrayBuffer()) };
  }
}

/** Opens a WebSocket of revision 3; its first message is still unread. */
export const wireV3 = (base, path, { query, ...options } = {}) =>
  Wire.to(base, path, { pong: false, query: { EIO: 3, ...query }, ...options });
