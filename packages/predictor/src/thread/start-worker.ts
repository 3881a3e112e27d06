/** Starts a thread of a module of ours, compiled, or as it is written where it runs from its source. */
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';

/**
 * @param entry the module's URL without its ending: `new URL('./entry', import.meta.url)`
 * @param isSource whether the caller runs from TypeScript
 */
export function startWorker(entry: URL, isSource: boolean, workerData: unknown): Worker {
  if (!isSource) return new Worker(new URL(`${entry.href}.js`), { workerData });
  const source = JSON.stringify(`${entry.href}.ts`);
  // of the repository, no dependency; a thread without a file looks in the folder that it is run in
  const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx/package.json'));
  const loader = JSON.stringify(new URL('dist/esm/api/index.mjs', tsx).href);
  // a thread of Node 20 does not read TypeScript as its parent does
  const code = `import(${loader}).then(({ register }) => (register(), import(${source})));`;
  return new Worker(code, { eval: true, workerData });
}
