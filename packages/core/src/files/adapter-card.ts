/** README.md beside an adapter: the model card that the hub shows. */
import type { Adapter } from '../adapter/adapter.js';
import type { AdapterAbout } from '../method/adapter-file.js';

/** What an adapter's README says: the base model, what trained, and what was measured. */
export interface AdapterCard extends AdapterAbout {
  readonly trainable: number;
  readonly total: number;
  /** Lines of a table: what was measured, and the value. */
  readonly results?: Readonly<Record<string, string | number>>;
  readonly language?: readonly string[];
  readonly license?: string;
}

/** Markdown with a YAML head. */
export function adapterCard(adapter: Adapter, card: AdapterCard): string {
  const { baseModel } = card;
  const methods = [...new Set(adapter.parts.map(({ part }) => part.method.name as string))];
  const head = [
    ...(baseModel ? [`base_model: ${yaml(baseModel)}`] : []),
    'library_name: peft',
    ...(card.license ? [`license: ${yaml(card.license)}`] : []),
    ...(card.language?.length
      ? ['language:', ...card.language.map((language) => `- ${yaml(language)}`)]
      : []),
    'tags:',
    ...(baseModel ? [`- ${yaml(`base_model:adapter:${baseModel}`)}`] : []),
    ...methods.map((method) => `- ${yaml(method)}`),
    '- transformers',
  ];
  const results = Object.entries(card.results ?? {});
  return [
    '---',
    ...head,
    '---',
    '',
    `# ${adapter.name}`,
    '',
    `An adapter${baseModel ? ` for \`${baseModel}\`` : ''}: ${adapter.spec.name}, ` +
      `${card.trainable.toLocaleString('en')} trainable of ` +
      `${card.total.toLocaleString('en')} parameters (${((100 * card.trainable) / card.total).toFixed(4)} ` +
      '%).',
    '',
    ...(results.length
      ? [
          '| Result | |',
          '|---|---|',
          ...results.map(
            ([name, value]) =>
              `| ${name} | ${typeof value === 'number' ? Number(value.toPrecision(6)) : value} |`,
          ),
          '',
        ]
      : []),
  ].join('\n');
}

/** A YAML scalar; quoted unless it is plainly a word. */
const yaml = (text: string): string =>
  /^[A-Za-z][\w/.-]*$/.test(text) ? text : JSON.stringify(text);
