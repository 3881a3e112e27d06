/** The command line of `npm create @peft/method`: flags, and questions for what they leave open. */
import { relative } from 'node:path';
import { parseArgs } from 'node:util';
import { PeftError } from '@peft/errors';
import { checkName, createMethod, KINDS, type MethodKind } from './create-method.js';

/** What the command writes to and asks; tests put another in its place. */
export interface Console {
  out(text: string): void;
  err(text: string): void;
  /** The answer to a question; undefined where nobody can answer. */
  ask(question: string): Promise<string | undefined>;
}

const HELP = `Writes the beginnings of a PEFT method as a package: source, contract test, README, changeset.

  npm create @peft/method -- --name my-method --kind linear

  --name NAME         the method, in lower case with hyphens: my-method
  --kind KIND         what it attaches to; default linear:
                        linear      a frozen affine map (LoRA, IA3)
                        norm        a layer norm or RMS norm
                        embedding   a table of rows
                        attention   keys and values beside a sequence (prefix)
                        sublayer    a residual branch (bottleneck adapters)
                        sequence    virtual tokens in front of a sequence (prompts)
                        parameter   parameters that the model has already (BitFit)
  --folder FOLDER     where to write; must be empty or new; default: the name
  --package NAME      the package's name for npm; default: peft-NAME
  --help              this text

Asks for the name and the kind when they are not given.`;

/**
 * Runs a command line (without `node create-method`).
 * @returns the exit code: 0, 1 the work failed, 2 the line is wrong
 */
export async function runCreateMethod(argv: readonly string[], console: Console): Promise<number> {
  let flags: ReturnType<typeof parse>;
  try {
    flags = parse(argv);
  } catch (error) {
    console.err(
      `error PEFT_OPTION_INVALID: ${(error as Error).message}\n  hint: npm create @peft/method ` +
        '-- --help lists the options',
    );
    return 2;
  }
  if (flags.values.help) {
    console.out(HELP);
    return 0;
  }
  try {
    const name =
      flags.values.name ??
      flags.positionals[0] ??
      (await answered(console, 'Name of the method (my-method): ', '--name'));
    checkName(name);
    const kind =
      flags.values.kind ??
      (flags.values.name === undefined
        ? await console.ask(`What does it attach to (${KINDS.join(', ')})? [linear] `)
        : undefined);
    const { folder, files } = createMethod({
      name,
      kind: (kind || 'linear') as MethodKind,
      folder: flags.values.folder ?? name,
      ...(flags.values.package !== undefined && { packageName: flags.values.package }),
    });
    const at = relative(process.cwd(), folder) || '.';
    console.out(
      `${name}: ${files.length} files in ${at}\n\n  cd ${at}\n  npm install\n  npm ` +
        `test          # the contract that every method passes, on three models\n\nThe formula ` +
        `is in src/${name}.ts, the cases in src/${name}.contract.test.ts.`,
    );
    return 0;
  } catch (error) {
    if (!(error instanceof PeftError)) throw error;
    console.err(`error ${error.code}: ${error.message}`);
    return error.code === 'PEFT_OPTION_MISSING' || error.code === 'PEFT_OPTION_INVALID' ? 2 : 1;
  }
}

const parse = (argv: readonly string[]) =>
  parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      name: { type: 'string' },
      kind: { type: 'string' },
      folder: { type: 'string' },
      package: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });

async function answered(console: Console, question: string, flag: string): Promise<string> {
  const answer = await console.ask(question);
  if (answer) return answer.trim();
  throw new PeftError('PEFT_OPTION_MISSING', `create-method: ${flag} is needed.`, {
    hint: 'npm create @peft/method -- --name my-method --kind linear',
  });
}
