/** A hub with two models of the fixtures, and an empty cache. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ResolveModelOptions } from '../../src/download/resolve-model.js';
import { type FakeHub, fakeHub } from './fake-hub.js';
import { fixturePath, temporaryFolder } from './paths.js';

const fixtureFiles = (family: string, keep: (name: string) => boolean) =>
  Object.fromEntries(
    readdirSync(fixturePath(`models/${family}`))
      .filter(keep)
      .map((name) => [name, readFileSync(fixturePath(`models/${family}/${name}`))]),
  );

const deberta = () => ({
  'README.md': '# a model',
  'tf_model.h5': 'x',
  ...fixtureFiles('deberta-v2', (name) => !/^(case|expected)/.test(name)),
});
const mistral = () => fixtureFiles('mistral', (name) => !/^(case|expected)/.test(name));
/** Files of `org/deberta` that are downloaded. */
export const files = [
  'config.json',
  'model.safetensors',
  'tokenizer.json',
  'tokenizer_config.json',
];

/** The hub with two models, an empty cache, and options that point to both. */
export async function setup(): Promise<{
  hub: FakeHub;
  cacheDir: string;
  options: ResolveModelOptions;
}> {
  const hub = await fakeHub({ models: { 'org/deberta': deberta(), 'org/mistral': mistral() } });
  const cacheDir = temporaryFolder();
  return {
    hub,
    cacheDir,
    options: { cacheDir, endpoint: hub.endpoint, token: false, retries: 0, retryDelayMs: 1 },
  };
}

/** Names of downloads that are not whole. */
export const partialsIn = (cacheDir: string, model: string): string[] =>
  readdirSync(join(cacheDir, model, 'blobs')).filter((name) => name.endsWith('.incomplete'));
