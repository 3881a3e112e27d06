/**
 * Paths, parameters and their order against what transformers lists
 * (`tools/cases/make_model_names.py`).
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  architectureFor,
  describeModel,
  parameterCount,
  type HeadOptions,
  type ModelDescription,
  type SiteKind,
} from '@peft/core';
import { architectures } from '@peft/models';
import { FIXTURES, readConfigJson } from './fixtures.js';

type Listed = { readonly parameters: Readonly<Record<string, readonly number[]>> } & Readonly<
  Record<'linear' | 'norm' | 'embedding', readonly string[]>
>;
const listed = JSON.parse(readFileSync(join(FIXTURES, 'models/names.json'), 'utf8')) as Record<
  string,
  Listed
>;

const describeFolder = (folder: string, kind: string): ModelDescription => {
  const json = readConfigJson(`models/${folder}`);
  const architecture = architectureFor(json['model_type'], architectures);
  return describeModel(
    architecture,
    architecture.parseConfig(json),
    (kind.endsWith('classification') ? { kind, outputs: 3 } : { kind }) as HeadOptions,
  );
};

/** As the reference has them: all experts of a block in one, buffers in none. */
function listedParameters(description: ModelDescription): Map<string, readonly number[]> {
  const parameters = new Map<string, readonly number[]>();
  for (const { name, shape, transposed, entry, isBuffer = false } of description.parameters) {
    if (isBuffer) continue;
    const stored = transposed ? [...shape].reverse() : shape;
    if (entry) parameters.set(entry.of, [entry.count, ...stored]);
    else parameters.set(name, stored);
  }
  return parameters;
}

describe.each(Object.keys(listed))('%s', (key) => {
  const [folder, kind] = key.split(' ') as [string, string];
  const wanted = listed[key]!;
  const description = describeFolder(folder, kind);
  const paths = (of: SiteKind) =>
    description.sites
      .filter((site) => site.kind === of && !(site.kind === 'linear' && site.isBareParameter))
      .map(({ path }) => path)
      .sort();

  test('has the parameters of the reference, in its order and with its shapes', () => {
    const got = [...listedParameters(description)];
    // transformers 5 ties every T5; which one is shows in its file.
    expect(
      got.filter(
        ([name]) => !(description.head.kind === 'seq2seq-lm' && name === 'lm_head.weight'),
      ),
    ).toEqual(Object.entries(wanted.parameters));
  });

  test('has a site at each linear, norm and embedding module', () => {
    expect(paths('linear')).toEqual([...wanted.linear].sort());
    expect(paths('norm')).toEqual([...wanted.norm].sort());
    expect(paths('embedding')).toEqual([...wanted.embedding].sort());
  });

  test('names every site once', () => {
    const names = description.sites.map(({ kind: of, path }) => `${of} ${path}`);
    expect(names.length).toBe(new Set(names).size);
  });
});

describe('real-size models', () => {
  const { models } = JSON.parse(readFileSync(join(FIXTURES, 'autogluon/counts.json'), 'utf8')) as {
    models: Record<string, { none: { total: number } }>;
  };

  test.each(Object.keys(models))(
    '%s has as many parameters with a linear head as AutoGluon counts',
    (name) => {
      const json = readConfigJson(`autogluon/configs/${name}`);
      const architecture = architectureFor(json['model_type'], architectures);
      expect(
        parameterCount(
          describeModel(architecture, architecture.parseConfig(json), {
            kind: 'pooled-linear',
            outputs: 2,
          }),
        ),
      ).toBe(models[name]!.none.total);
    },
  );
});
