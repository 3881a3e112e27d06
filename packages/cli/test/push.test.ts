import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { fakeHub, type FakeHub } from '../../hub/test/support/fake-hub.js';
import { peft } from './fake-terminal.js';

let hub: FakeHub;
let folder = '';
beforeEach(async () => {
  hub = await fakeHub({ models: {} });
  vi.stubEnv('HF_ENDPOINT', hub.endpoint);
  vi.stubEnv('HF_HUB_OFFLINE', '');
  vi.stubEnv('HF_TOKEN', 'hf_own');
  folder = mkdtempSync(join(tmpdir(), 'peft-push-'));
  writeFileSync(join(folder, 'adapter_config.json'), '{}');
  writeFileSync(join(folder, 'adapter_model.safetensors'), Buffer.alloc(1200));
  writeFileSync(join(folder, 'events.jsonl'), '{}');
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

test('peft push lists what it sends with sizes, and sends it', async () => {
  const dry = await peft('push', folder, 'me/new', '--dry-run');
  expect(dry.out).toBe('nothing was sent (--dry-run)');
  expect(hub.requests.some(({ method }) => method !== 'GET')).toBe(false);
  const sent = await peft('push', folder, 'me/new');
  expect(sent.code, sent.err).toBe(0);
  expect(sent.err).toContain('to me/new (new private repository), 1.20 kB:');
  expect(sent.err).toMatch(/^adapter_model\.safetensors +1\.20 kB$/m);
  expect(sent.err).toContain('not sent: events.jsonl (--include sends them)');
  expect(sent.out).toBe(`sent: ${hub.endpoint}/me/new`);
  const again = await peft('push', folder, 'me/new', '--json');
  expect(JSON.parse(again.out)).toMatchObject({ isNew: false, isPrivate: true });
  expect((await peft('push', folder, 'me/new')).out).toContain('the hub has all of it already');
});

test('peft push asks for a token, and for leave to show what everyone would see', async () => {
  vi.stubEnv('HF_TOKEN', '');
  vi.stubEnv('HF_TOKEN_PATH', join(folder, 'none'));
  const without = await peft('push', folder, 'me/new');
  expect(without.code).toBe(1);
  expect(without.err).toContain('PEFT_HUB_UNAUTHORIZED');
  await peft('push', folder, 'me/open', '--public', '--token', 'hf_flag');
  expect(hub.requests.at(-1)!.authorization).toBe('Bearer hf_flag');
  expect([...hub.uploads.publicNames]).toEqual(['me/open']);
});

test('peft push tells of weights that a loader may take instead', async () => {
  hub.models['me/old'] = { 'adapter_model.bin': 'x' };
  const { err } = await peft('push', folder, 'me/old');
  expect(err).toContain('warning: the repository has other weights, too: adapter_model.bin');
});
