/** The processor, its threads and memory: cpp/binding/machine.cc. */

/** Sets of instructions that have micro-kernels, best first; `portable` runs everywhere. */
export type InstructionSet = 'amx' | 'avx512bf16' | 'avx512' | 'avx2' | 'neon' | 'portable';

/** What the addon found on this machine, and what it uses. */
export interface NativeInfo {
  readonly instructionSet: InstructionSet;
  /** What this processor can run, best first. */
  readonly instructionSets: readonly InstructionSet[];
  /**
   * Whether products with `bf16` set use bf16 instructions here; without them they compute in
   * float32.
   */
  readonly bf16: boolean;
  readonly threads: number;
  /** Whether the addon was compiled with address and undefined-behaviour checks. */
  readonly sanitized: boolean;
}

/** Facts about the machine, and settings that hold for the whole process. */
export interface MachineFunctions {
  info(): NativeInfo;
  /** For tests. An error for one that the processor lacks. Holds for the whole process. */
  setInstructionSet(name: InstructionSet): void;
  /**
   * Threads of the whole process, 1 … 256; 0 for the default (`PEFT_NUM_THREADS`, else all cores).
   * Results do not depend on it.
   */
  setThreads(count: number): void;
  /**
   * Uninitialised memory, aligned to 64 bytes, of which `usedBytes` will be used at first. Freed
   * when collected.
   */
  allocate(byteLength: number, usedBytes: number): ArrayBuffer;
  /**
   * Gives the physical memory of a buffer of {@link allocate} back to the system; its content is
   * lost, the buffer stays usable. Buffers below a megabyte stay as they are. Never call it with a
   * buffer of another origin.
   */
  discard(buffer: ArrayBuffer): void;
  /** Does nothing; what a call costs. */
  nothing(x: Float32Array): void;
}
