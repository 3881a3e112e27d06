/** The addon's functions (`cpp/addon.cc`), and where it is found. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { RankNumbers } from '@peft/core';
import { PeftError } from '@peft/errors';

/** Codes of reductions. */
export const REDUCTIONS = Object.freeze({ sum: 0, max: 1, min: 2 });

/** Memory is used until a promise is settled; it is rejected with what MPI says. */
export interface MpiBinding {
  /** Once a process. */
  start(library: string): Promise<{
    readonly rank: number;
    readonly size: number;
    readonly localRank: number;
    readonly localSize: number;
    /** What the library calls itself. */
    readonly version: string;
  }>;
  barrier(): Promise<void>;
  broadcast(values: RankNumbers, root: number): Promise<void>;
  allReduce(values: RankNumbers, reduction: number): Promise<void>;
  allGather(own: RankNumbers, all: RankNumbers): Promise<void>;
  reduceScatter(values: RankNumbers, own: RankNumbers, reduction: number): Promise<void>;
  send(values: RankNumbers, to: number, tag: number): Promise<void>;
  receive(values: RankNumbers, from: number, tag: number): Promise<void>;
  /** After what was begun before. */
  finish(): Promise<void>;
  /** Does not return. */
  abort(exitCode: number): void;
}

/**
 * Loads the addon: `PEFT_MPI_ADDON`, else this package's own build, else the prebuilt package of
 * the platform, which holds that of `@peft/native`, too.
 * @throws PEFT_MPI_UNAVAILABLE when it was not built for this machine or cannot be loaded
 */
export function loadMpiBinding(): MpiBinding {
  const require = createRequire(import.meta.url);
  const own = fileURLToPath(new URL('../build/Release/peft_mpi.node', import.meta.url));
  const given = process.env['PEFT_MPI_ADDON'];
  const path =
    given ??
    (existsSync(own) ? own : `@peft/native-${process.platform}-${process.arch}/peft_mpi.node`);
  try {
    return require(path) as MpiBinding;
  } catch (cause) {
    const isMissing = (cause as { code?: string }).code === 'MODULE_NOT_FOUND';
    throw new PeftError(
      'PEFT_MPI_UNAVAILABLE',
      isMissing
        ? `mpi: there is no compiled addon for ${process.platform}-${process.arch}.`
        : `mpi: the addon ${path} cannot be loaded: ${(cause as Error).message}`,
      {
        hint:
          'compile it (needs a C++20 compiler, and no MPI) with: npx node-gyp rebuild ' +
          '--directory=node_modules/@peft/mpi, in a clone of the repository node ' +
          'tools/native/build-native.mjs',
        cause,
      },
    );
  }
}
