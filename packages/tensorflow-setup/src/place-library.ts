/** Puts TensorFlow's library and headers, and NVIDIA's libraries, into the setup's folder. */
import { existsSync, lstatSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { fetchedWheel, fetchWheel } from './fetch-wheels.js';
import type { Setup } from './setup-options.js';
import { ask, fetchOptions, localFile, unpackOnce } from './archives/take-archive.js';
import { cudaFiles, tensorflowFiles } from './archives/unpack.js';

/**
 * From an installed package (linked, never copied), from archives that the user named, or from
 * wheels that pip fetches.
 *
 * @throws what {@link unpackOnce}, {@link localFile} and {@link fetchWheel} throw
 */
export async function placeLibrary(setup: Setup): Promise<void> {
  const { from, downloads, device, version, partial } = setup;
  const folder = from.map((source) => installedPackage(source)).find(Boolean);
  if (folder) {
    rmSync(join(partial, 'site'), { recursive: true, force: true });
    symlinkSync(dirname(folder), join(partial, 'site'), 'dir'); // used where it is
    return;
  }
  if (lstatSync(join(partial, 'site'), { throwIfNoEntry: false })?.isSymbolicLink())
    rmSync(join(partial, 'site')); // nothing is ever written into a folder of the user's
  if (from.length > 0) {
    for (const source of from)
      await unpackOnce(
        setup,
        await localFile(setup, source),
        (name) => tensorflowFiles(name) ?? cudaFiles(name),
      );
    return;
  }
  const name = device === 'cpu' ? 'tensorflow-cpu' : 'tensorflow';
  if (!fetchedWheel(downloads, `${name}==${version}`) || device === 'cuda')
    await ask(
      setup,
      `TensorFlow ${version} with pip (${device === 'cpu' ? 'about 270 MB' : "and NVIDIA's CUDA libraries, some gigabytes"})`,
    );
  setup.report(`fetching ${name} ${version}`);
  await unpackOnce(
    setup,
    await fetchWheel(`${name}==${version}`, fetchOptions(setup, `fetching ${name} ${version}`)),
    tensorflowFiles,
  );
  if (device === 'cuda')
    for (const library of cudaRequirements(partial))
      await unpackOnce(
        setup,
        await fetchWheel(library, fetchOptions(setup, `fetching ${library}`)),
        cudaFiles,
      );
}

/** The folder of an installed `tensorflow` package that the user named. */
function installedPackage(source: string): string | undefined {
  const candidates = [source, join(source, 'tensorflow')].map((path) => resolve(path));
  return candidates.find(
    (path) =>
      basename(path) === 'tensorflow' &&
      existsSync(join(path, 'include')) &&
      readdirSync(path).some((file) => file.startsWith('libtensorflow')),
  );
}

/** NVIDIA's packages that the wheel names for its extra `and-cuda`, as pip wants them. */
export function cudaRequirements(folder: string): string[] {
  const metadata = readFileSync(join(folder, 'METADATA'), 'utf8');
  return [
    ...metadata.matchAll(
      /^Requires-Dist: (nvidia-[\w-]+)\s*\(?([^;()]*?)\)?\s*;.*extra == ["']and-cuda["']/gm,
    ),
  ].map(([, name, constraint]) => `${name}${constraint!.replace(/\s/g, '')}`);
}
