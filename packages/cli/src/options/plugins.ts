/**
 * `--plugin`: modules that export methods, engines, model families and export formats, and which of
 * them a fit may load.
 */
import type { Module } from '@peft/core';
import { PeftError, show } from '@peft/errors';
import { isExportFormat, withFormats, type ExportFormat } from '@peft/export';
import {
  importPlugins,
  isPredictorPlugin,
  predictorPluginModules,
  requirePluginName,
  sortPlugins,
  type PredictorPlugins,
} from '@peft/predictor';
import type { FitInput } from './fit-options.js';

/**
 * The modules that the command line names, and with `--allow-plugins` those of the run file too: a
 * run file alone executes nothing.
 *
 * @throws PEFT_PLUGIN_NOT_ALLOWED for a module that only the run file names, PEFT_PLUGIN_NAME for
 *   one that is no module's name
 */
export function allowedPlugins(
  file: string | undefined,
  inFile: Pick<FitInput, 'plugins'>,
  flags: Pick<FitInput, 'plugins' | 'allowPlugins'>,
): readonly string[] {
  const [named, asked] = [inFile.plugins ?? [], flags.plugins ?? []];
  named.forEach(requirePluginName);
  const unasked = named.filter((plugin) => !asked.includes(plugin));
  if (unasked.length && !flags.allowPlugins)
    throw new PeftError(
      'PEFT_PLUGIN_NOT_ALLOWED',
      `run file ${file}: it names modules to load, ${unasked.map(show).join(', ')}, which would run their code.`,
      { hint: 'if you trust them, say --allow-plugins, or name each with --plugin' },
    );
  return [...new Set([...asked, ...named])];
}

/** What the modules of `--plugin` export. */
export interface Plugins extends PredictorPlugins {
  /** What `defineFormat` made: names that `--to` takes. */
  readonly formats: readonly ExportFormat[];
}

/**
 * Composes a predictor that knows what plug-ins have beside ours, so that it can load what they
 * trained.
 */
export const pluginModules = ({ formats, ...plugins }: Plugins): readonly Module[] => [
  ...predictorPluginModules(plugins),
  withFormats(...formats),
];

/**
 * The methods, engines, model families and formats that plug-in modules export.
 * @throws what `importPlugins` throws
 */
export async function loadPlugins(paths: readonly string[]): Promise<Plugins> {
  const values = await importPlugins(
    paths,
    (value) => isPredictorPlugin(value) || isExportFormat(value),
    'methods, engines, model families and formats',
  );
  return { ...sortPlugins(values), formats: values.filter(isExportFormat) };
}
