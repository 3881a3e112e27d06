/**
 * Installs the packed packages into an empty folder and uses them as strangers do: from ESM,
 * CommonJS and strict TypeScript.
 */
import { execFile, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import ts from 'typescript';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makePlatformPackage } from '../native/native-release.js';
import { isMethodFolder } from '../packages.mjs';
import { importedPackages, installLine, makeProject } from './install-line.js';
import { packAll, packFolder, publishedFolders, readManifest } from './pack.js';
import { exampleBelow, furnish, readmeExample } from './readme-examples.js';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));
const folders = publishedFolders(root);
const methods = folders.filter(isMethodFolder);

let work: string;
/** Where everything was installed. */
let project: string;
const platformPackage = `@peft/native-${process.platform}-${process.arch}`;
const isCompiled = existsSync(join(root, 'packages/engines/native/build/Release/peft_native.node'));

beforeAll(async () => {
  work = realpathSync(mkdtempSync(join(tmpdir(), 'peft-packed-')));
  const tarballs = await packAll(root, work);
  if (isCompiled)
    tarballs.set(
      platformPackage,
      await packFolder(makePlatformPackage(join(work, 'platform')), work),
    );
  project = join(work, 'project');
  mkdirSync(project);
  const dependencies = Object.fromEntries(
    [...tarballs].map(([name, path]) => [name, `file:${path}`]),
  );
  const {
    devDependencies: { '@tensorflow/tfjs': tfjs },
  } = readManifest(root) as unknown as { devDependencies: Record<string, string> };
  writeFileSync(
    join(project, 'package.json'),
    JSON.stringify({
      name: 'a-project-of-a-user',
      private: true,
      type: 'module',
      dependencies: { ...dependencies, '@tensorflow/tfjs': tfjs },
    }),
  );
  await run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund'], {
    cwd: project,
    maxBuffer: 1 << 26,
  });
}, 1_200_000);
afterAll(() => rmSync(work, { recursive: true, force: true }));

const node = async (...words: string[]): Promise<string> =>
  (await run(process.execPath, words, { cwd: project, maxBuffer: 1 << 26 })).stdout;

test('each package holds its build, its types and a README, and no sources or tests', () => {
  for (const folder of folders) {
    const { name } = readManifest(join(root, folder));
    const installed = join(project, 'node_modules', name);
    expect(existsSync(join(installed, 'README.md')), `${name}: README.md`).toBe(true);
    const files = readdirSync(installed, { recursive: true }) as string[];
    expect(
      files.filter(
        (file) =>
          !file.startsWith('template') && /(^|[/\\])(src|test|fixtures)[/\\]|\.test\./.test(file),
      ),
      name,
    ).toEqual([]);
    if (!readManifest(installed).files.includes('dist')) continue;
    expect(files, name).toEqual(
      expect.arrayContaining(['dist/index.js', 'dist/index.d.ts'].map((file) => join(file))),
    );
  }
});

test('there is one copy of TensorFlow.js', () => {
  const copies = (
    readdirSync(join(project, 'node_modules'), { recursive: true }) as string[]
  ).filter((path) => /@tensorflow[/\\]tfjs-core[/\\]package\.json$/.test(path));
  expect(copies).toHaveLength(1);
});

const importable = () => folders.map((folder) => readManifest(join(root, folder)).name);

test('an ESM program imports every package', async () => {
  writeFileSync(
    join(project, 'all.mjs'),
    `for (const name of ${JSON.stringify(importable())}) console.log(name, Object.keys(await import(name)).length);`,
  );
  const lines = (await node('all.mjs')).trim().split('\n');
  expect(lines.map((line) => line.split(' ')[0])).toEqual(importable());
  expect(lines.filter((line) => line.endsWith(' 0'))).toEqual([]);
});

test('a CommonJS program requires every package, and shares its instance of TensorFlow.js', async () => {
  // vitest refuses to be required
  const names = importable().filter((name) => name !== '@peft/testing');
  writeFileSync(
    join(project, 'all.cjs'),
    `
    for (const name of ${JSON.stringify(names)}) require(name);
    const tf = require('@tensorflow/tfjs');
    require('@peft/portable').createPortableEngine().then(async (engine) => {
      await engine.activate();
      console.log(tf.getBackend(), require('@peft/lora').lora({ rank: 4 }).name);
      engine.dispose();
    });`,
  );
  expect((await node('--no-warnings', 'all.cjs')).trim()).toMatch(/^\w+ lora$/);
});

