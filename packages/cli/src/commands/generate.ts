/** `peft generate`: continues prompts with a language model. */
import { readFileSync } from 'node:fs';
import { readTable } from '@peft/data';
import { PeftError } from '@peft/errors';
import { generateTexts, type GeneratedText } from '@peft/generation';
import { writeFileAtomic } from '@peft/hub';
import { loadLanguageModel, type LanguageModel } from '@peft/predictor';
import type { Command } from 'commander';
import { count } from '../terminal/format.js';
import { loadPlugins, pluginModules } from '../options/plugins.js';
import { addEngineFlags, engineOptions, type EngineFlags } from '../options/engine-flags.js';
import { addRevisionFlag, type RevisionFlag, CHAT_TEMPLATE_FLAG } from '../options/model-flags.js';
import type { Terminal } from '../terminal/terminal.js';
import { loadingShown } from '../terminal/loading-shown.js';
import {
  addGenerationFlags,
  unescaped,
  generationOptions,
  TASK_ID_FLAG,
  taskIdOf,
  type GenerationFlags,
  type TaskIdFlag,
} from '../options/generation-flags.js';
import { addRouteFlags, routed, routedFolders, type RouteFlags } from './routing.js';

interface GenerateFlags extends GenerationFlags, TaskIdFlag, EngineFlags, RevisionFlag, RouteFlags {
  readonly chatTemplate?: string;
  readonly prompt?: readonly string[];
  readonly file?: string;
  readonly column?: string;
  readonly chat?: boolean;
  readonly system?: string;
  readonly sampling?: boolean;
  readonly stream?: boolean;
  readonly output?: string;
  readonly json?: boolean;
}

export function addGenerate(program: Command, terminal: Terminal): void {
  const command = program
    .command('generate')
    .summary('continue prompts with a language model')
    .description('Continues prompts (or, with an encoder-decoder, answers them).')
    .argument('<model>', 'a folder or hub id of a checkpoint, or a folder that fit saved')
    .option('-a, --adapter <folder>', "an adapter for it, ours or PEFT's, of any method");
  addRouteFlags(command);
  addRevisionFlag(command)
    .option(...CHAT_TEMPLATE_FLAG)
    .option('-p, --prompt <text...>', 'prompts; \\n is a line end')
    .option(
      '-f, --file <file>',
      'prompts from a file: .txt (paragraphs, or lines), or the column "prompt" of a table; ' +
        '- is standard input as one prompt',
    )
    .option('--column <name>', 'the column of --file that holds the prompts')
    .option('--chat', "ask each prompt as a user's turn, by the checkpoint's chat template")
    .option('--system <text>', "with --chat: the system's turn before it")
    .option('--sampling', "sampling as the checkpoint's makers set it (generation_config.json)");
  addGenerationFlags(command)
    .option(...TASK_ID_FLAG)
    .option('--stream', 'print the text while it is generated (one prompt at a time)')
    .option('-o, --output <file>', 'write JSON Lines here instead of printing');
  addEngineFlags(command)
    .option('--json', 'print JSON Lines: prompt, text, tokens, finishReason')
    .addHelpText(
      'after',
      '\n' +
        'Examples:\n' +
        '  peft generate ./llama --prompt "The capital of France is" --max-new-tokens 20\n' +
        '  peft generate ./llama --adapter ./out/adapter --file prompts.jsonl --temperature ' +
        '0.7 --top-p 0.9 --seed 1 --json\n' +
        '  peft generate ./llama --route ./law ./code ./poems --route-top 2 --prompt "Dear "\n' +
        '  peft generate google/flan-t5-small --prompt "Translate to German: Good morning." ' +
        '--beams 4',
    )
    .action(async (model: string, flags: GenerateFlags) => generateCommand(model, flags, terminal));
}

