/** What a page may ask of a run: no modules, and no files but those that the person chose. */
import { resolve } from 'node:path';
import { PeftError } from '@peft/errors';
import type { JsonObject } from '@peft/hub';
import { isInside } from '../runs/run-index.js';
import type { TableStore } from '../tables/table-store.js';

const TABLES = ['train', 'tune', 'test'] as const;
/** Modules that a run loads, and a server that it tells of itself. */
const ELSEWHERE = ['plugins', 'mlflow'] as const;
/** Files that a run writes beside its folder. */
const WRITTEN = ['log', 'tensorboard'] as const;

/**
 * @throws PEFT_STUDIO_TABLE for a table that nobody chose, and what {@link checkEffects} throws
 */
export function checkRequest(request: JsonObject, folder: string, tables: TableStore): void {
  for (const name of TABLES)
    for (const path of [request[name] ?? []].flat() as unknown[]) tables.require(path);
  checkEffects(request, folder);
}

/**
 * That a run does nothing but train: a request may come with a stranger's folder.
 * @throws PEFT_STUDIO_REQUEST for modules that it would load, servers that it would tell, and files
 *   that it would write outside of the studio's folder
 */
export function checkEffects(request: JsonObject, folder: string): void {
  const written = WRITTEN.find(
    (name) => request[name] !== undefined && !isInside(folder, resolve(String(request[name]))),
  );
  const what = ELSEWHERE.find((name) => request[name] !== undefined) ?? written;
  if (what === undefined) return;
  throw new PeftError('PEFT_STUDIO_REQUEST', `studio: a run with ${what} is not started here.`, {
    hint: 'start it from a terminal, with the command line that is shown',
  });
}
