/** Unpacking, downloading and putting in place; a library is never needed. */
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setupTensorflow, type SetupOptions } from '@peft/tensorflow-setup';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { download } from '../src/download.js';
import { writeError } from '../src/no-space.js';
import { cudaRequirements } from '../src/place-library.js';
import { cudaFiles, tensorflowFiles, tfjsNodeFiles, unpack } from '../src/archives/unpack.js';
import { tarFile, zipFile } from './archives.js';

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'peft-setup-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const place = (name: string, content: Buffer | string): string => {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
};

describe('unpacking', () => {
  const WHEEL = {
    'tensorflow/libtensorflow_cc.so.2': 'library',
    'tensorflow/libtensorflow_framework.so.2': 'framework',
    'tensorflow/python/_pywrap_tfe.so': 'python',
    'tensorflow/include/tensorflow/c/c_api.h': 'header',
    'tensorflow/include/tensorflow/core/graph/graph.h': 'unused',
    'tensorflow/include/tsl/platform/ctstring.h': 'string',
    'tensorflow_cpu-2.21.0.dist-info/METADATA': 'Name: tensorflow-cpu',
    'tensorflow/../../libtensorflow.so': 'outside',
    '/etc/libtensorflow.so': 'outside',
  };

  test('takes the library and the headers that the addon includes from a wheel, and nothing else', async () => {
    const done: number[] = [];
    expect(
      await unpack(place('a.whl', zipFile(WHEEL)), join(folder, 'out'), tensorflowFiles, {
        onBytes: (bytes, total) => done.push(bytes / total!),
      }),
    ).toBe(5);
    expect(
      readdirSync(join(folder, 'out'), { recursive: true })
        .map(String)
        .filter((path) => lstatSync(join(folder, 'out', path)).isFile())
        .sort(),
    ).toEqual([
      'METADATA',
      'site/tensorflow/include/tensorflow/c/c_api.h',
      'site/tensorflow/include/tsl/platform/ctstring.h',
      'site/tensorflow/libtensorflow_cc.so.2',
      'site/tensorflow/libtensorflow_framework.so.2',
    ]);
    expect(readFileSync(join(folder, 'out/site/tensorflow/libtensorflow_cc.so.2'), 'utf8')).toBe(
      'library',
    );
    expect(done.at(-1)).toBe(1);
  });

  test("takes them from an official archive, with the library's links, but no link that leads elsewhere", async () => {
    const archive = place(
      'libtensorflow.tar.gz',
      tarFile({
        './lib/libtensorflow.so.2.18.0': 'library',
        './lib/libtensorflow.so.2': '→libtensorflow.so.2.18.0',
        './lib/libtensorflow.so': '→/etc/passwd',
        './include/tensorflow/c/c_api.h': 'header',
        LICENSE: 'text',
      }),
    );
    await unpack(archive, join(folder, 'out'), tensorflowFiles);
    expect(readFileSync(join(folder, 'out/site/tensorflow/libtensorflow.so.2'), 'utf8')).toBe(
      'library',
    );
    expect(existsSync(join(folder, 'out/site/tensorflow/libtensorflow.so'))).toBe(false);
    expect(
      readFileSync(join(folder, 'out/site/tensorflow/include/tensorflow/c/c_api.h'), 'utf8'),
    ).toBe('header');
  });

  test("takes tfjs-node's scripts and sources without its tests, and NVIDIA's libraries", () => {
    const files = [
      'package/package.json',
      'package/dist/kernels/Add.js',
      'package/dist/image_test.js',
      'package/binding/utils.h',
      'package/scripts/install.js',
    ];
    expect(files.map(tfjsNodeFiles)).toEqual([
      'tfjs-node/package.json',
      'tfjs-node/dist/kernels/Add.js',
      undefined,
      'tfjs-node/binding/utils.h',
      undefined,
    ]);
    expect(
      ['nvidia/cublas/lib/libcublas.so.12', 'nvidia/cublas/include/cublas.h'].map(cudaFiles),
    ).toEqual(['site/nvidia/cublas/lib/libcublas.so.12', undefined]);
  });

  test.each([
    ['a wrong checksum', zipFile(WHEEL, { crc: 1 }), 'has a wrong checksum'],
    ['a file larger than it says', zipFile(WHEEL, { size: 2 }), 'larger than the directory says'],
    ['a wheel that is cut short', zipFile(WHEEL).subarray(0, 300), 'damaged or cut short'],
    [
      'a directory that lies outside',
      Buffer.concat([
        Buffer.from('PK\x05\x06', 'latin1'),
        Buffer.alloc(6),
        Buffer.from([1, 0, 255, 0, 0, 0, 255, 255, 0, 0, 0, 0]),
      ]),
      'damaged or cut short',
    ],
  ])('refuses %s', async (_name, bytes, problem) => {
    await expect(
      unpack(place('bad.whl', bytes), join(folder, 'out'), tensorflowFiles),
    ).rejects.toMatchObject({
      code: 'PEFT_SETUP_ARCHIVE',
      message: expect.stringContaining(problem) as string,
    });
    expect(existsSync(join(folder, 'out/site/tensorflow/libtensorflow_cc.so.2'))).toBe(false);
  });

  test('refuses an archive that is cut short', async () => {
    const whole = tarFile({ 'lib/libtensorflow.so.2': 'x'.repeat(5000) + Math.random() });
    await expect(
      unpack(
        place('cut.tar.gz', whole.subarray(0, whole.length - 30)),
        join(folder, 'out'),
        tensorflowFiles,
      ),
    ).rejects.toMatchObject({ code: 'PEFT_SETUP_ARCHIVE' });
    expect(existsSync(join(folder, 'out/site/tensorflow/libtensorflow.so.2'))).toBe(false);
  });
});