/** The engine works, and packages that were imported statically are the ones that it finds. */
const RUNTIME_PROGRAM = `
  import { createPortableEngine } from '@peft/portable';
  import { lora } from '@peft/lora';
  import { PeftPredictor } from '@peft/predictor';
  const engine = await createPortableEngine();
  await engine.activate();
  console.log(engine.name, lora({ rank: 4 }).name, typeof PeftPredictor.load);
  engine.dispose();
`;
const RUNTIME_OUTPUT = 'portable lora function\n';

test('a program that a bundler put together runs, with the packages outside', async () => {
  writeFileSync(join(project, 'bundled-from.mjs'), RUNTIME_PROGRAM);
  await build({
    entryPoints: [join(project, 'bundled-from.mjs')],
    outfile: join(project, 'bundled.mjs'),
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
  });
  expect(await node('bundled.mjs')).toBe(RUNTIME_OUTPUT);
});

const bun = spawnSync('bun', ['--version'], { encoding: 'utf8' });
test.skipIf(bun.status !== 0)('Bun runs a program (skipped where there is no bun)', async () => {
  writeFileSync(join(project, 'in-bun.mjs'), RUNTIME_PROGRAM);
  const { stdout } = await run('bun', ['in-bun.mjs'], { cwd: project });
  expect(stdout).toBe(RUNTIME_OUTPUT);
});

test('the command runs', async () => {
  const { stdout } = await run(
    process.execPath,
    [
      join(project, 'node_modules/@peft/cli/bin/peft.mjs'),
      'inspect',
      join(root, 'packages/testing/fixtures/models/bert/config.json'),
      '--method',
      'lora',
    ],
    { cwd: project },
  );
  expect(stdout).toMatch(/lora: [\d,]+ trainable of [\d,]+ parameters/);
});

test.skipIf(!isCompiled)(
  'the native engine comes with the package of the platform; without it the error says what to type',
  async () => {
    const program = [
      '--no-warnings',
      '--input-type=module',
      '--eval',
      "import { createNativeEngine } from '@peft/native'; try { " +
        'console.log(createNativeEngine().description); } catch (error) { ' +
        'console.log(error.code, error.hint); }',
    ];
    expect(await node(...program)).toMatch(/^native \(/);
    expect(readdirSync(join(project, 'node_modules/@peft/native'))).not.toContain('build');
    const installed = join(project, 'node_modules', platformPackage);
    renameSync(installed, `${installed}.away`);
    expect(await node(...program)).toMatch(/^PEFT_NATIVE_UNAVAILABLE .*npx peft-native-build/);
    renameSync(`${installed}.away`, installed);
  },
);

test('npm create @peft/method writes a package of any kind that builds on the installed ones under its own strict settings', async () => {
  const command = 'node_modules/@peft/create-method/bin/create-method.mjs';
  await node(command, '--name', 'my-linear', '--kind', 'linear');
  await node(
    '--input-type=module',
    '--eval',
    "import { createMethod, KINDS } from '@peft/create-method';" +
      "for (const kind of KINDS.filter((name) => name !== 'linear'))" +
      'createMethod({ name: `my-${kind}`, kind, folder: `my-${kind}` });',
  );
  const settings = readFileSync(join(project, 'my-linear/tsconfig.json'), 'utf8');
  const { compilerOptions } = JSON.parse(settings) as { compilerOptions: object };
  const typeRoots = [join(root, 'node_modules/@types')];
  writeFileSync(
    join(project, 'tsconfig.json'),
    JSON.stringify({ compilerOptions: { ...compilerOptions, typeRoots }, include: ['my-*/src'] }),
  );
  const compiler = join(root, 'node_modules/typescript/bin/tsc');
  await node(compiler, '-p', project);
  await node(compiler, '-p', 'my-linear/tsconfig.build.json', '--typeRoots', typeRoots[0]!);
  const program = "console.log((await import('./my-linear/dist/index.js')).myLinear().name)";
  expect((await node('--input-type=module', '--eval', program)).trim()).toBe('my-linear');
});

test('strict TypeScript accepts the types, the examples and a CommonJS module, and no misspelt option', () => {
  const at = join(project, 'types');
  mkdirSync(at);
  writeFileSync(
    join(at, 'all.ts'),
    importable()
      .map((name, i) => `import * as package${i} from '${name}';\nexport { package${i} };\n`)
      .join(''),
  );
  writeFileSync(
    join(at, 'common.cts'),
    "import lora = require('@peft/lora');\nimport type { MethodSpec } from " +
      "'@peft/core';\nexport const spec: MethodSpec = lora.lora({ rank: 4 });\n",
  );
  writeFileSync(
    join(at, 'misspelt.ts'),
    "import { lora } from '@peft/lora';\n// @ts-expect-error no such option\nlora({ rnak: 4 });\n",
  );
  for (const folder of methods)
    writeFileSync(
      join(at, `${basename(folder)}.ts`),
      `${readmeExample(root, folder) ?? ''}\nexport {};\n`,
    );
  const files = readdirSync(at).map((file) => join(at, file));
  const program = ts.createProgram(files, {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    skipLibCheck: false,
    noEmit: true,
    types: ['node'],
    typeRoots: [join(root, 'node_modules/@types')],
  });
  // TensorFlow.js's own declarations do not pass; ours and the user's must.
  const faults = ts
    .getPreEmitDiagnostics(program)
    .filter(
      ({ file }) => !file || file.fileName.startsWith(at) || file.fileName.includes('/@peft/'),
    );
  expect(
    ts.formatDiagnostics(faults, {
      getCurrentDirectory: () => project,
      getCanonicalFileName: (name) => name,
      getNewLine: () => '\n',
    }),
  ).toBe('');
});

/** JavaScript of an example, as a file of a project. */
function writeExample(code: string, path: string): void {
  const { outputText } = ts.transpileModule(code, {
    compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext },
  });
  writeFileSync(path, outputText);
}

