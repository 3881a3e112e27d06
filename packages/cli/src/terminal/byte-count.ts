/** Sizes as people write them. */
import { PeftError } from '@peft/errors';

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
  k: 1e3,
  m: 1e6,
  g: 1e9,
  t: 1e12,
};

/**
 * `16GB` → 16,000,000,000; `512MiB` → 536,870,912; plain numbers are bytes.
 * @throws PEFT_OPTION_INVALID
 */
export function byteCount(command: string, flag: string, text: string): number {
  const [, number = '', unit = ''] = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(text) ?? [];
  const factor = Object.hasOwn(UNITS, unit.toLowerCase()) ? UNITS[unit.toLowerCase()] : undefined;
  if (number === '' || factor === undefined || Number(number) === 0)
    throw new PeftError(
      'PEFT_OPTION_INVALID',
      `${command}: ${flag} must be a size such as 16GB or 512MB, got ${JSON.stringify(text)}.`,
    );
  return Math.round(Number(number) * factor);
}
