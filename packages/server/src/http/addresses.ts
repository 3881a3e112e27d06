/** Addresses to listen on. */
import { createServer, type Server } from 'node:net';
import { PeftError } from '@peft/errors';

/**
 * Listens on an address, and tells when it does.
 * @throws PEFT_SERVER_ADDRESS when the address is taken or not this machine's
 */
export function listenOn(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) =>
      reject(
        new PeftError(
          'PEFT_SERVER_ADDRESS',
          `server: cannot listen on ${host}:${port}: ${cause.message}.`,
          { hint: hintFor(cause.code), cause },
        ),
      ),
    );
    server.listen(port, host, resolve);
  });
}

function hintFor(code: string | undefined): string {
  switch (code) {
    case 'EADDRINUSE':
      return 'another program listens there: choose another port, or 0 for a free one';
    case 'EACCES':
      return 'ports below 1024 are kept for the administrator: choose another, such as 8000';
    default:
      return 'give an address of this machine: 127.0.0.1, or 0.0.0.0 for all of them';
  }
}

/**
 * Whether an address can be listened on, before a model is loaded for it.
 * @throws PEFT_SERVER_ADDRESS as {@link PeftServer.listen} does
 */
export async function requireFreeAddress({
  host = '127.0.0.1',
  port = 8000,
}: {
  readonly host?: string;
  readonly port?: number;
} = {}): Promise<void> {
  const probe = createServer();
  await listenOn(probe, host, port);
  await new Promise<void>((closed) => probe.close(() => closed()));
}
