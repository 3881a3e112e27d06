/**
 * The methods that a command knows by name: those of `@peft/methods`, and those of plug-ins.
 */
import { pathToFileURL } from 'node:url';
import { resolve } from 'node:path';
import type { MethodSpec, Module } from '@peft/core';
import { check, PeftError } from '@peft/errors';
import { methodNamed as methodOf, type NamedMethod } from '@peft/methods';
import { usesAutogluonLayers, withMethods, type TaskName } from '@peft/predictor';
import { PAPER_QUANTIZATION } from '@peft/qlora';

/**
 * Settings that belong to a method: QLoRA's base in 4 bits, `--option quantization=fp4` for another
 * format.
 * @throws PEFT_CONFIG_INVALID for no such format
 */
export function methodSettings(
  name: string | undefined,
  options: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  if (name !== 'qlora') return {};
  const { quantization = PAPER_QUANTIZATION.format } = options;
  check.oneOf('qlora', 'quantization', quantization, ['nf4', 'fp4', 'int8']);
  return { 'model.hf_text.quantization': quantization };
}

/**
 * Composes a predictor that knows the methods of plug-ins beside ours, so that it can load what
 * they trained.
 */
export const methodModules = (plugins: readonly NamedMethod[]): readonly Module[] => [
  withMethods(...plugins),
];

/**
 * The methods that plug-in modules export: every exported value that `definePeftMethod` made.
 * @throws PEFT_PLUGIN_LOAD when a file cannot be imported, PEFT_PLUGIN_EMPTY when it exports no
 *   method
 */
export async function loadPlugins(paths: readonly string[]): Promise<NamedMethod[]> {
  const methods: NamedMethod[] = [];
  for (const path of paths) {
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

/**
 * The spec of a method by name: `ia3_bias`, `lora`, `houlsby`, a plug-in's. Options go to the
 * method's own parser.
 * @param task language models and embeddings take the methods' own layers, where AutoGluon's are
 *   for encoders.
 * @throws PEFT_METHOD_UNKNOWN with the nearest name
 */
export const methodNamed = (
  name: string,
  options: Readonly<Record<string, unknown>>,
  plugins: readonly NamedMethod[],
  task?: TaskName,
): MethodSpec =>
  methodOf(name, options, { plugins, layers: usesAutogluonLayers(task) ? 'autogluon' : 'own' });
