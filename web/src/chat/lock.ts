import type { KeyValue } from "./storage";

const LEASE_MS = 25_000;
const POLL_MS = 50;
const LINGER_MS = 100;

/**
 * Runs `work` while no other tab of this origin runs under the same name. The lock stays held a moment
 * longer than the work: what one tab writes to storage reaches another process a little later.
 */
export function exclusively<T>(
  name: string,
  storage: KeyValue,
  work: () => Promise<T>,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const held = async () => {
      await work().then(resolve, reject);
      await pause(LINGER_MS);
    };
    const locks = globalThis.navigator?.locks;
    const done = locks ? locks.request(name, held) : leased(`${name}.lease`, storage, held);
    done.catch(reject);
  });
}

/** Pages served over plain HTTP have no Web Locks: a short lease in storage stands in. */
async function leased(key: string, storage: KeyValue, work: () => Promise<void>): Promise<void> {
  const mine = crypto.getRandomValues(new Uint32Array(2)).join("-");
  for (;;) {
    const [, until] = (storage.getItem(key) ?? "").split("@");
    if (Number(until ?? 0) <= Date.now()) {
      storage.setItem(key, `${mine}@${Date.now() + LEASE_MS}`);
      await pause(POLL_MS);
      if (storage.getItem(key)?.startsWith(`${mine}@`)) break;
    }
    await pause(POLL_MS);
  }
  try {
    await work();
  } finally {
    if (storage.getItem(key)?.startsWith(`${mine}@`)) storage.removeItem(key);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
