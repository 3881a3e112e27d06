/**
 * Requests as the machine's surroundings want them: through the proxy that the environment names,
 * with the certificates that it names, and with an end to waiting.
 */
import { PeftError } from '@peft/errors';
import { readFileSync } from 'node:fs';
import { rootCertificates } from 'node:tls';

/** Certificates beside Node's own, as Python's libraries, curl and OpenSSL read them. */
const CERTIFICATE_FILES = ['SSL_CERT_FILE', 'REQUESTS_CA_BUNDLE', 'CURL_CA_BUNDLE'] as const;

/** How long a server may be silent, before its answer and within it. */
export const SILENCE_MS = 60_000;

/** An upload may be as slow as that before its server counts as silent. */
const SLOWEST_BYTES_PER_MS = 16;

type Environment = Readonly<Record<string, string | undefined>>;
type Fetch = typeof globalThis.fetch;

/**
 * A fetch that goes through `HTTPS_PROXY` and `HTTP_PROXY` but for the hosts of `NO_PROXY` (small
 * letters count as well), and trusts the certificates in `SSL_CERT_FILE`, `REQUESTS_CA_BUNDLE` or
 * `CURL_CA_BUNDLE` beside Node's own; `NODE_EXTRA_CA_CERTS` is Node's own affair. Where none of
 * these is set it is the global fetch.
 *
 * @throws PEFT_HUB_CERTIFICATES the file of certificates cannot be read.
 */
export async function environmentFetch(env: Environment = process.env): Promise<Fetch> {
  const [httpProxy, httpsProxy, noProxy] = ['http_proxy', 'https_proxy', 'no_proxy'].map(
    (name) => env[name] || env[name.toUpperCase()] || undefined,
  );
  const certificates = CERTIFICATE_FILES.find((name) => env[name]);
  if (!httpProxy && !httpsProxy && !certificates) return globalThis.fetch;
  const { EnvHttpProxyAgent, fetch } = await import('undici');
  const tls = certificates
    ? { ca: [...rootCertificates, readCertificates(certificates, env[certificates]!)] }
    : undefined;
  // the last two are for the way through a proxy
  const options = {
    httpProxy,
    httpsProxy,
    noProxy,
    connect: tls,
    requestTls: tls,
    proxyTls: tls,
  };
  const dispatcher = new EnvHttpProxyAgent(options);
  // undici's fetch is the one that Node has built in; its types differ in names only
  return ((input: string, init?: object) =>
    fetch(String(input), { ...init, dispatcher })) as unknown as Fetch;
}

function readCertificates(variable: string, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new PeftError(
      'PEFT_HUB_CERTIFICATES',
      `hub: the certificates in ${path}, which ${variable} names, cannot be read: ${(cause as Error).message}.`,
      { hint: `Name a file in PEM form, or unset ${variable}.`, cause },
    );
  }
}

/**
 * Ends a request whose server has sent nothing for a time.
 *
 * @param silenceMs milliseconds from the request to the answer, and between pieces of the answer; a
 *   request that carries a file has 1 s more for each 16 kB.
 * @returns a fetch that rejects, or whose body breaks, with an error that says so.
 */
export function withPatience(fetch: Fetch, silenceMs: number = SILENCE_MS): Fetch {
  return async (input, init) => {
    const control = new AbortController();
    let timer: NodeJS.Timeout | undefined;
    const sentBytes = init?.body instanceof Blob ? init.body.size : 0;
    const waitMs = silenceMs + sentBytes / SLOWEST_BYTES_PER_MS;
    const wait = (): void => {
      clearTimeout(timer);
      timer = setTimeout(
        () => control.abort(new Error(`the server has been silent for ${waitMs / 1000} s`)),
        waitMs,
      );
    };
    const own = init?.signal;
    const signal = own ? AbortSignal.any([own, control.signal]) : control.signal;
    wait();
    try {
      const response = await fetch(input, { ...init, signal });
      if (!response.body) clearTimeout(timer);
      else wait();
      return response.body
        ? withBody(
            response,
            watched(response.body, wait, () => clearTimeout(timer)),
          )
        : response;
    } catch (error) {
      clearTimeout(timer);
      throw control.signal.aborted && !own?.aborted ? control.signal.reason : error;
    }
  };
}

/** The same bytes; each piece begins the waiting anew. */
function watched(
  body: ReadableStream<Uint8Array>,
  wait: () => void,
  stop: () => void,
): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        wait();
        const { done, value } = await reader.read();
        stop(); // who reads slowly is not the server
        if (done) controller.close();
        else controller.enqueue(value);
      } catch (error) {
        stop();
        controller.error(error);
      }
    },
    cancel(reason) {
      stop();
      return reader.cancel(reason);
    },
  });
}

/** The answer with another body; its address, which a new one lacks, stays. */
function withBody(response: Response, body: ReadableStream<Uint8Array>): Response {
  const { status, statusText, headers, url } = response;
  const result = new Response(body, { status, statusText, headers: new Headers([...headers]) });
  return Object.defineProperty(result, 'url', { value: url });
}
