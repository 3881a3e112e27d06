/** Examples of READMEs, and a folder in which they can run. */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** The first example in TypeScript below a heading of the repository's README. */
export function exampleBelow(root: string, heading: string): string {
  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  const section = readme.slice(readme.indexOf(`\n## ${heading}\n`));
  return /^```ts\n([\s\S]*?)^```/m.exec(section)![1]!;
}

/** The first example in TypeScript of a package's README; undefined where it has none. */
export function readmeExample(root: string, folder: string): string | undefined {
  return /^```ts\n([\s\S]*?)^```/m.exec(readFileSync(join(root, folder, 'README.md'), 'utf8'))?.[1];
}

/** Small checkpoints under the names that examples give them. */
const CHECKPOINTS: Readonly<Record<string, string>> = {
  model: 'bert',
  llama: 'llama',
  'mdeberta-v3-base': 'deberta-v2',
};

/** What the examples name: checkpoints, and tables of texts with their topics. */
export function furnish(root: string, folder: string): void {
  mkdirSync(folder, { recursive: true });
  for (const [name, fixture] of Object.entries(CHECKPOINTS))
    cpSync(join(root, 'packages/testing/fixtures/models', fixture), join(folder, name), {
      recursive: true,
      filter: (path) => !/(case\.json|expected\.safetensors)$/.test(path),
    });
  const rows = (count: number, separator: string) =>
    Array.from({ length: count }, (_, i) =>
      i % 2
        ? `sports${separator}the team won match ${i}\n`
        : `health${separator}the doctor saw patient ${i}\n`,
    ).join('');
  writeFileSync(join(folder, 'train.csv'), `topic,text\n${rows(40, ',')}`);
  writeFileSync(join(folder, 'test.csv'), `topic,text\n${rows(8, ',')}`);
  writeFileSync(join(folder, 'en_train.tsv'), rows(60, '\t'));
}
