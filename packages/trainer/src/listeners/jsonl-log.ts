/** Every event of a run as a line of JSON. */
import { appendFileSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import type { TrainEvent } from '@peft/core';

/**
 * A sink that appends to a file; a run that is resumed continues it. Numbers that are not finite
 * become `null`. Give it to `bus.listen`.
 */
export function createJsonlLog(path: string): (event: TrainEvent) => void {
  let isFolderMade = false;
  return (event) => {
    if (!isFolderMade) mkdirSync(dirname(path), { recursive: true });
    isFolderMade = true;
    // a line is written at once, so that nothing is lost when the process ends
    appendFileSync(path, `${JSON.stringify(event)}\n`);
  };
}
