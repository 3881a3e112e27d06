/** Models of the sizes of well-known checkpoints have as many parameters as these are said to have. */
import { readFileSync } from 'node:fs';
import { architectureFor, describeModel, parameterCount, type HeadOptions } from '@peft/core';
import { architectures } from '@peft/models';
import { expect, test } from 'vitest';

interface CountCase {
  readonly name: string;
  readonly head: 'none' | 'causal-lm' | 'seq2seq-lm';
  readonly config: Readonly<Record<string, unknown>>;
  /** Published, see tools/cases/make_count_cases.py. */
  readonly parameters: number;
}

const cases = JSON.parse(
  readFileSync(new URL('./parameter-count-cases.json', import.meta.url), 'utf8'),
) as readonly CountCase[];

test.each(cases)('$name: $parameters', ({ head, config, parameters }) => {
  const architecture = architectureFor(config['model_type'], architectures);
  const options: HeadOptions = { kind: head };
  const description = describeModel(architecture, architecture.parseConfig(config), options);
  expect(parameterCount(description)).toBe(parameters);
});
