import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { errorOf } from '../../test/support/error-code.js';
import { temporaryFolder } from '../../test/support/paths.js';
import { environmentFetch, withPatience } from './hub-fetch.js';
import { resolveModel } from './resolve-model.js';

let server: Server;
let asked: string[];
let address: string;
beforeEach(async () => {
  asked = [];
  server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    if (request.url === '/silent') return;
    response.writeHead(200, { 'content-length': 10 });
    if (request.url === '/half') return void response.write('01234');
    response.end('0123456789');
  });
  server.on('connect', (request, socket) => {
    asked.push(`CONNECT ${request.url}`);
    socket.end('HTTP/1.1 502 no\r\n\r\n');
  });
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

describe('a request to the hub', () => {
  test('goes through the proxy of the environment', async () => {
    const fetch = await environmentFetch({ HTTPS_PROXY: address, HTTP_PROXY: address });
    await expect(fetch('https://huggingface.example/api')).rejects.toThrow();
    await fetch('http://hub.example/api').catch(() => undefined);
    expect(asked[0]).toBe('CONNECT huggingface.example:443');
    expect(asked[1]).toMatch(/hub\.example/);
  });

  test('to a host of NO_PROXY goes straight', async () => {
    const fetch = await environmentFetch({
      http_proxy: 'http://127.0.0.1:1',
      NO_PROXY: '127.0.0.1',
    });
    expect(await (await fetch(`${address}/x`)).text()).toBe('0123456789');
    expect(asked).toEqual(['GET /x']);
  });

  test('is the global one where the environment says nothing', async () => {
    expect(await environmentFetch({})).toBe(globalThis.fetch);
  });

  test('names the file of certificates that cannot be read', async () => {
    const error = await errorOf(() => environmentFetch({ SSL_CERT_FILE: '/no/such.pem' }));
    expect(error.code).toBe('PEFT_HUB_CERTIFICATES');
    expect(error.message).toContain('/no/such.pem, which SSL_CERT_FILE names');
  });

  test('ends when the server is silent, before its answer or within it', async () => {
    const fetch = withPatience(globalThis.fetch, 300);
    await expect(fetch(`${address}/silent`)).rejects.toThrow('silent for 0.3 s');
    const half = await fetch(`${address}/half`);
    await expect(half.text()).rejects.toThrow('silent for 0.3 s');
    const whole = await fetch(`${address}/x`);
    expect(whole.url).toBe(`${address}/x`);
    expect(await whole.text()).toBe('0123456789');
  });

  test('of resolveModel ends so, too', async () => {
    const stuck = createServer(() => undefined);
    await new Promise<void>((ready) => stuck.listen(0, '127.0.0.1', ready));
    const error = await errorOf(() =>
      resolveModel('org/x', {
        cacheDir: temporaryFolder(),
        endpoint: `http://127.0.0.1:${(stuck.address() as AddressInfo).port}`,
        retries: 0,
        silenceMs: 200,
      }),
    );
    expect(error.code).toBe('PEFT_HUB_UNREACHABLE');
    expect(error.message).toContain('silent for 0.2 s');
    stuck.closeAllConnections();
    stuck.close();
  });
});
