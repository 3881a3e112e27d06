import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { errorOf } from '../../test/support/error-code.js';
import { commitOf } from '../../test/support/fake-hub.js';
import { setup } from '../../test/support/hub-setup.js';
import { temporaryFolder } from '../../test/support/paths.js';
import { modelReference } from './model-reference.js';
import { resolveModel } from './resolve-model.js';

afterEach(() => vi.restoreAllMocks());

describe('what a user calls a model', () => {
  test('is a name with a revision or without, or a folder', () => {
    expect(modelReference('org/model')).toEqual({ name: 'org/model', revision: undefined });
    expect(modelReference('org/model@v1.0')).toEqual({ name: 'org/model', revision: 'v1.0' });
    expect(modelReference('model@refs/pr/3')).toEqual({ name: 'model', revision: 'refs/pr/3' });
    expect(modelReference('org/model', 'main')).toEqual({ name: 'org/model', revision: 'main' });
    const folder = join(temporaryFolder(), 'with@sign');
    mkdirSync(folder);
    expect(modelReference(folder)).toEqual({ folder });
  });

  test('with two revisions, or one that is none, is refused', () => {
    expect(() => modelReference('org/model@v1', 'v2')).toThrow('names the revision "v1", and "v2"');
    expect(() => modelReference('org/model@')).toThrow('"" is no branch, tag or commit');
    expect(() => modelReference('org/model@../x')).toThrow('is no branch, tag or commit');
  });

  test('is downloaded at its revision, and used by its commit offline', async () => {
    const { hub, options } = await setup();
    const commit = commitOf(hub.models['org/mistral']!);
    const folder = await resolveModel(`org/mistral@${commit}`, options);
    const offline = { ...options, offline: true };
    expect(await resolveModel(`org/mistral@${commit}`, offline)).toBe(folder);
    // the only snapshot there is
    expect(await resolveModel('org/mistral', offline)).toBe(folder);
    const other = await errorOf(() => resolveModel('org/mistral@main', offline));
    expect(other.code).toBe('PEFT_HUB_OFFLINE');
  });

  test('beside a folder of its first part is no error of the hub', async () => {
    const { options } = await setup();
    const folder = temporaryFolder();
    mkdirSync(join(folder, 'out'));
    vi.spyOn(process, 'cwd').mockReturnValue(folder);
    const error = await errorOf(() => resolveModel('out/chat', options));
    expect(error.code).toBe('PEFT_MODEL_FOLDER');
    expect(error.message).toMatch(/^hub: there is no folder out\/chat, only out, and/);
  });
});
