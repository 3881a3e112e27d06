import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test, vi } from 'vitest';
import { byteCount } from '../src/terminal/byte-count.js';
import { peft } from './fake-terminal.js';

const config = (name: string) =>
  fileURLToPath(
    new URL(`../../testing/fixtures/autogluon/configs/${name}/config.json`, import.meta.url),
  );
const folder = mkdtempSync(join(tmpdir(), 'peft-plan-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('peft plan', () => {
  test('prints each part of a run that fits, from a bare config.json', async () => {
    const { code, out } = await peft('plan', config('bert-base-uncased'), '--memory', '16GB');
    expect(code).toBe(0);
    expect(out.split('\n').map((line) => line.split(/\s{2,}/)[0])).toEqual([
      'weights',
      'adapters',
      'gradients',
      'optimiser state',
      'activations',
      'runtime',
      'peak',
    ]);
    expect(out).toMatch(/16\.0 GB of 16\.0 GB are free: it fits$/);
  });

  test('says what FLAN-T5-XL takes in NF4, and how it fits a small machine, in flags that then fit', async () => {
    const line = [
      'plan',
      config('flan-t5-xl'),
      '--base',
      'nf4',
      '--batch',
      '4',
      '--memory',
      '1.3GB',
    ];
    const { code, out } = await peft(...line);
    expect(code).toBe(0);
    expect(out).toContain('it does not fit');
    const [, flags] = /It fits \([\d.]+ GB\) with (.*)$/.exec(out)!;
    expect(flags).toMatch(/--checkpointing \d+/);
    expect((await peft(...line, ...flags!.split(' '))).out).toMatch(/it fits$/);
  });

  test(
    'knows in JSON what NF4 takes: half a byte and 8 + 32 / 256 bits for every 64 ' +
      'weights, and the table of the maxima',
    async () => {
      const { plan } = JSON.parse(
        (await peft('plan', config('flan-t5-xl'), '--base', 'nf4', '--json')).out,
      );
      const linear = 24 * (4 * 2048 * 2048 + 3 * 2048 * 5120);
      const tables = 24 * 7 * 4 * 256;
      // embeddings and norms of a float32 checkpoint, position biases, the head
      const rest = 4 * (32128 * 2048 + 49 * 2048 + 32 * 32 + 2 * 2048 + 2);
      expect(
        plan.weightBytes / (linear / 2 + (linear / 64) * (1 + 4 / 256) + tables + rest),
      ).toBeCloseTo(1, 3);
    },
  );

  test('offers only what changes nothing when asked to, and says when nothing helps', async () => {
    const { out } = await peft('plan', config('flan-t5-xl'), '--memory', '1.3GB', '--exact');
    expect(out).not.toContain('--base');
    expect(out).toMatch(
      /Nothing makes it fit: take a smaller model, shorter texts, or a machine with more memory\.$/,
    );
  });

  test('takes a checkpoint that is quantised already as it is', async () => {
    const json = {
      ...JSON.parse(readFileSync(config('bert-base-uncased'), 'utf8')),
      quantization_config: {
        quant_method: 'bitsandbytes',
        load_in_4bit: true,
        bnb_4bit_quant_type: 'nf4',
      },
    };
    writeFileSync(join(folder, 'config.json'), JSON.stringify(json));
    const [quantised, plain] = [
      await peft('plan', join(folder, 'config.json'), '--json'),
      await peft(
        'plan',
        config('bert-base-uncased'),
        '--base',
        'nf4',
        '--no-double-quantization',
        '--json',
      ),
    ];
    expect(JSON.parse(quantised.out).plan.weightBytes).toBe(JSON.parse(plain.out).plan.weightBytes);
  });

  test('plans for a GPU that it is told of, and for the one that nvidia-smi lists', async () => {
    const line = [
      'plan',
      config('bert-base-uncased'),
      '--engine',
      'tensorflow',
      '--memory',
      '16GB',
    ];
    const { out } = await peft(...line, '--gpu', '1GB', '--batch', '32');
    expect(out).toMatch(/^on a GPU with 1\.00 GB\nweights/);
    expect(out).toMatch(
      /peak .* 900 MB of 1\.00 GB are free: it does not fit\n\nin the machine's memory\noptimiser state/,
    );
    // no library is set up here, so nothing says that it is one for CPUs
    vi.stubEnv('PEFT_TENSORFLOW_HOME', folder);
    expect((await peft(...line)).out).not.toContain('on ');
    writeFileSync(
      join(folder, 'nvidia-smi'),
      '#!/bin/sh\necho "NVIDIA L4, 8.9, 23034, 22500, 550.54.15"\n',
      { mode: 0o755 },
    );
    vi.stubEnv('PATH', `${folder}${delimiter}${process.env['PATH']}`);
    expect((await peft(...line)).out).toMatch(
      /^on NVIDIA L4\n.*21\.2 GB of 24\.2 GB are free: it fits/s,
    ); // nine tenths of 22,500 MiB
    expect((await peft(...line, '--gpu', 'none')).out).toMatch(/^weights/);
    vi.unstubAllEnvs();
    expect((await peft('plan', config('bert-base-uncased'), '--gpu', '8GB')).err).toContain(
      '--gpu is for --engine tensorflow, got --engine native',
    );
  });

  test('puts optimiser state on the GPU, as far as it may stay there', async () => {
    const line = [
      'plan',
      config('bert-base-uncased'),
      '--engine',
      'tensorflow',
      '--gpu',
      '24GB',
      '--memory',
      '16GB',
      '--method',
      'lora',
      '--option',
      'rank=64',
      'targets=all-linear',
      '--json',
    ];
    const planned = async (...flags: string[]) =>
      JSON.parse((await peft(...line, ...flags)).out).plan;
    const [host, device, part] = [
      await planned(),
      await planned('--state-device', 'device'),
      await planned('--state-device', 'device', '--resident', '10MB'),
    ];
    const state = 8 * host.trainableParameters;
    expect([host, device, part].map(({ gpu }) => gpu.optimizerStateBytes)).toEqual([
      0,
      state,
      10e6,
    ]);
    expect(part.pagedStateBytes).toBe(state - 10e6);
    expect(device.gpu.peakBytes - host.gpu.peakBytes).toBe(state);
    expect(device.gpu.peakBytes - part.gpu.peakBytes).toBe(state - 10e6);
    expect((await peft(...line, '--state-device', 'card')).err).toContain(
      '--state-device must be one of host, device, got "card"',
    );
    expect(
      (await peft(...line, '--state-device', 'device', '--optimizer', 'adamw_8bit')).err,
    ).toContain('PEFT_OPTIM_DEVICE_UNSUPPORTED');
  });

  test('names what is wrong with a flag, and the nearest word for a typo', async () => {
    const line = ['plan', config('bert-base-uncased')];
    expect((await peft(...line, '--memory', 'much')).err).toContain(
      'plan: --memory must be a size such as 16GB or 512MB, got "much".',
    );
    expect((await peft(...line, '--batch', '0')).err).toContain(
      'plan: --batch must be a positive integer, got 0.',
    );
    expect((await peft(...line, '--base', 'nf5')).err).toContain('Did you mean "nf4"?');
    expect((await peft(...line, '--optimizer', 'adamw_8bits')).err).toContain('or "adamw_8bit"?');
    expect((await peft(...line, '--method', 'lora', '--option', 'rank')).err).toContain(
      '"rank" is not of the form key=value.',
    );
    expect((await peft('plan', './no-such-folder')).err).toContain('no-such-folder');
  });
});

test('sizes are read as people write them', () => {
  expect(
    ['16GB', '1.5 gb', '512MiB', '64m', '1000'].map((text) => byteCount('plan', '--memory', text)),
  ).toEqual([16e9, 1.5e9, 2 ** 29, 64e6, 1000]);
});
