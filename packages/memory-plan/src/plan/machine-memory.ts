/** What this machine has, and what of it this process may still take. */
import { freemem, totalmem } from 'node:os';

/** The machine's memory as it is now. */
export interface MachineMemory {
  /** Of the machine, or of the container where it has a limit. */
  readonly totalBytes: number;
  /** What a new run may take: what is free now, with a twentieth left to others. */
  readonly usableBytes: number;
}

/** Free memory counts what the system would give up for it (file caches). */
export function machineMemory(): MachineMemory {
  const { availableMemory, constrainedMemory } = process as {
    availableMemory?: () => number;
    constrainedMemory?: () => number | undefined;
  };
  const limit = constrainedMemory?.() ?? 0;
  const totalBytes = limit > 0 && limit < totalmem() ? limit : totalmem();
  const freeBytes = Math.min(availableMemory?.() ?? freemem(), totalBytes);
  return { totalBytes, usableBytes: Math.floor(freeBytes * 0.95) };
}
