/**
 * A golden case: a folder with `case.json` and `expected.safetensors`, and the comparison of what
 * was computed with it.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { openSafetensors, readTensor } from '@peft/hub';
import type { Engine } from '@peft/ops';

export interface GoldenContext {
  /** The folder that paths such as `models/bert` in a case are relative to. */
  readonly fixtures: string;
  /** Active. */
  readonly engine: Engine;
  /** Told of every tensor that is compared. */
  readonly onCompared?: (
    name: string,
    actual: ArrayLike<number>,
    expected: ArrayLike<number>,
  ) => void;
}

export interface GoldenResult {
  readonly status: 'passed' | 'failed' | 'unsupported';
  readonly detail: string;
}

/** What `sections/<section>.ts` exports. */
export interface GoldenSection {
  check(caseFolder: string, context: GoldenContext): Promise<GoldenResult>;
}

export interface GoldenCase {
  readonly folder: string;
  readonly section: string;
  /** `case.json`, whole. */
  readonly json: Readonly<Record<string, unknown>>;
  readonly tensors: ReadonlyMap<string, GoldenTensor>;
}

export interface GoldenTensor {
  readonly shape: readonly number[];
  readonly values: Float64Array;
  /** Largest difference allowed; null: none at all. */
  readonly tolerance: number | null;
}

interface Expected {
  readonly file?: string;
  readonly tensors?: Readonly<Record<string, { readonly atol: number | null }>>;
  readonly atol_for?: Readonly<Record<string, number | null>>;
}

/** Reads a case with all of its expected tensors. */
export function readGoldenCase(folder: string): GoldenCase {
  const json = JSON.parse(readFileSync(join(folder, 'case.json'), 'utf8')) as Record<
    string,
    unknown
  >;
  const expected = (json['expected'] ?? {}) as Expected;
  const path = join(folder, expected.file ?? 'expected.safetensors');
  return {
    folder,
    section: String(json['section']),
    json,
    tensors: existsSync(path) ? readTensors(path, expected) : new Map(),
  };
}

/**
 * Tolerance of a tensor: its own, else that of the first pattern that matches (`*` stands for
 * anything).
 */
export function toleranceOf(
  name: string,
  { tensors = {}, atol_for: own = {} }: Expected,
): number | null | undefined {
  if (own[name] !== undefined) return own[name];
  const pattern = Object.keys(tensors).find((each) =>
    new RegExp(
      `^${each
        .split('*')
        .map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
        .join('.*')}$`,
    ).test(name),
  );
  return pattern === undefined ? undefined : tensors[pattern]!.atol;
}

function readTensors(path: string, expected: Expected): Map<string, GoldenTensor> {
  const store = openSafetensors(path);
  try {
    return new Map(
      store.names().map((name) => {
        const { shape, values } = readTensor(store.get(name)!);
        const tolerance = toleranceOf(name, expected);
        if (tolerance === undefined)
          throw new Error(`${path}: no pattern of case.json gives a tolerance for "${name}"`);
        return [
          name,
          {
            shape,
            values: Float64Array.from(values as Iterable<number | bigint>, Number),
            tolerance,
          },
        ];
      }),
    );
  } finally {
    store.close();
  }
}
