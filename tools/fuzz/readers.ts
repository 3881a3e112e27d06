/** Every reader of files that a stranger may have written, with sound files to spoil. */
import { closeSync, openSync, readdirSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describeModel, loadAdapter, loadModel, type Architecture } from '@peft/core';
import {
  createChatTemplate,
  createTextTokenizer,
  loadTokenizer,
  readTable,
  type TokenizerJson,
} from '@peft/data';
import {
  ggufConfig,
  ggufTokenizer,
  openCheckpoint,
  openGguf,
  openTorchFile,
  readJsonObject,
  readTensor,
} from '@peft/hub';
import { allMethods } from '@peft/methods';
import { architectures, bert } from '@peft/models';
import { PageFile } from '@peft/optim';
import { createPortableEngine } from '@peft/portable';
import { openCheckpointFolder } from '@peft/trainer';
import { readRunFile } from '../../packages/cli/src/run-file/read-run-file.js';

const FIXTURES = fileURLToPath(new URL('../../packages/testing/fixtures/', import.meta.url));
const CORPUS = fileURLToPath(new URL('./corpus/', import.meta.url));

/** One reader. */
export interface FuzzedReader {
  readonly name: string;
  /** Files to spoil. */
  readonly seeds: readonly string[];
  /** Files that did harm once; they are read as they are. */
  readonly harmful?: readonly string[];
  /** The name that the file gets in its folder; default: its own ending. */
  readonly file?: string;
  /** Sound files that lie beside it, by their names there. */
  readonly beside?: Readonly<Record<string, string>>;
  /** Reads it; only a `PeftError` may come out. */
  read(path: string, folder: string): unknown;
}

/** Files of a folder of fixtures that end so. */
const found = (folder: string, ending: string): string[] =>
  readdirSync(join(FIXTURES, folder), { recursive: true })
    .map(String)
    .filter((path) => path.endsWith(ending))
    .sort()
    .map((path) => join(FIXTURES, folder, path));
