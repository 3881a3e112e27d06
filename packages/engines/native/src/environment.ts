/** The environment variables that the engine reads, checked before the addon sees them. */
import { PeftError } from '@peft/errors';
import type { InstructionSet } from './binding/machine.js';
import type { NativeBinding } from './binding/native-binding.js';

/** The most threads that the addon starts. */
export const MOST_THREADS = 256;

/**
 * Refuses a `PEFT_NUM_THREADS` that the addon could not follow.
 * @throws PEFT_THREADS_INVALID unless it is unset, empty or a whole number from 1 to 256
 */
export function checkThreadsVariable(text = process.env['PEFT_NUM_THREADS']): void {
  if (text === undefined || text === '') return;
  const count = Number(text);
  if (/^\d+$/.test(text) && count >= 1 && count <= MOST_THREADS) return;
  throw new PeftError(
    'PEFT_THREADS_INVALID',
    `native: PEFT_NUM_THREADS must be a whole number from 1 to ${MOST_THREADS}, got ${JSON.stringify(text)}.`,
    { hint: 'unset it to use all cores' },
  );
}

/**
 * Uses the instructions that `PEFT_NATIVE_ISA` names, to test what another processor computes.
 * @throws PEFT_NATIVE_ISA_UNAVAILABLE when this processor, or this addon, lacks them
 */
export function useInstructionsVariable(
  binding: NativeBinding,
  name = process.env['PEFT_NATIVE_ISA'],
): void {
  if (name === undefined || name === '') return;
  const { instructionSets } = binding.info();
  if ((instructionSets as readonly string[]).includes(name))
    return binding.setInstructionSet(name as InstructionSet);
  throw new PeftError(
    'PEFT_NATIVE_ISA_UNAVAILABLE',
    `native: PEFT_NATIVE_ISA asks for the instructions ${JSON.stringify(name)}, which are not available here.`,
    { hint: `unset it, or use one of ${instructionSets.join(', ')}` },
  );
}
