/** `peft setup tensorflow`: a TensorFlow library that works on this machine. */
import { createInterface } from 'node:readline/promises';
import type { Command } from 'commander';
import { check } from '@peft/errors';
import { cacheFolder } from '@peft/tensorflow';
import { DEFAULT_TENSORFLOW, setupTensorflow } from '@peft/tensorflow-setup';
import type { Terminal } from '../terminal/terminal.js';

interface SetupFlags {
  readonly device?: string;
  readonly tensorflow?: string;
  readonly from: readonly string[];
  readonly tfjsNode?: string;
  readonly yes?: boolean;
  readonly json?: boolean;
}

export function addSetup(program: Command, terminal: Terminal): void {
  program
    .command('setup')
    .summary('set up what an engine needs: peft setup tensorflow')
    .description(
      'Sets up what an engine needs beside npm packages. tensorflow: unpacks a TensorFlow ' +
        'library into a cache folder, compiles the addon of @tensorflow/tfjs-node against it, ' +
        'and tests it. A setup that fails leaves the former one in use; run again, it resumes ' +
        'where it stopped.',
    )
    .argument('<engine>', 'tensorflow')
    .option('--device <device>', 'cpu or cuda; default: cuda where nvidia-smi lists a GPU')
    .option('--tensorflow <version>', `TensorFlow's version, default ${DEFAULT_TENSORFLOW}`)
    .option(
      '--from <source...>',
      'wheels, an official libtensorflow archive, the folder of an installed tensorflow ' +
        'package, or addresses of such files; default: pip fetches',
      [],
    )
    .option(
      '--tfjs-node <source>',
      'a tarball or folder of @tensorflow/tfjs-node; default: an installed one, else npm fetches it',
    )
    .option('-y, --yes', 'download without asking')
    .option('--json', 'print one JSON object at the end')
    .addHelpText(
      'after',
      '\n' +
        `The cache folder is ${cacheFolder()}; PEFT_TENSORFLOW_HOME names another.\n` +
        '\n' +
        'Examples:\n' +
        '  peft setup tensorflow\n' +
        `  peft setup tensorflow --from tensorflow_cpu-${DEFAULT_TENSORFLOW}-cp311-cp311-manylinux_2_27_x86_64.whl ` +
        '--yes\n' +
        '  peft setup tensorflow --device cuda',
    )
    .action(async (engine: string, flags: SetupFlags) =>
      terminal.out(await setUp(engine, flags, terminal)),
    );
}

async function setUp(
  engine: string,
  { device, tensorflow: version, from, tfjsNode, yes = false, json = false }: SetupFlags,
  terminal: Terminal,
): Promise<string> {
  check.oneOf('setup', 'engine', engine, ['tensorflow']);
  if (device !== undefined) check.oneOf('setup', '--device', device, ['cpu', 'cuda']);
  const result = await setupTensorflow({
    device,
    version,
    tfjsNode,
    from,
    confirm: async (question) => yes || ask(question, terminal),
    report: progressLines(terminal),
    signal: terminal.signal,
  });
  return json ? JSON.stringify(result) : result.summary;
}

/** Where nobody can answer, the answer is no. */
async function ask(question: string, { isInteractive, signal }: Terminal): Promise<boolean> {
  if (!isInteractive || !process.stdin.isTTY) return false;
  const prompt = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^(y|yes)$/i.test((await prompt.question(`${question} [y/N] `, { signal })).trim());
  } finally {
    prompt.close();
  }
}

/** A line for each step, and for each tenth of a long one. */
function progressLines(terminal: Terminal): (step: string, fraction?: number) => void {
  let last = '';
  return (step, fraction) => {
    const line =
      fraction === undefined || fraction === 0 ? step : `${step}: ${Math.floor(fraction * 10)}0 %`;
    if (line !== last && !line.endsWith(': 00 %')) terminal.err(line);
    last = line;
  };
}
