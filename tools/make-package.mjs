/**
 * Writes the package.json, tsconfig.json and README.md of a new package: `node
 * tools/make-package.mjs [methods/ | engines/]NAME "DESCRIPTION" [dependency…]`.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';

const [place, description, ...dependencies] = process.argv.slice(2);
const name = place.split('/').at(-1);
const folder = new URL(`../packages/${place}/`, import.meta.url);
if (existsSync(new URL('package.json', folder))) throw new Error(`packages/${place} exists`);
mkdirSync(new URL('src/', folder), { recursive: true });
const versions = { '@tensorflow/tfjs': '^4.22.0' };
const own = dependencies.filter((d) => d.startsWith('@peft/'));
const peers = dependencies.filter((d) => d in versions);
const other = dependencies
  .filter((d) => !own.includes(d) && !peers.includes(d))
  .map((d) => d.match(/^(.+)@([^@]+)$/).slice(1));
const manifest = {
  name: `@peft/${name}`,
  version: '0.1.0',
  description,
  license: 'Apache-2.0',
  type: 'module',
  sideEffects: false,
  engines: { node: '>=20.19' },
  exports: {
    '.': {
      '@peft/source': './src/index.ts',
      types: './dist/index.d.ts',
      default: './dist/index.js',
    },
  },
  files: ['dist', 'README.md'],
  scripts: { build: 'tsc -p tsconfig.json', publint: 'publint --strict' },
  dependencies: Object.fromEntries([...own.map((d) => [d, '^0.1.0']), ...other].sort()),
  ...(peers.length
    ? { peerDependencies: Object.fromEntries(peers.map((d) => [d, versions[d]])) }
    : {}),
};
const json = (value) => `${JSON.stringify(value, null, 2)}\n`;
writeFileSync(new URL('package.json', folder), json(manifest));
writeFileSync(
  new URL('tsconfig.json', folder),
  json({
    extends: `${'../'.repeat(place.split('/').length + 1)}tsconfig.base.json`,
    compilerOptions: { rootDir: 'src', outDir: 'dist' },
    include: ['src'],
    exclude: ['**/*.test.ts'],
  }),
);
if (!existsSync(new URL('README.md', folder)))
  writeFileSync(new URL('README.md', folder), `# @peft/${name}\n\n${description}.\n`);
if (!existsSync(new URL('src/index.ts', folder)))
  writeFileSync(new URL('src/index.ts', folder), 'export {};\n');
