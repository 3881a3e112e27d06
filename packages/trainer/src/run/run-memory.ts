/** The largest resident memory of this process that a run has seen. */

/** The largest resident set size that was sampled, in bytes. */
export interface MemoryWatch {
  sample(): void;
  readonly peakBytes: number;
}

/** A watch that has sampled once. */
export function watchMemory(): MemoryWatch {
  let peakBytes = process.memoryUsage.rss();
  return {
    get peakBytes() {
      return peakBytes;
    },
    sample: () => {
      peakBytes = Math.max(peakBytes, process.memoryUsage.rss());
    },
  };
}
