/** The largest resident memory of this process that a run has seen. */

export interface MemoryWatch {
  sample(): void;
  readonly peakBytes: number;
}

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
