import type { KeyValue } from "./storage";

const LEASE_MS = 15_000;
const POLL_MS = 50;

/** Runs `work` while no other tab of this origin runs under the same name. */
export function exclusively<T>(
  name: string,
  storage: KeyValue,
  work: () => Promise<T>,
): Promise<T> {
  const locks = globalThis.navigator?.locks;
  return locks ? locks.request(name, work) : leased(`${name}.lease`, storage, work);
}

/** Pages served over plain HTTP have no Web Locks: a short lease in storage stands in. */
async function leased<T>(key: string, storage: KeyValue, work: () => Promise<T>): Promise<T> {
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
    return await work();
  } finally {
    if (storage.getItem(key)?.startsWith(`${mine}@`)) storage.removeItem(key);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
