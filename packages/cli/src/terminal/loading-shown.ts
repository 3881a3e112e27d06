/** Shows downloads and warnings while a model is opened. */
import type { TrainEvent } from '@peft/core';
import { bytes } from './format.js';
import type { Terminal } from './terminal.js';
import { warningText } from './warning-text.js';

export function loadingShown(terminal: Terminal): (event: TrainEvent) => void {
  let last = '';
  return (event) => {
    if (event.type === 'run/warned') terminal.err(warningText(event));
    if (event.type !== 'download/progressed') return;
    const tenth = `${event.file} ${Math.floor((10 * event.loadedBytes) / Math.max(event.totalBytes, 1))}`;
    if (tenth !== last)
      terminal.err(
        `downloading ${event.file} ${bytes(event.loadedBytes)} of ${bytes(event.totalBytes)}`,
      );
    last = tenth;
  };
}
