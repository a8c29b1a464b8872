// A person in a room, whatever library and vocabulary the front end has.
import { Client, facts } from "./sockets.mjs";

const NATIVE = {
  dialect: "native",
  send: "message.send",
  created: "message.created",
  message: ({ data }) => data,
  typing: "typing",
  typed: "typing",
  refusal: "error",
};
const CAMEL = {
  dialect: "camel",
  send: "sendMessage",
  created: "newMessage",
  message: (row) => row,
  typing: "typing",
  typed: "userTyping",
  refusal: "exception",
};
export const VOCABULARIES = { native: NATIVE, camel: CAMEL };

export class Member {
  /** `since` is the place in the room from which on it hears everything. */
  since = 0;

  constructor(client, user, words, name) {
    Object.assign(this, { client, user, words, name });
  }

  /** Connects `user` with one kind of client (see generations.mjs) and hears `room` from then on. */
  static async open(base, user, room, { kind, vocabulary = "native", ...options } = {}) {
    const words = VOCABULARIES[vocabulary];
    const Library = kind?.Library ?? Client;
    const client = await Library.open(base, {
      token: user.accessToken,
      dialect: words.dialect,
      ...kind?.options,
      ...options,
    });
    const member = new Member(client, user, words, `${kind?.name ?? "4"} ${vocabulary}`);
    client.events.name = member.name;
    client.states.name = `${member.name}'s connection`;
    member.roomId = room.id;
    if (vocabulary === "native") {
      client.ready = await client.got("connection.ready");
      member.since = client.ready.rooms.find(({ id }) => id === room.id)?.seq ?? 0;
    } else {
      await client.ok("joinRoom", { roomId: room.id });
      member.since = (await client.got("roomHistory", ({ roomId }) => roomId === room.id)).seq;
    }
    return member;
  }

  /** Sends and answers the message of the ack. */
  async say(content, clientId = content) {
    const ack = await this.client.ok(this.words.send, { roomId: this.roomId, content, clientId });
    return ack.message;
  }

  /** Says it again while connections are lost: its client id keeps it one message. */
  async insist(content, clientId = content) {
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.say(content, clientId);
      } catch (error) {
        const isLost = /disconnected|timed out|waited/.test(error.message);
        if (!isLost || tries === 20) throw error;
      }
    }
  }

  /** Every message heard in the room, as it arrived. */
  messages() {
    const all = this.client.all(this.words.created).map(this.words.message);
    return all.filter(({ roomId }) => roomId === this.roomId);
  }

  heard() {
    return this.messages().map(facts);
  }

  /** Waits for a message with that id, past or future. */
  hears(id, ms) {
    const { created, message } = this.words;
    return this.client.got(created, (body) => message(body).id === id, ms);
  }

  /** Waits for a message with that text, past or future. */
  hearsText(text, ms) {
    const { created, message } = this.words;
    return this.client.got(created, (body) => message(body).content === text, ms);
  }

  close() {
    this.client.close();
  }
}

/** The messages of a room as the store has them, oldest first. */
export async function kept(api, roomId) {
  return (await api.history(roomId)).map(facts);
}
