/** Takes from an archive what the engine needs and nothing else. */
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { PeftError } from '@peft/errors';
import { type ZipEntry, zipEntries } from '@peft/hub';
import { damaged } from './damaged-archive.js';
import { unpackTar } from './tar-archive.js';
import { unpackZipEntry } from './zip-entry.js';

/** No library takes as much; an archive whose chosen files claim more is refused. */
const MOST_BYTES = 64e9;

/** Where an entry goes, relative to the target folder, or undefined to leave it out. */
export type Choice = (name: string) => string | undefined;

const LIBRARY = /^libtensorflow(_cc|_framework)?(\.so(\.\d+)*|(\.\d+)*\.dylib)$/;
/** What the two sources of tfjs-node's addon include, directly and further down. */
const HEADER =
  /^(tensorflow\/c\/|(tensorflow\/core|tsl|xla\/tsl)\/(c\/|platform\/ctstring))[\w./-]*\.h$/;

/**
 * TensorFlow's library and headers, from a wheel (`tensorflow/…`) or an official archive (`lib/…`,
 * `include/…`), into `site/tensorflow`.
 */
export const tensorflowFiles: Choice = (name) => {
  const [, library] = /^(?:tensorflow|lib)\/([^/]+)$/.exec(name) ?? [];
  if (library && LIBRARY.test(library)) return `site/tensorflow/${library}`;
  const [, header] = /^(?:tensorflow\/)?include\/(.+)$/.exec(name) ?? [];
  if (header && HEADER.test(header)) return `site/tensorflow/include/${header}`;
  return /^tensorflow[\w.]*-[\w.+]+\.dist-info\/METADATA$/.test(name) ? 'METADATA' : undefined;
};

/** The CUDA libraries of NVIDIA's wheels, where TensorFlow's wheel looks for them. */
export const cudaFiles: Choice = (name) =>
  /^nvidia\/[\w-]+\/lib\/[\w.+-]+\.so(\.\d+)*$/.test(name) ? `site/${name}` : undefined;

/** tfjs-node's scripts and the sources of its addon. */
export const tfjsNodeFiles: Choice = (name) =>
  /^package\/(package\.json|dist\/[\w./-]+\.js|binding\/\w+\.(cc|h))$/.test(name) &&
  !name.endsWith('_test.js')
    ? `tfjs-node/${name.slice('package/'.length)}`
    : undefined;

/**
 * @param folder where the chosen files go.
 * @param onProgress fraction of the chosen bytes, or of the unpacked ones where the total is not
 *   known.
 * @returns how many files were written. @throws PEFT_SETUP_ARCHIVE
 */
export async function unpack(
  archive: string,
  folder: string,
  choose: Choice,
  {
    onBytes = () => undefined,
    signal,
  }: { onBytes?: (done: number, total: number | undefined) => void; signal?: AbortSignal } = {},
): Promise<number> {
  const targetOf = (name: string): string | undefined => {
    if (name.includes('..') || name.includes('\\')) return undefined;
    const chosen = choose(name);
    return chosen && join(folder, chosen);
  };
  let done = 0;
  if (!/\.(whl|zip)$/.test(archive)) {
    return unpackTar(archive, targetOf, (count) => onBytes((done += count), undefined), signal);
  }
  const wanted = entriesOf(archive).flatMap((entry) => {
    const target = targetOf(entry.name);
    return target ? [{ entry, target }] : [];
  });
  const total = wanted.reduce((sum, { entry }) => sum + entry.size, 0);
  if (total > MOST_BYTES)
    throw damaged(archive, `it claims ${total} bytes, over the limit of ${MOST_BYTES}`);
  for (const { entry, target } of wanted) {
    mkdirSync(dirname(target), { recursive: true });
    await unpackZipEntry(
      archive,
      entry,
      target,
      (count) => onBytes((done += count), total),
      signal,
    );
  }
  return wanted.length;
}

function entriesOf(archive: string): ZipEntry[] {
  try {
    return [...zipEntries(archive).values()];
  } catch (error) {
    if (!(error instanceof PeftError) || error.code !== 'PEFT_ZIP_DAMAGED') throw error;
    throw damaged(archive, `its table of contents is damaged or cut short (${error.message})`);
  }
}
