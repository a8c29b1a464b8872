// A member whose line can be taken away while others go on talking.
import assert from "node:assert/strict";
import { kept, Member } from "./members.mjs";
import { TcpProxy } from "./tcp-proxy.mjs";

export class Traveller {
  /** Connects over a line of its own; everything is closed when the test `t` ends. */
  static async open(t, base, user, room, options) {
    const traveller = new Traveller();
    traveller.line = await TcpProxy.start(base);
    t.after(() => traveller.line.close());
    traveller.member = await Member.open(traveller.line.url, user, room, options);
    t.after(() => traveller.member.close());
    return traveller;
  }

  get client() {
    return this.member.client;
  }

  /** Cuts the line, lets `happen` while nobody gets through, and waits until the library is back. */
  async away(happen = async () => {}) {
    const from = this.client.states.items.length;
    this.line.refusing = true;
    this.line.cut();
    await this.client.state("disconnect", from);
    try {
      await happen();
    } finally {
      this.line.refusing = false;
    }
    return this.client.state("connect", from);
  }

  /** The server still believes in the old connection while the library makes another one. */
  async halfOpen(happen = async () => {}) {
    const from = this.client.states.items.length;
    this.line.freeze();
    await happen();
    this.client.cut();
    return this.client.state("connect", from);
  }

  /** It heard what the room has kept since it came: all, in order, each once. */
  async heardAll(api) {
    const { member } = this;
    const all = await kept(api, member.roomId);
    const expected = all.filter(({ seq }) => seq > member.since);
    if (expected.length > 0) await member.hears(expected.at(-1).id);
    assert.deepEqual(member.heard(), expected, `what ${member.name} heard`);
  }
}

/** Names and bodies of the events with these names, without what the library keeps for itself. */
export function story({ client }, names) {
  const told = client.events.items.filter(({ event }) => names.includes(event));
  return told.map(({ event, args }) => [event, args[0]]);
}
