/** `peft serve`: a model with its adapters over HTTP. */
import { basename } from 'node:path';
import type { Command } from 'commander';
import { PeftError, show } from '@peft/errors';
import {
  createServer,
  requireFreeAddress,
  type PeftServer,
  type ServerOptions,
} from '@peft/server';
import { addEngineFlags, type EngineFlags } from '../options/engine-flags.js';
import { nonNegativeInteger, positiveInteger } from '../options/numbers.js';
import {
  REVISION_FLAG,
  revised,
  type RevisionFlag,
  CHAT_TEMPLATE_FLAG,
} from '../options/model-flags.js';
import type { Terminal } from '../terminal/terminal.js';
import { untilAborted } from '../terminal/until-aborted.js';

interface ServeFlags extends RevisionFlag, EngineFlags {
  readonly adapter: readonly string[];
  readonly name?: string;
  readonly host: string;
  readonly port: string;
  readonly apiKey: readonly string[];
  readonly adapterRoot?: string;
  readonly chatTemplate?: string;
  readonly contextTokens?: string;
  readonly maxNewTokens?: string;
  readonly maxSequences?: string;
  readonly maxCacheTokens?: string;
  readonly maxWaiting?: string;
  readonly prefillTokens?: string;
  readonly maxAdapters?: string;
  readonly logTexts?: boolean;
  readonly threads?: string;
}

const DEFAULT_PORT = '8000';
/** Where a key may lie instead of on the command line, which others on the machine can read. */
const KEY_VARIABLE = 'PEFT_API_KEY';

export function addServe(program: Command, terminal: Terminal): void {
  const command = program
    .command('serve')
    .summary("serve a model over HTTP, by OpenAI's API")
    .description(
      "Serves a language model by OpenAI's API (/v1/chat/completions, /v1/completions), or what fit " +
        'saved: a classifier, regressor or tagger (/predict, /v1/classify), an embedding model ' +
        '(/v1/embeddings). Adapters are models of their own to clients. Ctrl-C ends it when the ' +
        'requests that run have been answered.',
    )
    .argument('<model>', 'a folder or hub id of a checkpoint, or a folder that fit saved')
    .option(...REVISION_FLAG)
    .option(
      '-a, --adapter <name=folder...>',
      'adapters for it, by the names that clients ask for',
      [],
    )
    .option('--name <name>', "the model's name for clients; default: the last part of MODEL")
    .option('--host <address>', 'the address to listen on', '127.0.0.1')
    .option('--port <number>', 'the port, 0 for a free one', DEFAULT_PORT)
    .option(
      '--api-key <key...>',
      `what clients must send as "Authorization: Bearer KEY"; better in the variable ${KEY_VARIABLE}`,
      [],
    )
    .option(
      '--adapter-root <folder>',
      'lets clients load and unload adapters of this folder (/v1/load_lora_adapter)',
    )
    .option(...CHAT_TEMPLATE_FLAG)
    .option('--context-tokens <number>', 'prompt and answer at most; default: what the model bears')
    .option('--max-new-tokens <number>', 'of an answer where the request names no number (1024)')
    .option('--max-sequences <number>', 'texts that are made at once (32)')
    .option('--max-cache-tokens <number>', 'tokens in the key-value cache of all texts (65536)')
    .option('--max-waiting <number>', 'requests that wait; further ones get 503 (256)')
    .option('--prefill-tokens <number>', 'tokens of a prompt between two tokens of others (256)')
    .option('--max-adapters <number>', 'adapters that are loaded at once (64)')
    .option('--log-texts', 'prompts and answers go into the log')
    .option('--threads <number>', 'threads that compute; default: all processors');
  addEngineFlags(command)
    .addHelpText(
      'after',
      '\n' +
        'Examples:\n' +
        '  peft serve ./out\n' +
        '  peft serve Qwen/Qwen3-0.6B --adapter support=./out --adapter polite=./polite/adapter\n' +
        '  curl http://127.0.0.1:8000/v1/completions -d \'{"model": "support", "prompt": "Hello"}\'',
    )
    .action(async (model: string, flags: ServeFlags) => serve(model, flags, terminal));
}