async function generateCommand(
  reference: string,
  flags: GenerateFlags,
  terminal: Terminal,
): Promise<void> {
  if ((flags.prompt === undefined) === (flags.file === undefined))
    throw new PeftError('PEFT_OPTION_MISSING', 'generate: give either --prompt or --file.', {
      hint: 'peft generate MODEL --prompt "Once upon a time"',
    });
  if (flags.system !== undefined && !flags.chat)
    throw new PeftError('PEFT_OPTION_INVALID', 'generate: --system needs --chat.');
  if (flags.stream && (flags.json || flags.output !== undefined))
    throw new PeftError(
      'PEFT_OPTION_INVALID',
      'generate: --stream prints text, which does not go with --json or --output.',
    );
  const writing = generationOptions('generate', flags);
  const prompts = flags.prompt
    ? flags.prompt.map(unescaped)
    : await promptsOf(flags.file!, flags.column);
  const language = await loadLanguageModel(reference, {
    ...engineOptions('generate', flags),
    chatTemplate: flags.chatTemplate,
    signal: terminal.signal,
    modules: pluginModules(await loadPlugins(flags.plugin)),
    onEvent: loadingShown(terminal),
    adapter: flags.adapter,
    alsoFor: routedFolders('generate', flags),
    revision: flags.revision,
  });
  try {
    await routed('generate', language, flags);
    const options = { ...(flags.sampling && language.sampling), ...writing };
    if (flags.stream) await stream(prompts, language, options, flags, terminal);
    else await print(prompts, language, options, flags, terminal);
  } finally {
    language.dispose();
  }
}

type Options = Parameters<typeof generateTexts>[3];

async function stream(
  prompts: readonly string[],
  language: LanguageModel,
  options: Options,
  flags: GenerateFlags,
  terminal: Terminal,
): Promise<void> {
  for (const prompt of prompts) {
    if (prompts.length > 1) terminal.out(`--- ${prompt.replaceAll('\n', '\\n')}`);
    await generateTexts(language.model, language.tokenizer, [promptOf(prompt, language, flags)], {
      ...(flags.chat ? language.chatEnds() : language.ends),
      ...options,
      ...taskIdsOf([prompt], flags),
      signal: terminal.signal,
      onText: ({ text }) => terminal.write(text),
    });
    terminal.write('\n');
  }
}

async function print(
  prompts: readonly string[],
  language: LanguageModel,
  options: Options,
  flags: GenerateFlags,
  terminal: Terminal,
): Promise<void> {
  const made = await generateTexts(
    language.model,
    language.tokenizer,
    prompts.map((prompt) => promptOf(prompt, language, flags)),
    {
      ...(flags.chat ? language.chatEnds() : language.ends),
      ...options,
      ...taskIdsOf(prompts, flags),
      signal: terminal.signal,
    },
  );
  const lines = made.map((result, i) => JSON.stringify(rowOf(prompts[i]!, result)));
  if (flags.output !== undefined) {
    await writeFileAtomic(flags.output, `${lines.join('\n')}\n`);
    terminal.err(`${count(lines.length)} texts written to ${flags.output}`);
    return;
  }
  made.forEach(({ text }, i) => {
    if (!flags.json && prompts.length > 1)
      terminal.out(`--- ${prompts[i]!.replaceAll('\n', '\\n')}`);
    terminal.out(flags.json ? lines[i]! : text);
  });
  const ended = made.filter(({ finishReason }) => finishReason === 'position-limit').length;
  if (ended > 0 && !flags.json)
    terminal.err(`note: ${ended} of ${made.length} texts end where the model has no position left`);
}

/** All prompts are of the task that was named. */
function taskIdsOf(
  prompts: readonly string[],
  flags: GenerateFlags,
): { readonly taskIds?: readonly number[] } {
  const taskId = taskIdOf('generate', flags);
  return taskId === undefined ? {} : { taskIds: prompts.map(() => taskId) };
}

const rowOf = (
  prompt: string,
  { text, ids, finishReason, score }: GeneratedText,
): Record<string, unknown> => ({
  prompt,
  text,
  tokens: ids.length,
  finishReason,
  score,
});

function promptOf(
  text: string,
  language: LanguageModel,
  { chat, system }: GenerateFlags,
): string | readonly number[] {
  if (!chat) return text;
  return language.tokenizer.ids(
    language
      .chatTemplate()
      .render(
        [
          ...(system === undefined ? [] : [{ role: 'system', content: system }]),
          { role: 'user', content: text },
        ],
        { addGenerationPrompt: true },
      ),
  );
}

/** @throws PEFT_COLUMN_MISSING, PEFT_OPTION_INVALID and what reading throws */
async function promptsOf(path: string, column: string | undefined): Promise<string[]> {
  if (path === '-') return [readFileSync(0, 'utf8').trimEnd()];
  const table = await readTable(path);
  const chosen = column ?? ['prompt', 'text', 'source'].find((name) => table.has(name)) ?? 'prompt';
  return table.column(chosen).map((cell, row) => {
    if (cell === null)
      throw new PeftError(
        'PEFT_OPTION_INVALID',
        `generate: row ${row} of ${path} has no prompt in the column ${JSON.stringify(chosen)}.`,
      );
    return String(cell);
  });
}
