/**
 * What every method says of itself, as a page: `node tools/run-source.mjs tools/checks/methods-page.ts`
 * prints docs/methods.md.
 */
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { architectureFor, describeModel, peftTypeOf, specOf, type OptionLine } from '@peft/core';
import { allMethods, methodFacts, type MethodFacts, type NamedMethod } from '@peft/methods';
import { architectures } from '@peft/models';
import { comparisonTable, resultsPreface } from '../../benchmarks/methods/results-page.js';
import { RESULTS, type Results } from '../../benchmarks/methods/results.js';
import { COUNTED_MODELS, type CountedModel } from './count-parameters.js';

const descriptionOf = ({ config, head }: CountedModel) => {
  const architecture = architectureFor(config['model_type'], architectures);
  return describeModel(architecture, architecture.parseConfig(config), head);
};
const DESCRIPTIONS = COUNTED_MODELS.map(descriptionOf);

const factsOf = (method: NamedMethod): (MethodFacts | undefined)[] =>
  DESCRIPTIONS.map((description) =>
    methodFacts(specOf(method, method.exampleOptions ?? {}), description),
  );

/** Markdown. */
export function methodsPage(): string {
  return [
    '# Methods',
    '',
    'Every method of the toolkit: what it computes, whether it can be merged, and what it trains with ' +
      "its default options and targets, heads apart, on the models' configs (a dash: nothing to attach to).",
    "Written by `tools/checks/methods-page.ts` from the methods' own words.",
    '',
    `| method | computes | merges | ${COUNTED_MODELS.map(({ name }) => name).join(' | ')} |`,
    `|---|---|---|${COUNTED_MODELS.map(() => '---:|').join('')}`,
    ...allMethods.map(row),
    '',
    ...comparison(),
    ...allMethods.flatMap(section),
  ].join('\n');
}

function row(method: NamedMethod): string {
  const facts = factsOf(method);
  const known = facts.find((each) => each !== undefined);
  const counts = facts.map((each) => each?.trainable.toLocaleString('en') ?? '–');
  const merges = known?.merges ? 'yes' : 'no';
  return `| [\`${method.name}\`](#${anchorOf(method)}) | ${cell(method.formula ?? '')} | ${merges} | ${counts.join(' | ')} |`;
}

/** What `npm run bench:methods` measured. */
function comparison(): string[] {
  const results = JSON.parse(readFileSync(RESULTS, 'utf8')) as Results;
  return [
    '## On one task',
    '',
    ...comparisonTable(results),
    `${resultsPreface(results)} Every run: [methods.json](../benchmarks/results/methods.json); made by \`npm run bench:methods\`.`,
    '',
  ];
}

const anchorOf = ({ name }: NamedMethod): string => name;
const cell = (text: string): string => text.replaceAll('|', '\\|');

function section(method: NamedMethod): string[] {
  const { name, paper, formula, options, exampleOptions, peftType } = method;
  const given = exampleOptions ? ` Counted with \`${JSON.stringify(exampleOptions)}\`.` : '';
  const files = peftType === undefined ? '' : ` \`peft_type\`: ${peftTypeOf(method)}.`;
  return [
    `## ${name}`,
    '',
    ...(formula === undefined ? [] : [`    ${formula}`, '']),
    `${paper ? `[${paper.title}](${paper.url}).` : 'No paper.'}${files}${given}`,
    '',
    ...(options ? optionTable(options) : []),
  ];
}

function optionTable(options: readonly OptionLine[]): string[] {
  return [
    '| option | default | in PEFT |',
    '|---|---|---|',
    ...options.map(
      ({ name, default: value, peft }) =>
        `| \`${name}\` | ${value === undefined ? '' : `\`${JSON.stringify(value)}\``} | ${peft === undefined ? '' : `\`${peft}\``} |`,
    ),
    '',
  ];
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href)
  process.stdout.write(methodsPage());
