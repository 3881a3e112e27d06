/** What strangers may do to a server, and how it ends. */
import { connect, type Socket } from 'node:net';
import { once } from 'node:events';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createServer, requireFreeAddress, type PeftServer } from '../src/index.js';
import { LLAMA } from './served-fixture.js';

const MAX_BODY_BYTES = 20_000;
const DROPPED_CONNECTIONS = process.env['PEFT_LONG_TESTS'] === '1' ? 10_000 : 2000;

const { Request: ownRequest, Response: ownResponse } = globalThis;
let server: PeftServer;
let url: URL;
beforeAll(async () => {
  server = await createServer({
    model: LLAMA,
    engine: 'portable',
    maxBodyBytes: MAX_BODY_BYTES,
    maxWaiting: 2,
    maxSequences: 1,
    headersTimeoutMs: 500,
  });
  url = new URL((await server.listen({ port: 0 })).url);
});
afterAll(() => server.close());

const post = (body: BodyInit, path = '/v1/completions'): Promise<Response> =>
  fetch(new URL(path, url), { method: 'POST', body });
const isWell = async (): Promise<boolean> =>
  (await fetch(new URL('/health', url), { headers: { connection: 'close' } })).status === 200;

async function open(): Promise<Socket> {
  const socket = connect(Number(url.port), url.hostname);
  socket.on('error', () => undefined); // the server may cut it off
  await once(socket, 'connect');
  return socket;
}

/** Sends bytes as they are. @returns the answer's first line */
async function raw(bytes: string): Promise<string> {
  const socket = await open();
  socket.write(bytes);
  const [data] = (await once(socket, 'data')) as [Buffer];
  socket.destroy();
  return data.toString('latin1').split('\r\n')[0]!;
}

test("a server leaves the application's Request and Response as they are", () => {
  expect(globalThis.Request).toBe(ownRequest);
  expect(globalThis.Response).toBe(ownResponse);
});

test.each([
  ['a body over the bound', 'x'.repeat(MAX_BODY_BYTES + 1), 413],
  ['no JSON', '{"prompt":', 400],
  ['no object', '[1]', 400],
  ['deep nesting', `{"prompt":${'['.repeat(9000)}${']'.repeat(9000)}}`, 400],
  ['bytes that are no UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), 400],
  ['nothing', '', 400],
  ['ids beyond the vocabulary', '{"prompt":[99999999]}', 400],
  ['a prompt of no tokens', '{"prompt":[]}', 400],
  ['a key of the prototype', '{"prompt":"a","__proto__":{"a":1}}', 400],
])('%s is an error of the client', async (_, body, status) => {
  const answer = await post(body as BodyInit);
  expect(answer.status).toBe(status);
  expect(await answer.json()).toMatchObject({ error: { type: 'invalid_request_error' } });
  expect(await isWell()).toBe(true);
});

test('a body that says no length is bounded, too', async () => {
  const chunk = new TextEncoder().encode('x'.repeat(5000));
  let sent = 0;
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      sent += 1;
      if (sent > 4000) controller.close();
      else controller.enqueue(chunk);
    },
  });
  const answer = await fetch(new URL('/v1/completions', url), {
    method: 'POST',
    body,
    duplex: 'half',
  } as RequestInit).catch((error: unknown) => error); // cut off while it was sending
  if (answer instanceof Response) expect(answer.status).toBe(413);
  expect(sent).toBeLessThan(4000);
  expect(await isWell()).toBe(true);
});

test.each([
  ['no HTTP', 'hello\r\n\r\n', /^HTTP\/1\.1 400/],
  [
    'two lengths',
    'POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab',
    /^HTTP\/1\.1 400/,
  ],
  [
    'a length beside chunks',
    'POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    /^HTTP\/1\.1 400/,
  ],
  [
    'headers without end',
    `GET /health HTTP/1.1\r\nHost: a\r\n${'X: y\r\n'.repeat(20_000)}\r\n`,
    /^HTTP\/1\.1 431/,
  ],
  ['a path upwards', 'GET /../../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n', /^HTTP\/1\.1 404/],
])('%s is refused', async (_, bytes, status) => {
  expect(await raw(bytes)).toMatch(status);
  expect(await isWell()).toBe(true);
});

test(`${DROPPED_CONNECTIONS} connections that are opened and dropped leave it up`, async () => {
  for (let done = 0; done < DROPPED_CONNECTIONS; done += 100) {
    const sockets = await Promise.all(Array.from({ length: 100 }, open));
    sockets.forEach((socket, i) => {
      if (i % 2)
        socket.write('POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n{');
      socket.destroy();
    });
  }
  expect(await isWell()).toBe(true);
});

