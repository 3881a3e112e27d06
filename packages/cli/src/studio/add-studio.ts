/** `peft studio`: a local page over a folder of runs. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { allFormats } from '@peft/export';
import { createStudio } from '@peft/studio';
import { nonNegativeInteger } from '../options/numbers.js';
import { openInBrowser } from './open-in-browser.js';
import type { Terminal } from '../terminal/terminal.js';
import { untilAborted } from '../terminal/until-aborted.js';

interface StudioFlags {
  readonly host: string;
  readonly port: string;
  readonly open: boolean;
}

export function addStudio(program: Command, terminal: Terminal): void {
  program
    .command('studio')
    .summary('open a page over a folder of runs')
    .description(
      'Opens a local web page over a folder of runs: watch them, start some, score and try what ' +
        'they learnt. The page is for whoever has its address, which has a token; runs that it ' +
        'starts are those of peft fit and go on when it ends.',
    )
    .argument(
      '[folder]',
      'where the runs are, and new ones go; it is made where it is missing',
      '.',
    )
    .option('--host <address>', 'the address to listen on', '127.0.0.1')
    .option('--port <number>', 'the port, 0 for a free one', '0')
    .option('--no-open', 'print the address, and open no browser')
    .addHelpText('after', '\nExamples:\n  peft studio\n  peft studio ./runs --no-open --port 7333')
    .action(async (folder: string, flags: StudioFlags) => studio(folder, flags, terminal));
}

const command = (name: string): readonly string[] => [
  process.execPath,
  fileURLToPath(new URL('../../bin/peft.mjs', import.meta.url)),
  name,
];

async function studio(folder: string, flags: StudioFlags, terminal: Terminal): Promise<void> {
  const port = nonNegativeInteger('studio', '--port', flags.port);
  const page = await createStudio({
    folder,
    fitCommand: command('fit'),
    exports: {
      command: command('export'),
      formats: allFormats.map(({ name, summary, types, fileExtension }) => ({
        name,
        summary,
        types,
        fileExtension,
      })),
    },
    requests: new URL('./run-requests', import.meta.url),
    isSource: existsSync(new URL('./run-requests.ts', import.meta.url)),
    log: (line) => terminal.err(line),
  });
  try {
    const { url } = await page.listen({ host: flags.host, port });
    terminal.out(url);
    terminal.err('Ctrl-C ends the page; runs go on.');
    terminal.sayAtStop('closing the page; runs go on');
    if (flags.open && terminal.isInteractive) openInBrowser(url);
    await untilAborted(terminal.signal);
  } finally {
    await page.close();
  }
}
