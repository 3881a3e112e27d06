// @ts-check
/**
 * Runs in a worker thread of its own: reads the columns of a Parquet file and sends them back. The
 * reader may loop for ever on a damaged file, reject promises that nobody waits for, or unpack a
 * small file to a huge one; a thread can be ended, and its heap is bounded.
 */
import { parentPort, workerData } from 'node:worker_threads';
import * as zlib from 'node:zlib';
import {
  asyncBufferFromFile,
  parquetMetadataAsync,
  parquetReadObjects,
  snappyUncompress,
} from 'hyparquet';

/** A value takes at least as many bytes in memory. */
const BYTES_PER_VALUE = 8;

/** @type {{ path: string, rowEnd: number | undefined, mostBytes: number }} */
const { path, rowEnd, mostBytes } = workerData;
let leftBytes = mostBytes;

/** @param {number} bytes that are about to be made. */
function spend(bytes) {
  leftBytes -= bytes;
  if (!(leftBytes >= 0))
    throw new Error(`it unpacks to over ${mostBytes} bytes, the limit for a file of its size`);
}

/** @param {(bytes: Uint8Array, length: number) => Uint8Array} unpack */
const bounded = (unpack) => (/** @type {Uint8Array} */ bytes, /** @type {number} */ length) => {
  spend(length);
  return unpack(bytes, length);
};

const { zstdDecompressSync } = /** @type {any} */ (zlib);

/** @type {import('hyparquet').Compressors} */
const compressors = {
  SNAPPY: bounded((bytes, length) => {
    const page = new Uint8Array(length);
    snappyUncompress(bytes, page);
    return page;
  }),
  GZIP: bounded((bytes, maxOutputLength) => zlib.gunzipSync(bytes, { maxOutputLength })),
  BROTLI: bounded((bytes, maxOutputLength) =>
    zlib.brotliDecompressSync(bytes, { maxOutputLength }),
  ),
};
compressors.ZSTD = bounded((bytes, maxOutputLength) => {
  if (!zstdDecompressSync)
    throw new Error(
      `its pages are packed with zstd, which needs Node 22.15 or newer; this is Node ${process.versions.node}`,
    );
  return zstdDecompressSync(bytes, { maxOutputLength });
});

try {
  const file = await asyncBufferFromFile(path);
  const metadata = await parquetMetadataAsync(file);
  for (const { columns } of metadata.row_groups)
    for (const column of columns)
      spend(BYTES_PER_VALUE * Number(column.meta_data?.num_values ?? 0));
  const rows = await parquetReadObjects({ file, metadata, compressors, rowEnd });
  const columns = Object.keys(rows[0] ?? {}).map((name) => [name, rows.map((row) => row[name])]);
  parentPort?.postMessage({ columns });
} catch (error) {
  parentPort?.postMessage({ problem: error instanceof Error ? error.message : String(error) });
}
