/** Examples of READMEs, and a folder in which they can run. */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** The first example in TypeScript of a package's README; undefined where it has none. */
export function readmeExample(root: string, folder: string): string | undefined {
  return /^```ts\n([\s\S]*?)^```/m.exec(readFileSync(join(root, folder, 'README.md'), 'utf8'))?.[1];
}

/** What the examples name: a small checkpoint `./model`, and tables of texts with their topics. */
export function furnish(root: string, folder: string): void {
  mkdirSync(folder, { recursive: true });
  cpSync(join(root, 'packages/testing/fixtures/models/bert'), join(folder, 'model'), {
    recursive: true,
    filter: (path) => !/(case\.json|expected\.safetensors)$/.test(path),
  });
  const rows = (count: number) =>
    Array.from({ length: count }, (_, i) =>
      i % 2 ? `sports,the team won match ${i}` : `health,the doctor saw patient ${i}`,
    );
  writeFileSync(join(folder, 'train.csv'), `topic,text\n${rows(40).join('\n')}\n`);
  writeFileSync(join(folder, 'test.csv'), `topic,text\n${rows(8).join('\n')}\n`);
}
