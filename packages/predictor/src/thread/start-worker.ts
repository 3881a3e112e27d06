/** Starts a thread of a module of ours, compiled, or as it is written where it runs from its source. */
import { Worker } from 'node:worker_threads';

/**
 * @param entry the module's URL without its ending: `new URL('./entry', import.meta.url)`
 * @param isSource whether the caller runs from TypeScript
 */
export function startWorker(entry: URL, isSource: boolean, workerData: unknown): Worker {
  if (!isSource) return new Worker(new URL(`${entry.href}.js`), { workerData });
  const source = JSON.stringify(`${entry.href}.ts`);
  const loader = JSON.stringify('tsx/esm/api'); // of the repository, no dependency
  // a thread of Node 20 does not read TypeScript as its parent does
  const code = `import(${loader}).then(({ register }) => (register(), import(${source})));`;
  return new Worker(code, { eval: true, workerData });
}
