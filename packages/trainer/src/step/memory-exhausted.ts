/** Running out of memory under a name of its own, with what to do. */
import { PeftError } from '@peft/errors';

/** Of the native engine, and of TensorFlow's device. */
const ENGINE_CODES = ['PEFT_NATIVE_MEMORY', 'PEFT_DEVICE_MEMORY'];

/**
 * What engines and JavaScript throw when an allocation fails. tfjs' wasm kernels do not look at
 * what their allocator gave, and write to address 0.
 */
function isOutOfMemory(error: unknown): error is Error {
  if (!(error instanceof Error)) return false;
  const { name, message } = error;
  return (
    ENGINE_CODES.includes((error as { code?: string }).code ?? '') ||
    (name === 'RangeError' && /allocation failed|out of memory/i.test(message)) ||
    (name === 'RuntimeError' && /memory access out of bounds|OOM|enlarge memory/.test(message))
  );
}

/**
 * @param savedStep step of the last checkpoint.
 * @returns a `PEFT_MEMORY_EXHAUSTED` for an allocation that failed, else the error as it is
 */
export function namedMemoryError(error: unknown, savedStep: number | undefined): unknown {
  if (!isOutOfMemory(error)) return error;
  const resumable =
    savedStep === undefined
      ? 'no checkpoint had been saved yet'
      : `the checkpoint of step ${savedStep} is whole: resume from it`;
  const [reason] = error.message.split('\n  hint: '); // the engine's own hint knows of no checkpoint
  return new PeftError('PEFT_MEMORY_EXHAUSTED', `trainer: the memory ran out (${reason}).`, {
    hint:
      `${resumable}; smaller micro-batches, gradient checkpointing, 8-bit or paged optimiser ` +
      'state and a quantised base take less: peft plan MODEL says how much',
    cause: error,
  });
}
