/** The container's entry points in SageMaker's folder layout, without a container. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { NOUNS, tinyLlama, type TinyLlama } from '../../packages/cli/test/tiny-llama.js';
import { ROOT } from '../packages.mjs';

let llama: TinyLlama;
let root: string;
beforeAll(() => {
  llama = tinyLlama();
  root = join(llama.folder, 'ml');
  mkdirSync(join(root, 'input', 'config'), { recursive: true });
  mkdirSync(join(root, 'input', 'data', 'train'), { recursive: true });
  cpSync(llama.chats, join(root, 'input', 'data', 'train', 'chats.jsonl'));
  cpSync(llama.path, join(root, 'input', 'data', 'model'), { recursive: true });
});
afterAll(() => llama.remove());

const HYPERPARAMETERS = {
  task: 'causal-lm',
  method: 'lora',
  epochs: '2',
  engine: 'portable',
  'optim.lr': '1e-2',
  'model.hf_text.max_text_len': '48',
  sagemaker_region: '"eu-central-1"',
};

function start(what: string, environment: Record<string, string> = {}): ChildProcess {
  return spawn(process.execPath, [join(ROOT, 'docker', 'sagemaker.mjs'), what], {
    env: { ...process.env, PEFT_ML_ROOT: root, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

async function train(
  hyperparameters: object,
): Promise<{ readonly code: number | null; readonly said: string }> {
  writeFileSync(
    join(root, 'input', 'config', 'hyperparameters.json'),
    JSON.stringify(hyperparameters),
  );
  const child = start('train');
  child.stdout!.resume();
  let said = '';
  child.stderr!.on('data', (data) => (said += String(data)));
  await once(child, 'close');
  return { code: child.exitCode, said };
}

/** Waits until the server says where it listens, and goes on reading what it says. */
function listening(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = '';
    child.stderr!.on('data', (data) => {
      said += String(data);
      const [, port] = /listening on http:\/\/0\.0\.0\.0:(\d+)/.exec(said) ?? [];
      if (port !== undefined) resolve(`http://127.0.0.1:${port}`);
    });
    child.on('close', () => reject(new Error(said)));
  });
}

describe('the entry points of the container', () => {
  test('say why a training failed where SageMaker looks', async () => {
    mkdirSync(join(root, 'input', 'data', 'test'));
    const { code, said } = await train({ ...HYPERPARAMETERS, metod: 'lora' });
    expect(code).toBe(1);
    expect(said).toContain('channels that are not used: test');
    const failure = readFileSync(join(root, 'output', 'failure'), 'utf8');
    expect(failure).toContain('PEFT_CONFIG_UNKNOWN_KEY');
    expect(failure).toContain('method');
  });

  test('train into the model folder, and serve it on the port that they are told', async () => {
    expect(await train(HYPERPARAMETERS)).toMatchObject({ code: 0 });
    expect(existsSync(join(root, 'output', 'failure'))).toBe(false);
    expect(existsSync(join(root, 'model', 'predictor.json'))).toBe(true);
    const child = start('serve', { SAGEMAKER_BIND_TO_PORT: '0' });
    child.stdout!.resume();
    const url = await listening(child);
    expect((await fetch(`${url}/ping`)).status).toBe(200);
    const answer = await fetch(`${url}/invocations`, {
      method: 'POST',
      body: JSON.stringify({
        messages: [{ role: 'user', content: `What is a ${NOUNS[0]}?` }],
        max_tokens: 4,
        temperature: 0,
      }),
    });
    expect(answer.status).toBe(200);
    expect(await answer.json()).toMatchObject({
      object: 'chat.completion',
      usage: { completion_tokens: 4 },
    });
    child.kill('SIGTERM');
    await once(child, 'close');
    expect(child.exitCode).toBe(0);
    rmSync(join(root, 'model'), { recursive: true });
  });
});

test('the Dockerfile copies what is there and runs scripts that there are', () => {
  const file = readFileSync(join(ROOT, 'docker', 'Dockerfile'), 'utf8');
  const scripts = (
    JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
      scripts: Record<string, string>;
    }
  ).scripts;
  for (const [, name] of file.matchAll(/npm run ([\w:-]+)/g)) expect(scripts).toHaveProperty(name!);
  for (const [, paths] of file.matchAll(/^COPY (docker\/.+) \S+$/gm))
    for (const path of paths!.split(' ')) expect(existsSync(join(ROOT, path)), path).toBe(true);
  expect(file).toMatch(/^USER node$/m);
  expect(file).toMatch(/^HEALTHCHECK /m);
});
