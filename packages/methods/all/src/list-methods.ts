/** What each name stands for, for people to choose from. */
import type { AnyMethod } from '@peft/core';
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
}

/**
 * A line for each name that `methodNamed` knows.
 * @param plugins further methods, listed first
 */
export function listMethods(plugins: readonly NamedMethod[] = []): MethodLine[] {
  const methods = [...plugins, ...allMethods].map((method): MethodLine => ({
    name: method.name,
    parts: [],
    files: filesOf([method]),
    paper: method.paper,
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
        paper,
      };
    });
  return [...methods, ...combined];
}

/** A union with one method of PEFT's is written as that; PEFT has no unions of two. */
function filesOf(methods: readonly AnyMethod[]): MethodLine['files'] {
  if (methods.some(({ format }) => format?.name.startsWith('adapter-hub'))) return 'adapter-hub';
  return new Set(methods.flatMap(({ peftType }) => peftType ?? [])).size === 1 ? 'PEFT' : 'its own';
}
