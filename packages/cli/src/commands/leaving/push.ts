/** `peft push`: a model or adapter on the Hugging Face hub. */
import type { Command } from 'commander';
import { pushToHub, type PushPlan } from '@peft/hub';
import { bytes, table } from '../../terminal/format.js';
import type { Terminal } from '../../terminal/terminal.js';

interface PushFlags {
  readonly public?: boolean;
  readonly dryRun?: boolean;
  readonly include: readonly string[];
  readonly message?: string;
  readonly token?: string;
  readonly json?: boolean;
}

export function addPush(program: Command, terminal: Terminal): void {
  program
    .command('push')
    .summary('send a model or adapter to the Hugging Face hub')
    .description(
      'Sends a model, an adapter, or the adapter of what fit saved to the Hugging Face hub, in one ' +
        'commit. What the hub has already is not sent again.',
    )
    .argument('<folder>', 'what fit, export or merge wrote, or a GGUF file')
    .argument('<name>', 'organisation/model; made where it is missing, private')
    .option('--dry-run', 'list what would be sent, and send nothing')
    .option('--public', 'everyone may see the repository')
    .option('--include <path...>', "files and folders to send beside the model's own", [])
    .option('--message <text>', 'title of the commit')
    .option('--token <token>', 'one that may write (default: HF_TOKEN, or that of hf auth login)')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      '\nExamples:\n  peft push out me/my-adapter --dry-run\n  peft push merged me/my-model --public',
    )
    .action(async (folder: string, name: string, flags: PushFlags) =>
      terminal.out(await push(folder, name, flags, terminal)),
    );
}

async function push(
  folder: string,
  name: string,
  flags: PushFlags,
  terminal: Terminal,
): Promise<string> {
  const { dryRun, include, message, token } = flags;
  const result = await pushToHub(folder, name, {
    dryRun,
    include,
    message,
    token,
    private: flags.public !== true,
    signal: terminal.signal,
    onPlan: (plan) => flags.json || terminal.err(planLines(plan)),
    onProgress: ({ file, done }) => done === 1 && terminal.err(`sent ${file}`),
  });
  if (flags.json) return JSON.stringify(result);
  if (dryRun) return 'nothing was sent (--dry-run)';
  const what = result.commit === undefined ? 'the hub has all of it already' : 'sent';
  return `${what}: ${result.url}`;
}

function planLines({ name, isNew, isPrivate, files, leftOut, otherWeights }: PushPlan): string {
  const total = files.reduce((sum, file) => sum + (file.isThere ? 0 : file.bytes), 0);
  const kind = `${isNew ? 'new ' : ''}${isPrivate ? 'private' : 'public'} repository`;
  return [
    `to ${name} (${kind}), ${bytes(total)}:`,
    table([
      ['file', 'size', ''],
      ...files.map((file) => [file.path, bytes(file.bytes), file.isThere ? 'is there' : '']),
    ]),
    ...(leftOut.length ? [`not sent: ${leftOut.join(', ')} (--include sends them)`] : []),
    ...(otherWeights.length
      ? [`warning: the repository has other weights, too: ${otherWeights.join(', ')}`]
      : []),
  ].join('\n');
}
