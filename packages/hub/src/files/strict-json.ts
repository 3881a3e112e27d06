/**
 * JSON as hostile input: `JSON.parse` keeps the last of two equal keys in silence, and nests as
 * deep as the text wants.
 */

/** Nesting that no header, index or config comes near. */
const MAX_DEPTH = 64;

/** Why a text is not acceptable JSON. */
export class StrictJsonError extends Error {
  readonly reason: 'syntax' | 'duplicate-key' | 'too-deep' | 'encoding';
  constructor(reason: StrictJsonError['reason'], message: string) {
    super(message);
    this.name = 'StrictJsonError';
    this.reason = reason;
  }
}

/**
 * Parses UTF-8 JSON and refuses an object that names a key twice, at any depth.
 *
 * @throws StrictJsonError the bytes are no UTF-8, the text is no JSON, a key occurs twice, or it
 *   nests deeper than 64 levels.
 */
export function parseStrictJson(bytes: Uint8Array): unknown {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new StrictJsonError('encoding', 'it is not valid UTF-8');
  }
  refuseDuplicateKeys(text);
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new StrictJsonError('syntax', cause instanceof Error ? cause.message : String(cause));
  }
}

/**
 * One pass over the characters; on text that is no JSON it may find nothing, since `JSON.parse`
 * complains afterwards.
 */
function refuseDuplicateKeys(text: string): void {
  const open: (Set<string> | null)[] = []; // keys so far of each open object, null for an array
  let atKey = false;
  for (let i = 0; i < text.length; i += 1) {
    switch (text.charCodeAt(i)) {
      case 0x7b: // {
        open.push(new Set());
        atKey = true;
        break;
      case 0x5b: // [
        open.push(null);
        atKey = false;
        break;
      case 0x7d: // }
      case 0x5d: // ]
        open.pop();
        atKey = false;
        break;
      case 0x2c: // ,
        atKey = Boolean(open.at(-1));
        break;
      case 0x22: {
        const end = endOfString(text, i);
        const keys = open.at(-1);
        if (atKey && keys) {
          const key = unescape(text.slice(i, end));
          if (keys.has(key))
            throw new StrictJsonError(
              'duplicate-key',
              `the key ${JSON.stringify(key)} occurs twice`,
            );
          keys.add(key);
          atKey = false;
        }
        i = end - 1;
        break;
      }
    }
    if (open.length > MAX_DEPTH)
      throw new StrictJsonError('too-deep', `it nests deeper than ${MAX_DEPTH} levels`);
  }
}

/** Index after the closing quote. */
function endOfString(text: string, start: number): number {
  for (let i = start + 1; i < text.length; i += 1) {
    const code = text.charCodeAt(i);
    if (code === 0x5c) i += 1;
    else if (code === 0x22) return i + 1;
  }
  return text.length;
}

/** `"a"` and `"\u0061"` are one key. */
function unescape(quoted: string): string {
  if (!quoted.includes('\\')) return quoted.slice(1, -1);
  try {
    return JSON.parse(quoted) as string;
  } catch {
    return quoted;
  }
}
