import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Model } from '@peft/core';
import { lora } from '@peft/lora';
import type { Engine } from '@peft/ops';
import { vera } from '@peft/vera';
import { describe, expect, it } from 'vitest';
import { moveParameters, useModel, usePortableEngine, useTemporaryFolder } from './set-up.js';
import { tinyModels } from './tiny-models.js';

describe('set-up', () => {
  let engine: Engine;
  let model: Model;
  let folder: string;
  const seen: { readonly models: Model[]; readonly folders: string[] } = {
    models: [],
    folders: [],
  };
  usePortableEngine((active) => (engine = active));
  useTemporaryFolder((path) => (folder = path));
  useModel(
    () => tinyModels()[0]!.open(engine),
    (made) => (model = made),
  );

  it.each([1, 2])('gives test %i a model and an empty folder of its own', (nth) => {
    expect(readdirSync(folder)).toEqual([]);
    writeFileSync(join(folder, 'left'), '');
    seen.models.push(model);
    seen.folders.push(folder);
    expect(new Set(seen.models).size).toBe(nth);
    for (const other of seen.folders.slice(0, -1)) expect(existsSync(other)).toBe(false);
  });

  it('moves what an adapter trains, the same for the same seed, and nothing else', () => {
    const values = (name: string) =>
      new Map(
        [...model.adapter(name).parameters].map(([key, { value }]) => [key, [...value.dataSync()]]),
      );
    model.addAdapter('a', vera({ rank: 3, modulesToSave: [] }));
    const start = values('a');
    moveParameters(model.adapter('a'), 1, 0.1);
    const moved = values('a');
    for (const [key, { trainable }] of model.adapter('a').parameters) {
      if (trainable) expect(moved.get(key)).not.toEqual(start.get(key));
      else expect(moved.get(key)).toEqual(start.get(key));
    }
    model.deleteAdapter('a');
    moveParameters(model.addAdapter('a', vera({ rank: 3, modulesToSave: [] })), 1, 0.1);
    expect(values('a')).toEqual(moved);
    model.deleteAdapter('a');
    moveParameters(
      model.addAdapter('a', lora({ rank: 2, modulesToSave: [] })),
      1,
      0.1,
      () => false,
    );
    expect(
      [...values('a')]
        .filter(([key]) => key.endsWith('lora_B.weight'))
        .every(([, each]) => each.every((value) => value === 0)),
    ).toBe(true);
  });
});
