/**
 * A trie over UTF-16 code units in flat arrays: finds every known string that starts at a position.
 * The children of all nodes share one open-addressing hash table, about 40 bytes per node; a
 * vocabulary of 250,000 pieces has about a million nodes.
 */
export class StringTrie {
  /** Node → its string's value, −1 for none. */
  private readonly values: Int32Array;
  private readonly parents: Int32Array;
  private readonly units: Uint16Array;
  /** Hash slot → child node, 0 for none (the root is nobody's child). */
  private readonly slots: Int32Array;
  private nodes = 1;

  /** Later entries replace earlier ones of the same text. */
  constructor(strings: readonly string[]) {
    const most = 1 + strings.reduce((sum, text) => sum + text.length, 0);
    this.values = new Int32Array(most).fill(-1);
    this.parents = new Int32Array(most);
    this.units = new Uint16Array(most);
    this.slots = new Int32Array(2 ** Math.ceil(Math.log2(2 * most)));
    strings.forEach((text, value) => this.insert(text, value));
  }

  /** The value of a whole string, or −1. */
  get(text: string): number {
    let node = 0;
    for (let i = 0; i < text.length; i += 1) {
      node = this.slots[this.slot(node, text.charCodeAt(i))]!;
      if (node === 0) return -1;
    }
    return this.values[node]!;
  }

  /** Calls `found(end, value)` for every known string `text[start, end)`, shortest first. */
  prefixes(text: string, start: number, found: (end: number, value: number) => void): void {
    let node = 0;
    for (let i = start; i < text.length; i += 1) {
      node = this.slots[this.slot(node, text.charCodeAt(i))]!;
      if (node === 0) return;
      const value = this.values[node]!;
      if (value >= 0) found(i + 1, value);
    }
  }

  private insert(text: string, value: number): void {
    let node = 0;
    for (let i = 0; i < text.length; i += 1) {
      const unit = text.charCodeAt(i);
      const slot = this.slot(node, unit);
      let child = this.slots[slot]!;
      if (child === 0) {
        child = this.nodes;
        this.nodes += 1;
        this.parents[child] = node;
        this.units[child] = unit;
        this.slots[slot] = child;
      }
      node = child;
    }
    if (node !== 0) this.values[node] = value;
  }

  /** The slot that holds the child of `node` by `unit`, or the empty one where it belongs. */
  private slot(node: number, unit: number): number {
    const mask = this.slots.length - 1;
    let hash = Math.imul(node, 0x9e3779b1) ^ Math.imul(unit + 1, 0x85ebca6b);
    hash ^= hash >>> 15;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const child = this.slots[slot]!;
      if (child === 0 || (this.parents[child] === node && this.units[child] === unit)) return slot;
    }
  }
}
