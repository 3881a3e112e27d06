/** Shows how far an export is: a bar on a terminal, a line for every tenth elsewhere. */
import { Presets, SingleBar } from 'cli-progress';
import type { ExportProgress } from '@peft/export';
import { bytes } from './format.js';
import type { Terminal } from './terminal.js';

/** @returns what is told of progress, and what ends the bar. */
export function createExportProgress(terminal: Terminal): {
  readonly show: (progress: ExportProgress) => void;
  readonly stop: () => void;
} {
  if (!terminal.isInteractive) {
    let last = -1;
    return {
      show({ doneBytes, totalBytes }) {
        if (totalBytes <= 1) return; // a writer that does not know
        const tenth = Math.floor((10 * doneBytes) / Math.max(totalBytes, 1));
        if (tenth !== last)
          terminal.err(
            `written ${bytes(doneBytes)} of ${bytes(totalBytes)} (${Math.min(100, 10 * tenth)} %)`,
          );
        last = tenth;
      },
      stop: () => undefined,
    };
  }
  let bar: SingleBar | undefined;
  return {
    show({ tensor, doneBytes, totalBytes }) {
      if (!bar) {
        bar = new SingleBar(
          {
            format: '{bar} {percentage}% | {tensor}',
            hideCursor: true,
            clearOnComplete: true,
            stream: process.stderr,
            barsize: 24,
          },
          Presets.shades_classic,
        );
        bar.start(totalBytes, 0, { tensor });
      }
      bar.update(doneBytes, { tensor });
    },
    stop() {
      bar?.stop();
      bar = undefined;
    },
  };
}
