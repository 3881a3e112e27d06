/** What each name stands for, for people to choose from. */
import {
  adapterCounts,
  attachAdapter,
  specOf,
  type AnyMethod,
  type MethodSpec,
  type ModelDescription,
} from '@peft/core';
import { PeftError } from '@peft/errors';
import { allMethods, type NamedMethod } from './all-methods.js';
import { AUTOGLUON_METHODS, autogluonMethod } from './autogluon-methods.js';
import { COMBINATIONS } from './combinations.js';

/** A line about a method. */
export interface MethodLine {
  readonly name: string;
  /** Methods that it is made of, where that is not itself. */
  readonly parts: readonly string[];
  /** Whose files it is written in. */
  readonly files: 'PEFT' | 'adapter-hub' | 'its own';
  readonly paper?: { readonly title: string; readonly url: string };
  /** What it computes, on one line. */
  readonly formula?: string;
  /** What {@link listMethods} found on the model that it was given. */
  readonly facts?: MethodFacts;
}

/** A method on a model, with its default targets and options. */
export interface MethodFacts {
  readonly trainable: number;
  /** Whether it can be merged into the model's weights. */
  readonly merges: boolean;
}

/**
 * What a spec would train on a model, heads apart; undefined where it has nothing to attach to.
 * @throws what the method throws for options that do not fit
 */
export function methodFacts(
  spec: MethodSpec,
  description: ModelDescription,
): MethodFacts | undefined {
  const parts = spec.parts.map((part) => ({
    ...part,
    common: { ...part.common, modulesToSave: [] },
  }));
  try {
    const adapter = attachAdapter('facts', { ...spec, parts }, description, undefined);
    const attached = [...adapter.attachments.values()].flat();
    return {
      trainable: adapterCounts(description, [adapter]).trainable,
      merges: attached.every(({ attachment }) => 'merge' in attachment!),
    };
  } catch (error) {
    const isMissing =
      error instanceof PeftError &&
      ['PEFT_METHOD_UNSUPPORTED', 'PEFT_TARGET_NOT_FOUND'].includes(error.code);
    if (isMissing) return undefined;
    throw error;
  }
}

/**
 * A line for each name that `methodNamed` knows.
 * @param plugins further methods, listed first
 * @param description a model to look at the methods on
 */
export function listMethods(
  plugins: readonly NamedMethod[] = [],
  description?: ModelDescription,
): MethodLine[] {
  const factsOf = (spec: MethodSpec) => description && methodFacts(spec, description);
  const methods = [...plugins, ...allMethods].map((method): MethodLine => ({
    name: method.name,
    parts: [],
    files: filesOf([method]),
    paper: method.paper,
    formula: method.formula,
    facts: factsOf(specOf(method, method.exampleOptions ?? {})),
  }));
  const made = [
    ...Object.entries(COMBINATIONS).map(([name, make]) => [name, make()] as const),
    ...AUTOGLUON_METHODS.map((name) => [name, autogluonMethod(name)] as const),
  ];
  const known = new Set(methods.map(({ name }) => name));
  const combined = made
    .filter(([name]) => !known.has(name))
    .map(([name, spec]): MethodLine => {
      const { parts } = spec;
      const of = parts.map(({ method }) => method);
      const paper = of.length === 1 ? of[0]!.paper : undefined;
      return {
        name,
        parts: of.map((method) => method.name),
        files: filesOf(of),
        paper,
        facts: factsOf(spec),
      };
    });
  return [...methods, ...combined];
}

/** A union with one method of PEFT's is written as that; PEFT has no unions of two. */
function filesOf(methods: readonly AnyMethod[]): MethodLine['files'] {
  if (methods.some(({ format }) => format?.name.startsWith('adapter-hub'))) return 'adapter-hub';
  return new Set(methods.flatMap(({ peftType }) => peftType ?? [])).size === 1 ? 'PEFT' : 'its own';
}