test('a client that closes its half of the connection has gone, and its text with it', async () => {
  const body = '{"prompt":"Ein","max_tokens":200,"stream":true}';
  const socket = await open();
  socket.write(
    `POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
  await once(socket, 'data');
  socket.end();
  const health = async (): Promise<unknown> => (await fetch(new URL('/health', url))).json();
  await expect.poll(health).toMatchObject({ running: 0, waiting: 0, cacheBytes: 0 });
});

test('a client that closes its half in the middle of a body is let go', async () => {
  const socket = await open();
  socket.end('POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n{"prompt":');
  let text = '';
  for await (const data of socket) text += String(data);
  expect(text).toMatch(/^(HTTP\/1\.1 400|$)/);
  expect(await isWell()).toBe(true);
});

test.each(['../llama', 'llama/../../etc', '..\\llama', '%2e%2e/llama', '\0'])(
  'a model of the name %j is one that there is not',
  async (model) => {
    const answer = await post(JSON.stringify({ model, prompt: 'a', max_tokens: 1 }));
    expect(answer.status).toBe(404);
    expect(await answer.json()).toMatchObject({ error: { code: 'model_not_found' } });
  },
);

test('clients that send slowly hold nobody else up', async () => {
  const slow = await Promise.all(Array.from({ length: 50 }, open));
  for (const socket of slow) socket.write('POST /v1/completions HTTP/1.1\r\nHost: a\r\nX-A: ');
  const answer = await post('{"prompt":"Ein","max_tokens":2}');
  expect(answer.status).toBe(200);
  // and are cut off when their time is over
  await Promise.all(
    slow.filter(({ closed }) => !closed).map((socket) => once(socket.resume(), 'close')),
  );
});

test('paths that strangers make up are one counter together', async () => {
  await Promise.all(
    Array.from({ length: 20 }, (_, i) =>
      fetch(new URL(`/made/up/${i}"}`, url)).then((a) => a.text()),
    ),
  );
  const metrics = await (await fetch(new URL('/metrics', url))).text();
  expect(metrics).not.toContain('made');
  expect(metrics).toMatch(/^peft_requests_total\{route="other",status="404"\} [1-9]\d*$/m);
});

test('a request for more texts than one may have is refused', async () => {
  const answer = await post('{"prompt":["a","b","c"],"n":100,"max_tokens":1}');
  expect(answer.status).toBe(400);
  expect(await answer.text()).toContain('256 texts of one request');
});

test('more requests than may wait get 503 and Retry-After, and the others their texts', async () => {
  const answers = await Promise.all(
    Array.from({ length: 8 }, () => post('{"prompt":"Ein","max_tokens":20}')),
  );
  const statuses = answers.map(({ status }) => status);
  expect(new Set(statuses)).toEqual(new Set([200, 503]));
  const refused = answers.find(({ status }) => status === 503)!;
  expect(refused.headers.get('retry-after')).toBe('1');
  await Promise.all(answers.map((answer) => answer.arrayBuffer()));
});

test('a server that ends lets running texts end, and takes no more', async () => {
  const other = await createServer({ model: LLAMA, engine: 'portable' });
  const { url: own } = await other.listen({ port: 0 });
  const answer = await fetch(`${own}/v1/completions`, {
    method: 'POST',
    body: '{"prompt":"Ein","max_tokens":40,"stream":true}',
  });
  const closing = other.close();
  const text = await answer.text();
  expect(text.trimEnd().endsWith('data: [DONE]')).toBe(true);
  await closing;
  await expect(fetch(`${own}/health`)).rejects.toThrow();
});

test('an address that is taken, and a second one, are named errors', async () => {
  const refusal = { code: 'PEFT_SERVER_ADDRESS' };
  await expect(server.listen({ port: 0 })).rejects.toMatchObject(refusal);
  await expect(requireFreeAddress({ port: Number(url.port) })).rejects.toMatchObject(refusal);
  await expect(requireFreeAddress({ host: '192.0.2.1' })).rejects.toMatchObject(refusal);
  await requireFreeAddress({ port: 0 });
  const other = await createServer({ model: LLAMA, engine: 'portable' });
  await expect(other.listen({ port: Number(url.port) })).rejects.toMatchObject(refusal);
  await other.close();
});

test.each([
  [{ model: LLAMA, prot: 1 }, 'PEFT_CONFIG_UNKNOWN_KEY'],
  [{ model: LLAMA, maxWaiting: 0 }, 'PEFT_CONFIG_INVALID'],
  [{ model: 'no/such/folder' }, 'PEFT_MODEL_NAME'],
])('options that are wrong are named errors: %j', async (options, code) => {
  await expect(createServer(options)).rejects.toMatchObject({ code });
});
