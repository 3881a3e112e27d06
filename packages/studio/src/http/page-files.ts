/** The page's files: built into the package, or built when they are asked for in a clone. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';

export interface PageFiles {
  readonly 'index.html': string;
  readonly 'page.js': string;
  readonly 'page.css': string;
}

const NAMES = ['index.html', 'page.js', 'page.css'] as const;

/** Beside the sources in a clone, and in no package. */
const BUILDER = new URL('../../build-page.mjs', import.meta.url);

export async function pageFiles(): Promise<PageFiles> {
  if (existsSync(BUILDER)) {
    const { buildPage } = (await import(BUILDER.href)) as {
      buildPage(): Promise<PageFiles>;
    };
    return buildPage();
  }
  const files = await Promise.all(
    NAMES.map(async (name) => [
      name,
      await readFile(new URL(`../page/${name}`, import.meta.url), 'utf8'),
    ]),
  );
  return Object.fromEntries(files) as PageFiles;
}
