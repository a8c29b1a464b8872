// The backend of an application: it signs what its clients ask for, with the official server library.
import { createServer } from "node:http";
import { MASTER_KEY } from "./pusher-server.mjs";

const CORS = {
  "access-control-allow-origin": "*",
  "access-control-allow-headers": "*",
  "access-control-allow-methods": "POST, OPTIONS",
};

/**
 * Answers `/pusher/auth`, `/pusher/user-auth` and Laravel's `/broadcasting/auth`, `/broadcasting/user-auth`.
 *
 * A request says who it comes from with the parameter `member` (JSON: `{user_id, user_info}`) for presence channels and
 * `user` (JSON: `{id, …}`) for signing in. Channels with `forbidden` in their name are refused. `requests` keeps all of
 * them.
 */
export class AuthProgram {
  requests = [];

  static async start(server, app = server.apps[0]) {
    const program = new AuthProgram();
    program.backend = server.backend(app, { encryptionMasterKeyBase64: MASTER_KEY });
    program.http = createServer((request, response) => program.#answer(request, response));
    await new Promise((resolve) => program.http.listen(0, "127.0.0.1", resolve));
    program.url = `http://127.0.0.1:${program.http.address().port}`;
    return program;
  }

  async #answer(request, response) {
    const say = (status, body) => {
      response.writeHead(status, { "content-type": "application/json", ...CORS });
      response.end(JSON.stringify(body));
    };
    if (request.method === "OPTIONS") return say(200, {});
    try {
      const asked = await read(request);
      this.requests.push({ path: request.url, headers: request.headers, asked });
      say(...this.#sign(request.url, asked));
    } catch (error) {
      say(400, { error: error.message });
    }
  }

  #sign(path, { socket_id: socketId, channel_name: channel, member, user }) {
    if (path.endsWith("/user-auth")) {
      if (!user) return [403, { error: "nobody" }];
      return [200, this.backend.authenticateUser(socketId, JSON.parse(user))];
    }
    if (channel.includes("forbidden")) return [403, { error: "forbidden" }];
    const presence = channel.startsWith("presence-") && member ? JSON.parse(member) : undefined;
    return [200, this.backend.authorizeChannel(socketId, channel, presence)];
  }

  /** Options of pusher-js that ask this program, as `member` or `user`. */
  options({ member, user } = {}) {
    const params = {
      ...(member ? { member: JSON.stringify(member) } : {}),
      ...(user ? { user: JSON.stringify(user) } : {}),
    };
    const at = (endpoint) => ({ endpoint: this.url + endpoint, transport: "ajax", params });
    return {
      channelAuthorization: at("/pusher/auth"),
      userAuthentication: at("/pusher/user-auth"),
    };
  }

  close() {
    this.http.closeAllConnections();
    return new Promise((resolve) => this.http.close(resolve));
  }
}

/** A form or JSON, as clients like it. */
async function read(request) {
  let text = "";
  for await (const chunk of request) text += chunk;
  if (request.headers["content-type"]?.includes("json")) return JSON.parse(text);
  return Object.fromEntries(new URLSearchParams(text));
}
