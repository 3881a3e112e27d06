/** Opens an address in the person's browser. */
import { spawn } from 'node:child_process';

/** Where no browser opens, the address has been printed. */
export function openInBrowser(url: string): void {
  const [program, ...words] = opener(url);
  const child = spawn(program!, words, { detached: true, stdio: 'ignore' });
  child.on('error', () => undefined);
  child.unref();
}

function opener(url: string): readonly string[] {
  switch (process.platform) {
    case 'darwin':
      return ['open', url];
    case 'win32':
      return ['rundll32', 'url.dll,FileProtocolHandler', url];
    default:
      return ['xdg-open', url];
  }
}