const corpus = (folder: string): string[] =>
  readdirSync(join(CORPUS, folder), { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => join(CORPUS, folder, name))
    .sort();
/** Small ones only, so that a second has many cases. */
const fixture = (...names: string[]): string[] => names.map((name) => join(FIXTURES, name));

const ADAPTER = fixture('adapters/lora_bert_qv/adapter_model.safetensors')[0]!;
const TEXT = 'The quick <brown> fox\n\t  jumps 1234 times, naïvely 🦊 </s>.';
const TURNS = [
  { role: 'system', content: 'Be short.' },
  { role: 'user', content: 'Hello' },
  { role: 'assistant', content: 'Hi.' },
];

/** Made once for each process: engines and a model are slow to make. */
export async function fuzzedReaders(): Promise<readonly FuzzedReader[]> {
  const engine = await createPortableEngine();
  await engine.activate();
  const folder = join(FIXTURES, 'models/bert');
  const model = loadModel(
    bert,
    readJsonObject(join(folder, 'config.json'))!,
    openCheckpoint(folder),
    engine,
    { head: { kind: 'sequence-classification', outputs: 3 } },
  );

  const readWeights = (path: string): void => {
    const store = path.endsWith('.bin') ? openTorchFile(path) : openCheckpoint(path);
    try {
      for (const name of store.names()) readTensor(store.get(name)!);
    } finally {
      store.close();
    }
  };
  const readGguf = (path: string): void => {
    readWeights(path);
    const file = openGguf(path);
    try {
      describeConfig(ggufConfig(file));
      const { json } = ggufTokenizer(file);
      // the check of its parts is part of what is tried
      createTextTokenizer(json as unknown as TokenizerJson).encode(TEXT);
    } finally {
      file.close();
    }
  };
  const readAdapter = async (_path: string, folder: string): Promise<void> => {
    const { adapter } = await loadAdapter(model, folder, { methods: allMethods });
    model.deleteAdapter(adapter.name);
  };
  const readTokenizer = (_path: string, folder: string): void => {
    const tokenizer = loadTokenizer(folder);
    tokenizer.decode(tokenizer.encode(TEXT, { maxLength: 64 }).ids, { skipSpecialTokens: false });
  };

  return [
    { name: 'safetensors', seeds: [ADAPTER], file: 'model.safetensors', read: readWeights },
    {
      name: 'index of shards',
      seeds: corpus('shards'),
      file: 'model.safetensors.index.json',
      beside: { 'model.safetensors': ADAPTER },
      read: readWeights,
    },
    {
      name: 'torch file',
      seeds: found('bottleneck', 'pytorch_adapter.bin').slice(0, 4),
      harmful: corpus('harmful/torch-file'),
      file: 'pytorch_model.bin',
      read: readWeights,
    },
    { name: 'gguf', seeds: corpus('gguf'), file: 'model.gguf', read: readGguf },
    {
      name: 'config',
      seeds: found('models', 'config.json').filter(isModelConfig),
      harmful: corpus('harmful/config'),
      file: 'config.json',
      read: (path) => describeConfig(readJsonObject(path)!),
    },
    {
      name: 'adapter config',
      seeds: found('adapters', 'adapter_config.json'),
      harmful: corpus('harmful/adapter-config'),
      file: 'adapter_config.json',
      beside: { 'adapter_model.safetensors': ADAPTER },
      read: readAdapter,
    },
    {
      name: 'adapter weights',
      seeds: [ADAPTER],
      file: 'adapter_model.safetensors',
      beside: { 'adapter_config.json': join(ADAPTER, '../adapter_config.json') },
      read: readAdapter,
    },
    {
      name: 'tokenizer',
      seeds: [
        ...fixture('models/bert/tokenizer.json', 'models/llama/tokenizer.json'),
        ...fixture('models/t5/tokenizer.json', 'models/qwen2/tokenizer.json'),
      ],
      harmful: corpus('harmful/tokenizer'),
      file: 'tokenizer.json',
      read: readTokenizer,
    },
    {
      name: 'tokenizer config',
      seeds: found('models', 'tokenizer_config.json'),
      file: 'tokenizer_config.json',
      beside: { 'tokenizer.json': fixture('models/bert/tokenizer.json')[0]! },
      read: readTokenizer,
    },
    {
      name: 'SentencePiece model',
      seeds: fixture('models/mistral/tokenizer.model', 'models/t5/spiece.model'),
      file: 'tokenizer.model',
      read: readTokenizer,
    },
    {
      name: 'vocabulary text',
      seeds: fixture('models/bert/vocab.txt'),
      file: 'vocab.txt',
      read: readTokenizer,
    },
    { name: 'table', seeds: corpus('tables'), read: (path) => readTable(path) },
    {
      name: 'Parquet',
      seeds: corpus('parquet'),
      harmful: corpus('harmful/parquet'),
      read: (path) => readTable(path),
    },
    {
      name: 'run file',
      seeds: corpus('yaml'),
      harmful: corpus('harmful/yaml'),
      read: (path) => readRunFile(path),
    },
    {
      name: 'chat template',
      seeds: corpus('chat'),
      harmful: corpus('harmful/chat'),
      read: (path) =>
        createChatTemplate(readFileSync(path, 'utf8'), {
          specialIds: { bos: 1 },
          idToToken: () => '<s>',
        }).render(TURNS, { addGenerationPrompt: true }),
    },
    {
      name: 'state of a checkpoint',
      seeds: corpus('checkpoint'),
      file: 'trainer_state.json',
      beside: { 'parameters.safetensors': ADAPTER, 'optimizer.safetensors': ADAPTER },
      read: async (_path, folder) => (await openCheckpointFolder(folder)).close(),
    },
    {
      name: 'tensors of a checkpoint',
      seeds: [ADAPTER],
      file: 'optimizer.safetensors',
      beside: {
        'parameters.safetensors': ADAPTER,
        'trainer_state.json': join(CORPUS, 'checkpoint/trainer_state.json'),
      },
      read: async (_path, folder) => (await openCheckpointFolder(folder)).close(),
    },
    { name: 'page file', seeds: [ADAPTER], file: 'state.pages', read: readPages },
  ];
}

/** Pages that were written and then spoiled: each is whole, or refused by its checksum. */
function readPages(path: string, folder: string): void {
  const spoiled = readFileSync(path);
  const pages = PageFile.create(folder, 0);
  try {
    const page = 4096;
    for (let at = 0; at + page <= spoiled.length; at += page)
      pages.write(
        at,
        Uint8Array.from({ length: page }, (_, i) => (at + i) & 0xff),
      );
    const descriptor = openSync(pages.path, 'r+');
    writeSync(descriptor, spoiled.subarray(0, page), 0, Math.min(page, spoiled.length), 0);
    closeSync(descriptor);
    pages.read(0, new Uint8Array(page));
  } finally {
    pages.dispose();
    rmSync(pages.path, { force: true });
  }
}

/** Sites and sizes of a model, as `peft inspect` asks for them. */
function describeConfig(json: Readonly<Record<string, unknown>>): void {
  const families = architectures as readonly unknown[] as readonly Architecture<unknown>[];
  for (const family of families.filter(({ modelTypes }) =>
    modelTypes.includes(String(json['model_type'])),
  ))
    describeModel(family, family.parseConfig(json));
}

const isModelConfig = (path: string): boolean => !/tokenizer_config|adapter_config/.test(path);
