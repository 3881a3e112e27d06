/** `peft chat`: a conversation with a model in the terminal. */
import type { ChatMessage } from '@peft/data';
import { didYouMean, PeftError } from '@peft/errors';
import { generateTexts } from '@peft/generation';
import { loadLanguageModel, type LanguageModel } from '@peft/predictor';
import type { Command } from 'commander';
import { loadingShown } from '../terminal/loading-shown.js';
import { loadPlugins, pluginModules } from '../options/plugins.js';
import { addEngineFlags, engineOptions, type EngineFlags } from '../options/engine-flags.js';
import { addRevisionFlag, type RevisionFlag, CHAT_TEMPLATE_FLAG } from '../options/model-flags.js';
import type { Terminal } from '../terminal/terminal.js';
import {
  addGenerationFlags,
  generationOptions,
  TASK_ID_FLAG,
  taskIdOf,
  type GenerationFlags,
  type TaskIdFlag,
} from '../options/generation-flags.js';
import { addRouteFlags, routed, routedFolders, type RouteFlags } from './routing.js';

interface ChatFlags extends GenerationFlags, TaskIdFlag, EngineFlags, RevisionFlag, RouteFlags {
  readonly chatTemplate?: string;
  readonly system?: string;
  readonly sampling: boolean;
}

const DEFAULT_TOKENS = 512;
const COMMANDS: Readonly<Record<string, string>> = Object.freeze({
  '/reset': 'forget the conversation',
  '/retry': 'answer the last question again, with another seed',
  '/undo': 'take the last question and its answer back',
  '/system': "TEXT: the system's turn before the conversation; alone: none. Starts afresh",
  '/history': 'show the conversation',
  '/help': 'these commands',
  '/exit': 'leave (also Ctrl-D)',
});

export function addChat(program: Command, terminal: Terminal): void {
  const command = program
    .command('chat')
    .summary('talk to a model in the terminal')
    .description(
      'A conversation with a model, by its own chat template. Ctrl-C stops an answer; /help ' +
        'lists what else can be typed.',
    )
    .argument(
      '<model>',
      'a folder or hub id of a checkpoint with a chat template, or a folder that fit saved',
    )
    .option('-a, --adapter <folder>', "an adapter for it, ours or PEFT's, of any method");
  addRouteFlags(command);
  addRevisionFlag(command)
    .option(...CHAT_TEMPLATE_FLAG)
    .option('--system <text>', "the system's turn before the conversation")
    .option(
      '--no-sampling',
      "take the likeliest token each time (default: sampling as the checkpoint's makers set " +
        'it, generation_config.json)',
    );
  addGenerationFlags(command, 'streamed').option(...TASK_ID_FLAG);
  addEngineFlags(command)
    .addHelpText(
      'after',
      '\n' +
        'In the conversation:\n' +
        `${help()}\n` +
        '\n' +
        'Examples:\n' +
        '  peft chat ./out\n' +
        '  peft chat HuggingFaceTB/SmolLM2-135M-Instruct --adapter ./out/adapter --system ' +
        '"Answer in one sentence."\n' +
        '  echo "Who are you?" | peft chat ./out',
    )
    .action(async (model: string, flags: ChatFlags) => chat(model, flags, terminal));
}

const help = (): string =>
  Object.entries(COMMANDS)
    .map(([name, meaning]) => `  ${name.padEnd(9)} ${meaning}`)
    .join('\n');

async function chat(reference: string, flags: ChatFlags, terminal: Terminal): Promise<void> {
  const taskId = taskIdOf('chat', flags);
  const writing = {
    ...generationOptions('chat', flags),
    ...(taskId !== undefined && { taskIds: [taskId] }),
  };
  const language = await loadLanguageModel(reference, {
    ...engineOptions('chat', flags),
    chatTemplate: flags.chatTemplate,
    signal: terminal.signal,
    modules: pluginModules(await loadPlugins(flags.plugin)),
    onEvent: loadingShown(terminal),
    adapter: flags.adapter,
    alsoFor: routedFolders('chat', flags),
    revision: flags.revision,
  });
  try {
    await routed('chat', language, flags);
    const conversation = new Conversation(
      language,
      { maxNewTokens: DEFAULT_TOKENS, ...(flags.sampling && language.sampling), ...writing },
      terminal,
      flags.system,
    );
    await conversation.run();
  } finally {
    language.dispose();
  }
}

