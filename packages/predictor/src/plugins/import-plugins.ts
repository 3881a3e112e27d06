/** Modules of third parties, imported by path or name for the values that they export. */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { PeftError, show } from '@peft/errors';

/**
 * Imports modules and picks the values that a caller has a use for.
 * @param paths paths of modules, relative to the working folder, or names of installed packages
 * @param isWanted whether a value is of a kind that the caller takes
 * @param kinds what those are, for the error: `methods, engines`
 * @returns each value once, in the order of the modules
 * @throws PEFT_PLUGIN_NAME for what is neither a path nor the name of a package (`data:`, `https:`),
 *   PEFT_PLUGIN_LOAD when a module cannot be imported, PEFT_PLUGIN_EMPTY when it exports none
 */
export async function importPlugins(
  paths: readonly string[],
  isWanted: (value: unknown) => boolean,
  kinds: string,
): Promise<readonly unknown[]> {
  const exported: unknown[] = [];
  for (const path of paths) {
    requirePluginName(path);
    const values = await importPlugin(path);
    const found = Object.values(values).filter(isWanted);
    if (found.length === 0)
      throw new PeftError(
        'PEFT_PLUGIN_EMPTY',
        `plugin ${show(path)}: it exports ${Object.keys(values).join(', ') || 'nothing'}, and ` +
          `none of it is what is taken here: ${kinds}.`,
        { hint: 'leave it out here, or export what is: definePeftMethod and its kin make them' },
      );
    exported.push(...found);
  }
  return [...new Set(exported)];
}

/**
 * A path, or a package's name with a path inside it: nothing with a scheme.
 * @throws PEFT_PLUGIN_NAME
 */
export function requirePluginName(plugin: string): void {
  const isPath = /^\.{0,2}\//.test(plugin) || /^[A-Za-z]:[\\/]/.test(plugin);
  if (isPath || !plugin.includes(':')) return;
  throw new PeftError(
    'PEFT_PLUGIN_NAME',
    `plugin ${show(plugin)}: it is neither a path nor the name of an installed package.`,
    { hint: 'for instance ./my-method.mjs or my-method (CLI: --plugin ./my-method.mjs)' },
  );
}

async function importPlugin(path: string): Promise<Record<string, unknown>> {
  const isFile = path.startsWith('.') || path.startsWith('/') || /\.[cm]?[jt]s$/.test(path);
  try {
    const specifier = isFile ? pathToFileURL(resolve(path)).href : path;
    return (await import(specifier)) as Record<string, unknown>;
  } catch (cause) {
    throw new PeftError('PEFT_PLUGIN_LOAD', `plugin ${show(path)}: ${(cause as Error).message}`, {
      hint: 'give the path of a module, or the name of an installed package',
      cause,
    });
  }
}
