/**
 * A weights file that gets shorter, or is written to, while it is mapped: a named error, in a process
 * that lives on.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { addon } from './addon.js';

const folder = mkdtempSync(join(tmpdir(), 'peft-cut-'));
const ADDON =
  process.env['PEFT_NATIVE_ADDON'] ??
  fileURLToPath(new URL('../build/Release/peft_native.node', import.meta.url));
const [ROWS, COLUMNS] = [4096, 2048];

/** Multiplies by the mapped weight until a call fails; prints what it threw, then that it lives. */
const CODE = `
  const native = require(process.env.PEFT_NATIVE_ADDON);
  const [rows, columns, n] = [${ROWS}, ${COLUMNS}, 200];
  const weight = native.weightFromFile(process.argv[1], 0, 'f32', rows, columns, false);
  const [x, y] = [new Float32Array(n * columns).fill(1), new Float32Array(n * rows)];
  console.log('mapped');
  const turn = () => {
    try {
      native.linear(weight, x, null, y, n, false);
      setImmediate(turn);
    } catch (error) {
      console.log(JSON.stringify({ code: error.code, message: error.message }));
      try { native.linear(weight, x, null, y, n, false); } catch (again) { console.log(again.code); }
      native.weightFree(weight);
      console.log('lives');
    }
  };
  turn();`;

/** Starts the child; calls `harm` when it is at work; what it printed, and how it ended. */
async function harmed(path: string, harm: () => void): Promise<{ text: string; end: unknown }> {
  const child = spawn(process.execPath, ['-e', CODE, path], {
    env: { ...process.env, PEFT_NATIVE_ADDON: ADDON },
  });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => {
    const wasMapped = text.includes('mapped');
    text += chunk.toString();
    if (!wasMapped && text.includes('mapped')) setTimeout(harm, 150);
  });
  const end = await new Promise((resolve) =>
    child.on('close', (status, signal) => resolve(signal ?? status)),
  );
  return { text, end };
}

describe.skipIf(!addon || process.platform === 'win32')('a mapped file', () => {
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const write = (name: string) => {
    const path = join(folder, name);
    writeFileSync(path, new Uint8Array(ROWS * COLUMNS * 4));
    return path;
  };

  test('that is cut to nothing while it is read ends in a named error, not in SIGBUS', async () => {
    const path = write('cut.bin');
    const { text, end } = await harmed(path, () => truncateSync(path, 0));
    expect(end).toBe(0);
    expect(text).toContain('PEFT_NATIVE_FILE');
    expect(text).toMatch(/cut\.bin was (shortened|written to) while its weights were in use\./);
    expect(text.trim().split('\n').slice(-2)).toEqual(['PEFT_NATIVE_FILE', 'lives']);
  }, 60_000);

  test('that is written to in place ends in a named error', async () => {
    const path = write('written.bin');
    const { text, end } = await harmed(path, () =>
      writeFileSync(path, new Uint8Array(ROWS * COLUMNS * 4).fill(1)),
    );
    expect(end).toBe(0);
    expect(text).toMatch(/written\.bin was (shortened|written to) while/);
  }, 60_000);

  test('that is replaced by renaming stays as it was', () => {
    const native = addon!;
    const path = write('renamed.bin');
    const weight = native.weightFromFile(path, 0, 'f32', ROWS, COLUMNS, false);
    const other = join(folder, 'other.bin');
    writeFileSync(other, new Uint8Array(8));
    renameSync(other, path);
    const y = new Float32Array(ROWS);
    native.linear(weight, new Float32Array(COLUMNS).fill(1), null, y, 1, false);
    expect(y.every((value) => value === 0)).toBe(true);
    native.weightFree(weight);
  });

  test('leaves a SIGBUS that something else sent as it was: the process ends by it', async () => {
    const path = write('signal.bin');
    const code = `
      const native = require(process.env.PEFT_NATIVE_ADDON);
      native.weightFromFile(process.argv[1], 0, 'f32', 2, 2, false);
      process.kill(process.pid, 'SIGBUS');
      setTimeout(() => {}, 5000);`;
    const child = spawn(process.execPath, ['-e', code, path], {
      env: { ...process.env, PEFT_NATIVE_ADDON: ADDON },
    });
    const signal = await new Promise((resolve) => child.on('close', (_, name) => resolve(name)));
    expect(signal).toBe('SIGBUS');
  }, 30_000);
});
