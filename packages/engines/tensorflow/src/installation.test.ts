import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { cacheFolder } from './cache-folder.js';
import { findInstallations } from './installation.js';

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'peft-installation-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const place = (path: string, content = ''): void => {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), content);
};
const record = (platform = `${process.platform}-${process.arch}`) =>
  JSON.stringify({ tensorflow: '2.21.0', tfjsNode: '4.22.0', build: 'cpu', platform });
const complete = (): void => {
  place('home/current.json', '{"folder":"2.21.0-cpu"}');
  place('home/2.21.0-cpu/setup.json', record());
  place('home/2.21.0-cpu/build/Release/tfjs_binding.node');
  place('home/2.21.0-cpu/build/Release/peft_kernels.node');
  place('home/2.21.0-cpu/tfjs-node/dist/nodejs_kernel_backend.js');
};
const search = () => findInstallations(join(folder, 'home'), [join(folder, 'application')]);

describe('finding TensorFlow', () => {
  test('finds nothing where nothing is', () =>
    expect(search()).toEqual({ found: [], problems: [] }));

  test('takes a finished setup before an installed tfjs-node, and the GPU package before the other', () => {
    complete();
    for (const name of ['tfjs-node', 'tfjs-node-gpu']) {
      place(`application/node_modules/@tensorflow/${name}/package.json`, '{"version":"4.22.0"}');
      place(`application/node_modules/@tensorflow/${name}/lib/napi-v8/tfjs_binding.node`);
    }
    expect(
      search().found.map(({ source, build, tfjsNodeVersion }) => [source, build, tfjsNodeVersion]),
    ).toEqual([
      ['setup', 'cpu', '4.22.0'],
      ['installed', 'cuda', '4.22.0'],
      ['installed', 'cpu', '4.22.0'],
    ]);
  });

  test('takes the former setup where a new one was killed while it took its place', () => {
    complete();
    renameSync(join(folder, 'home/2.21.0-cpu'), join(folder, 'home/2.21.0-cpu.former'));
    expect(search().found[0]?.binding).toBe(
      join(folder, 'home/2.21.0-cpu.former/build/Release/tfjs_binding.node'),
    );
  });

  test(
    'says what is wrong with a half-finished setup, one of another machine, and a package ' +
      'whose install script failed',
    () => {
      complete();
      rmSync(join(folder, 'home/2.21.0-cpu/build'), { recursive: true });
      place('application/node_modules/@tensorflow/tfjs-node/package.json', '{"version":"4.22.0"}');
      expect(search()).toEqual({
        found: [],
        problems: [
          expect.stringMatching(
            /is incomplete: .*tfjs_binding\.node, .*peft_kernels\.node is missing/,
          ),
          expect.stringContaining('@tensorflow/tfjs-node 4.22.0 is installed, but'),
        ],
      });
      complete();
      place('home/2.21.0-cpu/setup.json', record('plan9-mips'));
      expect(search().problems[0]).toMatch(/was made for plan9-mips, this is /);
      place('home/current.json', '{"folder":"../elsewhere"}');
      expect(search().problems[0]).toMatch(/names no folder/);
    },
  );
});

describe('the cache folder', () => {
  test('is the one named, else in the cache of the user', () => {
    expect(cacheFolder({ PEFT_TENSORFLOW_HOME: '/data/tf' })).toBe('/data/tf');
    expect(cacheFolder({ XDG_CACHE_HOME: '/cache' }, 'linux')).toBe(
      join('/cache', 'peft', 'tensorflow'),
    );
    expect(cacheFolder({}, 'linux')).toMatch(/\.cache.peft.tensorflow$/);
  });
});
