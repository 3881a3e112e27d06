/** What `export`, `merge` and `convert` do alike: they write with progress, and tell of it. */
import type { ExportOptions, ExportResult } from '@peft/export';
import type { EngineName } from '@peft/predictor';
import type { EngineFlags } from '../../options/engine-flags.js';
import { positiveInteger } from '../../options/numbers.js';
import { loadPlugins, pluginModules } from '../../options/plugins.js';
import { createExportProgress } from '../../terminal/export-progress.js';
import { bytes, duration } from '../../terminal/format.js';
import { loadingShown } from '../../terminal/loading-shown.js';
import type { Terminal } from '../../terminal/terminal.js';

/** Flags of all three commands. */
export interface WritingFlags extends Omit<EngineFlags, 'precision'> {
  readonly to: string;
  readonly output: string;
  readonly type?: string;
  readonly rank?: string;
  readonly json?: boolean;
}

/**
 * @param write what writes, with the options that the flags stand for
 * @returns what the command prints
 */
export async function writeTrained(
  command: string,
  flags: WritingFlags,
  terminal: Terminal,
  write: (options: ExportOptions) => Promise<ExportResult>,
): Promise<string> {
  const { to, output, type, rank, json } = flags;
  const progress = createExportProgress(terminal);
  try {
    const result = await write({
      to,
      output,
      type,
      rank: rank === undefined ? undefined : positiveInteger(command, '--rank', rank),
      // the predictor refuses a name that it does not know
      engine: flags.engine as 'auto' | EngineName,
      modules: pluginModules(await loadPlugins(flags.plugin)),
      onEvent: loadingShown(terminal),
      onProgress: progress.show,
      signal: terminal.signal,
    });
    progress.stop();
    for (const warning of result.warnings) terminal.err(`warning: ${warning}`);
    return json ? JSON.stringify(result) : exportReport(output, result);
  } finally {
    progress.stop();
  }
}

/** What was written, how near it comes, and what uses it. */
function exportReport(
  output: string,
  { type, files, seconds, deviation, approximation, next }: ExportResult,
): string {
  const total = files.reduce((sum, file) => sum + file.bytes, 0);
  return [
    `${output}: ${bytes(total)}${type === undefined ? '' : ` as ${type}`} in ${duration(seconds)}`,
    ...(approximation
      ? [
          `kept ${(100 * approximation.keptShare).toFixed(2)} % of the energy of the change in ` +
            `${approximation.parts.length} matrices`,
        ]
      : []),
    ...(deviation
      ? [
          `results on a probe differ from the adapter's by at most ` +
            `${deviation.largest.toPrecision(2)} (${(100 * deviation.relative).toPrecision(2)} % of the largest)`,
        ]
      : []),
    ...next.map((line) => `use it with: ${line}`),
  ].join('\n');
}