async function serve(model: string, flags: ServeFlags, terminal: Terminal): Promise<void> {
  const port = nonNegativeInteger('serve', '--port', flags.port);
  const options = {
    ...serverOptions(model, flags, (line) => terminal.out(line)),
    signal: terminal.signal,
  };
  await requireFreeAddress({ host: flags.host, port }); // loading may take minutes
  terminal.err(`loading ${model}`);
  const server = await createServer(options);
  try {
    const { url } = await server.listen({ host: flags.host, port });
    terminal.err(`${described(server, options)}\nlistening on ${url} (Ctrl-C ends it)`);
    if (options.apiKeys?.length === 0 && !isLoopback(flags.host))
      terminal.err(
        `warning: anyone who reaches ${flags.host} may use it: set ${KEY_VARIABLE} to ask for a key`,
      );
    terminal.sayAtStop('letting requests end');
    await untilAborted(terminal.signal);
  } finally {
    await server.close();
  }
}

function serverOptions(
  model: string,
  flags: ServeFlags,
  log: (line: string) => void,
): ServerOptions {
  const number = (flag: string, text: string | undefined): number | undefined =>
    text === undefined ? undefined : positiveInteger('serve', flag, text);
  const ownKey = process.env[KEY_VARIABLE];
  return {
    model: revised(model, flags),
    name: flags.name ?? (flags.revision === undefined ? undefined : basename(model)),
    adapters: Object.fromEntries(flags.adapter.map(namedFolder)),
    adapterRoot: flags.adapterRoot,
    apiKeys: [...flags.apiKey, ...(ownKey === undefined || ownKey === '' ? [] : [ownKey])],
    chatTemplate: flags.chatTemplate,
    contextTokens: number('--context-tokens', flags.contextTokens),
    defaultNewTokens: number('--max-new-tokens', flags.maxNewTokens),
    maxSequences: number('--max-sequences', flags.maxSequences),
    maxCacheTokens: number('--max-cache-tokens', flags.maxCacheTokens),
    maxWaiting: number('--max-waiting', flags.maxWaiting),
    prefillTokens: number('--prefill-tokens', flags.prefillTokens),
    maxAdapters: number('--max-adapters', flags.maxAdapters),
    engine: flags.engine,
    precision: flags.precision,
    threads: number('--threads', flags.threads),
    plugins: flags.plugin,
    logTexts: flags.logTexts ?? false,
    log,
  };
}

/** @throws PEFT_OPTION_INVALID for what is not NAME=FOLDER */
function namedFolder(text: string): readonly [string, string] {
  const at = text.indexOf('=');
  if (at > 0 && at < text.length - 1) return [text.slice(0, at), text.slice(at + 1)];
  throw new PeftError(
    'PEFT_OPTION_INVALID',
    `serve: --adapter must be NAME=FOLDER, got ${show(text)}.`,
    {
      hint: 'for instance --adapter support=./out',
    },
  );
}

/** What is served, and what bounds it. */
function described({ served }: PeftServer, { adapters = {} }: ServerOptions): string {
  if (served.kind === 'predictor') {
    const { task, classLabels } = served.description;
    const classes = classLabels ? `, ${classLabels.length} classes` : '';
    return `serving a model for ${task}${classes}`;
  }
  const { modelType, engine, contextTokens, hasChatTemplate } = served.thread.card;
  return [
    `serving ${modelType} on ${engine}`,
    `context: ${Number.isFinite(contextTokens) ? `${contextTokens} tokens` : 'unbounded'}`,
    hasChatTemplate ? undefined : 'no chat template: /v1/chat/completions needs --chat-template',
    `adapters: ${Object.keys(adapters).join(', ') || 'none'}`,
  ]
    .filter((line) => line !== undefined)
    .join('\n');
}

const isLoopback = (host: string): boolean => /^(127\.|localhost$|::1$)/.test(host);
