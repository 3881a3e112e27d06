/**
 * `peft inspect`: what a model is made of, and what a method would train on it. Needs no weights.
 */
import type { Command } from 'commander';
import {
  adapterCounts,
  architectureFor,
  attachAdapter,
  describeModel,
  parameterCount,
  type ModelDescription,
  type Site,
} from '@peft/core';
import { hasTokenizer, loadTokenizer } from '@peft/data';
import { readModelConfig, resolveModel } from '@peft/hub';
import { architectures } from '@peft/models';
import { existsSync, statSync } from 'node:fs';
import { bytes, count, table } from '../terminal/format.js';
import { methodNamed } from '../options/method-options.js';
import { loadPlugins } from '../options/plugins.js';
import { addPluginFlag } from '../options/engine-flags.js';
import { addHeadFlags, headOptions, type HeadFlags } from '../options/head-flags.js';
import { keyValues } from '../options/key-values.js';
import {
  addRevisionFlag,
  addVocabularyFlag,
  withVocabulary,
  type RevisionFlag,
  type VocabularyFlag,
} from '../options/model-flags.js';
import type { Terminal } from '../terminal/terminal.js';

interface InspectOptions extends HeadFlags, RevisionFlag, VocabularyFlag {
  readonly method: readonly string[];
  readonly option: readonly string[];
  readonly sites?: boolean | string;
  readonly parameters?: boolean;
  readonly plugin: readonly string[];
  readonly json?: boolean;
}

export function addInspect(program: Command, terminal: Terminal): void {
  const command = program
    .command('inspect')
    .summary('print sites and parameter counts of a model, and what a method trains')
    .description(
      'Prints what a model is made of and what methods would train on it. A config.json is ' +
        'enough: no weights are read.',
    )
    .argument('<model>', 'a folder, a config.json, or a hub id such as microsoft/mdeberta-v3-base')
    .option('-m, --method <name...>', 'methods to count: ia3_bias, lora, …', [])
    .option(
      '-o, --option <key=value...>',
      'options of the method: rank=16 targets=\'["query","value"]\'',
      [],
    );
  addVocabularyFlag(addRevisionFlag(addHeadFlags(command)))
    .option(
      '--sites [filter]',
      'list the sites, all or those whose path, kind or role contains the filter',
    )
    .option('--parameters', 'list the parameters with their shapes');
  addPluginFlag(command)
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      '\n' +
        'Examples:\n' +
        '  peft inspect microsoft/mdeberta-v3-base --method ia3_bias lora\n' +
        '  peft inspect ./model --sites attention.query\n' +
        '  peft inspect ./model --method lora --option rank=16 targets=all-linear',
    )
    .action(async (model: string, options: InspectOptions) =>
      terminal.out(await inspect(model, options, terminal)),
    );
}

async function inspect(
  model: string,
  options: InspectOptions,
  terminal: Terminal,
): Promise<string> {
  const file = await configOf(model, options, terminal);
  const json = withVocabulary('inspect', readModelConfig(file), options);
  const plugins = await loadPlugins(options.plugin);
  const architecture = architectureFor(json['model_type'], [
    ...architectures,
    ...plugins.architectures,
  ]);
  const description = describeModel(
    architecture,
    architecture.parseConfig(json),
    headOptions('inspect', options),
  );
  const methodOptions = keyValues('inspect: --option', options.option);
  const methods = options.method.map((name) => {
    const adapter = attachAdapter(
      'inspect',
      methodNamed(name, methodOptions, plugins),
      description,
      undefined,
    );
    const { trainable, total } = adapterCounts(description, [adapter]);
    return {
      method: name,
      trainable,
      total,
      percent: (100 * trainable) / total,
      wrappedSites: adapter.wrappedSites.length,
      sizeMegabytes: Number(((total * 4) / 1e6).toFixed(3)),
    };
  });
  const sites =
    options.sites === undefined
      ? undefined
      : description.sites.filter((site) => matches(site, options.sites!));
  if (options.json)
    return JSON.stringify({
      modelType: description.modelType,
      head: description.head,
      layers: description.layers,
      hiddenSize: description.hiddenSize,
      vocabularySize: description.vocabularySize,
      parameters: parameterCount(description),
      methods,
      sites,
      parameterList: options.parameters
        ? description.parameters.map(({ name, shape }) => ({ name, shape }))
        : undefined,
    });
  return [
    overview(description),
    ...tokensBeyond(file, description),
    ...(methods.length ? [methodLines(methods)] : []),
    ...(sites ? [siteTable(sites)] : []),
    ...(options.parameters
      ? [
          table([
            ['parameter', 'shape'],
            ...description.parameters.map(({ name, shape }) => [name, `[${shape.join(', ')}]`]),
          ]),
        ]
      : []),
  ].join('\n\n');
}

