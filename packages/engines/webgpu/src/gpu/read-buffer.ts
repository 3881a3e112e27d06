/** Values back from the device: later, or at once where the binding lets itself be waited for. */
import { PeftError } from '@peft/errors';
import type { Block } from './buffer-pool.js';
import type { CommandStream } from './command-stream.js';
import { BUFFER_USAGE, MAP_READ } from './flags.js';
import { takeTurn, withTurns } from './turns.js';

/** Reads a block's first bytes. */
export async function readLater(
  stream: CommandStream,
  block: Block,
  bytes: number,
): Promise<ArrayBuffer> {
  const staging = stage(stream, block, bytes);
  try {
    await withTurns(() => staging.mapAsync(MAP_READ));
    return staging.getMappedRange().slice(0, bytes);
  } finally {
    staging.destroy();
  }
}

/**
 * Reads a block's first bytes and waits for them. Where the binding takes turns (Node), they
 * are taken until the values are there. Pages cannot wait.
 * @throws PEFT_WEBGPU_SYNC_READ where the binding asks for no turn
 */
export function readNow(stream: CommandStream, block: Block, bytes: number): ArrayBuffer {
  const staging = stage(stream, block, bytes);
  try {
    waitForMap(staging);
    return staging.getMappedRange().slice(0, bytes);
  } finally {
    staging.destroy();
  }
}

function stage(stream: CommandStream, block: Block, bytes: number): GPUBuffer {
  const size = Math.max(4, Math.ceil(bytes / 4) * 4);
  const staging = stream.device.createBuffer({
    size,
    usage: BUFFER_USAGE.mapRead | BUFFER_USAGE.copyTarget,
  });
  stream.readInto(staging, block, size);
  return staging;
}

function waitForMap(staging: GPUBuffer): void {
  let problem: unknown;
  withTurns(() => staging.mapAsync(MAP_READ)).catch((error: unknown) => (problem = error));
  while (staging.mapState === 'pending' && takeTurn());
  if (staging.mapState === 'mapped') return;
  throw new PeftError(
    'PEFT_WEBGPU_SYNC_READ',
    'webgpu: values of the device cannot be waited for here.',
    { hint: 'read with await tensor.data()', cause: problem },
  );
}
