/** Bundles the page into one script and one style sheet: `node build-page.mjs` writes dist/page. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const place = (name) => fileURLToPath(new URL(name, import.meta.url));

/** @returns {Promise<Record<'index.html' | 'page.js' | 'page.css', string>>} */
export async function buildPage() {
  const { outputFiles } = await build({
    entryPoints: { page: place('page/main.tsx') },
    bundle: true,
    minify: true,
    write: false,
    outdir: place('dist/page'),
    format: 'esm',
    target: 'es2022',
    jsx: 'automatic',
    jsxImportSource: 'preact',
    legalComments: 'eof',
    logLevel: 'error',
  });
  const textOf = (ending) => outputFiles.find(({ path }) => path.endsWith(ending)).text;
  return {
    'index.html': await readFile(place('page/index.html'), 'utf8'),
    'page.js': textOf('.js'),
    'page.css': textOf('.css'),
  };
}

/** What is in the bundle, with the licences that it comes under. */
async function licences() {
  const { resolve } = createRequire(import.meta.url);
  const texts = ['preact', 'uplot'].map(async (name) => {
    const folder = dirname(resolve(`${name}/package.json`));
    return `${name}\n\n${await readFile(join(folder, 'LICENSE'), 'utf8')}`;
  });
  return (await Promise.all(texts)).join('\n\n');
}

if (pathToFileURL(process.argv[1] ?? '').href === import.meta.url) {
  const files = { ...(await buildPage()), 'licences.txt': await licences() };
  await mkdir(place('dist/page'), { recursive: true });
  for (const [name, text] of Object.entries(files))
    await writeFile(place(`dist/page/${name}`), text);
}
