// Randomness that can be repeated: `E2E_SEED=<number>` gives a run its numbers again.

/** The seed of this run; a test prints it when it fails. */
export const SEED = Number(process.env.E2E_SEED ?? Math.floor(Math.random() * 2 ** 31));

/** Numbers from 0 to 1, always the same for one seed and name. */
export function random(name, seed = SEED) {
  let state = seed >>> 0;
  for (const letter of name)
    state = (Math.imul(state ^ letter.charCodeAt(0), 0x01000193) + 7) >>> 0;
  return () => {
    // mulberry32
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** One of `list`. */
export const pick = (next, list) => list[Math.floor(next() * list.length)];