class Conversation {
  #messages: ChatMessage[] = [];
  #seed: number;
  readonly #template: ReturnType<LanguageModel['chatTemplate']>;
  /** Stops the answer that is being generated. */
  #answering: AbortController | undefined;
  /** Ends the conversation. */
  #isOver = false;

  constructor(
    readonly language: LanguageModel,
    readonly options: NonNullable<Parameters<typeof generateTexts>[3]>,
    readonly terminal: Terminal,
    public system: string | undefined,
  ) {
    this.#template = language.chatTemplate();
    this.#seed = options.seed ?? 0;
  }

  /** Until input ends, or the user leaves. */
  async run(): Promise<void> {
    let isAskedToLeave = false;
    const leave = new AbortController();
    const release = this.terminal.onInterrupt(() => {
      if (this.#answering) return this.#answering.abort();
      if (isAskedToLeave) return leave.abort();
      isAskedToLeave = true;
      this.terminal.err('\n(to leave: /exit, Ctrl-D, or Ctrl-C once more)');
    });
    try {
      this.terminal.err('Type a message; /help lists commands, /exit leaves.');
      for await (const line of this.terminal.lines('> ', leave.signal)) {
        isAskedToLeave = false;
        await this.#take(line.trim());
        if (this.#isOver) break;
      }
    } finally {
      release();
    }
  }

  async #take(line: string): Promise<void> {
    if (line === '') return;
    if (!line.startsWith('/')) {
      this.#messages.push({ role: 'user', content: line });
      return this.#answer();
    }
    const [name, ...rest] = line.split(' ');
    switch (name) {
      case '/exit':
        this.#isOver = true;
        return;
      case '/help':
        return this.terminal.err(help());
      case '/reset':
        this.#messages = [];
        return this.terminal.err('(the conversation is forgotten)');
      case '/system':
        this.system = rest.join(' ').trim() || undefined;
        this.#messages = [];
        return this.terminal.err(
          this.system === undefined
            ? '(no system turn; the conversation starts afresh)'
            : '(the conversation starts afresh)',
        );
      case '/history':
        return this.terminal.err(
          this.#turns()
            .map(({ role, content }) => `${role}: ${content}`)
            .join('\n') || '(nothing was said)',
        );
      case '/undo':
        this.#messages = this.#messages.slice(0, this.#lastQuestion());
        return this.terminal.err('(the last question is taken back)');
      case '/retry':
        this.#messages = this.#messages.slice(0, this.#lastQuestion() + 1);
        if (this.#messages.length === 0) return this.terminal.err('(nothing was asked)');
        this.#seed += 1;
        return this.#answer();
      default:
        return this.terminal.err(
          `(there is no command ${name}. ${didYouMean(name!, Object.keys(COMMANDS))} /help lists them.)`,
        );
    }
  }

  /** Generates the answer to the last question; a stopped one is kept as far as it came. */
  async #answer(): Promise<void> {
    const { model, tokenizer } = this.language;
    let text = '';
    this.#answering = new AbortController();
    try {
      const prompt = tokenizer.ids(
        this.#template.render(this.#turns(), { addGenerationPrompt: true }),
      );
      await generateTexts(model, tokenizer, [prompt], {
        ...this.language.chatEnds(),
        ...this.options,
        seed: this.#seed,
        signal: this.#answering.signal,
        onText: (piece) => {
          text += piece.text;
          this.terminal.write(piece.text);
        },
      });
    } catch (error) {
      if (!this.#answering.signal.aborted) {
        this.#messages.pop();
        if (!(error instanceof PeftError)) throw error;
        this.terminal.err(`error ${error.code}: ${error.message}`);
        return;
      }
      this.terminal.write(' …');
    } finally {
      this.#answering = undefined;
    }
    this.terminal.write('\n');
    this.#messages.push({ role: 'assistant', content: text.trim() });
  }

  #turns(): ChatMessage[] {
    return [
      ...(this.system === undefined ? [] : [{ role: 'system', content: this.system }]),
      ...this.#messages,
    ];
  }

  /** Index of the last question, 0 when nothing was asked. */
  #lastQuestion(): number {
    return Math.max(
      0,
      this.#messages.findLastIndex(({ role }) => role === 'user'),
    );
  }
}
