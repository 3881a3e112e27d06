/** Which modules of methods a fit may load. */
import { PeftError, show } from '@peft/errors';
import type { FitInput } from './fit-options.js';

/**
 * The modules that the command line names, and with `--allow-plugins` those of the run file too: a
 * run file alone executes nothing.
 *
 * @throws PEFT_PLUGIN_NOT_ALLOWED for a module that only the run file names, PEFT_PLUGIN_NAME for
 *   what is neither a path nor the name of a package (`data:`, `https:`)
 */
export function allowedPlugins(
  file: string | undefined,
  inFile: Pick<FitInput, 'plugins'>,
  flags: Pick<FitInput, 'plugins' | 'allowPlugins'>,
): readonly string[] {
  const [named, asked] = [inFile.plugins ?? [], flags.plugins ?? []];
  for (const plugin of [...asked, ...named]) requireModule(plugin);
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
export function requireModule(plugin: string): void {
  const isPath = /^\.{0,2}\//.test(plugin) || /^[A-Za-z]:[\\/]/.test(plugin);
  if (isPath || !plugin.includes(':')) return;
  throw new PeftError(
    'PEFT_PLUGIN_NAME',
    `--plugin ${show(plugin)}: it is neither a path nor the name of an installed package.`,
    { hint: 'for instance --plugin ./my-method.mjs or --plugin my-method' },
  );
}
