export interface KeySet {
  /** Whether it was new. */
  add(key: Buffer): boolean;
}

/**
 * A set of keys that keeps 64 bits of each instead of its text: millions fit into little memory. Two of ten million
 * keys are taken for one with a probability below one in 300 000.
 */
export function keySet(): KeySet {
  let [slots, used] = [1 << 12, 0];
  let table = new Uint32Array(2 * slots);

  const place = (into: Uint32Array, mask: number, low: number, high: number): number => {
    let at = low & mask;
    while ((into[2 * at] !== 0 || into[2 * at + 1] !== 0) && (into[2 * at] !== low || into[2 * at + 1] !== high)) {
      at = (at + 1) & mask;
    }
    return at;
  };

  const grow = (): void => {
    const larger = new Uint32Array(4 * slots);
    for (let at = 0; at < slots; at++) {
      const [low, high] = [table[2 * at] ?? 0, table[2 * at + 1] ?? 0];
      if (low === 0 && high === 0) continue;
      larger.set([low, high], 2 * place(larger, 2 * slots - 1, low, high));
    }
    slots *= 2;
    table = larger;
  };

  return {
    add(key) {
      const low = hash(key, 0x9747b28c);
      // Both zero is an empty place.
      const high = hash(key, 0x3c6ef372) || 1;
      const at = place(table, slots - 1, low, high);
      if (table[2 * at + 1] !== 0) return false;
      table[2 * at] = low;
      table[2 * at + 1] = high;
      if (++used > slots * 0.75) grow();
      return true;
    },
  };
}

/** Each byte is mixed in as FNV-1a does, and the sum as MurmurHash3 does. */
function hash(bytes: Buffer, seed: number): number {
  let sum = seed;
  for (let at = 0; at < bytes.length; at++) sum = Math.imul(sum ^ (bytes[at] ?? 0), 0x01000193);
  sum = Math.imul(sum ^ (sum >>> 16), 0x85ebca6b);
  sum = Math.imul(sum ^ (sum >>> 13), 0xc2b2ae35);
  return (sum ^ (sum >>> 16)) >>> 0;
}
