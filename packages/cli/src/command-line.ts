/** The `peft` command: parses the line, runs the command, says what went wrong. */
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { addChat } from './commands/chat.js';
import { addCheck } from './commands/leaving/check.js';
import { addDoctor } from './commands/doctor.js';
import { addEvaluate } from './commands/evaluate.js';
import { addConvert } from './commands/leaving/convert.js';
import { addExport, addMerge } from './commands/leaving/export.js';
import { addFit } from './commands/fit.js';
import { addGenerate } from './commands/generate.js';
import { addInspect } from './commands/inspect.js';
import { addMethods } from './commands/methods.js';
import { addPlan } from './commands/plan.js';
import { addPredict } from './commands/predict.js';
import { addPush } from './commands/leaving/push.js';
import { addRank } from './commands/rank.js';
import { addRuns } from './commands/runs.js';
import { addServe } from './commands/serve.js';
import { addSetup } from './commands/setup.js';
import { addStudio } from './studio/add-studio.js';
import { reportError } from './terminal/report-error.js';
import type { Terminal } from './terminal/terminal.js';

/** Runs a command line (without `node peft`). @returns the exit code */
export async function runCommandLine(argv: readonly string[], terminal: Terminal): Promise<number> {
  try {
    await programOf(argv, terminal).parseAsync([...argv], { from: 'user' });
    return 0;
  } catch (error) {
    return reportError(error, terminal, argv.includes('--json'));
  }
}

/** All commands with their flags. */
export function programOf(argv: readonly string[], terminal: Terminal): Command {
  const { version } = JSON.parse(
    readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
  ) as { version: string };
  const program = new Command('peft')
    .description('Fine-tunes Hugging Face transformers on this machine, without Python.')
    .version(version)
    .showSuggestionAfterError()
    .showHelpAfterError('(peft COMMAND --help lists the options)')
    .configureOutput({
      writeOut: (text) => terminal.out(text.trimEnd()),
      writeErr: (text) => terminal.err(text.trimEnd()),
    })
    .exitOverride();
  addFit(program, terminal, argv);
  addEvaluate(program, terminal);
  addPredict(program, terminal);
  addRank(program, terminal);
  addGenerate(program, terminal);
  addChat(program, terminal);
  addExport(program, terminal);
  addMerge(program, terminal);
  addConvert(program, terminal);
  addCheck(program, terminal);
  addPush(program, terminal);
  addInspect(program, terminal);
  addMethods(program, terminal);
  addPlan(program, terminal);
  addRuns(program, terminal);
  addServe(program, terminal);
  addStudio(program, terminal);
  addSetup(program, terminal);
  addDoctor(program, terminal, argv);
  for (const command of program.commands) command.copyInheritedSettings(program);
  return program;
}
