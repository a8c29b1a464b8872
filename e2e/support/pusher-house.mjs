// People of the house who use Pusher clients: two users, their thread, and how each of them connects.
import { newUser } from "./api.mjs";
import { PusherClient } from "./pusher-client.mjs";
import { native } from "./sockets.mjs";

/** As the front ends join two ids. */
export const threadKey = (one, other) => [one, other].sort((a, b) => a.localeCompare(b)).join("--");

/** Options of pusher-js that let the house sign, for a user who shows a token. */
export function signedByHouse(server, user, path = "/chat/realtime/auth") {
  const headers = { authorization: `Bearer ${user.accessToken}` };
  const at = (endpoint) => ({ endpoint: server.url + endpoint, transport: "ajax", headers });
  return { channelAuthorization: at(path), userAuthentication: at(path) };
}

/** Two users with a direct room, and the channel that the room is. */
export class Thread {
  static async open(server, names = ["ada", "bo"]) {
    const thread = new Thread();
    thread.server = server;
    thread.users = [];
    for (const name of names) thread.users.push(await newUser(server.url, name));
    const [one, other] = thread.users;
    thread.room = await one.api.ok("POST", "/v1/rooms/direct", { userId: other.user.id });
    thread.key = threadKey(one.user.id, other.user.id);
    thread.channel = `presence-tenant.default.thread.${thread.key}`;
    return thread;
  }

  /** A user by pusher-js, subscribed to the thread; `via` another address, such as a proxy. */
  async pusher(t, who, { via, ...options } = {}) {
    const client = await PusherClient.open(this.server, {
      ...signedByHouse(this.server, this.users[who]),
      ...(via ? { wsPort: Number(new URL(via).port) } : {}),
      ...options,
    });
    t.after(() => client.close());
    client.thread = await client.joined(this.channel);
    return client;
  }

  /** A user by socket.io-client. */
  async socket(t, who) {
    const client = await native(this.server.url, this.users[who]);
    t.after(() => client.close());
    return client;
  }

  /** Sends by REST. */
  say(who, content) {
    return this.users[who].api.send(this.room.id, content);
  }
}

/** Contents of the messages that a subscription was told, in order. */
export const contents = (subscription) =>
  subscription.all("tenant-user-message").map(({ content }) => content);
