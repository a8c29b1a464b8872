import { exclusively } from "./lock";
import { ApiError, type Fetch, readProblem } from "./problem";
import type { KeyValue } from "./storage";
import type { Account, Tokens } from "./wire";

const REFRESH_KEY = "mynah.refresh";
const EARLY_MS = 30_000;

export interface Registration {
  readonly email: string;
  readonly username: string;
  readonly name: string;
  readonly password: string;
}

/**
 * Who is signed in. The access token lives in memory, the refresh token in storage; refreshing is
 * single-flight in this tab and across tabs, because a refresh token works only once.
 */
export class Session {
  readonly #fetch: Fetch;
  readonly #storage: KeyValue;
  readonly #onEnded: () => void;
  #access: { token: string; expiresAt: number } | null = null;
  #flight: Promise<string> | null = null;

  constructor(fetch: Fetch, storage: KeyValue, onEnded: () => void) {
    this.#fetch = fetch;
    this.#storage = storage;
    this.#onEnded = onEnded;
  }

  /** Whether a refresh token from an earlier visit is there. */
  get resumable(): boolean {
    return this.#storage.getItem(REFRESH_KEY) !== null;
  }

  static isRefreshKey(key: string | null): boolean {
    return key === REFRESH_KEY;
  }

  async register(form: Registration): Promise<Account> {
    const body = { ...form, name: form.name || form.username };
    return this.#enter("/v1/auth/register", body);
  }

  async login(who: string, password: string): Promise<Account> {
    const name = who.includes("@") ? { email: who } : { username: who };
    return this.#enter("/v1/auth/login", { ...name, password });
  }

  async logout(): Promise<void> {
    const token = this.#access?.token;
    const refreshToken = this.#storage.getItem(REFRESH_KEY);
    this.#clear();
    if (!token) return;
    // The session is over for this page whether or not the server can be reached.
    await this.#post("/v1/auth/logout", { refreshToken }, token).catch(() => undefined);
  }

  /** A token good for a request now, refreshed if it is about to expire. */
  async token(): Promise<string> {
    if (this.#access && this.#access.expiresAt - EARLY_MS > Date.now()) return this.#access.token;
    return this.refresh();
  }

  /**
   * A token other than `stale`.
   *
   * Throws `ApiError` with status 401 when the session is over; any other error may pass.
   */
  async renew(stale: string): Promise<string> {
    if (this.#access && this.#access.token !== stale) return this.#access.token;
    return this.refresh();
  }

  refresh(): Promise<string> {
    this.#flight ??= exclusively(REFRESH_KEY, this.#storage, () => this.#refresh()).finally(() => {
      this.#flight = null;
    });
    return this.#flight;
  }

  async #refresh(): Promise<string> {
    const refreshToken = this.#storage.getItem(REFRESH_KEY);
    if (refreshToken === null) {
      this.#end();
      throw new ApiError(401, "UNAUTHORIZED", "You are signed out.");
    }
    const response = await this.#post("/v1/auth/refresh", { refreshToken });
    if (!response.ok) {
      const problem = await readProblem(response);
      if (problem.status === 401 || problem.status === 403) this.#end();
      throw problem;
    }
    return this.#keep((await response.json()) as Tokens);
  }

  async #enter(path: string, body: unknown): Promise<Account> {
    const response = await this.#post(path, body);
    if (!response.ok) throw await readProblem(response);
    const answer = (await response.json()) as Tokens & { user: Account };
    this.#keep(answer);
    return answer.user;
  }

  #keep(tokens: Tokens): string {
    this.#storage.setItem(REFRESH_KEY, tokens.refreshToken);
    this.#access = {
      token: tokens.accessToken,
      expiresAt: Date.now() + tokens.expiresIn * 1000,
    };
    return tokens.accessToken;
  }

  #clear(): void {
    this.#access = null;
    this.#storage.removeItem(REFRESH_KEY);
  }

  #end(): void {
    this.#clear();
    this.#onEnded();
  }

  #post(path: string, body: unknown, token?: string): Promise<Response> {
    const headers: Record<string, string> = { "content-type": "application/json" };
    if (token) headers.authorization = `Bearer ${token}`;
    return this.#fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
  }
}
