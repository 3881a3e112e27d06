import { writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryFolder } from '../../test/support/paths.js';
import { hubEnvironment } from './hub-environment.js';

describe('hubEnvironment', () => {
  test('has the defaults of Python', () => {
    expect(hubEnvironment({ HF_TOKEN_PATH: '/nowhere/token' })).toEqual({
      endpoint: 'https://huggingface.co',
      cacheDir: join(homedir(), '.cache', 'huggingface', 'hub'),
      offline: false,
    });
  });

  test('finds the cache by the most specific variable', () => {
    const cacheDir = (env: Record<string, string>) => hubEnvironment(env).cacheDir;
    expect(cacheDir({ XDG_CACHE_HOME: '/x' })).toBe('/x/huggingface/hub');
    expect(cacheDir({ XDG_CACHE_HOME: '/x', HF_HOME: '/home' })).toBe('/home/hub');
    expect(cacheDir({ HF_HOME: '~/hf' })).toBe(join(homedir(), 'hf', 'hub'));
    expect(cacheDir({ HF_HOME: '/home', HF_HUB_CACHE: '/cache' })).toBe('/cache');
    expect(cacheDir({ HF_HOME: '/home', HF_HUB_CACHE: '' })).toBe('/home/hub');
  });

  test('takes the token from the variable, else from the file, and none when told not to', () => {
    const folder = temporaryFolder();
    expect(hubEnvironment({ HF_HOME: folder }).token).toBeUndefined();
    writeFileSync(join(folder, 'token'), 'hf_file\n');
    expect(hubEnvironment({ HF_HOME: folder }).token).toBe('hf_file');
    expect(hubEnvironment({ HF_HOME: folder, HF_TOKEN: ' hf_variable\n' }).token).toBe(
      'hf_variable',
    );
    expect(
      hubEnvironment({ HF_HOME: '/nowhere', HF_TOKEN_PATH: join(folder, 'token') }).token,
    ).toBe('hf_file');
    expect(
      hubEnvironment({
        HF_HOME: folder,
        HF_TOKEN: 'hf_variable',
        HF_HUB_DISABLE_IMPLICIT_TOKEN: '1',
      }).token,
    ).toBeUndefined();
  });

  test('reads switches and a mirror', () => {
    for (const value of ['1', 'true', 'YES', 'On'])
      expect(hubEnvironment({ HF_HUB_OFFLINE: value }).offline).toBe(true);
    for (const value of ['0', 'false', ''])
      expect(hubEnvironment({ HF_HUB_OFFLINE: value }).offline).toBe(false);
    expect(hubEnvironment({ TRANSFORMERS_OFFLINE: '1' }).offline).toBe(true);
    expect(hubEnvironment({ HF_ENDPOINT: 'https://mirror.example/' }).endpoint).toBe(
      'https://mirror.example',
    );
  });
});
