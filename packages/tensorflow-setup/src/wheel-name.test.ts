import { describe, expect, test } from 'vitest';
import { checkWheelPlatform, parseWheelName } from './wheel-name.js';

const WHEEL = 'tensorflow_cpu-2.21.0-cp311-cp311-manylinux_2_27_x86_64.whl';
const linux = { os: 'linux', arch: 'x64', glibc: '2.36' };

describe('a wheel', () => {
  test('says its package, version and platforms', () => {
    expect(parseWheelName(WHEEL)).toEqual({
      package: 'tensorflow-cpu',
      version: '2.21.0',
      platforms: ['manylinux_2_27_x86_64'],
    });
    expect(
      parseWheelName(
        'nvidia_cublas_cu12-12.9.1.4-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl',
      )?.platforms,
    ).toEqual(['manylinux2014_x86_64', 'manylinux_2_17_x86_64']);
    expect(parseWheelName('libtensorflow-cpu-linux-x86_64-2.15.0.tar.gz')).toBeUndefined();
  });

  test('runs where its platform says', () => {
    expect(() => checkWheelPlatform(WHEEL, linux)).not.toThrow();
    expect(() =>
      checkWheelPlatform('a-1-py3-none-manylinux2014_aarch64.whl', { ...linux, arch: 'arm64' }),
    ).not.toThrow();
    expect(() =>
      checkWheelPlatform('tensorflow-2.21.0-cp311-cp311-macosx_12_0_arm64.whl', {
        os: 'darwin',
        arch: 'arm64',
        glibc: undefined,
      }),
    ).not.toThrow();
  });

  test.each([
    ['another processor', { ...linux, arch: 'arm64' }, 'this is arm64'],
    ['an older C library', { ...linux, glibc: '2.17' }, "this system's glibc is 2.17"],
    ['musl', { ...linux, glibc: undefined }, 'another C library'],
    ['another system', { os: 'darwin', arch: 'x64', glibc: undefined }, 'this is darwin'],
  ])('does not run with %s, and says so', (_name, platform, reason) => {
    expect(() => checkWheelPlatform(WHEEL, platform)).toThrow(
      expect.objectContaining({
        code: 'PEFT_SETUP_WHEEL',
        message: expect.stringContaining(reason) as string,
      }),
    );
  });
});
