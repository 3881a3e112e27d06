/**
 * `--plugin`: modules that export methods, engines, model families and export formats, and which of
 * them a fit may load.
 */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Architecture, Module } from '@peft/core';
import { PeftError, show } from '@peft/errors';
import { isExportFormat, withFormats, type ExportFormat } from '@peft/export';
import type { NamedMethod } from '@peft/methods';
import { isEngineDefinition, type EngineDefinition } from '@peft/ops';
import { withArchitectures, withEngines, withMethods } from '@peft/predictor';
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
  named.forEach(requireModule);
  const unasked = named.filter((plugin) => !asked.includes(plugin));
  if (unasked.length && !flags.allowPlugins)
    throw new PeftError(
      'PEFT_PLUGIN_NOT_ALLOWED',
      `run file ${file}: it names modules to load, ${unasked.map(show).join(', ')}, which would run their code.`,
      { hint: 'if you trust them, say --allow-plugins, or name each with --plugin' },
    );
  return [...new Set([...asked, ...named])];
}

/** A path, or a package's name with a path inside it: nothing with a scheme. */
function requireModule(plugin: string): void {
  const isPath = /^\.{0,2}\//.test(plugin) || /^[A-Za-z]:[\\/]/.test(plugin);
  if (isPath || !plugin.includes(':')) return;
  throw new PeftError(
    'PEFT_PLUGIN_NAME',
    `--plugin ${show(plugin)}: it is neither a path nor the name of an installed package.`,
    { hint: 'for instance --plugin ./my-method.mjs or --plugin my-method' },
  );
}

/** What the modules of `--plugin` export. */
export interface Plugins {
  /** What `definePeftMethod` made. */
  readonly methods: readonly NamedMethod[];
  /** What `defineEngine` made: names that `--engine` takes. */
  readonly engines: readonly EngineDefinition[];
  /** Model families, chosen by the `model_type` of config.json. */
  readonly architectures: readonly Architecture<never>[];
  /** What `defineFormat` made: names that `--to` takes. */
  readonly formats: readonly ExportFormat[];
}

/**
 * Composes a predictor that knows what plug-ins have beside ours, so that it can load what they
 * trained.
 */
export const pluginModules = ({
  methods,
  engines,
  architectures,
  formats,
}: Plugins): readonly Module[] => [
  withMethods(...methods),
  withEngines(...engines),
  withArchitectures(...architectures),
  withFormats(...formats),
];

/**
 * The methods, engines, model families and formats that plug-in modules export.
 * @throws PEFT_PLUGIN_NAME for what is neither a path nor the name of a package (`data:`,
 *   `https:`), PEFT_PLUGIN_LOAD when a file cannot be imported, PEFT_PLUGIN_EMPTY when it exports
 *   none of them
 */
export async function loadPlugins(paths: readonly string[]): Promise<Plugins> {
  const exported: unknown[] = [];
  for (const path of paths) {
    requireModule(path);
    const values = await importPlugin(path);
    const found = Object.values(values).filter(
      (value) =>
        isMethod(value) ||
        isEngineDefinition(value) ||
        isArchitecture(value) ||
        isExportFormat(value),
    );
    if (found.length === 0)
      throw new PeftError(
        'PEFT_PLUGIN_EMPTY',
        `--plugin ${path}: it exports ${Object.keys(values).join(', ') || 'nothing'}, none ` +
          'of which definePeftMethod, defineEngine or defineFormat made, or is a model family.',
      );
    exported.push(...found);
  }
  const different = [...new Set(exported)];
  return {
    methods: different.filter(isMethod),
    engines: different.filter(isEngineDefinition),
    architectures: different.filter(isArchitecture),
    formats: different.filter(isExportFormat),
  };
}

async function importPlugin(path: string): Promise<Record<string, unknown>> {
  const isFile = path.startsWith('.') || path.startsWith('/') || /\.[cm]?[jt]s$/.test(path);
  try {
    const specifier = isFile ? pathToFileURL(resolve(path)).href : path;
    return (await import(specifier)) as Record<string, unknown>;
  } catch (cause) {
    throw new PeftError('PEFT_PLUGIN_LOAD', `--plugin ${path}: ${(cause as Error).message}`, {
      hint: 'give the path of a module, or the name of an installed package',
      cause,
    });
  }
}

const isArchitecture = (value: unknown): value is Architecture<never> =>
  typeof value === 'object' && value !== null && 'modelTypes' in value && 'parseConfig' in value;

const isMethod = (value: unknown): value is NamedMethod =>
  typeof value === 'function' && 'attach' in value && 'parseConfig' in value;
