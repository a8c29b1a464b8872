import { describe, expect, it, vi } from "vitest";
import { Api } from "./api";
import { Session } from "./session";
import { memoryStorage } from "./testing";

function json(status: number, body: unknown): Response {
  return new Response(JSON.stringify(body), { status });
}

function visit() {
  const storage = memoryStorage();
  storage.setItem("mynah.refresh", "refresh-0");
  const calls: string[] = [];
  let count = 0;
  const server = {
    refuse: 0,
    accepts: "access-1",
    fetch: vi.fn(async (path: string, init?: RequestInit) => {
      calls.push(path);
      if (path === "/v1/auth/refresh") {
        if (server.refuse > 0) return json(server.refuse, { code: "TOKEN_REUSED", detail: "No." });
        count += 1;
        const tokens = { accessToken: `access-${count}`, refreshToken: `refresh-${count}` };
        return json(200, { ...tokens, expiresIn: 900 });
      }
      const given = new Headers(init?.headers).get("authorization");
      if (given !== `Bearer ${server.accepts}`) return json(401, { code: "TOKEN_EXPIRED" });
      return json(200, { id: "ada" });
    }),
  };
  const ended = vi.fn();
  const session = new Session(server.fetch, storage, ended);
  return { storage, calls, server, ended, session, api: new Api(server.fetch, session) };
}

describe("Session", () => {
  it("refreshes once for many callers", async () => {
    const { session, calls, storage } = visit();
    const tokens = await Promise.all([session.token(), session.token(), session.token()]);
    expect(tokens).toEqual(["access-1", "access-1", "access-1"]);
    expect(calls).toEqual(["/v1/auth/refresh"]);
    expect(storage.getItem("mynah.refresh")).toBe("refresh-1");
  });

  it("spends every refresh token once, also across tabs", async () => {
    const { session, server, storage } = visit();
    const other = new Session(server.fetch, storage, vi.fn());
    await Promise.all([session.token(), other.token()]);
    const spent = server.fetch.mock.calls.map(([, init]) => init?.body);
    expect(spent).toEqual(['{"refreshToken":"refresh-0"}', '{"refreshToken":"refresh-1"}']);
  });

  it("repeats a call that met an expired token, with a fresh one", async () => {
    const { session, api, server, calls } = visit();
    await session.token();
    server.accepts = "access-2";
    expect(await api.me()).toEqual({ id: "ada" });
    expect(calls).toEqual(["/v1/auth/refresh", "/v1/users/me", "/v1/auth/refresh", "/v1/users/me"]);
  });

  it("is over when the refresh token is refused", async () => {
    const { session, server, ended, storage } = visit();
    server.refuse = 401;
    await expect(session.token()).rejects.toMatchObject({ status: 401, code: "TOKEN_REUSED" });
    expect(ended).toHaveBeenCalledOnce();
    expect(storage.getItem("mynah.refresh")).toBeNull();
  });

  it("outlives a server that is down", async () => {
    const { session, server, ended, storage } = visit();
    server.refuse = 503;
    await expect(session.token()).rejects.toMatchObject({ status: 503 });
    expect(ended).not.toHaveBeenCalled();
    expect(storage.getItem("mynah.refresh")).toBe("refresh-0");
  });
});
