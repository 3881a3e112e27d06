/**
 * Ends work that takes too long: a regular expression that a file brought along may take longer
 * than the age of the universe, and JavaScript runs nothing else meanwhile.
 */

/** The parts of Node's `vm` that are used; a browser has none. */
interface VirtualMachine {
  createContext(globals: object): object;
  runInContext(code: string, context: object, options: { timeout: number }): unknown;
}

/** Made when it is first needed: it costs milliseconds. */
let watched: { globals: { work?: () => unknown } } | undefined;

/**
 * Runs synchronous work and ends it when its time is up. In a browser, which cannot end running
 * code, it runs without a limit.
 *
 * @param limitMs milliseconds of wall-clock time; the watch costs about 0.1 ms.
 * @param work must leave nothing half done where it is ended: give it pure functions.
 * @param refuse makes the error for work that was ended.
 * @returns what `work` returns.
 * @throws what `refuse` makes, and whatever `work` throws.
 */
export function withinTime<T>(limitMs: number, work: () => T, refuse: () => Error): T {
  const vm = globalThis.process?.getBuiltinModule?.('node:vm') as VirtualMachine | undefined;
  if (!vm) return work();
  watched ??= { globals: vm.createContext({}) };
  watched.globals.work = work; // read at once, so that calls may nest
  try {
    return vm.runInContext('work()', watched.globals, { timeout: limitMs }) as T;
  } catch (error) {
    if ((error as { code?: unknown } | null)?.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT')
      throw refuse();
    throw error;
  } finally {
    watched.globals.work = undefined; // or it would keep what the work reads
  }
}
