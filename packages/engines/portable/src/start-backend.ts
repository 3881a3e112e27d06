/** Starts the tfjs backend that the portable engine computes on. */
import * as tf from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';

/** tfjs backends that the portable engine runs on. */
export type PortableBackend = 'wasm' | 'cpu';

/** A backend that runs. */
export interface StartedBackend {
  readonly name: PortableBackend;
  /** For people: what it runs on, and why not on wasm. */
  readonly description: string;
}

/**
 * Loads and starts `wanted`; without it wasm, or plain JavaScript where wasm cannot start. The
 * current backend stays as it is.
 * @throws PEFT_BACKEND_UNAVAILABLE when `wanted` is wasm and it cannot start.
 */
export async function startBackend(wanted?: PortableBackend): Promise<StartedBackend> {
  if (wanted === 'cpu') return { name: 'cpu', description: 'plain JavaScript' };
  try {
    await import('@tensorflow/tfjs-backend-wasm'); // registers itself
    await withoutCrashHandlers(() => tryStart('wasm'));
    const simd = await tf.env().getAsync('WASM_HAS_SIMD_SUPPORT');
    return { name: 'wasm', description: `wasm${simd ? ' with SIMD' : ''}, 1 thread` };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    if (wanted === 'wasm') {
      throw new PeftError(
        'PEFT_BACKEND_UNAVAILABLE',
        `portable: the wasm backend did not start: ${reason}`,
        {
          hint: "install @tensorflow/tfjs-backend-wasm, or use createPortableEngine({ backend: 'cpu' })",
          cause,
        },
      );
    }
    return { name: 'cpu', description: `plain JavaScript; wasm did not start: ${reason}` };
  }
}

/** What the WebAssembly glue does with every error of the process that nobody caught. */
const CRASH_EVENTS = ['uncaughtException', 'unhandledRejection'] as const;
const RETHROWS = /\bthrow (ex|reason)\b/;

/**
 * Takes away the handlers that the glue adds when it starts: they throw an uncaught error again, so
 * that Node shows the glue's line in place of where the error was made.
 */
async function withoutCrashHandlers(start: () => Promise<void>): Promise<void> {
  const { process } = globalThis as { readonly process?: NodeJS.Process };
  const before = new Set(CRASH_EVENTS.flatMap((event) => process?.rawListeners(event) ?? []));
  try {
    await start();
  } finally {
    for (const event of CRASH_EVENTS)
      for (const listener of process?.rawListeners(event) ?? [])
        if (!before.has(listener) && RETHROWS.test(String(listener)))
          process?.removeListener(event, listener as () => void);
  }
}

async function tryStart(name: PortableBackend): Promise<void> {
  const before = tf.engine().backendName;
  try {
    if (!(await tf.setBackend(name))) throw new Error(`tfjs could not start its backend "${name}"`);
  } finally {
    if (before && before !== name) await tf.setBackend(before);
  }
}