describe('downloading', () => {
  const CONTENT = Buffer.from('0123456789'.repeat(100));
  let server: Server;
  let address: string;
  const asked: (string | undefined)[] = [];
  beforeEach(async () => {
    asked.length = 0;
    server = createServer((request, response) => {
      asked.push(request.headers.range);
      const start = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
      if (request.url === '/missing.whl') return void response.writeHead(404).end();
      response.writeHead(start > 0 ? 206 : 200, { 'content-length': CONTENT.length - start });
      if (request.url === '/broken.whl' && start === 0)
        return void response.write(CONTENT.subarray(0, 400), () =>
          setTimeout(() => response.destroy(), 200),
        );
      response.end(CONTENT.subarray(start));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterEach(() => server.close());

  test('goes on where the connection broke', async () => {
    await expect(download(`${address}/broken.whl`, folder)).rejects.toMatchObject({
      code: 'PEFT_SETUP_OFFLINE',
      hint: expect.stringContaining('goes on where it stopped') as string,
    });
    const part = readFileSync(join(folder, 'broken.whl.part')).length;
    expect(readFileSync(await download(`${address}/broken.whl`, folder))).toEqual(CONTENT);
    expect(part).toBe(400);
    expect(asked).toEqual([undefined, 'bytes=400-']);
    await download(`${address}/broken.whl`, folder);
    expect(asked).toHaveLength(2); // it is there
  });

  test('says what the server answered, and that there is no network', async () => {
    await expect(download(`${address}/missing.whl`, folder)).rejects.toMatchObject({
      code: 'PEFT_SETUP_DOWNLOAD',
      message: expect.stringContaining('404') as string,
    });
    await expect(download('http://127.0.0.1:1/a.whl', folder)).rejects.toMatchObject({
      code: 'PEFT_SETUP_OFFLINE',
    });
  });
});

describe('a setup', () => {
  const setUp = (options: Partial<SetupOptions>) =>
    setupTensorflow({
      device: 'cpu',
      home: join(folder, 'home'),
      confirm: () => Promise.resolve(false),
      ...options,
    });
  const tfjsNode = () =>
    place(
      'tfjs-node.tgz',
      tarFile({
        'package/package.json': '{"version":"4.22.0"}',
        'package/dist/index.js': '',
        'package/binding/tfjs_backend.cc': '#error no',
        'package/binding/tfjs_binding.cc': '',
      }),
    );
  const former = () => {
    mkdirSync(join(folder, 'home', '2.20.0-cpu'), { recursive: true });
    writeFileSync(join(folder, 'home', 'current.json'), '{"folder":"2.20.0-cpu"}\n');
  };
  const current = () => readFileSync(join(folder, 'home', 'current.json'), 'utf8');

  test('downloads nothing without a yes', async () => {
    await expect(setUp({})).rejects.toMatchObject({
      code: 'PEFT_SETUP_DECLINED',
      hint: expect.stringContaining('--yes') as string,
    });
  });

  test('refuses what is no library, and leaves the former one in use', async () => {
    former();
    await expect(
      setUp({
        from: [place('other.whl', zipFile({ 'numpy/core.so': 'x' }))],
        tfjsNode: tfjsNode(),
      }),
    ).rejects.toMatchObject({
      code: 'PEFT_SETUP_ARCHIVE',
      message: expect.stringContaining('nothing in') as string,
    });
    await expect(setUp({ from: [join(folder, 'none.whl')] })).rejects.toMatchObject({
      code: 'PEFT_SETUP_ARCHIVE',
      message: expect.stringContaining('there is no file') as string,
    });
    await expect(setUp({ from: [folder] })).rejects.toMatchObject({
      code: 'PEFT_SETUP_ARCHIVE',
      message: expect.stringContaining('is not an installed tensorflow package') as string,
    });
    await expect(
      setUp({
        from: [
          place('a-2.21.0-py3-none-any.whl', zipFile({ 'tensorflow/libtensorflow_cc.so.2': 'x' })),
        ],
        tfjsNode: folder,
      }),
    ).rejects.toMatchObject({
      code: 'PEFT_SETUP_ARCHIVE',
      message: expect.stringContaining('it has no package.json, dist, binding') as string,
    });
    expect(current()).toContain('2.20.0-cpu');
    expect(existsSync(join(folder, 'home', '2.20.0-cpu'))).toBe(true);
  });

  test('that may not write says where, and what else to choose', async () => {
    writeFileSync(join(folder, 'file'), '');
    await expect(setUp({ home: join(folder, 'file', 'home') })).rejects.toMatchObject({
      code: 'PEFT_SETUP_FOLDER',
      hint: expect.stringContaining('PEFT_TENSORFLOW_HOME') as string,
    });
    expect(
      writeError(
        '/home/me',
        Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' }),
      ),
    ).toMatchObject({
      code: 'PEFT_SETUP_SPACE',
      message: expect.stringContaining('/home/me') as string,
    });
  });

  test('that cannot be compiled says why, and leaves the former one in use', async () => {
    former();
    const wheel = place(
      'tensorflow_cpu-2.21.0-cp311-cp311-any.whl',
      zipFile({
        'tensorflow/libtensorflow_cc.so.2': 'no library',
        'tensorflow/include/tensorflow/c/c_api.h': '',
      }),
    );
    const steps: string[] = [];
    await expect(
      setUp({ from: [wheel], tfjsNode: tfjsNode(), report: (step) => steps.push(step) }),
    ).rejects.toMatchObject({
      code: expect.stringMatching(/PEFT_SETUP_(COMPILE|TOOLS)/) as string,
    });
    expect(current()).toContain('2.20.0-cpu');
    expect(steps).toContain('compiling the addons');
    steps.length = 0; // the second attempt does not unpack again
    await expect(
      setUp({ from: [wheel], tfjsNode: tfjsNode(), report: (step) => steps.push(step) }),
    ).rejects.toThrow();
    expect(steps.filter((step) => step.includes('tensorflow_cpu'))).toEqual([]);
  });

  test('never writes into an installed package that the user names', async () => {
    const site = join(folder, 'site-packages', 'tensorflow');
    mkdirSync(join(site, 'include'), { recursive: true });
    writeFileSync(join(site, 'libtensorflow_cc.so.2'), 'no library');
    await expect(setUp({ from: [site], version: '1.0.0', tfjsNode: tfjsNode() })).rejects.toThrow();
    expect(lstatSync(join(folder, 'home/1.0.0-cpu.partial/site')).isSymbolicLink()).toBe(true);
    const wheel = place(
      'tensorflow_cpu-1.0.0-cp311-cp311-any.whl',
      zipFile({ 'tensorflow/libtensorflow_cc.so.2': 'other' }),
    );
    await expect(
      setUp({ from: [wheel], version: '1.0.0', tfjsNode: tfjsNode() }),
    ).rejects.toThrow();
    expect(readFileSync(join(site, 'libtensorflow_cc.so.2'), 'utf8')).toBe('no library');
  });

  test('refuses a tfjs-node of another line, a wheel for another system and an option it does not know', async () => {
    const library = place(
      'tensorflow_cpu-2.21.0-cp311-cp311-any.whl',
      zipFile({ 'tensorflow/libtensorflow_cc.so.2': 'x' }),
    );
    await expect(
      setUp({
        from: [library],
        tfjsNode: place('old.tgz', tarFile({ 'package/package.json': '{"version":"3.9.0"}' })),
      }),
    ).rejects.toMatchObject({
      code: 'PEFT_SETUP_VERSION',
      message: expect.stringContaining('3.9.0') as string,
    });
    await expect(
      setUp({ from: [place('tensorflow_cpu-2.21.0-cp311-cp311-win_amd64.whl', zipFile({}))] }),
    ).rejects.toMatchObject({ code: 'PEFT_SETUP_WHEEL' });
    await expect(setUp({ devize: 'cpu' } as never)).rejects.toThrow(/Did you mean "device"/);
  });

  test("reads NVIDIA's packages from what the wheel requires", () => {
    place(
      'METADATA',
      'Requires-Dist: numpy>=1.26.0\n' +
        'Requires-Dist: nvidia-cublas-cu12<13.0,>=12.5.3.2; extra == "and-cuda"\n' +
        "Requires-Dist: nvidia-nccl-cu12 (==2.27.7) ; extra == 'and-cuda'\n" +
        'Requires-Dist: nvidia-other; extra == "rocm"\n',
    );
    expect(cudaRequirements(folder)).toEqual([
      'nvidia-cublas-cu12<13.0,>=12.5.3.2',
      'nvidia-nccl-cu12==2.27.7',
    ]);
  });
});
