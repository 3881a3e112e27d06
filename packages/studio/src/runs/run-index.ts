/** The runs of the studio's folder by their ids: the only way from a request to a run's files. */
import { existsSync, realpathSync } from 'node:fs';
import { isAbsolute, join, relative, resolve, sep } from 'node:path';
import { PeftError, show } from '@peft/errors';
import { listRuns, type KnownRuns } from '@peft/trainer';
import type { RunLine } from '../api-types.js';
import { EventLog } from './event-log.js';
import { runsWithoutFolder } from './run-output.js';

/** Folders below the studio's that are looked into. */
const DEPTH = 3;
/** Logs whose numbers are kept: about 4 MB for 100,000 steps. */
const KEPT_LOGS = 24;

export class RunIndex {
  readonly folder: string;
  readonly #logs = new Map<string, EventLog>();
  readonly #known: KnownRuns = new Map();

  constructor(folder: string) {
    this.folder = resolve(folder);
  }

  /** The newest first. */
  async list(): Promise<readonly RunLine[]> {
    const runs = await listRuns(this.folder, DEPTH, this.#known);
    const lines = runs.map(({ path, ...run }): RunLine => ({ id: this.#idOf(path), ...run }));
    const known = new Set(lines.map(({ id }) => id));
    return [...runsWithoutFolder(this.folder, (id) => known.has(id)), ...lines];
  }

  /**
   * The folder of a run.
   * @throws PEFT_STUDIO_RUN for an id that leads out of the studio's folder, also by a link, or to no
   *   folder
   */
  pathOf(id: string): string {
    const path = resolve(this.folder, id.split('/').join(sep));
    if (!isInside(this.folder, path) || !existsSync(path) || !this.#isReallyInside(path))
      throw new PeftError('PEFT_STUDIO_RUN', `studio: there is no run ${show(id)} here.`, {
        hint: 'it was moved or removed, or lies outside the folder that is shown',
      });
    return path;
  }

  /** The events of a run, read so far as they are there. */
  async log(id: string): Promise<EventLog> {
    const path = join(this.pathOf(id), 'events.jsonl');
    const log = this.#logs.get(path) ?? new EventLog(path);
    // the least lately used goes first
    this.#logs.delete(path);
    this.#logs.set(path, log);
    const [oldest] = this.#logs.keys();
    if (this.#logs.size > KEPT_LOGS) this.#logs.delete(oldest!);
    await log.read();
    return log;
  }

  /**
   * Reads what the page asks for first, the events of the newest run, while its browser opens. What
   * cannot be read is told when it is asked for.
   */
  async readAhead(): Promise<void> {
    try {
      const [newest] = await this.list();
      if (newest) await this.log(newest.id);
    } catch {
      // a run that is being moved, or no run yet
    }
  }

  #isReallyInside(path: string): boolean {
    return isInside(realpathSync(this.folder), realpathSync(path));
  }

  #idOf(path: string): string {
    return relative(this.folder, path).split(sep).join('/') || '.';
  }
}

/** Whether `path` is `folder` or lies in it; both absolute. */
export function isInside(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}
