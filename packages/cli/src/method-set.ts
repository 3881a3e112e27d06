/**
 * The methods that a command knows by name: ours, AutoGluon's combinations, and those of plug-ins.
 */
import { pathToFileURL } from 'node:url';
import { resolve } from 'node:path';
import { adalora } from '@peft/adalora';
import {
  adapter,
  adapterFusion,
  adapterPlus,
  compacter,
  compacterPlusPlus,
  houlsby,
  invertibleAdapter,
  parallelAdapter,
  pfeiffer,
  scaledParallelAdapter,
} from '@peft/adapter';
import { bitfit, lnTuning } from '@peft/bitfit';
import type { AnyMethod, MethodSpec, Module } from '@peft/core';
import { check, didYouMean, PeftError } from '@peft/errors';
import { ia3 } from '@peft/ia3';
import { lora } from '@peft/lora';
import { loha, lokr } from '@peft/lycoris';
import { mam, unipelt } from '@peft/mam';
import { oft } from '@peft/oft';
import {
  AUTOGLUON_METHODS,
  autogluonMethod,
  isTableTask,
  withMethods,
  type AutogluonMethod,
  type TaskName,
} from '@peft/predictor';
import {
  attentionPrefix,
  embeddedPrompt,
  prefixTuning,
  promptTuning,
  pTuning,
} from '@peft/prompt-tuning';
import { PAPER_QUANTIZATION, qlora, type QloraOptions } from '@peft/qlora';
import { diReft, loReft, noReft, reft } from '@peft/reft';
import { trainableTokens } from '@peft/trainable-tokens';
import { vera } from '@peft/vera';

/** A method that can be called with its options. */
export type NamedMethod = AnyMethod & ((options?: never) => MethodSpec);

/**
 * Ours under their own names. AutoGluon's `lora` and `ia3` are `lora` and `ia3` without options.
 */
const OWN_METHODS: readonly NamedMethod[] = Object.freeze([
  lora,
  ia3,
  bitfit,
  lnTuning,
  adapter,
  adapterFusion,
  attentionPrefix,
  embeddedPrompt,
  prefixTuning,
  promptTuning,
  pTuning,
  adalora,
  vera,
  loha,
  lokr,
  oft,
  trainableTokens,
  reft,
]);

/** Named settings and unions of the methods above. */
const COMBINATIONS: Readonly<Record<string, (options?: never) => MethodSpec>> = Object.freeze({
  houlsby,
  pfeiffer,
  parallel: parallelAdapter,
  'scaled-parallel': scaledParallelAdapter,
  compacter,
  'compacter++': compacterPlusPlus,
  invertible: invertibleAdapter,
  'adapter-plus': adapterPlus,
  mam,
  unipelt,
  loreft: loReft,
  noreft: noReft,
  direft: diReft,
  qlora: ({ quantization: _, ...options }: QloraFlags = {}) => qlora(options).method,
});

/** On the command line a quantisation is the name of its format. */
type QloraFlags = Omit<QloraOptions, 'quantization'> & { readonly quantization?: string };

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

/** A line about a method. */
export interface MethodLine {
  readonly name: string;
  /** Methods that it is made of, where that is not itself. */
  readonly parts: readonly string[];
  /** Whose files it is written in. */
  readonly files: 'PEFT' | 'adapter-hub' | 'its own';
  readonly paper?: { readonly title: string; readonly url: string };
}

/** Every name that {@link methodNamed} knows. */
export function listMethods(plugins: readonly NamedMethod[]): MethodLine[] {
  const methods = [...plugins, ...OWN_METHODS].map((method): MethodLine => ({
    name: method.name,
    parts: [],
    files: filesOf([method]),
    ...(method.paper && { paper: method.paper }),
  }));
  const made = [
    ...Object.entries(COMBINATIONS).map(([name, make]) => [name, make()] as const),
    ...AUTOGLUON_METHODS.map((name) => [name, autogluonMethod(name)] as const),
  ];
  const known = new Set(methods.map(({ name }) => name));
  const combined = made
    .filter(([name]) => !known.has(name))
    .map(([name, { parts }]): MethodLine => {
      const of = parts.map(({ method }) => method);
      const paper = of.length === 1 ? of[0]!.paper : undefined;
      return {
        name,
        parts: of.map((method) => method.name),
        files: filesOf(of),
        ...(paper && { paper }),
      };
    });
  return [...methods, ...combined];
}

/** A union with one method of PEFT's is written as that; PEFT has no unions of two. */
function filesOf(methods: readonly AnyMethod[]): MethodLine['files'] {
  if (methods.some(({ format }) => format?.name.startsWith('adapter-hub'))) return 'adapter-hub';
  return new Set(methods.flatMap(({ peftType }) => peftType ?? [])).size === 1 ? 'PEFT' : 'its own';
}

/**
 * Composes a predictor that knows all of our methods and those of plug-ins, so that it can load
 * what they trained.
 */
export const methodModules = (plugins: readonly NamedMethod[]): readonly Module[] => [
  withMethods(...plugins, ...OWN_METHODS),
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
export function methodNamed(
  name: string,
  options: Readonly<Record<string, unknown>>,
  plugins: readonly NamedMethod[],
  task?: TaskName,
): MethodSpec {
  const methods = [...plugins, ...OWN_METHODS];
  const isAutogluon = (AUTOGLUON_METHODS as readonly string[]).includes(name);
  const own = methods.find((method) => method.name === name);
  const isAutogluonTask = isTableTask(task) || task === 'token-classification';
  if (isAutogluon && ((isAutogluonTask && Object.keys(options).length === 0) || !own)) {
    check.knownKeys(name, options, ['rank', 'alpha', 'filter', 'moduleFilter']);
    return autogluonMethod(name as AutogluonMethod, options);
  }
  if (own) return own(options as never);
  if (Object.hasOwn(COMBINATIONS, name)) return COMBINATIONS[name]!(options as never);
  const names = [
    ...new Set([
      ...methods.map((method) => method.name as string),
      ...Object.keys(COMBINATIONS),
      ...AUTOGLUON_METHODS,
    ]),
  ];
  throw new PeftError('PEFT_METHOD_UNKNOWN', `there is no method ${JSON.stringify(name)}.`, {
    hint: `${didYouMean(name, names)} Known: ${names.join(', ')}. A third party's is loaded with --plugin.`.trim(),
  });
}