/** The file to read: a local path as it is, else the hub's config.json. */
async function configOf(
  model: string,
  { revision }: RevisionFlag,
  terminal: Terminal,
): Promise<string> {
  if (revision === undefined && existsSync(model) && statSync(model).isFile()) return model;
  return resolveModel(model, { revision, files: ['config'], signal: terminal.signal });
}

/** A line where the folder's tokenizer has more tokens than the model has rows for. */
function tokensBeyond(file: string, { vocabularySize }: ModelDescription): string[] {
  if (!hasTokenizer(file)) return [];
  const tokens = loadTokenizer(file).vocabularySize;
  return tokens <= vocabularySize
    ? []
    : [
        `the tokenizer has ${count(tokens)} tokens: fit adds ${count(tokens - vocabularySize)} rows ` +
          `where the texts hold one of the new tokens (--vocabulary-size ${tokens} shows that model)`,
      ];
}

function overview(description: ModelDescription): string {
  const total = parameterCount(description);
  const stacks = [
    description.layers.encoder && `${description.layers.encoder} encoder`,
    description.layers.decoder && `${description.layers.decoder} decoder`,
  ]
    .filter(Boolean)
    .join(' and ');
  const kinds = new Map<string, number>();
  for (const { kind } of description.sites) kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  return [
    `${description.modelType}: ${stacks} blocks, width ${description.hiddenSize}, ` +
      `vocabulary ${count(description.vocabularySize)}`,
    `${count(total)} parameters (${bytes(total * 4)} in float32, ${bytes(total * 2)} in ` +
      `bfloat16), head ${description.head.kind}`,
    `${description.sites.length} sites: ${[...kinds].map(([kind, number]) => `${number} ${kind}`).join(', ')}`,
  ].join('\n');
}

function methodLines(
  methods: readonly {
    method: string;
    trainable: number;
    total: number;
    percent: number;
    wrappedSites: number;
    sizeMegabytes: number;
  }[],
): string {
  return methods
    .map(
      ({ method, trainable, total, percent, wrappedSites, sizeMegabytes }) =>
        `${method}: ${count(trainable)} trainable of ${count(total)} parameters (${percent.toPrecision(3)} ` +
        `%), ${wrappedSites} sites wrapped, ` +
        `${sizeMegabytes.toLocaleString('en-US', { minimumFractionDigits: 3 })} MB in float32`,
    )
    .join('\n');
}

function siteTable(sites: readonly Site[]): string {
  if (sites.length === 0) return 'no site matches';
  const size = (site: Site): string => {
    switch (site.kind) {
      case 'linear':
        return `${site.inFeatures} → ${site.outFeatures}`;
      case 'embedding':
        return `${site.rows} × ${site.size}`;
      case 'attention':
        return `${site.heads} heads of ${site.headSize}${site.keyValueHeads === site.heads ? '' : `, ${site.keyValueHeads} for keys`}`;
      case 'parameter':
        return `[${site.shape.join(', ')}]`;
      default:
        return String(site.size);
    }
  };
  return table([
    ['kind', 'role', 'path', 'size'],
    ...sites.map((site) => [site.kind, site.role, site.path, size(site)]),
  ]);
}

function matches(site: Site, filter: boolean | string): boolean {
  return (
    filter === true ||
    [site.path, site.kind, site.role].some((text) => text.includes(String(filter)))
  );
}
