/** Reads Parquet files. */
import * as zlib from 'node:zlib';
import {
  asyncBufferFromFile,
  parquetMetadataAsync,
  parquetReadObjects,
  type Compressors,
} from 'hyparquet';
import { PeftError } from '@peft/errors';
import {
  checkCellLength,
  DEFAULT_CELL_LENGTH,
  unreadable,
  type ReadTableOptions,
} from './read-options.js';
import { tableFromRows, type Table } from './table.js';

/**
 * Snappy, gzip and brotli pages, and zstd where Node has it.
 * @throws PEFT_TABLE_UNREADABLE for a broken file or an unknown compression, PEFT_CELL_TOO_LARGE,
 *   PEFT_TABLE_EMPTY.
 */
export async function readParquet(
  path: string,
  { limit, maximumCellLength = DEFAULT_CELL_LENGTH }: ReadTableOptions,
): Promise<Table> {
  let rows: Record<string, unknown>[];
  try {
    const file = await asyncBufferFromFile(path);
    const metadata = await parquetMetadataAsync(file);
    rows = await parquetReadObjects({
      file,
      metadata,
      compressors: compressors(),
      rowEnd: limit,
    });
  } catch (cause) {
    if (cause instanceof PeftError) throw cause;
    throw unreadable(path, `not a readable Parquet file (${(cause as Error).message}).`, {
      hint: 'Download it again, or save it as Snappy-compressed Parquet or JSON lines.',
      cause,
    });
  }
  rows.forEach((row, i) => {
    for (const [name, value] of Object.entries(row))
      checkCellLength(
        value,
        () => `column ${JSON.stringify(name)} of row ${i} of ${path}`,
        maximumCellLength,
      );
  });
  return tableFromRows(rows, path);
}

function compressors(): Compressors {
  const { zstdDecompressSync } = zlib as { zstdDecompressSync?: (bytes: Uint8Array) => Buffer };
  return {
    GZIP: (bytes) => new Uint8Array(zlib.gunzipSync(bytes)),
    BROTLI: (bytes) => new Uint8Array(zlib.brotliDecompressSync(bytes)),
    ZSTD: zstdDecompressSync && ((bytes) => new Uint8Array(zstdDecompressSync(bytes))),
  };
}
