import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runCommandLine } from '../src/index.js';
import { fakeTerminal, peft } from './fake-terminal.js';
import { tinyLlama, type TinyLlama } from './tiny-llama.js';

const COMMAND = fileURLToPath(new URL('../bin/peft.mjs', import.meta.url));

/** A module that brings what a server has no use for. */
const FORMATS_ALONE = fileURLToPath(new URL('./names-format.ts', import.meta.url));

let llama: TinyLlama;
beforeAll(() => {
  llama = tinyLlama();
});
afterAll(() => llama.remove());

describe('peft serve', () => {
  test('listens, answers with the key, logs a line, and ends at Ctrl-C', async () => {
    const terminal = fakeTerminal();
    const words = ['serve', llama.path, '--port', '0', '--engine', 'portable', '--api-key', 'k'];
    const ended = runCommandLine([...words, '--host', '0.0.0.0', '--name', 'tiny'], terminal);
    const said = (): string => terminal.complained.join('\n');
    await expect.poll(said, { timeout: 60_000 }).toContain('listening on');
    expect(said()).toContain('serving llama on portable');
    expect(said()).not.toContain('anyone who reaches'); // there is a key
    const [, port] = /listening on http:\/\/0\.0\.0\.0:(\d+)/.exec(said())!;
    const url = `http://127.0.0.1:${port}/v1/completions`;
    const body = JSON.stringify({ model: 'tiny', prompt: 'Hi', max_tokens: 2 });
    expect((await fetch(url, { method: 'POST', body })).status).toBe(401);
    const headers = { authorization: 'Bearer k' };
    const answer = await fetch(url, { method: 'POST', body, headers });
    expect(await answer.json()).toMatchObject({ usage: { completion_tokens: 2 } });
    expect(JSON.parse(terminal.printed.at(-1)!)).toMatchObject({ status: 200, model: 'tiny' });
    terminal.abort();
    expect(await ended).toBe(0);
    await expect(fetch(url)).rejects.toThrow();
  });

  test.skipIf(process.platform === 'win32')(
    'lets a stream end at SIGTERM, takes no more, and ends well',
    async () => {
      const words = ['serve', llama.path, '--port', '0', '--engine', 'portable'];
      const command = spawn(process.execPath, [COMMAND, ...words], {
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      const ended = once(command, 'close');
      let err = '';
      command.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
      try {
        await expect.poll(() => err, { timeout: 60_000 }).toContain('listening on');
        const [url] = /http:\/\/127\.0\.0\.1:\d+/.exec(err)!;
        // no token ends it early
        const body = { prompt: 'Hi', max_tokens: 200, stream: true, logit_bias: { 457: -100 } };
        const options = { stream_options: { include_usage: true }, temperature: 0 };
        const answer = await fetch(`${url}/v1/completions`, {
          method: 'POST',
          body: JSON.stringify({ ...body, ...options }),
        });
        let streamed = '';
        for await (const text of answer.body!.pipeThrough(new TextDecoderStream())) {
          if (streamed === '') command.kill('SIGTERM');
          streamed += text;
        }
        expect(streamed).toContain('"completion_tokens":200');
        expect(streamed).toMatch(/data: \[DONE\]\n\n$/);
        await expect(fetch(`${url}/health`)).rejects.toThrow();
        await ended;
        expect(command.exitCode, err).toBe(0);
        expect(err).toContain('letting requests end; press Ctrl-C again to end at once');
        expect(err).not.toContain('after this step');
      } finally {
        command.kill('SIGKILL');
      }
    },
  );

  test('stops loading at Ctrl-C', async () => {
    const terminal = fakeTerminal();
    const ended = runCommandLine(['serve', llama.path, '--engine', 'portable'], terminal);
    terminal.abort();
    expect(await ended).not.toBe(0);
    expect(terminal.complained.join('\n')).not.toContain('listening');
  });

  test.each([
    [['--adapter', 'out'], 'PEFT_OPTION_INVALID', 'NAME=FOLDER'],
    [['--port', 'http'], 'PEFT_CONFIG_INVALID', '--port'],
    [['--max-waiting', '0'], 'PEFT_CONFIG_INVALID', '--max-waiting'],
    [['--adapter', 'a=no/such/folder'], 'PEFT_ADAPTER_MISSING', 'no/such/folder'],
    [['--engine', 'natve'], 'PEFT_ENGINE_UNKNOWN', 'Did you mean "native"'],
    [['--plugin', FORMATS_ALONE], 'PEFT_PLUGIN_EMPTY', 'methods, engines and model families'],
    [['--plugin', './no/such.mjs'], 'PEFT_PLUGIN_LOAD', 'no/such.mjs'],
  ])('%j is a named error', async (flags, code, message) => {
    const { code: exit, err } = await peft('serve', llama.path, '--port', '0', ...flags);
    expect(exit).toBe(1);
    expect(err).toContain(`error ${code}`);
    expect(err).toContain(message);
    expect(err).not.toContain('listening');
  });
});
