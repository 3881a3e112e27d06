/** Modules to save that read another module's table: each gets a table of its own, or trains that. */
import type { Tensor2D, Variable } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import { embed, linear } from '@peft/ops';
import { tiedEmbeddings } from '../description/tied-embeddings.js';
import { tiedOutputs } from '../description/tied-outputs.js';
import type { EmbeddingAttachment, LinearAttachment } from '../method/attachment.js';
import type { Adapter } from './adapter.js';
import { isSaved, MODULES_TO_SAVE, savedModules } from './modules-to-save.js';
import { baseValues, ownParameter, unfreeze } from './owned-parameter.js';
import type { WeightHost } from './weight-host.js';

/**
 * An output layer among the modules to save that reads an embedding's table gets a weight of its
 * own, or trains that table.
 */
export function saveTiedOutputs(adapter: Adapter, host: WeightHost | undefined): void {
  const { spec, description } = adapter;
  const modules = savedModules(spec, description);
  for (const { output, embedding } of tiedOutputs(description)) {
    if (
      adapter.tiesWeights &&
      adapter.at('embedding', embedding.path).some(({ attachment }) => !attachment.forwardOutput)
    ) {
      throw new PeftError(
        'PEFT_CONFIG_UNSUPPORTED',
        `ensureWeightTying: what stands on ${embedding.path} does not go on to ${output.path}.`,
        { hint: 'it goes with modulesToSave and token rows' },
      );
    }
    if (!isSaved(`${output.path}.weight`, modules)) continue;
    if (adapter.tiesWeights) {
      unfreeze(adapter, host, output.weight, MODULES_TO_SAVE);
      continue;
    }
    const name = `${output.path}.weight`;
    const parameter = ownParameter(
      name,
      [output.outFeatures, output.inFeatures],
      () => baseValues(host!, output.weight),
      host,
      { method: MODULES_TO_SAVE, origin: 'new', site: output },
    );
    adapter.parameters.set(name, parameter);
    adapter.attachments.set(`linear ${output.path}`, [
      { site: output, method: MODULES_TO_SAVE, attachment: untiedOutput(() => parameter.value) },
    ]);
  }
}

/**
 * An embedding among the modules to save that reads another one's table gets a table of its own, or
 * trains that one.
 */
export function saveTiedEmbeddings(adapter: Adapter, host: WeightHost | undefined): void {
  const { spec, description } = adapter;
  const modules = savedModules(spec, description);
  for (const { reader, embedding } of tiedEmbeddings(description)) {
    const name = `${reader.path}.weight`;
    if (adapter.tiesWeights && adapter.at('embedding', reader.path).length > 0) {
      throw new PeftError(
        'PEFT_CONFIG_UNSUPPORTED',
        `ensureWeightTying: what stands on ${reader.path} does not go on to all that read ` +
          `the table of ${embedding.path}.`,
        { hint: 'it goes with modulesToSave and token rows' },
      );
    }
    if (!isSaved(name, modules)) continue;
    if (adapter.tiesWeights) {
      unfreeze(adapter, host, reader.weight, MODULES_TO_SAVE);
      continue;
    }
    const parameter = ownParameter(
      name,
      [reader.rows, reader.size],
      () => baseValues(host!, reader.weight),
      host,
      { method: MODULES_TO_SAVE, origin: 'new', site: reader },
    );
    adapter.parameters.set(name, parameter);
    adapter.attachments.set(`embedding ${reader.path}`, [
      { site: reader, method: MODULES_TO_SAVE, attachment: untiedEmbedding(() => parameter.value) },
    ]);
  }
}

/**
 * A module that only holds a table for others, which what is attached to it never reaches, would
 * train nothing.
 */
export function refuseUnread(adapter: Adapter): void {
  const tied = tiedEmbeddings(adapter.description);
  for (const { embedding } of tied) {
    const unread =
      adapter.at('embedding', embedding.path).find(({ attachment }) => !attachment.forwardOutput)
        ?.method ?? (adapter.isEmbeddingOnly(embedding.weight) ? MODULES_TO_SAVE : undefined);
    if (unread === undefined) continue;
    const readers = tied.flatMap(({ reader, embedding: { path } }) =>
      path === embedding.path ? [reader.path] : [],
    );
    throw new PeftError(
      'PEFT_CONFIG_UNSUPPORTED',
      `${unread}: ${embedding.path} only holds the table that ${readers.join(' and ')} ` +
        `${readers.length > 1 ? 'read' : 'reads'}; what stands there changes nothing.`,
      { hint: `name ${readers.join(' or ')} instead` },
    );
  }
}

/**
 * An output layer with a weight of its own in place of the shared one: y = x·Wᵀ.
 * @param weight W `[V, D]`
 */
const untiedOutput = (weight: () => Variable): LinearAttachment => ({
  forward: (x) => linear(x, weight() as Tensor2D),
});

/**
 * An embedding with a table of its own in place of the shared one: y[n] = W[ids[n]].
 * @param table W `[V, D]`
 */
const untiedEmbedding = (table: () => Variable): EmbeddingAttachment => ({
  forward: (ids) => embed(table() as Tensor2D, ids),
  merge: () => table().clone() as Tensor2D,
});
