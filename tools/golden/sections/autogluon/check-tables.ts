/** Counts of real-size models and layer ids of small ones. */
import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import {
  adapterCounts,
  attachAdapter,
  PeftError,
  type Adapter,
  type ModelDescription,
} from '@peft/core';
import { adapterLayerIds, layerwiseDecay } from '@peft/trainer';
import { Comparison } from '../../comparison.js';
import type { GoldenContext, GoldenResult } from '../../golden-case.js';
import {
  exactAutogluonMethod,
  unsupported,
  describe,
  trainablesOf,
  baseName,
  autogluonName,
  readJson,
} from './autogluon-case.js';

interface CountTables {
  readonly models: Readonly<
    Record<
      string,
      Readonly<
        Record<
          string,
          {
            readonly trainable: number;
            readonly total: number;
            readonly wrapped_linears: number;
            readonly size_mb: number;
          }
        >
      >
    >
  >;
}

interface LayerTables {
  readonly tables: readonly LayerTable[];
}

interface LayerTable {
  readonly base: string;
  readonly peft: string;
  readonly lr: number;
  readonly lr_decay: number;
  readonly weight_decay: number;
  /** name, layer id, trainable, learning rate, weight decay */
  readonly rows: readonly (readonly [string, number, boolean, number | null, number | null])[];
}

/** Descriptions are enough: no weight is read. */
export function checkTables(folder: string, { fixtures }: GoldenContext): GoldenResult {
  const comparison = new Comparison({ folder, section: 'autogluon', json: {}, tensors: new Map() });
  const left = new Set<string>();
  if (existsSync(join(folder, 'counts.json'))) {
    for (const [name, values] of Object.entries(
      readJson<CountTables>(join(folder, 'counts.json')).models,
    ))
      checkCounts(
        comparison,
        left,
        name,
        readJson(join(folder, 'configs', name, 'config.json')),
        values,
      );
  }
  if (existsSync(join(folder, 'layer_ids.json'))) {
    for (const table of readJson<LayerTables>(join(folder, 'layer_ids.json')).tables)
      checkLayerIds(comparison, left, table, readJson(join(fixtures, table.base, 'config.json')));
  }
  const result = comparison.result();
  return left.size && result.status === 'passed'
    ? { ...result, detail: `${result.detail}; left out: ${[...left].join(', ')}` }
    : result;
}

function checkCounts(
  comparison: Comparison,
  left: Set<string>,
  name: string,
  config: Record<string, unknown>,
  values: CountTables['models'][string],
): void {
  for (const [peft, expected] of Object.entries(values)) {
    const missing = peft === 'none' ? unsupported(config) : unsupported(config, peft);
    if (missing) {
      left.add(missing);
      continue;
    }
    const description = describe(config);
    const adapter =
      peft === 'none' ? undefined : attach(description, peft, expected.wrapped_linears);
    if (adapter === 'nothing matches') {
      left.add(
        `${name} ${peft} (AutoGluon wraps no layer there and trains the rest; here that is an error)`,
      );
      continue;
    }
    const counts = adapterCounts(description, adapter ? [adapter] : []);
    comparison.equal(
      `${name} ${peft}`,
      {
        trainable: adapter ? counts.trainable : counts.total,
        total: counts.total,
        wrapped: adapter?.wrappedSites.length ?? 0,
      },
      { trainable: expected.trainable, total: expected.total, wrapped: expected.wrapped_linears },
    );
  }
}

function attach(
  description: ModelDescription,
  peft: string,
  wrapped: number,
): Adapter | 'nothing matches' {
  try {
    return attachAdapter('default', exactAutogluonMethod(peft), description, undefined);
  } catch (error) {
    if (wrapped === 0 && error instanceof PeftError && error.code === 'PEFT_TARGET_NOT_FOUND')
      return 'nothing matches';
    throw error;
  }
}

function checkLayerIds(
  comparison: Comparison,
  left: Set<string>,
  table: LayerTable,
  config: Record<string, unknown>,
): void {
  const missing = table.peft === 'none' ? unsupported(config) : unsupported(config, table.peft);
  if (missing) return void left.add(missing);
  const where = `${basename(table.base)} ${table.peft}`;
  const description = describe(config);
  const rows = new Map(table.rows.map((row) => [row[0], row]));
  const { ids } = adapterLayerIds(description);
  for (const { name } of description.parameters)
    comparison.equal(`${where}: layer id of ${name}`, ids.get(name), rows.get(baseName(name))?.[1]);
  if (table.peft === 'none') return;
  const adapter = attachAdapter(
    'default',
    exactAutogluonMethod(table.peft),
    description,
    undefined,
  );
  const { group } = layerwiseDecay(description, {
    weightDecay: table.weight_decay,
    layerDecay: table.lr_decay,
  });
  comparison.equal(
    `${where}: trained`,
    trainablesOf(adapter).map(autogluonName).sort(),
    table.rows
      .filter(([, , trainable]) => trainable)
      .map(([name]) => name)
      .sort(),
  );
  for (const parameter of trainablesOf(adapter)) {
    const [name, , , rate, decay] = rows.get(autogluonName(parameter)) ?? [];
    if (name === undefined) continue;
    const { learningRateScale, weightDecay } = group(parameter);
    comparison.number(
      `${where}: learning rate of ${name}`,
      table.lr * learningRateScale,
      rate!,
      1e-12,
    );
    comparison.number(`${where}: weight decay of ${name}`, weightDecay, decay!, 0);
  }
}
