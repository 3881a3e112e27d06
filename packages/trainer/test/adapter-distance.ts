/** How far the values of two adapters, as `adapterBytes` gives them, are from one another. */
import { expect } from 'vitest';

const floats = (hex: string): Float32Array =>
  new Float32Array(new Uint8Array(Buffer.from(hex, 'hex')).buffer);

/** The largest difference of two adapters' values. */
export function distance(a: Record<string, string>, b: Record<string, string>): number {
  expect(Object.keys(a)).toEqual(Object.keys(b));
  return Object.keys(a).reduce((most, name) => {
    const [left, right] = [floats(a[name]!), floats(b[name]!)];
    return left.reduce((far, value, i) => Math.max(far, Math.abs(value - right[i]!)), most);
  }, 0);
}

/**
 * A bias of keys adds the same to all scores of a row: its gradient is rounding alone, of which AdamW
 * makes whole steps.
 */
export const withoutKeyBiases = (bytes: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(bytes).filter(([name]) => !/\bk(ey)?(_proj)?\.bias$/.test(name)),
  );
