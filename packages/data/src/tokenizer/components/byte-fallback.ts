/** Decoding of byte tokens such as `<0xE3>`. */

const BYTE_TOKEN = /^<0x([0-9A-Fa-f]{2})>$/;

/**
 * Every run of byte tokens becomes the text that they spell; where they spell none, each becomes
 * U+FFFD.
 */
export function decodeByteFallback(tokens: readonly string[]): string[] {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const result: string[] = [];
  let bytes: number[] = [];
  const flush = () => {
    if (bytes.length === 0) return;
    try {
      result.push(decoder.decode(Uint8Array.from(bytes)));
    } catch {
      // not UTF-8: the reference writes one replacement per byte
      result.push('\ufffd'.repeat(bytes.length));
    }
    bytes = [];
  };
  for (const token of tokens) {
    const byte = BYTE_TOKEN.exec(token);
    if (byte) {
      bytes.push(Number.parseInt(byte[1]!, 16));
    } else {
      flush();
      result.push(token);
    }
  }
  flush();
  return result;
}
