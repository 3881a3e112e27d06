import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { runCommandLine } from '../command-line.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'peft-cli-setup-'));
  vi.stubEnv('PEFT_TENSORFLOW_HOME', join(folder, 'home'));
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

async function peft(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  const [out, err]: [string[], string[]] = [[], []];
  const code = await runCommandLine(argv, {
    out: (text) => out.push(text),
    err: (text) => err.push(text),
    write: (text) => out.push(text),
    lines: async function* () {
      /* nothing is typed */
    },
    onInterrupt: () => () => undefined,
    sayAtStop: () => undefined,
    isInteractive: false,
    isForPeople: false,
    columns: 80,
    signal: new AbortController().signal,
  });
  return { code, out: out.join('\n'), err: err.join('\n') };
}

describe('peft setup', () => {
  test('downloads nothing where nobody can be asked, and says how to agree', async () => {
    const { code, err } = await peft('setup', 'tensorflow', '--device', 'cpu');
    expect(code).toBe(1);
    expect(err).toMatch(/error PEFT_SETUP_DECLINED: .*was not downloaded\.\n {2}hint: say --yes/);
  });

  test('names what it can set up, and files that are not there', async () => {
    expect((await peft('setup', 'tensorflw')).err).toContain('Did you mean "tensorflow"?');
    expect((await peft('setup', 'tensorflow', '--device', 'tpu')).err).toContain(
      '--device must be one of cpu, cuda',
    );
    expect(
      (await peft('setup', 'tensorflow', '--device', 'cpu', '--from', join(folder, 'none.whl')))
        .err,
    ).toContain('there is no file');
    expect((await peft('setup', '--help')).out).toContain('peft setup tensorflow --device cuda');
  });
});

describe('peft doctor', () => {
  test('lists every engine, those that run with their device and the others with what to type', async () => {
    const { code, out } = await peft('doctor');
    expect(code).toBe(0);
    expect(out).toMatch(/^Node \d+\.\d+\.\d+ on \w+-\w+\n/);
    expect(out).toMatch(/✓ portable \(wasm|✓ portable \(plain/);
    expect(out).toContain(
      '✗ tensorflow: no TensorFlow library is set up on this machine.\n    run: peft setup tensorflow',
    );
    expect(out).toMatch(/auto takes \w+: /);
  });

  test('says the same in JSON', async () => {
    const report = JSON.parse((await peft('doctor', '--json')).out) as {
      engines: { engine: string; description?: string; problem?: string; hint?: string }[];
      webgpu: { adapters: unknown[] };
      auto: { engine: string; reason: string };
    };
    expect(report.engines.map(({ engine }) => engine)).toEqual([
      'native',
      'portable',
      'tensorflow',
      'webgpu',
    ]);
    expect(report.engines[3]!.description ?? report.engines[3]!.problem).toMatch(/^webgpu/);
    expect(Array.isArray(report.webgpu.adapters)).toBe(true);
    expect(
      report.engines.find(({ engine }) => engine === report.auto.engine)?.description,
    ).toBeTruthy();
    expect(report.engines[2]).toMatchObject({ hint: 'run: peft setup tensorflow' });
  });
});
