/** `peft doctor --mpi`: whether ranks find each other here, and how fast they talk. */
import { launchOf, connectMpi, measureLinks, type LinkSpeed } from '@peft/mpi';
import type { Terminal } from '../terminal/terminal.js';
import { launchRanks } from './launch-ranks.js';

interface RankFlags {
  readonly ranks: number;
  readonly hosts: string | undefined;
  readonly json: boolean;
}

/** Starts ranks that examine each other; as one of them it does. The first one tells. */
export async function examineRanks(
  argv: readonly string[],
  { json, ...places }: RankFlags,
  terminal: Terminal,
): Promise<void> {
  if (!launchOf(process.env)) return launchRanks(argv, places, terminal);
  const mpi = await connectMpi();
  const links = await measureLinks(mpi);
  const { version, size, localSize } = mpi;
  if (mpi.rank === 0)
    terminal.out(
      json
        ? JSON.stringify({ version, ranks: size, ranksOfFirstMachine: localSize, links })
        : [`${version}: ${size} ranks, ${localSize} of them here`, ...links.map(shown)].join('\n'),
    );
  await mpi.close();
}

const shown = ({ rank, latencySeconds, bytesPerSecond }: LinkSpeed): string =>
  `rank 0 to ${rank}: ${(1e6 * latencySeconds).toFixed(0)} µs, ` +
  `${(bytesPerSecond / 1e6).toFixed(0)} MB/s (${((8 * bytesPerSecond) / 1e9).toFixed(2)} Gb/s)`;