const runIn = (at: string, ...words: string[]) =>
  run(process.execPath, words, { cwd: at, maxBuffer: 1 << 26 });

test('two packages alone name the line that the shortest program lacks, and with it the program runs', async () => {
  const at = join(work, 'shortest');
  furnish(root, at);
  const installed = join(project, 'node_modules');
  makeProject(installed, ['@peft/lora', '@peft/core'], at);
  expect(existsSync(join(at, 'node_modules/@peft/models'))).toBe(false);
  writeExample(exampleBelow(root, 'An adapter on a model, by hand'), join(at, 'program.mjs'));
  const { stderr } = await runIn(at, 'program.mjs').catch((error: { stderr: string }) => error);
  expect(stderr).toMatch(/PEFT_PACKAGE_MISSING/);
  const [, names] = /hint: npm i (.*)$/m.exec(stderr)!;
  expect(names!.split(' ')).toEqual(['@peft/native', '@peft/models']);
  const platform = isCompiled ? [platformPackage] : ['@peft/portable'];
  makeProject(installed, ['@peft/lora', '@peft/core', ...names!.split(' '), ...platform], at);
  const { stdout } = await runIn(at, 'program.mjs');
  const losses = stdout.trim().split('\n').map(Number);
  expect(losses.at(-1)).toBeLessThan(losses[0]!);
  expect(readdirSync(join(at, 'out/adapter')).sort()).toEqual([
    'README.md',
    'adapter_config.json',
    'adapter_model.safetensors',
  ]);
});

/** Every package is `npm run check:long`'s; these stand for them with every change. */
const ALWAYS = ['packages/core', 'packages/predictor', 'packages/methods/lora'];
const isLong = process.env['PEFT_LONG_TESTS'] === '1';

describe('from its own install line', () => {
  const lines = folders.filter(
    (folder) => installLine(root, folder).length > 0 && (isLong || ALWAYS.includes(folder)),
  );

  test.for(lines)('%s runs its example', async (folder) => {
    const at = join(work, 'lines', basename(folder));
    furnish(root, at);
    const names = installLine(root, folder);
    const platform = isCompiled && names.some((name) => /native|mpi|predictor|cli/.test(name));
    makeProject(join(project, 'node_modules'), platform ? [...names, platformPackage] : names, at);
    const example = readmeExample(root, folder);
    if (methods.includes(folder)) expect(example, 'a method has an example').toBeDefined();
    if (example === undefined) {
      const own = importedPackages(root, folder).concat(readManifest(join(root, folder)).name);
      writeFileSync(join(at, 'imports.mjs'), own.map((name) => `import '${name}';\n`).join(''));
      await runIn(at, 'imports.mjs');
      return;
    }
    if (names.includes('vitest')) {
      writeExample(example, join(at, 'example.test.mjs'));
      const { stdout } = await runIn(at, 'node_modules/vitest/vitest.mjs', 'run', '--globals');
      expect(stdout).toMatch(/\d+ passed/);
      return;
    }
    writeExample(example, join(at, 'example.mjs'));
    const { stdout, stderr } = await runIn(at, 'example.mjs').catch(
      (error: { stdout: string; stderr: string }) => {
        // its library is no package, and comes with the second line of the README
        if (!/PEFT_(TENSORFLOW|MPI)_MISSING/.test(error.stderr)) throw error;
        return error;
      },
    );
    expect(`${stdout}${stderr}`.trim(), 'an example shows something').not.toBe('');
  });
});
