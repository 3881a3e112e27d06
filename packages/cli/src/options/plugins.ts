/** `--plugin`: modules that export methods, and which of them a fit may load. */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { PeftError, show } from '@peft/errors';
import type { NamedMethod } from '@peft/methods';
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

/**
 * The methods that plug-in modules export: every exported value that `definePeftMethod` made.
 * @throws PEFT_PLUGIN_NAME for what is neither a path nor the name of a package (`data:`,
 *   `https:`), PEFT_PLUGIN_LOAD when a file cannot be imported, PEFT_PLUGIN_EMPTY when it exports no
 *   method
 */
export async function loadPlugins(paths: readonly string[]): Promise<NamedMethod[]> {
  const methods: NamedMethod[] = [];
  for (const path of paths) {
    requireModule(path);
    const specifier =
      path.startsWith('.') || path.startsWith('/') || /\.[cm]?[jt]s$/.test(path)
        ? pathToFileURL(resolve(path)).href
        : path;
    let exported: Record<string, unknown>;
    try {
      exported = (await import(specifier)) as Record<string, unknown>;
    } catch (cause) {
      throw new PeftError('PEFT_PLUGIN_LOAD', `--plugin ${path}: ${(cause as Error).message}`, {
        hint: 'give the path of a module, or the name of an installed package',
        cause,
      });
    }
    const found = new Set(Object.values(exported).filter(isMethod));
    if (found.size === 0)
      throw new PeftError(
        'PEFT_PLUGIN_EMPTY',
        `--plugin ${path}: it exports ${Object.keys(exported).join(', ') || 'nothing'}, none of which definePeftMethod made.`,
      );
    methods.push(...found);
  }
  return methods;
}

const isMethod = (value: unknown): value is NamedMethod =>
  typeof value === 'function' && 'attach' in value && 'parseConfig' in value;
