/** What an adapter may be called. */
import { PeftError } from '@peft/errors';
import { BASE_ADAPTER } from '../model/mixed-batch.js';

/** @throws PEFT_ADAPTER_NAME when the name is taken or not a plain word */
export function requireFreeName(name: string, taken: ReadonlyMap<string, unknown>): void {
  if (!/^[A-Za-z0-9][\w-]*$/.test(name) || name === BASE_ADAPTER)
    throw new PeftError(
      'PEFT_ADAPTER_NAME',
      `an adapter's name is letters, digits, "_" and "-", got ${JSON.stringify(name)}.`,
    );
  if (taken.has(name))
    throw new PeftError('PEFT_ADAPTER_NAME', `there is an adapter "${name}" already.`, {
      hint: 'delete it first, or choose another name',
    });
}
