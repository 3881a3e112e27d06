/** Spoils a sound file: its bytes, or where it is JSON its values. */
import { pick, type Random } from './random.js';

/** What stands where something else belongs. */
const ODD_VALUES: readonly unknown[] = [
  null,
  true,
  '',
  'a'.repeat(5000),
  '\ud800',
  '__proto__',
  0,
  -1,
  0.5,
  1e9,
  2 ** 53,
  1e308,
  [],
  {},
  [[[[[[]]]]]],
  [null],
  { a: { a: [{ a: [1] }] } },
  '(.+)+X',
  '((a|b|ab)*)*c',
  '[',
  Array.from({ length: 3000 }, () => []),
];
const ODD_BYTES = [0, 1, 0x7f, 0x80, 0xff, 0x0a, 0x22, 0x28, 0x2e, 0x5b, 0x7b];

/**
 * One to four changes.
 * @param other another sound file, of which a part may be taken.
 */
export function mutate(random: Random, sound: Uint8Array, other: Uint8Array): Uint8Array {
  const json = random(3) > 0 ? jsonOf(sound) : undefined;
  if (json !== undefined) return Buffer.from(JSON.stringify(changedValues(random, json)));
  let bytes = Buffer.from(sound);
  for (let left = 1 + random(4); left > 0; left -= 1) bytes = changedBytes(random, bytes, other);
  return bytes;
}

function jsonOf(bytes: Uint8Array): unknown {
  if (bytes[0] !== 0x7b && bytes[0] !== 0x5b) return undefined;
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    return undefined;
  }
}

/** Puts odd values in place of one to three of the values, or takes them away. */
function changedValues(random: Random, json: unknown): unknown {
  for (let left = 1 + random(3); left > 0; left -= 1) {
    let place = json as Record<string, unknown>;
    for (let depth = random(5); ; depth -= 1) {
      const keys = Object.keys(place);
      if (keys.length === 0) break;
      const key = pick(random, keys);
      const value = place[key];
      if (depth > 0 && typeof value === 'object' && value !== null) {
        place = value as Record<string, unknown>;
        continue;
      }
      if (random(8) === 0) delete place[key];
      else place[key] = structuredClone(pick(random, ODD_VALUES)); // later changes may reach into it
      break;
    }
  }
  return json;
}

function changedBytes(
  random: Random,
  bytes: Buffer<ArrayBuffer>,
  other: Uint8Array,
): Buffer<ArrayBuffer> {
  const at = nearEnds(random, bytes.length);
  const length = 1 + random(16);
  switch (random(7)) {
    case 0: // a bit
      if (bytes.length > 0) bytes[at]! ^= 1 << random(8);
      return bytes;
    case 1: // a byte
      if (bytes.length > 0) bytes[at] = pick(random, ODD_BYTES);
      return bytes;
    case 2: // a number of 4 bytes
      if (at + 4 <= bytes.length)
        bytes.writeUInt32LE(pick(random, [0, 1, 0x7fffffff, 0xffffffff, random(2 ** 32)]), at);
      return bytes;
    case 3: // cut short
      return bytes.subarray(0, at);
    case 4: // a part taken away
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]);
    case 5: // a part twice
      return Buffer.concat([bytes.subarray(0, at + length), bytes.subarray(at)]);
    default: {
      // a part of another file
      const from = nearEnds(random, other.length);
      return Buffer.concat([
        bytes.subarray(0, at),
        other.subarray(from, from + length),
        bytes.subarray(at + length),
      ]);
    }
  }
}

/** A position; headers and directories stand at the ends of files. */
function nearEnds(random: Random, length: number): number {
  const edge = Math.min(length, 1000);
  return pick(random, [random(edge), random(length), length - 1 - random(edge)]);
}
