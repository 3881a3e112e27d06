/** Reads Parquet files, each in a thread of its own that is ended when it takes too much. */
import { statSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import {
  checkCellLength,
  DEFAULT_CELL_LENGTH,
  unreadable,
  type ReadTableOptions,
} from './read-options.js';
import { plainValue, tableFromColumns, type Table } from './table.js';

/** What the thread may take for a file. */
interface ThreadLimits {
  /** Unpacked, and twice as many in its heap. */
  readonly mostBytes: number;
  readonly milliseconds: number;
}

/**
 * 256 MB and 100 times the file (columns of few different values are packed well, so that honest
 * files reach a tenth of it); 4 s, and 8 s for each megabyte of the file.
 */
const limitsFor = (fileBytes: number): ThreadLimits => ({
  mostBytes: 256e6 + 100 * fileBytes,
  milliseconds: 4000 + (8000 * fileBytes) / 1e6,
});

/** What the thread sends: the columns in order, or why it cannot read them. */
interface Answer {
  readonly columns?: readonly (readonly [name: string, cells: readonly unknown[]])[];
  readonly problem?: string;
}

/**
 * Reads the columns of a Parquet file. Pages may be packed as Snappy, gzip, brotli, and zstd from Node 22.15 on.
 *
 * @throws PEFT_TABLE_UNREADABLE for a broken file, an unknown compression, or a file that unpacks
 *   to over 256 MB and 100 times its size or takes over 4 s and 8 s for each of its megabytes.
 * @throws PEFT_CELL_TOO_LARGE, PEFT_TABLE_EMPTY
 */
export async function readParquet(
  path: string,
  { limit, maximumCellLength = DEFAULT_CELL_LENGTH }: ReadTableOptions,
  limits: ThreadLimits = limitsFor(statSync(path).size),
): Promise<Table> {
  const { columns = [], problem } = await inThread(path, limit, limits);
  if (problem !== undefined)
    throw unreadable(path, `not a readable Parquet file (${problem}).`, {
      hint: 'Download it again, or save it as Snappy-compressed Parquet or JSON lines.',
    });
  for (const [name, cells] of columns)
    cells.forEach((cell, i) =>
      checkCellLength(
        cell,
        () => `column ${JSON.stringify(name)} of row ${i} of ${path}`,
        maximumCellLength,
      ),
    );
  return tableFromColumns(
    new Map(columns.map(([name, cells]) => [name, cells.map(plainValue)])),
    path,
  );
}

function inThread(
  path: string,
  rowEnd: number | undefined,
  { mostBytes, milliseconds }: ThreadLimits,
): Promise<Answer> {
  return new Promise((resolve) => {
    const worker = new Worker(new URL('./parquet-worker.mjs', import.meta.url), {
      workerData: { path, rowEnd, mostBytes },
      execArgv: [], // none of the application's, which may load what a thread does not need
      resourceLimits: { maxOldGenerationSizeMb: Math.ceil((2 * mostBytes) / 1e6) },
    });
    let timer: NodeJS.Timeout | undefined;
    const end = (answer: Answer): void => {
      clearTimeout(timer);
      resolve(answer);
      void worker.terminate();
    };
    worker.once('online', () => {
      const seconds = (milliseconds / 1000).toFixed(0);
      const problem = `it takes over ${seconds} s, the limit for a file of its size`;
      timer = setTimeout(() => end({ problem }), milliseconds);
    });
    worker.once('message', (answer: Answer) => end(answer));
    worker.once('error', (error) => end({ problem: error.message }));
    worker.once('exit', (code) => end({ problem: `its reader ended with code ${code}` }));
  });
}
